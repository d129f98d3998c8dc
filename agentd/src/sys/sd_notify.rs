//! Telling the service manager what state the daemon is in: the datagrams of `sd_notify(3)`.
//!
//! Started by hand there is no manager and nothing is sent.

use super::clock;
use super::env::{self, NotUtf8};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

const VARIABLE: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHED: &str = "WATCHDOG_PID";
/// Most bytes of a status line.
const STATUS_LIMIT_BYTES: usize = 256;
/// A manager that does not empty its queue for this long is not waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the manager was not told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable is not text.
    #[error(transparent)]
    NotUtf8(#[from] NotUtf8),
    /// The variable holds neither a path nor an abstract name that a socket can have.
    #[error("{VARIABLE} is no address of a unix socket: {address:?}")]
    Address {
        /// What it holds.
        address: String,
    },
    /// The time of the watchdog is no number.
    #[error("{WATCHDOG} is {value:?}: it has to be a number of microseconds above 0")]
    Watchdog {
        /// What it holds.
        value: String,
    },
    /// The manager did not take the message.
    #[error("cannot notify the service manager")]
    Io(#[source] io::Error),
}

/// The way to the service manager, if there is one.
#[derive(Debug, Clone)]
pub struct Notifier(Option<SocketAddr>);

impl Notifier {
    /// The manager named by `NOTIFY_SOCKET`, or none.
    pub fn from_environment() -> Result<Self, NotifyError> {
        env::var(VARIABLE)?.filter(|address| !address.is_empty()).map_or(Ok(Self(None)), |address| Self::to(&address))
    }

    /// `/path`, or `@name` for an abstract socket.
    fn to(address: &str) -> Result<Self, NotifyError> {
        let parsed = match address.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(address).ok(),
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            _ => None,
        };
        match parsed {
            Some(parsed) => Ok(Self(Some(parsed))),
            None => Err(NotifyError::Address { address: address.to_owned() }),
        }
    }

    /// Whether a manager listens for these messages.
    pub fn is_managed(&self) -> bool {
        self.0.is_some()
    }

    /// The daemon serves.
    pub fn ready(&self) -> Result<(), NotifyError> {
        self.send("READY=1")
    }

    /// The daemon has begun to read its configuration again; [`ready`](Self::ready) ends it.
    pub fn reloading(&self) -> Result<(), NotifyError> {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_us()))
    }

    /// The daemon has begun to stop.
    pub fn stopping(&self) -> Result<(), NotifyError> {
        self.send("STOPPING=1")
    }

    /// One line for `systemctl status`. Control characters become spaces; what exceeds 256 bytes is cut off.
    pub fn status(&self, text: &str) -> Result<(), NotifyError> {
        self.send(&format!("STATUS={}", one_line(text)))
    }

    /// Everything moves: the watchdog's time begins anew.
    pub fn alive(&self) -> Result<(), NotifyError> {
        self.send("WATCHDOG=1")
    }

    /// How often the manager wants to hear that this process is alive; none where it does not ask.
    pub fn watchdog(&self) -> Result<Option<Duration>, NotifyError> {
        let Some(value) = env::var(WATCHDOG)?.filter(|_| self.is_managed()) else { return Ok(None) };
        // Without a process id, or with ours, it is asked of us.
        if env::var(WATCHED)?.is_some_and(|watched| watched != std::process::id().to_string()) {
            return Ok(None);
        }
        match value.parse() {
            Ok(micros) if micros > 0 => Ok(Some(Duration::from_micros(micros))),
            _ => Err(NotifyError::Watchdog { value }),
        }
    }

    fn send(&self, message: &str) -> Result<(), NotifyError> {
        let Some(address) = &self.0 else {
            return Ok(());
        };
        let socket = UnixDatagram::unbound().map_err(NotifyError::Io)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT)).map_err(NotifyError::Io)?;
        // A datagram is sent whole or not at all.
        socket.send_to_addr(message.as_bytes(), address).map(drop).map_err(NotifyError::Io)
    }
}

/// A newline in a status would begin another assignment.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if line.len() + character.len_utf8() > STATUS_LIMIT_BYTES {
            break;
        }
        line.push(character);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::scratch::{self, Scratch};
    use super::*;
    use proptest::prelude::*;

    fn receive(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        manager.set_nonblocking(true).unwrap();
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_state_is_one_datagram() {
        let scratch = Scratch::new();
        let path = scratch.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.to_str().unwrap()).unwrap();
        assert!(notifier.is_managed());
        notifier.ready().unwrap();
        assert_eq!(receive(&manager), "READY=1");
        notifier.stopping().unwrap();
        assert_eq!(receive(&manager), "STOPPING=1");
        notifier.alive().unwrap();
        assert_eq!(receive(&manager), "WATCHDOG=1");
        notifier.status("3 works\nREADY=1\u{7}").unwrap();
        assert_eq!(receive(&manager), "STATUS=3 works READY=1 ");

        let before = clock::monotonic_us();
        notifier.reloading().unwrap();
        let message = receive(&manager);
        let time: u64 = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=clock::monotonic_us()).contains(&time), "{message}");
    }

    #[test]
    fn an_abstract_name_is_reached() {
        let name = format!("agentd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::to(&format!("@{name}")).unwrap().ready().unwrap();
        assert_eq!(receive(&manager), "READY=1");
    }

    #[test]
    fn the_variable_decides_who_is_told() {
        let scratch = Scratch::new();
        let path = scratch.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let child = || scratch::child("sys::sd_notify::tests::child_is_ready");
        assert!(scratch::passes(child().env(VARIABLE, &path)));
        assert_eq!(receive(&manager), "READY=1");
        assert!(scratch::passes(child().env(VARIABLE, "")));
        assert!(scratch::passes(child().env_remove(VARIABLE)));
    }

    #[test]
    #[ignore = "the second process of `the_variable_decides_who_is_told`"]
    fn child_is_ready() {
        Notifier::from_environment().unwrap().ready().unwrap();
    }

    #[test]
    fn the_watchdog_is_asked_of_the_process_that_is_named() {
        let scratch = Scratch::new();
        let path = scratch.join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let child = |name: &str| {
            let mut child = scratch::child(&format!("sys::sd_notify::tests::{name}"));
            child.env(VARIABLE, &path).env_remove(WATCHED).env_remove(WATCHDOG);
            child
        };
        assert!(scratch::passes(child("child_is_watched").env(WATCHDOG, "3000000")));
        assert!(scratch::passes(child("child_is_not_watched").env(WATCHDOG, "3000000").env(WATCHED, "1")));
        assert!(scratch::passes(child("child_is_not_watched").env(WATCHDOG, "3000000").env(VARIABLE, "")));
        assert!(scratch::passes(&mut child("child_is_not_watched")));
        for wrong in ["0", "-1", "soon"] {
            assert!(scratch::passes(child("child_is_watched_wrongly").env(WATCHDOG, wrong)), "{wrong}");
        }
    }

    #[test]
    #[ignore = "a second process of `the_watchdog_is_asked_of_the_process_that_is_named`"]
    fn child_is_watched() {
        assert_eq!(Notifier::from_environment().unwrap().watchdog().unwrap(), Some(Duration::from_secs(3)));
    }

    #[test]
    #[ignore = "a second process of `the_watchdog_is_asked_of_the_process_that_is_named`"]
    fn child_is_not_watched() {
        assert_eq!(Notifier::from_environment().unwrap().watchdog().unwrap(), None);
    }

    #[test]
    #[ignore = "a second process of `the_watchdog_is_asked_of_the_process_that_is_named`"]
    fn child_is_watched_wrongly() {
        let error = Notifier::from_environment().unwrap().watchdog().unwrap_err();
        assert!(matches!(error, NotifyError::Watchdog { .. }), "{error:?}");
    }

    #[test]
    fn an_address_of_another_kind_is_named() {
        let long = format!("/{}", "x".repeat(200));
        for address in ["relative", "vsock:2:1", "/nul\0", &long] {
            let error = Notifier::to(address).unwrap_err();
            assert!(matches!(&error, NotifyError::Address { address: named } if named == address), "{error:?}");
        }
    }

    #[test]
    fn a_manager_that_is_gone_is_an_error_and_no_crash() {
        let scratch = Scratch::new();
        let path = scratch.join("gone");
        drop(UnixDatagram::bind(&path).unwrap());
        let error = Notifier::to(path.to_str().unwrap()).unwrap().ready().unwrap_err();
        assert!(matches!(error, NotifyError::Io(_)), "{error:?}");
    }

    proptest! {
        #[test]
        fn a_status_is_one_bounded_line(text: String) {
            let line = one_line(&text.repeat(5));
            prop_assert!(line.len() <= STATUS_LIMIT_BYTES);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
