//! polkit as the witness that a person is there. Asked anew for every command that owes it, on a connection of its own: it
//! is rare, and so neither a bus that restarted nor a polkit that did is anything to recover from.
//!
//! No answer is a no. polkit is asked twice: first without a question to the person, then, where it wants one and the caller
//! allowed it, with. So it is known whether the person was asked for this command or a rule or an earlier answer spoke.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use agentd_schemas::event::Assurance;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::PolkitFinding;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zbus::Connection;
use zbus::Variant;
use zbus::connection::Builder;

use crate::policy::{Presence, Proving, Witness};
use crate::sys::children::Held;

/// How long polkit gets to answer by itself.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it counts what was found out about polkit.
const FINDING_COUNTS: Duration = Duration::from_secs(3);
/// How long the person gets to answer polkit: less than agentctl waits for an answer.
const PERSON: Duration = Duration::from_secs(50);
/// The flag of CheckAuthorization that lets polkit ask the person.
const ALLOW_USER_INTERACTION: u32 = 1;
/// The detail of an answer that says that the person closed the question.
const DISMISSED: &str = "polkit.dismissed";

/// One action as polkit describes it: its id first, and more than matters here.
type Described = (String, String, String, String, String, String, u32, u32, u32, HashMap<String, String>);

/// The part of polkit that answers.
#[zbus::proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority"
)]
trait Authority {
    /// Whether a subject may do what an action names: yes, whether a question would be needed, and details.
    fn check_authorization(
        &self,
        subject: &(&str, HashMap<&str, Variant<'_>>),
        action_id: &str,
        details: &HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;

    /// Every action that it knows, described in the language of a locale.
    fn enumerate_actions(&self, locale: &str) -> zbus::Result<Vec<Described>>;
}

/// Who sent a message, in polkit's words.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// A sender on the system bus, by its unique name.
    BusName(String),
    /// The process that connected to the private socket, and its uid; nobody where the kernel gave no descriptor of it.
    Process(Option<Arc<Held>>, u32),
}

impl Subject {
    fn as_polkit(&self) -> Result<(&'static str, HashMap<&'static str, Variant<'_>>), Problem> {
        match self {
            Self::BusName(name) => Ok(("system-bus-name", HashMap::from([("name", Variant::from(name.as_str()))]))),
            Self::Process(Some(held), uid) if held.lives() => {
                let pid = u32::try_from(held.pid().as_raw_pid()).map_err(Problem::internal)?;
                let uid = i32::try_from(*uid).map_err(Problem::internal)?;
                // polkit looks up the start time itself; that the id is still this process is held by `still_is`.
                let start = Variant::from(0_u64);
                Ok(("unix-process", HashMap::from([("pid", pid.into()), ("start-time", start), ("uid", uid.into())])))
            }
            Self::Process(..) => Err(gone()),
        }
    }

    /// Whether the answer was about the process that connected: one that still lives has had its id all the time.
    fn still_is(&self) -> bool {
        match self {
            Self::BusName(_) => true,
            Self::Process(held, _) => held.as_ref().is_some_and(|held| held.lives()),
        }
    }
}

/// The sender of one message, as polkit is asked about it.
#[derive(Debug)]
pub(super) struct Sender {
    /// Who it is.
    pub(super) subject: Subject,
    /// Whether the message allows that the person is asked.
    pub(super) interactive: bool,
}

impl Witness for Sender {
    fn prove<'a>(&'a self, what: Presence, on: &'a str) -> Proving<'a> {
        Box::pin(self.ask(what, on))
    }
}

impl Sender {
    async fn ask(&self, what: Presence, on: &str) -> Result<Assurance, Problem> {
        let subject = self.subject.as_polkit()?;
        let connected = tokio::time::timeout(ANSWER, system_bus()).await;
        let connection = connected.map_err(|_| absent("the system bus does not answer"))?.map_err(absent)?;
        let authority = AuthorityProxy::new(&connection).await.map_err(absent)?;
        let details = HashMap::from([("on", on)]);
        let check = |flags| authority.check_authorization(&subject, what.id(), &details, flags, "");
        let answered = tokio::time::timeout(ANSWER, check(0)).await;
        let (mut yes, challenge, mut more) =
            answered.map_err(|_| absent(silent()))?.map_err(|error| said(what, &error))?;
        let asks = !yes && challenge && self.interactive;
        if asks {
            // A connection that goes takes the question with it.
            let answered = tokio::time::timeout(PERSON, check(ALLOW_USER_INTERACTION)).await;
            (yes, _, more) = answered.map_err(|_| unanswered(what))?.map_err(|error| said(what, &error))?;
        }
        if !self.subject.still_is() {
            return Err(gone());
        }
        match (yes, challenge) {
            (true, _) => Ok(if asks { Assurance::Reauth } else { Assurance::Session }),
            (false, true) => Err(unproved(what, asks, more.contains_key(DISMISSED))),
            (false, false) => Err(refused(what, "polkit does not allow it", "no")
                .hint("agentd's policy allows it and polkit's rules forbid it: see /etc/polkit-1/rules.d")),
        }
    }
}

/// Whether polkit can be asked, and knows every action that operators have to prove themselves for. Anybody may want to know: one asks
/// at a time, and what was found is told to the next ones too.
pub(super) async fn finding() -> PolkitFinding {
    static LAST: Mutex<Option<(Instant, PolkitFinding)>> = Mutex::const_new(None);
    let mut last = LAST.lock().await;
    if let Some((_, found)) = last.as_ref().filter(|(at, _)| at.elapsed() < FINDING_COUNTS) {
        return found.clone();
    }
    let found = find().await;
    *last = Some((Instant::now(), found.clone()));
    found
}

async fn find() -> PolkitFinding {
    let asked = async {
        let connection = system_bus().await?;
        AuthorityProxy::new(&connection).await?.enumerate_actions("").await
    };
    let known = match tokio::time::timeout(ANSWER, asked).await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => return PolkitFinding { away: Some(error.to_string()), unknown: Vec::new() },
        Err(_) => return PolkitFinding { away: Some(silent()), unknown: Vec::new() },
    };
    let is_known = |what: &&Presence| known.iter().any(|action| action.0 == what.id());
    let unknown = Presence::ALL.iter().filter(|what| !is_known(what)).map(|what| what.id().to_owned()).collect();
    PolkitFinding { away: None, unknown }
}

fn silent() -> String {
    format!("it did not answer within {} seconds", ANSWER.as_secs())
}

async fn system_bus() -> zbus::Result<Connection> {
    Builder::system().build().await
}

fn refused(what: Presence, why: &str, answer: &str) -> Problem {
    Problem::new(Code::Denied, format!("{why}: {}", what.id())).detail("polkit", answer).detail("action", what.id())
}

/// polkit would let the person prove that it is there.
fn unproved(what: Presence, asked: bool, dismissed: bool) -> Problem {
    let scripts = "for programs without a person: a rule of polkit for their user (docs/security.md), or root";
    match (asked, dismissed) {
        (false, _) => refused(what, "polkit asks who is there, and this call lets it ask nobody", "challenge")
            .hint(format!("call it at a terminal; {scripts}")),
        (true, true) => refused(what, "the question of polkit was dismissed", "dismissed").hint("call it again"),
        (true, false) => refused(what, "nobody proved to polkit to be there", "unproved")
            .hint("the password was wrong, or nothing here can ask for it: install pkttyagent (package polkitd)"),
    }
}

fn unanswered(what: Presence) -> Problem {
    refused(what, &format!("nobody answered polkit within {} seconds", PERSON.as_secs()), "unanswered")
        .hint("call it again")
}

/// The process that polkit would be asked about is not known for sure.
fn gone() -> Problem {
    let message =
        "polkit cannot be asked about the process that connected: it has ended, or this kernel does not hold it";
    Problem::new(Code::Denied, message)
        .hint("over the system bus polkit knows who asks: agentctl --address system …")
        .detail("polkit", "gone")
}

/// polkit is not there, or not in a state to answer.
fn absent(why: impl Display) -> Problem {
    Problem::new(Code::Denied, format!("polkit cannot be asked whether an operator is there: {why}"))
        .hint("systemctl status polkit; root needs no polkit: sudo agentctl …")
        .detail("polkit", "absent")
}

fn said(what: Presence, error: &zbus::Error) -> Problem {
    match error {
        zbus::Error::MethodError(_, Some(text), _) if text.contains("is not registered") => {
            absent(format!("it does not know {}", what.id()))
                .hint("install /usr/share/polkit-1/actions/org.agentd1.policy of agentd")
        }
        zbus::Error::MethodError(_, Some(text), _) => absent(text),
        error => absent(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_no_says_what_to_do() {
        let what = Presence::ManageHost;
        for (problem, answer) in [
            (unproved(what, false, false), "challenge"),
            (unproved(what, true, true), "dismissed"),
            (unproved(what, true, false), "unproved"),
            (unanswered(what), "unanswered"),
            (absent("it is away"), "absent"),
        ] {
            assert_eq!((problem.code, &problem.details["polkit"]), (Code::Denied, &answer.into()), "{problem:?}");
            assert!(problem.hint.is_some(), "{problem:?}");
        }
    }

    #[test]
    fn a_process_that_nobody_holds_or_that_ended_is_not_asked_about() {
        assert!(Subject::Process(None, 1000).as_polkit().is_err());
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let subject = Subject::Process(Some(Arc::new(Held::open(pid).unwrap())), 1000);
        assert!(subject.as_polkit().is_ok() && subject.still_is());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(subject.as_polkit().is_err() && !subject.still_is());
    }
}
