//! `agentctl doctor`

mod host;
mod people;
mod runs;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use agentd_schemas::view::StatusView;
use serde::Serialize;

use crate::ambient;
use crate::connect::Door;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table, plain, shell_word, span_ms};

/// Free disk below which something should be done, in percent.
const DISK_LOW_PERCENT: u32 = 10;

/// Look for what is wrong on this host, and say the command that fixes it
///
/// Looks at what agentctl itself can see: the way to agentd, versions, modes of sockets and keys, disk, clock and zone, and
/// the programs that agents commonly need. How far programs of agents can be confined here is asked of an agentd that serves
/// the host, with what else it found out about it; for one of your own agentd-launch tries it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl doctor")]
pub(crate) struct Args {}

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, detail: detail.into(), fix: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(name, detail, fix) }
    }
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut checks = match context.reached().await {
            Ok(reached) => with_daemon(context, &reached.door).await,
            Err(failure) => {
                let fix = failure.hinted().unwrap_or("systemctl start agentd, or agentd --state DIR").to_owned();
                let mut checks = vec![Check::fail("daemon", failure.message(), fix)];
                // What a daemon of one's own would find.
                checks.extend(runs::checks());
                checks
            }
        };
        checks.push(zone());
        checks.extend(keys());
        for (program, needed_for) in [
            ("python3", "agents written in Python"),
            ("git", "submit --repo and work apply"),
            ("ssh-keygen", "keys that are kept elsewhere"),
        ] {
            checks.push(has_program(program, needed_for));
        }
        let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
        let names: Vec<String> =
            checks.iter().filter(|check| check.verdict != Verdict::Ok).map(|check| check.name.to_owned()).collect();
        context.out.show(&checks, &names, |out| table(out, &checks))?;
        if failed > 0 { Err(Failure::silent(1)) } else { Ok(()) }
    }
}

fn table(out: &Output, checks: &[Check]) -> Result<(), Failure> {
    let mut table = Table::new(["CHECK", "IS", "~DETAIL"]);
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        table.row([Cell::new(check.name), Cell::state(verdict), Cell::new(&check.detail)]);
    }
    out.table(&table)?;
    for check in checks {
        if let Some(fix) = &check.fix {
            out.line(format!("\n{}: {}\n  {}", check.name, plain(&check.detail), plain(fix)))?;
        }
    }
    Ok(())
}

/// What can be seen through the daemon.
async fn with_daemon(context: &Context, door: &Door) -> Vec<Check> {
    let mut checks = vec![Check::ok("daemon", format!("answers at {door}"))];
    let asked = async {
        let host = context.host().await?;
        let status: StatusView = read(&host.status().await?)?;
        Ok::<_, Failure>((status, host.state_directory().await?, host.agents_socket().await?))
    };
    let (status, state, agents) = match asked.await {
        Ok(answers) => answers,
        Err(failure) => {
            checks.push(Check::fail("status", failure.message(), "journalctl -u agentd"));
            return checks;
        }
    };
    checks.push(versions(&status.version));
    checks.push(health(&status));
    checks.push(disk(status.disk_free_percent));
    if let Some(by_ms) = status.clock_held_ms {
        let detail = format!("the wall clock jumped by {}; what it triggers is held", span_ms(by_ms.unsigned_abs()));
        checks.push(Check::fail("clock", detail, "agentctl clock accept --reason 'looked at the clock'"));
    }
    if let Door::Socket(path) = door {
        checks.push(socket("control socket", path));
    }
    checks.push(socket("agents' socket", Path::new(&agents)));
    checks.extend(state_directory(Path::new(&state)));
    checks.extend(people::lingering(&status.mode));
    if is_own(&status.mode, Path::new(&state)) {
        checks.extend(runs::checks());
    } else {
        checks.extend(host::checks(context).await);
    }
    checks
}

/// Whether what the caller finds is what the daemon finds: it is the caller's, and nobody else's.
fn is_own(mode: &str, state: &Path) -> bool {
    let is_of = |metadata: std::fs::Metadata| metadata.uid() == rustix::process::geteuid().as_raw();
    mode != "system" && state.metadata().is_ok_and(is_of)
}

fn versions(daemon: &str) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    if daemon == own {
        return Check::ok("versions", format!("agentd and agentctl are {own}"));
    }
    Check::warn(
        "versions",
        format!("agentd is {daemon}, agentctl is {own}"),
        "install both from the same release, then: systemctl restart agentd",
    )
}

fn health(status: &StatusView) -> Check {
    let wrong: Vec<&str> = status.health.iter().map(String::as_str).filter(|word| *word != "ok").collect();
    if wrong.is_empty() {
        return Check::ok("health", "agentd has no complaint");
    }
    Check::fail("health", wrong.join("; "), cure(&wrong.join(" "), &status.mode))
}

/// What to do about a complaint: by its words, else by what the daemon wrote about it.
fn cure(wrong: &str, mode: &str) -> &'static str {
    match mode {
        _ if wrong.contains("clock") => "agentctl clock accept --reason 'looked at the clock'",
        "private" => "see what agentd wrote where it was started",
        "session" => "journalctl --user -u agentd",
        _ => "journalctl -u agentd",
    }
}

fn disk(free_percent: u32) -> Check {
    let detail = format!("{free_percent} % of the disk of the ledger free");
    if free_percent >= DISK_LOW_PERCENT {
        return Check::ok("disk", detail);
    }
    Check::fail("disk", detail, "df -h shows what fills it; make room before the ledger cannot be written")
}

/// A socket must be there, belong to root or to its caller, and stand in a directory where nobody else can put another
/// one in its place.
fn socket(name: &'static str, path: &Path) -> Check {
    let shown = path.display().to_string();
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            let detail = format!("{shown}: {}", crate::error::said(&error));
            return Check::warn(name, detail, "systemctl restart agentd");
        }
    };
    let parent = path.parent().and_then(|parent| parent.metadata().ok());
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    if let Some(parent) = parent.filter(|parent| parent.mode() & 0o002 != 0 && parent.mode() & 0o1000 == 0) {
        let directory = path.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
        let detail = format!("anybody can replace {shown}: its directory has mode {:o}", parent.mode() & 0o777);
        return Check::fail(name, detail, format!("chmod o-w {}", shell_word(&directory)));
    }
    Check::ok(name, format!("{shown}, mode {mode:o}, of uid {owner}"))
}

/// Nobody but the daemon may read its state; where we cannot look, others cannot either.
fn state_directory(path: &Path) -> Option<Check> {
    let mode = path.metadata().ok()?.mode() & 0o777;
    let shown = path.display().to_string();
    // Where runs have users of their own they come through it; nobody looks into it.
    let is_private = mode & 0o066 == 0;
    if is_private {
        return Some(Check::ok("state", format!("{shown}, mode {mode:o}")));
    }
    Some(Check::fail(
        "state",
        format!("{shown} has mode {mode:o}: others can look into it"),
        format!("chmod 700 {}", shell_word(&shown)),
    ))
}

fn zone() -> Check {
    match jiff::tz::TimeZone::try_system() {
        Ok(zone) => Check::ok("time zone", zone.iana_name().unwrap_or("without a name").to_owned()),
        Err(error) => {
            Check::warn("time zone", format!("not found, UTC is used: {error}"), "timedatectl set-timezone ZONE")
        }
    }
}

/// Keys of agents that are kept here must be their owner's alone.
fn keys() -> Vec<Check> {
    let Ok(agents) = ambient::config_dir().map(|config| config.join("agents")) else {
        return Vec::new();
    };
    let directories = std::fs::read_dir(agents).into_iter().flatten().filter_map(Result::ok);
    let keys: Vec<PathBuf> =
        directories.map(|entry| entry.path().join("id_ed25519")).filter(|key| key.is_file()).collect();
    let mode = |key: &PathBuf| key.metadata().map_or(0, |metadata| metadata.mode() & 0o777);
    let open: Vec<&PathBuf> = keys.iter().filter(|key| mode(key) & 0o077 != 0).collect();
    if open.is_empty() {
        return vec![Check::ok("agents' keys", format!("{} here, none readable by others", keys.len()))];
    }
    let check = |key: &PathBuf| {
        let shown = key.display().to_string();
        let detail = format!("{shown} has mode {:o}: others can read it", mode(key));
        Check::fail("agents' keys", detail, format!("chmod 600 {}", shell_word(&shown)))
    };
    open.into_iter().map(check).collect()
}

fn has_program(program: &'static str, needed_for: &str) -> Check {
    match in_path(program) {
        Some(path) => Check::ok(program, format!("{}{}", path.display(), in_runs(program, &path))),
        None => Check::warn(program, format!("not in PATH; needed for {needed_for}"), install(program)),
    }
}

/// What of a program runs have, where it is another one: they see what the system installed.
fn in_runs(program: &str, path: &Path) -> String {
    if program != "python3" || path.starts_with("/usr") || path.starts_with("/bin") {
        return String::new();
    }
    let found = ["/usr/local/bin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
    match found.iter().find(|path| path.exists()) {
        Some(path) => format!("; runs have {}", path.display()),
        None => "; runs have none".to_owned(),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = ambient::var("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0))
}

/// The command that installs a program, for the package manager that is here.
fn install(program: &str) -> String {
    let package = if program == "ssh-keygen" { "openssh-client" } else { program };
    for (manager, command) in [
        ("apt-get", "apt-get install"),
        ("dnf", "dnf install"),
        ("zypper", "zypper install"),
        ("pacman", "pacman -S"),
        ("apk", "apk add"),
    ] {
        if in_path(manager).is_some() {
            let package = match (manager, package) {
                ("dnf" | "zypper", "openssh-client") => "openssh-clients",
                ("pacman", "openssh-client") => "openssh",
                ("pacman", "python3") => "python",
                (_, other) => other,
            };
            return format!("{command} {package}");
        }
    }
    format!("install {package} with the package manager of this system")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_that_does_not_hold_says_what_to_do() {
        let status = |health: &[&str]| -> StatusView {
            serde_json::from_value(serde_json::json!({
                "version": "0", "since": "2026-11-22T08:00:00Z", "trust_domain": "t", "origin": "o", "incarnation": 1,
                "events": 1, "mode": "private", "health": health, "works": {}, "agents": {}, "memory_bytes": 1,
                "database_bytes": 1, "disk_free_percent": 50, "waiting": [], "frozen": [],
                "today": { "spent": "0 USD", "tokens": 0, "unpriced_calls": 0, "by_source": [] },
                "denials": { "denied": 0, "unauthenticated": 0 },
            }))
            .unwrap()
        };
        for (check, verdict) in [
            (versions(env!("CARGO_PKG_VERSION")), Verdict::Ok),
            (versions("0.0.0-other"), Verdict::Warn),
            (health(&status(&["ok"])), Verdict::Ok),
            (health(&status(&["disk full"])), Verdict::Fail),
            (disk(10), Verdict::Ok),
            (disk(9), Verdict::Fail),
            (socket("s", Path::new("/nonexistent/s")), Verdict::Warn),
            (has_program("sh", "everything"), Verdict::Ok),
            (has_program("no-such-program", "nothing"), Verdict::Warn),
        ] {
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert_eq!(check.fix.is_some(), verdict != Verdict::Ok, "{check:?}");
        }
    }
}
