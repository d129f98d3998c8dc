//! What the process finds around itself: environment, clock, randomness, directories. The one place of agentctl that
//! asks for them, so that everything else can be tested with values.

use std::ffi::OsString;
use std::path::PathBuf;

use agentd_schemas::unit::time::WallMs;
use jiff::tz::TimeZone;

use crate::error::Failure;

/// The value of an environment variable; unset and empty are both `None`.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The value of an environment variable as text; one that is no UTF-8 counts as unset.
pub(crate) fn text(name: &str) -> Option<String> {
    var(name)?.into_string().ok()
}

/// Now, by the wall clock.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn now() -> WallMs {
    WallMs::try_from(jiff::Timestamp::now()).unwrap_or(WallMs::EPOCH)
}

/// The zone of the person, or UTC where it is not known: see [`known_zone`].
pub(crate) fn zone() -> TimeZone {
    known_zone().unwrap_or(TimeZone::UTC)
}

/// The zone of the person: `TZ`, or `/etc/localtime`, or UTC where there is neither. Without `TZ` that one file is read; asking for the zone by name
/// would first look through every directory of the zone database, which costs more than all the rest of a command.
pub(crate) fn known_zone() -> Result<TimeZone, String> {
    if let Some(zone) = local_zone() {
        return Ok(zone);
    }
    TimeZone::try_system().or_else(|_| match var("TZ") {
        Some(name) => Err(format!("TZ={} is no time zone known here: set it as in TZ=Europe/Berlin", name.display())),
        None => Ok(TimeZone::UTC),
    })
}

fn local_zone() -> Option<TimeZone> {
    if var("TZ").is_some() {
        return None;
    }
    let file = std::fs::canonicalize("/etc/localtime").ok()?;
    let name = file.strip_prefix("/usr/share/zoneinfo").ok()?.to_str()?;
    TimeZone::tzif(name, &std::fs::read(&file).ok()?).ok()
}

/// `N` bytes from the kernel's random source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)
            .map_err(|error| Failure::local(format!("cannot read random bytes: {error}")))?;
    }
    Ok(bytes)
}

fn home() -> Option<PathBuf> {
    var("HOME").map(PathBuf::from)
}

/// `$XDG_CONFIG_HOME/agentd`, or `~/.config/agentd`: where keys of agents are.
pub(crate) fn config_dir() -> Result<PathBuf, Failure> {
    directory("XDG_CONFIG_HOME", ".config")
}

/// `$XDG_STATE_HOME/agentd`, or `~/.local/state/agentd`: what agentctl remembers.
pub(crate) fn state_dir() -> Result<PathBuf, Failure> {
    directory("XDG_STATE_HOME", ".local/state")
}

fn directory(variable: &str, in_home: &str) -> Result<PathBuf, Failure> {
    let base = var(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    base.or_else(|| Some(home()?.join(in_home)))
        .map(|base| base.join("agentd"))
        .ok_or_else(|| Failure::local(format!("neither {variable} nor HOME is set")).hint("set HOME"))
}

/// `$XDG_RUNTIME_DIR`, where sockets of the user are.
pub(crate) fn runtime_dir() -> Option<PathBuf> {
    var("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}
