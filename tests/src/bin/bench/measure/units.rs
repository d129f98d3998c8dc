//! Runs as units of a real systemd, which is booted for it: how soon a unit starts, how many runs end to end, how soon a
//! daemon has living units again, what the system bus costs, and what daemon and launcher weigh.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::booted::Booted;
use crate::figures::{Better, Figures, Series};
use crate::machine::Ticks;
use crate::options::Options;

const STAGE: &str = "units";
/// How much slower than a bare unit that of a run may start.
const OVER_BARE: f64 = 1.3;
/// How much slower than over the private socket a submit over the system bus may be.
const OVER_SOCKET: f64 = 2.0;

pub(super) fn stage(options: &Options, figures: &mut Figures) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot").canonicalize()?;
    let modes = Command::new(folder.join("with-systemd")).arg("--modes").output();
    let modes = modes.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let Some(mode) = ["hybrid", "unified"].into_iter().find(|mode| modes.lines().any(|line| line == *mode)) else {
        figures.leave_out("units: no systemd can be booted here (tests/boot/with-systemd --modes)".to_owned());
        return Ok(());
    };
    let count = options.size(200);
    let mut bare = Series::new("a bare transient unit, job new to removed, p50", "ms", Better::Less, None);
    let mut unit = Series::new("the unit of a run, the same (floor: 1.3 x that)", "ms", Better::Less, None);
    let mut rate = Series::new(format!("{count} runs as units end to end, 8 at a time"), "runs/s", Better::More, None);
    let mut again =
        Series::new(format!("{count} living units taken over after a restart"), "s", Better::Less, Some(2.0));
    let mut socket = Series::new("a submit over the private socket, p50", "ms", Better::Less, None);
    let mut bus = Series::new("a submit over the system bus, p50 (floor: 2 x that)", "ms", Better::Less, None);
    let mut idle = Series::new("daemon and launcher, idle, their share of memory", "MiB", Better::Less, Some(24.0));
    for _ in 0..options.repetitions {
        let (before, told) = (Ticks::now(), boot(options, &folder, mode, count)?);
        let foreign = before.foreign_percent();
        unit.floor(told.bare_ms * OVER_BARE);
        bus.floor(told.socket_ms * OVER_SOCKET);
        for (series, value) in [
            (&mut bare, told.bare_ms),
            (&mut unit, told.unit_ms),
            (&mut rate, told.runs_per_s),
            (&mut again, told.again_s),
            (&mut socket, told.socket_ms),
            (&mut bus, told.bus_ms),
            (&mut idle, told.idle_mib),
        ] {
            series.add(value, foreign);
        }
    }
    for series in [bare, unit, rate, again, socket, bus, idle] {
        figures.take(series, STAGE);
    }
    Ok(())
}

fn boot(options: &Options, folder: &Path, mode: &str, count: usize) -> anyhow::Result<Booted> {
    let source = folder.parent().and_then(Path::parent).context("the tree")?;
    // On a disk: what is in the overlay is in memory.
    let state = options.scratch.join("units");
    std::fs::create_dir_all(&state)?;
    let mut command = Command::new(folder.join("with-systemd"));
    command.args(["--cgroup", mode, "--timeout", "300"]);
    for (from, to) in [(folder, "boot"), (&options.binaries, "bin"), (source, "source")] {
        command.arg("--ro").arg(format!("{}:/agentd/{to}", from.display()));
    }
    command.arg("--bind").arg(format!("{}:/var/lib/agentd", state.display()));
    command.args(["--", "/agentd/bin/bench", "booted", &count.to_string()]);
    let output = command.stdin(Stdio::null()).output().context("with-systemd")?;
    std::fs::remove_dir_all(&state)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    let told = said.lines().last().unwrap_or_default();
    serde_json::from_str(told).with_context(|| format!("inside of systemd: {said}{wrong}"))
}
