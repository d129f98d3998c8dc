//! What runs may have on this host at most: words of the service's own command line, which only root writes. The daemon asks
//! for no more, whatever its owners and its own configuration say.

use std::io;
use std::path::{Path, PathBuf};

use agentd_schemas::launch::{Allowed, Beyond, LaunchSpec, Network, is_of_system};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::size::Size;

use super::{LaunchError, refused, system};

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

/// The words of `agentd-launch serve` that bound runs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Words {
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

/// What runs of a service may have that has their folders in `runs`. Where homes are not known, nothing that could have one in
/// it is allowed.
pub(super) fn allowed(words: &Words, runs: &Path) -> Result<Allowed, LaunchError> {
    let homes = || std::fs::read_to_string(PASSWD);
    bounds(words, runs, homes).map_err(system(format!("tell which places are homes, by {PASSWD} (--read-only)")))
}

fn bounds(words: &Words, runs: &Path, passwd: impl FnOnce() -> io::Result<String>) -> io::Result<Allowed> {
    let passwd = if words.read_only.is_empty() { String::new() } else { passwd()? };
    let mut closed: Vec<PathBuf> = CLOSED.iter().map(PathBuf::from).collect();
    // The daemon's own: its folders of runs lie in its state.
    closed.extend(runs.parent().map(Path::to_owned));
    let places = words.read_only.iter().filter(|place| !closed.iter().any(|closed| place.starts_with(closed)));
    let read_only: Vec<PathBuf> = places.cloned().collect();
    let apart = APART.iter().map(PathBuf::from).chain(homes(&passwd));
    let mut except: Vec<PathBuf> = closed.iter().cloned().chain(apart).collect();
    // No other one says anything.
    except.retain(|except| read_only.iter().any(|place| except.starts_with(place) && except != place));
    except.sort();
    except.dedup();
    Ok(Allowed {
        network: words.network,
        read_only,
        except,
        memory_bytes: words.max_memory.as_bytes(),
        tasks: words.max_tasks,
        wall_ms: words.max_wall.as_ms(),
    })
}

/// Holds what a run asks for against what it may have.
pub(super) fn check(allowed: &Allowed, spec: &LaunchSpec) -> Result<(), LaunchError> {
    match allowed.beyond(spec.network, &spec.limits) {
        Some(beyond) => refused(told(&beyond)),
        None => Ok(()),
    }
}

/// The answer about what a run may not have.
pub(super) fn told(beyond: &Beyond) -> String {
    format!("launch spec field {}: {}", beyond.field, beyond.words)
}

/// The homes of users, as passwd(5) has them: not those in the system's own places, which programs are in.
fn homes(passwd: &str) -> impl Iterator<Item = PathBuf> {
    let home = |line: &str| line.split(':').nth(5).map(PathBuf::from);
    passwd.lines().filter_map(home).filter(|home| home.is_absolute() && home != Path::new("/") && !is_of_system(home))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::launcher::probe::trial_spec;
    use agentd_schemas::launch::{LAUNCH_UNIT, Level};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        words: Words,
    }

    const USERS: &str = "a:x:1:1::/data/a:/bin/sh\nb:x:2:2::/usr/games:\nc:x:3:3::/:\nd:x:4:4::srv:\nbroken";

    fn words(words: &[&str]) -> Words {
        Line::try_parse_from(["serve"].iter().chain(words)).map_err(|error| error.to_string()).unwrap().words
    }

    fn allows(line: &[&str]) -> Allowed {
        bounds(&words(line), Path::new("/data/agentd/runs"), || Ok(USERS.to_owned())).unwrap()
    }

    #[test]
    fn a_run_is_shown_the_system_and_what_root_named_and_nothing_else() {
        let strict = allows(&[]);
        for seen in ["/usr/share/x", "/bin/sh", "/etc/ssl/certs"] {
            assert!(strict.shows(Path::new(seen)), "{seen}");
        }
        for path in ["/opt", "/etc", "/etc/shadow", "/home/alice", "/data/a", "/tmp/x", "/usrx"] {
            assert!(!strict.shows(Path::new(path)), "{path}");
        }
        let words = ["/opt", "/var", "/srv/models", "/home/alice/data", "/data", "/etc", "/home"];
        let words: Vec<&str> = words.iter().flat_map(|path| ["--read-only", path]).collect();
        let open = allows(&words);
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
    fn where_homes_are_not_known_no_place_is_allowed_that_may_have_one_in_it() {
        let unknown = || Err(io::ErrorKind::PermissionDenied.into());
        let runs = Path::new("/data/agentd/runs");
        let error = bounds(&words(&["--read-only", "/home"]), runs, unknown).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(bounds(&words(&[]), runs, unknown).unwrap().read_only.is_empty());
    }

    #[test]
    fn what_no_run_is_ever_shown_root_cannot_name() {
        for word in
            ["/", "/proc/1", "/run", "/var/lib/agentd/keys", "x", "/srv/../etc", "/tmp", "/var/tmp/", "/dev/kvm"]
        {
            assert!(Line::try_parse_from(["serve", "--read-only", word]).is_err(), "{word}");
        }
        for word in ["/tmp/data", "/opt/", "/etc/x"] {
            assert!(Line::try_parse_from(["serve", "--read-only", word]).is_ok(), "{word}");
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
        let strict = allows(&[]);
        check(&strict, &spec()).unwrap();
        let table: [(&str, &str, Change); 4] = [
            ("--network", "host", |spec| spec.network = Network::Host),
            ("--max-memory", "1T", |spec| spec.limits.memory_bytes = 1 << 34),
            ("--max-tasks", "9000", |spec| spec.limits.tasks = 5000),
            ("--max-wall", "30d", |spec| spec.limits.wall_ms = 8 * 24 * 3_600_000),
        ];
        for (word, value, change) in table {
            let mut more = spec();
            change(&mut more);
            let error = check(&strict, &more).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(LAUNCH_UNIT), "{error}");
            check(&allows(&[word, value]), &more).unwrap();
        }
    }
}
