//! What runs may have on this host at most: words of the service's own command line, which only root writes. The daemon asks
//! for no more, whatever its owners and its own configuration say.

use std::path::{Path, PathBuf};

use agentd_schemas::launch::{CONFIGURATION_PATHS, LaunchSpec, Network, SYSTEM_PATHS, overlap};
use agentd_schemas::unit::duration::{Span, in_words};
use agentd_schemas::unit::size::Size;

use super::{LaunchError, refused};

/// Places of the host that no run is shown, nor anything in them: what they hold gives more than files, or is the host's own.
const CLOSED: &[&str] = &[
    "/boot",
    "/dev",
    "/etc/agentd",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/etc/ssh",
    "/etc/ssl/private",
    "/proc",
    "/run",
    "/sys",
    "/var/lib/agentd",
    "/var/lib/systemd",
    "/var/run",
];
/// Places that have to be named by themselves, or something in them: who allows what is above them means the rest of it.
const APART: &[&str] =
    &["/home", "/media", "/mnt", "/root", "/srv", "/var/backups", "/var/log", "/var/mail", "/var/spool"];
/// Where users and their homes stand.
const PASSWD: &str = "/etc/passwd";
/// The unit in which root allows more.
const UNIT: &str = "agentd-launch.service";

/// The words of `agentd-launch serve` that bound runs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Allowed {
    /// The network that a run may have: none, or the host's where it asks for it.
    #[arg(long, value_name = "none|host", default_value = "none", value_parser = network)]
    network: Network,
    /// A place of the host that runs may be shown, and all that is in it. Repeat it for more.
    #[arg(long, value_name = "PATH", value_parser = place)]
    read_only: Vec<PathBuf>,
    /// Memory of a run, at most.
    #[arg(long, value_name = "SIZE", default_value = "8G")]
    max_memory: Size,
    /// Processes and threads of a run, at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 4096)]
    max_tasks: u64,
    /// Running time of a step, at most.
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    max_wall: Span,
}

fn network(word: &str) -> Result<Network, String> {
    match word {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err("give none or host".to_owned()),
    }
}

/// A place that root allows: absolute, and none that is closed to all.
fn place(text: &str) -> Result<PathBuf, String> {
    let path: PathBuf = Path::new(text).components().collect();
    let plain = path.is_absolute() && !text.split('/').any(|part| part == "..");
    if !plain || path == Path::new("/") {
        return Err("give the absolute path of one place, without `..`".to_owned());
    }
    if ["/tmp", "/var/tmp"].iter().any(|shared| path == Path::new(shared)) {
        return Err(format!("runs have a {text} of their own; name something in it"));
    }
    match CLOSED.iter().find(|closed| path.starts_with(closed)) {
        Some(closed) => Err(format!("no run is shown anything in {closed}")),
        None => Ok(path),
    }
}

/// [`Allowed`], and what this host keeps from runs.
#[derive(Debug)]
pub(super) struct Bounds {
    allowed: Allowed,
    apart: Vec<PathBuf>,
    closed: Vec<PathBuf>,
}

impl Bounds {
    /// The bounds of a service whose runs have their folders in `runs`.
    pub(super) fn new(allowed: Allowed, runs: &Path) -> Self {
        let passwd = std::fs::read_to_string(PASSWD).unwrap_or_default();
        let own = |places: &[&str]| places.iter().map(PathBuf::from).collect::<Vec<_>>();
        let mut closed = own(CLOSED);
        // The daemon's own: its folders of runs lie in its state.
        closed.extend(runs.parent().map(Path::to_owned));
        let mut apart = own(APART);
        apart.extend(homes(&passwd));
        Self { allowed, apart, closed }
    }

    /// Whether a run may be shown a place of the host, by its name alone: nobody learns from the answer what is there.
    pub(super) fn shows(&self, path: &Path) -> bool {
        if is_of_system(path) {
            return true;
        }
        let named = |place: &&PathBuf| path.starts_with(place);
        let apart = |place: &PathBuf| self.apart.iter().any(|apart| overlap(path, apart) && !place.starts_with(apart));
        !self.closed.iter().any(|closed| overlap(path, closed))
            && self.allowed.read_only.iter().filter(named).any(|place| !apart(place))
    }

    /// Holds what a run asks for against what it may have.
    pub(super) fn check(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        let (asks, most) = (&spec.limits, &self.allowed);
        let more = |field: &str, asked: String, word: &str, most: String| {
            refused(format!(
                "launch spec field {field}: {asked} is more than a run may have on this host, {most}; root allows more with \
                 {word} in {UNIT}"
            ))
        };
        if spec.network == Network::Host && most.network == Network::None {
            return refused(format!(
                "launch spec field network: runs have no network on this host; root allows it with --network host in {UNIT}"
            ));
        }
        if asks.memory_bytes > most.max_memory.as_bytes() {
            let asked = format!("{} B", asks.memory_bytes);
            return more("memory_bytes", asked, "--max-memory", most.max_memory.to_string());
        }
        if asks.tasks > most.max_tasks {
            return more("tasks", asks.tasks.to_string(), "--max-tasks", most.max_tasks.to_string());
        }
        if asks.wall_ms > most.max_wall.as_ms() {
            return more("wall_ms", in_words(asks.wall_ms), "--max-wall", most.max_wall.to_string());
        }
        Ok(())
    }
}

/// What every run sees, and who asks learns nothing by it.
fn is_of_system(path: &Path) -> bool {
    SYSTEM_PATHS.iter().chain(CONFIGURATION_PATHS).any(|place| path.starts_with(place))
}

/// The homes of users, as passwd(5) has them: not those in the system's own places, which programs are in.
fn homes(passwd: &str) -> impl Iterator<Item = PathBuf> {
    let home = |line: &str| line.split(':').nth(5).map(PathBuf::from);
    passwd.lines().filter_map(home).filter(|home| home.is_absolute() && home != Path::new("/") && !is_of_system(home))
}

/// The one answer about a place that no run is shown, whatever is there.
pub(super) fn not_shown(path: &Path) -> String {
    format!(
        "launch spec field mounts: runs are not shown {} on this host; root allows it with --read-only in {UNIT}",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::launcher::probe::trial_spec;
    use agentd_schemas::launch::Level;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        allowed: Allowed,
    }

    fn bounds(words: &[&str]) -> Bounds {
        let words = Words::try_parse_from(["serve"].iter().chain(words)).map_err(|error| error.to_string()).unwrap();
        let mut bounds = Bounds::new(words.allowed, Path::new("/data/agentd/runs"));
        bounds
            .apart
            .extend(homes("a:x:1:1::/data/a:/bin/sh\nb:x:2:2::/usr/games:\nc:x:3:3::/:\nd:x:4:4::srv:\nbroken"));
        bounds
    }

    #[test]
    fn a_run_is_shown_the_system_and_what_root_named_and_nothing_else() {
        let strict = bounds(&[]);
        for seen in ["/usr/share/x", "/bin/sh", "/etc/ssl/certs"] {
            assert!(strict.shows(Path::new(seen)), "{seen}");
        }
        for path in ["/opt", "/etc", "/etc/shadow", "/home/alice", "/data/a", "/tmp/x", "/usrx"] {
            assert!(!strict.shows(Path::new(path)), "{path}");
        }
        let words = ["/opt", "/var", "/srv/models", "/home/alice/data", "/data", "/etc", "/home"];
        let words: Vec<&str> = words.iter().flat_map(|path| ["--read-only", path]).collect();
        let open = bounds(&words);
        for seen in ["/opt", "/opt/x", "/var/lib/x", "/srv/models/a", "/home/alice/data", "/data/b", "/home/bob"] {
            assert!(open.shows(Path::new(seen)), "{seen}");
        }
        for path in [
            "/var",
            "/var/log",
            "/var/log/syslog",
            "/var/lib",
            "/var/lib/agentd/keys",
            "/srv",
            "/srv/b",
            "/data",
            "/data/a",
            "/data/a/x",
            "/data/agentd",
            "/data/agentd/keys",
            "/etc",
            "/etc/agentd",
            "/optx",
            "/",
        ] {
            assert!(!open.shows(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn what_no_run_is_ever_shown_root_cannot_name() {
        for word in
            ["/", "/proc/1", "/run", "/var/lib/agentd/keys", "x", "/srv/../etc", "/tmp", "/var/tmp/", "/dev/kvm"]
        {
            assert!(Words::try_parse_from(["serve", "--read-only", word]).is_err(), "{word}");
        }
        for word in ["/tmp/data", "/opt/", "/etc/x"] {
            assert!(Words::try_parse_from(["serve", "--read-only", word]).is_ok(), "{word}");
        }
    }

    type Change = fn(&mut LaunchSpec);

    #[test]
    fn a_run_that_asks_for_more_is_told_the_word_that_allows_it() {
        let spec = || LaunchSpec {
            limits: agentd_schemas::launch::RunLimits {
                memory_bytes: 1 << 30,
                tasks: 512,
                wall_ms: 3_600_000,
                ..trial_spec("w-aaaaaaaaaaaaaaaa.1".parse().unwrap(), Level::Strict, None).limits
            },
            ..trial_spec("w-aaaaaaaaaaaaaaaa.1".parse().unwrap(), Level::Strict, None)
        };
        let strict = bounds(&[]);
        strict.check(&spec()).unwrap();
        let table: [(&str, &str, Change); 4] = [
            ("--network", "host", |spec| spec.network = Network::Host),
            ("--max-memory", "1T", |spec| spec.limits.memory_bytes = 1 << 34),
            ("--max-tasks", "9000", |spec| spec.limits.tasks = 5000),
            ("--max-wall", "30d", |spec| spec.limits.wall_ms = 8 * 24 * 3_600_000),
        ];
        for (word, value, change) in table {
            let mut more = spec();
            change(&mut more);
            let error = strict.check(&more).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(UNIT), "{error}");
            bounds(&[word, value]).check(&more).unwrap();
        }
    }
}
