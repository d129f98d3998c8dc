//! pueue, a task queue with a daemon and a command line: how long its `add` takes. What it answers is not durable.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use super::installed;
use crate::figures::{Better, Figures, Series};
use crate::measure::cold;
use crate::options::Options;
use crate::process;

const STAGE: &str = "pueue";
/// Tasks a repetition.
const TASKS: usize = 100;

pub(crate) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let (Some(daemon), Some(client)) = (installed("pueued"), installed("pueue")) else {
        figures.leave_out("pueue: not installed".to_owned());
        return Ok(());
    };
    let directory = options.scratch.join("pueue");
    std::fs::create_dir_all(&directory)?;
    let config = directory.join("pueue.yml");
    let at = directory.display();
    let text = format!(
        "shared:\n  pueue_directory: {at}\n  runtime_directory: {at}\n  use_unix_socket: true\n  \
         unix_socket_path: {at}/pueue.socket\nclient: {{}}\ndaemon: {{}}\n"
    );
    std::fs::write(&config, text)?;
    let mut command = process::command(daemon)?;
    let child = command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("pueued")?;
    let begun = Instant::now();
    let ask = |words: &[&str]| {
        let mut command = Command::new(&client);
        command.arg("-c").arg(&config).args(words);
        command
    };
    while process::output(&mut ask(&["status"])).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            bail!("pueued does not answer");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut add = Series::new("pueue add, cold, p50", "ms", Better::Less, None);
    let mut status = Series::new("pueue status, cold, p50", "ms", Better::Less, None);
    for _ in 0..options.repetitions {
        let (sample, foreign) = cold(&mut ask(&["status"]), TASKS)?;
        status.add(sample.p50_ms, foreign);
        let (sample, foreign) = cold(&mut ask(&["add", "--stashed", "--", "true"]), TASKS)?;
        add.add(sample.p50_ms, foreign);
    }
    figures.take(add, STAGE);
    figures.take(status, STAGE);
    process::stop(child, Signal::TERM)
}
