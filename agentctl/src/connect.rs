//! Reaching the daemon: an address that was asked for, else a bus where `org.agentd1` is, else a private socket.
//!
//! A bus is tried only where its socket exists, and taken only where the name has an owner; nothing is started on the
//! way. What was tried is remembered for the error.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd_schemas::dbus::BUS_NAME;
use agentd_schemas::problem::{Code, Problem};
use zbus::Connection;
use zbus::connection::Builder;
use zbus::names::BusName;

use crate::ambient;
use crate::error::{Failure, said};
use crate::host_service;
use crate::output::shell_word;

/// File name of the operators' socket in a runtime or state directory.
const SOCKET: &str = "control.sock";
/// Where the system's daemon has its private socket.
const SYSTEM_SOCKET: &str = "/run/agentd/control.sock";
/// Where the system bus is, unless the environment says otherwise.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
/// What a bus says to who has as many connections as it gives one user.
const TOO_MANY: &str = "maximum number of active connections";
/// Names the socket of a run to the programs in it.
pub(crate) const RUN_SOCKET: &str = "AGENTD_RUN_SOCKET";
/// For saying hello: a socket whose process does not answer is no door.
const HELLO: Duration = Duration::from_secs(10);
/// For one call; bulk calls have none.
pub(crate) const CALL: Duration = Duration::from_mins(1);

/// One way to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// A private socket: D-Bus between two peers.
    Socket(PathBuf),
    /// A message bus at a D-Bus address.
    Bus {
        /// `system` or `session`, for people.
        name: &'static str,
        /// Its address.
        address: String,
    },
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Bus { name, .. } => write!(f, "{name} bus"),
        }
    }
}

/// A way to the daemon that is open.
pub(crate) struct Reached {
    /// The connection.
    pub(crate) connection: Connection,
    /// Which way it was.
    pub(crate) door: Door,
}

/// Opens the first way that leads to the daemon. `asked` is the value of `--address` or `AGENTD_ADDRESS`; `timeout` is
/// for each call.
pub(crate) async fn open(asked: Option<&str>, timeout: Option<Duration>) -> Result<Reached, Failure> {
    let doors = match asked {
        Some(asked) => vec![parse(asked)?],
        None if ambient::var(RUN_SOCKET).is_some() => return Err(within_a_run()),
        None => doors(),
    };
    let mut tried = Vec::new();
    for door in doors {
        let entered = match enter(&door, timeout).await {
            // Nothing was asked yet: whoever listens there next is asked.
            Err(Shut { cut: true, .. }) => enter(&door, timeout).await,
            entered => entered,
        };
        match entered {
            Ok(connection) => return Ok(Reached { connection, door }),
            Err(Shut { why, .. }) => tried.push(format!("{door}: {why}")),
        }
    }
    let way_out = match asked {
        // Of a daemon of one's own the host's service says nothing.
        Some(asked) if asked != "system" && !asked.ends_with(SYSTEM_SOCKET) => None,
        _ => match system_bus() {
            Door::Bus { address, .. } => host_service::way_out(&address).await,
            Door::Socket(_) => None,
        },
    };
    Err(nowhere(asked, &tried, way_out))
}

/// Why a door did not open.
struct Shut {
    why: String,
    /// Somebody was there, and left while we said hello: a daemon that stops.
    cut: bool,
}

impl Shut {
    fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), cut: false }
    }
}

impl From<&zbus::Error> for Shut {
    fn from(error: &zbus::Error) -> Self {
        let cut = matches!(error, zbus::Error::InputOutput(_) | zbus::Error::Handshake(_));
        Self { why: spoken(error), cut }
    }
}

/// What a program inside a run is told that asks for more than a run has.
fn within_a_run() -> Failure {
    let problem = Problem::new(Code::Denied, "this is inside a run, and a run has only agentctl run")
        .hint("see: agentctl run --help; agentctl run ask asks a person");
    problem.into()
}

fn nowhere(asked: Option<&str>, tried: &[String], way_out: Option<String>) -> Failure {
    let what = match (asked, tried) {
        (Some(_), [why]) => why.clone(),
        _ => "no daemon was found".to_owned(),
    };
    let mut hint = String::new();
    if asked.is_none() {
        for line in tried {
            hint.push_str(&format!("tried {line}\n"));
        }
    }
    let denied = said(&std::io::ErrorKind::PermissionDenied.into());
    hint.push_str(&match asked.and_then(own_state) {
        _ if tried.iter().any(|why| why.contains(TOO_MANY)) => format!(
            "programs of yours hold as many connections as one user may have: end some, or go by agentd's own socket, \
             --address {SYSTEM_SOCKET}"
        ),
        Some(_) if what.ends_with(&denied) => "it is for another user: it runs as whose socket it is".to_owned(),
        Some(state) => format!("start it: agentd --state {}", shell_word(&state)),
        None => way_out
            .unwrap_or_else(|| "systemctl status agentd, or start one of your own: agentd --state DIR".to_owned()),
    });
    Failure::unreachable(format!("cannot reach agentd: {what}")).hint(hint).detail("tried", tried)
}

/// The state directory of a daemon of one's own, by the socket that it has in it.
fn own_state(asked: &str) -> Option<String> {
    let Ok(Door::Socket(path)) = parse(asked) else {
        return None;
    };
    let state = path.parent().filter(|run| run.ends_with("run") && path.ends_with(SOCKET))?.parent()?;
    let is_private = path != Path::new(SYSTEM_SOCKET) && !state.as_os_str().is_empty();
    is_private.then(|| state.display().to_string())
}

/// Reads `--address`: `system`, `session`, `unix:path=…`, or the path of a socket.
fn parse(asked: &str) -> Result<Door, Failure> {
    match asked {
        "system" => return Ok(system_bus()),
        "session" => {
            return session_bus().ok_or_else(|| {
                Failure::usage("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
            });
        }
        _ => {}
    }
    let path = match asked.strip_prefix("unix:") {
        Some(_) => unix_path(asked),
        None if asked.contains('/') => Some(PathBuf::from(asked)),
        None => None,
    };
    path.map(Door::Socket).ok_or_else(|| {
        Failure::usage(format!("{asked:?} is no address of agentd"))
            .hint("write unix:path=/run/agentd/control.sock, the path of a socket, system, or session")
    })
}

/// The path in the first `unix:path=` of a D-Bus address, unescaped.
fn unix_path(address: &str) -> Option<PathBuf> {
    let first = address.split(';').next()?;
    let path = first.strip_prefix("unix:")?.split(',').find_map(|pair| pair.strip_prefix("path="))?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    (!bytes.is_empty()).then(|| PathBuf::from(OsString::from_vec(bytes)))
}

/// Every way there may be, in the order in which they are tried. A state directory that the environment names comes
/// first: whoever set it means that daemon.
fn doors() -> Vec<Door> {
    let own = ambient::var("AGENTD_STATE").map(|state| Door::Socket(Path::new(&state).join("run").join(SOCKET)));
    let runtime = ambient::runtime_dir().map(|dir| Door::Socket(dir.join("agentd").join(SOCKET)));
    // Where a user's daemon has it on a host without runtime directories.
    let state = ambient::state_dir().ok().map(|state| Door::Socket(state.join("run").join(SOCKET)));
    let ways = [own, Some(system_bus()), session_bus(), runtime, state, Some(Door::Socket(SYSTEM_SOCKET.into()))];
    ways.into_iter().flatten().collect()
}

fn system_bus() -> Door {
    let address = ambient::text("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|| SYSTEM_BUS.to_owned());
    Door::Bus { name: "system", address }
}

fn session_bus() -> Option<Door> {
    let address = ambient::text("DBUS_SESSION_BUS_ADDRESS").or_else(|| {
        let bus = ambient::runtime_dir()?.join("bus");
        // Paths with bytes that an address would have to escape are not guessed.
        let path = std::str::from_utf8(bus.as_os_str().as_bytes()).ok()?;
        path.chars().all(|c| c.is_ascii_alphanumeric() || "-_/.".contains(c)).then(|| format!("unix:path={path}"))
    })?;
    Some(Door::Bus { name: "session", address })
}

/// Goes through one door, or says why not.
async fn enter(door: &Door, timeout: Option<Duration>) -> Result<Connection, Shut> {
    let builder = match door {
        Door::Socket(path) => {
            let stream = UnixStream::connect(path).map_err(|error| Shut::because(said(&error)))?;
            Builder::unix_stream(stream).p2p()
        }
        Door::Bus { address, .. } => {
            if let Some(path) = unix_path(address).filter(|path| !path.exists()) {
                return Err(Shut::because(format!("there is no {}", path.display())));
            }
            Builder::address(address.as_str())
        }
    };
    let builder = match timeout {
        Some(timeout) => builder.method_timeout(timeout),
        None => builder,
    };
    let hello = tokio::time::timeout(HELLO, builder.build()).await;
    let connection = hello.map_err(|_| Shut::because("nobody answers"))?.map_err(|error| Shut::from(&error))?;
    if matches!(door, Door::Bus { .. }) && !has_owner(&connection).await.map_err(Shut::because)? {
        return Err(Shut::because(format!("nobody owns {BUS_NAME}")));
    }
    Ok(connection)
}

async fn has_owner(connection: &Connection) -> Result<bool, String> {
    let driver = zbus::fdo::DBusProxy::new(connection).await.map_err(|error| spoken(&error))?;
    let name = BusName::try_from(BUS_NAME).map_err(|error| error.to_string())?;
    driver.name_has_owner(name).await.map_err(|error| error.to_string())
}

fn spoken(error: &zbus::Error) -> String {
    match error {
        zbus::Error::InputOutput(io) | zbus::Error::Connection(io, _) => said(io),
        zbus::Error::Handshake(_) => "it does not speak D-Bus, or turned us away".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_what_it_has() {
        let told = within_a_run().told(false);
        assert!(told.starts_with("error: this is inside a run, and a run has only agentctl run\nhint: "), "{told}");
        assert_eq!(within_a_run().exit(), 5);
    }

    #[test]
    fn an_address_names_a_socket_or_a_bus() {
        let socket = |path: &str| Ok(Door::Socket(PathBuf::from(path)));
        for (asked, door) in [
            ("/run/agentd/control.sock", socket("/run/agentd/control.sock")),
            ("./control.sock", socket("./control.sock")),
            ("unix:path=/tmp/a%20b", socket("/tmp/a b")),
            ("unix:guid=0,path=/tmp/a;tcp:host=x", socket("/tmp/a")),
        ] {
            assert_eq!(parse(asked), door, "{asked}");
        }
        assert!(matches!(parse("system"), Ok(Door::Bus { name: "system", .. })));
    }

    #[test]
    fn an_address_that_is_none_is_wrong_usage() {
        for asked in ["", "agentd", "unix:abstract=x", "unix:path=", "unix:path=/tmp/a%2", "unix:path=/tmp/%zz"] {
            assert_eq!(parse(asked).map_err(|failure| failure.exit()), Err(2), "{asked}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_socket_that_is_not_there_is_unreachable_and_named() {
        let failure = open(Some("/nonexistent/agentd.sock"), None).await.err().unwrap();
        assert_eq!(failure.exit(), 4);
        let told = failure.told(false);
        assert!(told.starts_with("error: cannot reach agentd: /nonexistent/agentd.sock: no such file"), "{told}");
        assert!(told.contains("hint: systemctl status agentd, or start one of your own: agentd --state DIR"), "{told}");
    }

    #[test]
    fn the_way_out_fits_the_daemon_that_was_meant() {
        let hint = |asked: &str| nowhere(Some(asked), &[], None).told(false);
        assert!(hint("/tmp/my state/run/control.sock").ends_with("hint: start it: agentd --state '/tmp/my state'\n"));
        let closed = nowhere(
            Some("/tmp/state/run/control.sock"),
            &["/tmp/state/run/control.sock: permission denied".into()],
            None,
        );
        assert!(closed.told(false).contains("hint: it is for another user"), "{}", closed.told(false));
        let full =
            nowhere(Some("system"), &[format!("system bus: The {TOO_MANY} for UID 1000 has been reached")], None);
        assert!(full.told(false).contains("--address /run/agentd/control.sock"), "{}", full.told(false));
        for asked in ["system", SYSTEM_SOCKET, "/nonexistent/agentd.sock"] {
            assert!(hint(asked).contains("hint: systemctl status agentd"), "{asked}");
        }
    }

    /// A daemon that knows one work.
    struct Works;

    #[derive(Debug, zbus::DBusError)]
    #[zbus(prefix = "org.agentd1.Error")]
    enum Refused {
        #[zbus(error)]
        Bus(zbus::Error),
    }

    #[zbus::interface(name = "org.agentd1.Works")]
    impl Works {
        #[allow(clippy::unused_self, reason = "the interface asks for it")]
        fn cancel(&self, work: &str, reason: &str) -> Result<String, Refused> {
            if work == "w-known" {
                Ok(format!("{work}: {reason}"))
            } else {
                Err(Refused::Bus(zbus::Error::Unsupported))
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_private_socket_is_spoken_to_without_a_bus() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let guid = zbus::Guid::generate();
        let server = Builder::unix_stream(theirs).server(guid).p2p();
        let server = server.serve_at(agentd_schemas::dbus::OBJECT_PATH, Works).build();
        let client = Builder::unix_stream(ours).p2p().build();
        let (_server, client) = tokio::try_join!(server, client).unwrap();
        let works = agentd_schemas::dbus::WorksProxy::new(&client).await.unwrap();
        assert_eq!(works.cancel("w-known", "because").await.unwrap(), "w-known: because");
        assert!(works.cancel("w-other", "because").await.is_err());
    }
}
