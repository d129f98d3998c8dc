//! The pages of `docs/cli/` are executed: every `$` line runs against a daemon of the page's own, and what it prints
//! must be what the page shows.
//!
//! A page begins with `<!-- setup: empty -->`, `<!-- setup: two-agents -->`, `<!-- setup: fixer -->` or `<!-- setup: rules -->`, and
//! `<!-- commands: why, work why -->` with the commands that it is about. In its `console` blocks a line `$ …` is run by sh; the lines below it are what
//! it prints on stdout and stderr together, `(exit N)` last where it fails. `[..]` stands for any text within a line, a
//! line `...` for any number of lines. The commands of a page share one empty directory.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Pages that are executed at a time.
const AT_A_TIME: usize = 4;
/// For the daemon of a page to be ready.
const READY: Duration = Duration::from_secs(30);

#[test]
fn every_page_shows_what_its_commands_print() {
    let pages = pages().unwrap();
    assert!(pages.len() > 20, "only {} pages were found", pages.len());
    let programs = Programs::new().unwrap();
    let (next, pages, programs) = (AtomicUsize::new(0), &pages, &programs);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = execute(page, programs) {
                wrong.push(format!("{}: {error:#}", page.name));
            }
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} pages are wrong\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn every_command_has_a_page_that_runs_it() {
    let known = commands(&[]).unwrap();
    assert!(known.len() > 40, "only {} commands were found", known.len());
    let mut documented = BTreeSet::new();
    for page in pages().unwrap() {
        for command in &page.commands {
            let line = format!("agentctl {command}");
            assert!(page.steps.iter().any(|step| step.command.contains(&line)), "{} never runs {line}", page.name);
            assert!(known.contains(command), "{} is about {line}, which does not exist", page.name);
            assert!(documented.insert(command.clone()), "{line} has two pages");
        }
    }
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "commands without a page in docs/cli: {missing:?}");
}

/// One page.
struct Page {
    name: String,
    setup: String,
    commands: Vec<String>,
    steps: Vec<Step>,
}

/// One command, and what the page says that it prints.
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> Result<Vec<Page>> {
    let folder = root().join("docs/cli");
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "md") && name != "README.md" {
            pages.push(read(&name, &std::fs::read_to_string(&path)?).with_context(|| name.clone())?);
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pages)
}

/// Reads a page.
fn read(name: &str, text: &str) -> Result<Page> {
    let comment = |key: &str| {
        let start = format!("<!-- {key}: ");
        text.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix(" -->")).map(str::to_owned)
    };
    let setup = comment("setup").context("no comment names the setup")?;
    let commands = comment("commands").context("no comment names the commands")?;
    let commands = commands.split(", ").map(str::to_owned).collect();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { line: at + 1, command: command.to_owned(), expected: Vec::new() });
                }
                (None, Some(step)) => step.expected.push(line.to_owned()),
                (None, None) => bail!("line {}: output without a command", at + 1),
            },
            (false, _) => {}
        }
    }
    ensure!(!inside, "the last block is not closed");
    ensure!(!steps.is_empty(), "the page runs nothing");
    Ok(Page { name: name.to_owned(), setup, commands, steps })
}

fn execute(page: &Page, programs: &Programs) -> Result<()> {
    if page.setup == "fixer" && !confines(programs) {
        eprintln!("{} is not executed: agentd starts no agent here; agentctl doctor says why", page.name);
        return Ok(());
    }
    let host = Host::start(&page.name, programs)?;
    host.set_up(&page.setup)?;
    for step in &page.steps {
        let printed = host.run(&step.command)?;
        let expected: Vec<&str> = step.expected.iter().map(String::as_str).collect();
        let lines: Vec<&str> = printed.lines().collect();
        ensure!(
            fits(&expected, &lines),
            "line {}: $ {}\n--- the page\n{}\n--- printed\n{}",
            step.line,
            step.command,
            step.expected.join("\n"),
            printed.trim_end()
        );
    }
    Ok(())
}

/// Whether runs can be confined here as agents ask for it by default.
fn confines(programs: &Programs) -> bool {
    let probe = Command::new(programs.0.join("agentctl")).args(["doctor", "--no-color"]).output();
    let told = probe.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    told.lines().any(|line| line.starts_with("confinement ") && line.contains("level strict works"))
}

/// Whether the printed lines are what the page shows.
fn fits(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skip| fits(rest, &printed[skip..])),
        [first, rest @ ..] => match printed {
            [line, more @ ..] => fits_line(first, line) && fits(rest, more),
            [] => false,
        },
    }
}

/// Whether one line is what the page shows: `[..]` stands for any text.
fn fits_line(expected: &str, line: &str) -> bool {
    let Some((start, rest)) = expected.split_once("[..]") else {
        return expected == line;
    };
    let Some(line) = line.strip_prefix(start) else {
        return false;
    };
    let places = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    places.into_iter().any(|at| fits_line(rest, &line[at..]))
}

#[test]
fn a_wildcard_stands_for_any_text_and_nothing_else_does() {
    for (expected, line, does) in [
        ("w-[..]  ready", "w-abcd  ready", true),
        ("w-[..]  ready", "w-abcd  failed", false),
        ("[..] of [..]", "1 of 2 of 3", true),
        ("", "x", false),
        ("é[..]", "éa", true),
    ] {
        assert_eq!(fits_line(expected, line), does, "{expected:?} {line:?}");
    }
    assert!(fits(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(fits(&["..."], &[]));
    assert!(!fits(&["a", "..."], &["b"]));
    assert!(!fits(&["a"], &["a", "b"]));
}

/// A daemon of its own, a directory for the commands, and resident agents where the page asks for them.
struct Host {
    programs: PathBuf,
    folder: PathBuf,
    daemon: Option<Child>,
    agents: std::cell::RefCell<Vec<Child>>,
}

impl Host {
    fn start(name: &str, programs: &Programs) -> Result<Self> {
        let name = name.trim_end_matches(".md");
        let folder = std::env::temp_dir().join(format!("agentd-page-{}-{name}", std::process::id()));
        std::fs::create_dir_all(folder.join("here"))?;
        let told = UnixDatagram::bind(folder.join("notify"))?;
        told.set_read_timeout(Some(READY))?;
        let programs = programs.0.clone();
        let mut host = Self { programs, folder, daemon: None, agents: std::cell::RefCell::default() };
        let log = std::fs::File::create(host.folder.join("agentd.log"))?;
        // Runs begin on a nearly full disk too, and a second attempt does not wait long.
        let config = host.folder.join("agentd.toml");
        std::fs::write(&config, "[limits]\nbackoff = \"200ms\"\n[runs]\nmin_free_percent = 0\n")?;
        let mut daemon = host.command("agentd");
        daemon
            .arg("--config")
            .arg(config)
            .arg("--state")
            .arg(host.folder.join("state"))
            .env("NOTIFY_SOCKET", host.folder.join("notify"));
        host.daemon = Some(daemon.stdout(Stdio::null()).stderr(log).spawn().context("agentd cannot be started")?);
        let mut message = [0; 64];
        let count = told.recv(&mut message).with_context(|| {
            format!(
                "agentd did not become ready: {}",
                std::fs::read_to_string(host.folder.join("agentd.log")).unwrap_or_default()
            )
        })?;
        ensure!(message[..count].starts_with(b"READY=1"), "agentd said something else than READY=1");
        Ok(host)
    }

    /// `empty` is a fresh host. `two-agents` has counter (skill count, answers JSON) and writer (skill text, answers a sentence),
    /// both served. `fixer` has the agent of `examples/agents/fixer`, which agentd starts, and the repository `shop` of
    /// the tour. `rules` has the folder `policies` that agentd ships.
    fn set_up(&self, setup: &str) -> Result<()> {
        match setup {
            "empty" => return Ok(()),
            "two-agents" => {}
            "fixer" => return self.fixer(),
            "rules" => return self.rules(),
            other => bail!("there is no setup {other:?}: empty, two-agents, fixer or rules"),
        }
        for (name, skill, answer) in [
            ("counter", "count", r#"cat >/dev/null; echo "looking" >&2; echo '{"files":12}'"#),
            ("writer", "text", "cat >/dev/null; echo 'Twelve files, all of them short.'"),
        ] {
            let printed = self.run(&format!("agentctl agent enroll {name} --skill {skill} --quiet"))?;
            ensure!(printed.trim() == name, "agent {name} was not enrolled: {printed}");
            let mut serve = self.command("agentctl");
            serve.args(["agent", "serve", name, "--", "sh", "-c", answer]);
            let log = std::fs::File::create(self.folder.join(format!("{name}.log")))?;
            self.agents.borrow_mut().push(serve.stdout(Stdio::null()).stderr(log).spawn()?);
        }
        Ok(())
    }

    fn rules(&self) -> Result<()> {
        let printed = self.run(&format!("cp -R {}/policies .", root().canonicalize()?.display()))?;
        ensure!(printed.is_empty(), "the rules were not copied: {printed}");
        Ok(())
    }

    fn fixer(&self) -> Result<()> {
        let examples = root().canonicalize()?.join("examples");
        let lines = [
            format!("cp -R {0}/quickstart/shop {0}/agents/fixer .", examples.display()),
            "git config --global user.name Person && git config --global user.email person@example.org".to_owned(),
            "git -C shop init -q -b main && git -C shop add . && git -C shop commit -q -m 'a shop'".to_owned(),
            "agentctl agent enroll --file fixer/agent.toml --quiet".to_owned(),
        ];
        for line in lines {
            let printed = self.run(&line)?;
            ensure!(printed.is_empty() || printed.trim() == "fixer", "{line}: {printed}");
        }
        Ok(())
    }

    /// Runs one line; gives what it printed on both streams.
    fn run(&self, line: &str) -> Result<String> {
        let mut shell = self.command("sh");
        let output = shell.args(["-c", &format!("{{ {line}\n}} 2>&1")]).output()?;
        let mut printed = String::from_utf8(output.stdout).context("the output is not UTF-8")?;
        match output.status.code() {
            Some(0) => {}
            Some(code) => printed.push_str(&format!("(exit {code})\n")),
            None => printed.push_str("(killed)\n"),
        }
        Ok(printed)
    }

    /// A command in the page's directory and in an environment that is the same everywhere.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.join("here")).env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.programs.display()));
        command.env("HOME", &self.folder).env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env("COLUMNS", "100");
        command.env("AGENTD_ADDRESS", self.folder.join("state/run/control.sock"));
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for child in self.agents.get_mut().iter_mut().chain(&mut self.daemon) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Where cargo puts a program: beside the folder of this test.
fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let path = own.ancestors().nth(2).context("cargo's folder")?.join(name);
    ensure!(path.exists(), "{name} is not built: cargo build -p agentctl -p agentd");
    Ok(path)
}

/// The programs, where runs with a user of their own reach them: cargo's folder may be closed to it.
struct Programs(PathBuf);

impl Programs {
    fn new() -> Result<Self> {
        let place = std::env::temp_dir().join(format!("agentd-pages-{}", std::process::id()));
        std::fs::create_dir_all(&place)?;
        for name in ["agentd", "agentctl", "agentd-launch", "agentd-shim"] {
            let (from, to) = (built(name)?, place.join(name));
            if std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to)?;
            }
        }
        Ok(Self(place))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every command of agentctl, from its own help: `submit`, `work show`.
fn commands(group: &[&str]) -> Result<BTreeSet<String>> {
    let help = String::from_utf8(Command::new(built("agentctl")?).args(group).arg("--help").output()?.stdout)?;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut found = BTreeSet::new();
    // A description that is wrapped goes on further to the right.
    for name in listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty())) {
        let path: Vec<&str> = group.iter().copied().chain([name]).collect();
        if name != "help" {
            let below = commands(&path)?;
            found.extend(if below.is_empty() { BTreeSet::from([path.join(" ")]) } else { below });
        }
    }
    Ok(found)
}
