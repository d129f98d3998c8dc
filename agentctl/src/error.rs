//! Failures as people and programs see them: `error: …`, `hint: …` on stderr and a fixed exit code.
//!
//! | exit | meaning |
//! |---|---|
//! | 0 | done, or the reader of stdout had enough |
//! | 1 | refused, or failed on this machine |
//! | 2 | wrong usage or a malformed document |
//! | 4 | the daemon cannot be reached |
//! | 5 | denied |
//! | 6 | not found |
//! | 7 | the work that was waited for failed |
//! | 130 | Ctrl-C detached from a wait |
//! | 255 | a defect |
//!
//! Two commands have their own: of `config diff` 1 is a difference, and `status --check` has the codes of monitoring
//! plugins.

use std::collections::BTreeMap;

use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::strict::DocumentError;
use serde::Serialize;
use serde_json::Value;

/// Exit code when the daemon cannot be reached.
pub(crate) const UNREACHABLE: u8 = 4;
/// Exit code when the work that was waited for failed.
pub(crate) const WORK_FAILED: u8 = 7;
/// Exit code of a comparison that found differences, as diff has it.
pub(crate) const DIFFERS: u8 = 1;
/// Exit code after Ctrl-C, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure(Box<Told>);

/// What is told of a failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Told {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, Value>,
    #[serde(skip)]
    exit: u8,
    /// Nothing is printed: it was said already, or nobody listens.
    #[serde(skip)]
    silent: bool,
    /// The daemon went away in the middle of a call: it may or may not have acted.
    #[serde(skip)]
    broken: bool,
    /// It went away, or told us that it is about to: the next one answers.
    #[serde(skip)]
    cut: bool,
}

impl Failure {
    fn new(code: &'static str, exit: u8, message: impl Into<String>) -> Self {
        let (hint, details) = (None, BTreeMap::new());
        let message = message.into();
        Self(Box::new(Told { code, message, hint, details, exit, silent: false, broken: false, cut: false }))
    }

    /// Something on this machine is in the way.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new("local", 1, message)
    }

    /// The arguments make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", 2, message)
    }

    /// What files declare cannot be.
    pub(crate) fn unfit(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidDocument.as_str(), 2, message)
    }

    /// Rules refuse, or are not what their author expects.
    pub(crate) fn rules(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, 1, message)
    }

    /// The thing does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound.as_str(), Code::NotFound.exit_code(), message)
    }

    /// The daemon cannot be reached.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new("unreachable", UNREACHABLE, message)
    }

    /// The connection broke in the middle of a call.
    pub(crate) fn broken(message: impl Into<String>) -> Self {
        let mut failure = Self::unreachable(message);
        failure.0.broken = true;
        failure
    }

    /// The same, because the daemon is gone and not because it is slow.
    fn cut(message: impl Into<String>) -> Self {
        let mut failure = Self::broken(message);
        failure.0.cut = true;
        failure
    }

    /// The work that was waited for did not complete; `failed` of them in all.
    pub(crate) fn work_failed(message: &str, reason: Option<&str>, failed: usize) -> Self {
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let more = if failed > 1 { format!(", and {} more did not complete", failed - 1) } else { String::new() };
        Self::new("work_failed", WORK_FAILED, format!("{message}{reason}{more}"))
    }

    /// Exits without a word: it was said already.
    pub(crate) fn silent(exit: u8) -> Self {
        let mut failure = Self::new("silent", exit, "");
        failure.0.silent = true;
        failure
    }

    /// Who reads stdout has enough, as `head` has: there is nothing more to do, and nothing is wrong.
    pub(crate) fn reader_left() -> Self {
        Self::silent(0)
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: impl AsRef<std::path::Path>, what: &str, error: &std::io::Error) -> Self {
        Self::local(format!("cannot {what} {}: {}", path.as_ref().display(), said(error)))
    }

    /// A document that people wrote; `name` is its file.
    pub(crate) fn document(name: &str, error: &DocumentError) -> Self {
        let place = match (error.line(), error.column()) {
            (Some(line), Some(column)) => format!("{name}:{line}:{column}"),
            _ => name.to_owned(),
        };
        let failure = Self::new(Code::InvalidDocument.as_str(), 2, format!("{place}: {}", error.message()));
        let failure = match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        // What a flag takes is relative to the day on which it is typed; a file is read on any day.
        if error.message().ends_with("is not a time") {
            return failure.hint_too("files take full times with their zone; 2h, 22:00 and tomorrow are for flags");
        }
        failure
    }

    /// Adds the way out.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds another way out, on a line of its own.
    #[must_use]
    pub(crate) fn hint_too(mut self, hint: &str) -> Self {
        let before = self.0.hint.take().map(|hint| hint + "\n").unwrap_or_default();
        self.hint(before + hint)
    }

    /// Adds one fact for programs.
    #[must_use]
    pub(crate) fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(key.to_owned(), value.into());
        self
    }

    /// Says what it is about, before what is wrong.
    #[must_use]
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// The same, with the file that is to blame; of what this machine or the daemon said of it, the exit code is that of a
    /// malformed file.
    #[must_use]
    pub(crate) fn unfit_about(self, file: &str) -> Self {
        let mut failure = self.about(file);
        if failure.0.exit == 1 {
            failure.0.exit = 2;
        }
        failure
    }

    /// Two states differ: told already, and a fixed exit code for who asked.
    pub(crate) fn differs() -> Self {
        Self::silent(DIFFERS)
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        self.0.exit
    }

    /// The stable word.
    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// What is wrong, in words.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The last way out that it names.
    pub(crate) fn hinted(&self) -> Option<&str> {
        self.0.hint.as_deref()?.lines().last()
    }

    /// Whether the daemon may or may not have acted.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.broken
    }

    /// Whether the daemon went away in the middle, and another may answer.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut
    }

    /// Whether a fact for programs has this text.
    pub(crate) fn has_detail(&self, key: &str, value: &str) -> bool {
        self.0.details.get(key).is_some_and(|found| found == value)
    }

    /// What goes to stderr, with its newline; empty when nothing is to be said.
    pub(crate) fn told(&self, json: bool) -> String {
        if self.0.silent {
            return String::new();
        }
        if json {
            let text = serde_json::to_string(&*self.0).unwrap_or_else(|_| String::from("{\"code\":\"internal\"}"));
            return text + "\n";
        }
        let message = crate::output::local_times(&self.0.message, |at| at.local(&crate::ambient::zone()));
        let mut text = format!("error: {}\n", crate::output::plain_lines(&message));
        if let Some(hint) = &self.0.hint {
            for line in hint.lines() {
                text.push_str(&format!("hint: {}\n", crate::output::plain(line)));
            }
        }
        text
    }
}

/// An I/O error without the `(os error 2)` that helps nobody, lowercase.
pub(crate) fn said(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let mut failure = Self::new(problem.code.as_str(), problem.code.exit_code(), problem.message);
        failure.0.hint = problem.hint;
        failure.0.details = problem.details;
        failure.0.cut = problem.code == Code::Stopping;
        failure
    }
}

/// Errors of writing to stdout; files have [`Failure::file`].
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::reader_left(),
            _ => Self::local(format!("cannot write to stdout: {}", said(&error))),
        }
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        use zbus::Error;
        match &error {
            Error::MethodError(name, description, reply) => answered(name.as_str(), description.as_deref(), reply),
            Error::InputOutput(io) if io.kind() == std::io::ErrorKind::TimedOut => {
                Self::broken("agentd did not answer in time").hint("agentctl doctor")
            }
            Error::InputOutput(io) => Self::cut(format!("the connection to agentd broke: {}", said(io))),
            Error::FDO(inner) => bus_said(inner),
            other => Self::new("internal", 255, format!("the D-Bus exchange with agentd failed: {other}"))
                .hint("agentctl doctor compares the versions"),
        }
    }
}

/// An error of the daemon: its name ends in the code, its body is message, hint and details.
fn answered(name: &str, description: Option<&str>, reply: &zbus::Message) -> Failure {
    let code = name.strip_prefix(agentd_schemas::dbus::ERROR_PREFIX).unwrap_or_default();
    let code = Code::ALL.iter().copied().find(|known| known.dbus_name() == code);
    let body = reply.body().deserialize::<(String, String, String)>().ok();
    match (code, body) {
        (Some(code), Some((message, hint, details))) => {
            let details = serde_json::from_str(&details).unwrap_or_default();
            Problem { code, message, hint: Some(hint).filter(|hint| !hint.is_empty()), details }.into()
        }
        _ if LEFT.iter().any(|left| name == format!("{BUS_ERROR}{left}")) => left(),
        _ => Failure::local(description.unwrap_or(name).to_owned()).hint("agentctl doctor compares the versions"),
    }
}

/// Prefix of the names of a bus's own errors.
const BUS_ERROR: &str = "org.freedesktop.DBus.Error.";
/// Those of a bus that agentd left, before or after it had the message.
const LEFT: [&str; 4] = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected"];

fn left() -> Failure {
    Failure::cut("agentd left the bus").hint("systemctl status agentd")
}

fn bus_said(error: &zbus::fdo::Error) -> Failure {
    use zbus::fdo::Error;
    match error {
        Error::ServiceUnknown(_) | Error::NameHasNoOwner(_) | Error::NoReply(_) | Error::Disconnected(_) => left(),
        Error::Timeout(_) | Error::TimedOut(_) => Failure::broken("agentd did not answer in time"),
        Error::AccessDenied(said) => Failure::new(Code::Denied.as_str(), 5, format!("the bus denied it: {said}"))
            .hint("the bus policy of org.agentd1 says who may speak to agentd"),
        Error::UnknownMethod(said) | Error::UnknownInterface(said) => {
            Failure::local(format!("this agentd does not know the command: {said}"))
                .hint("agentctl doctor compares the versions")
        }
        other => Failure::local(format!("agentd refused the message: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_code_hint_and_exit() {
        let problem = Problem::new(Code::WrongState, "cannot cancel work w-7kq3: it has already completed")
            .hint("agentctl work show w-7kq3")
            .detail("state", "completed");
        let failure = Failure::from(problem.clone());
        assert_eq!(failure.exit(), 1);
        assert_eq!(
            failure.told(false),
            "error: cannot cancel work w-7kq3: it has already completed\nhint: agentctl work show w-7kq3\n"
        );
        assert_eq!(serde_json::from_str::<Problem>(&failure.told(true)).unwrap(), problem);
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        let failure = Failure::local("bad \u{1b}[2Jtitle").hint("say \u{7}");
        assert_eq!(failure.told(false), "error: bad \\u{1b}[2Jtitle\nhint: say \\u{7}\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit(), failure.told(false).as_str()), (0, ""));
    }

    #[test]
    fn io_errors_read_as_part_of_a_sentence() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(said(&error), "no such file or directory");
    }
}
