//! The host: freezes, the clock, redaction, and the record of what was refused.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{
    AccessDenied, AuthenticationFailed, ClockAccepted, ClockJumped, ConfigurationReloaded, ContentRedacted,
    DaemonStarted, DaemonStopped, DenialsSummarised, Frozen, PoliciesLoaded, PoliciesRejected, Subject, Thawed,
};
use agentd_schemas::problem::{Code, Problem};

use super::agent::check_reason;
use super::{Decision, Draft};

fn host(data: impl Into<agentd_schemas::event::EventData>) -> Draft {
    Draft::new(Subject::Host, data)
}

/// What a decision about the host may know.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// What is frozen.
    pub frozen: Vec<Scope>,
    /// The clock jumped and nobody looked.
    pub clock_held: Option<i64>,
    /// The work or agent of a scope exists.
    pub scope_exists: bool,
    /// The work of a scope is over.
    pub scope_over: bool,
    /// Freezes of works and agents of the scope's owner that are in force; counted to [`MAX_FROZEN`].
    pub frozen_of_owner: usize,
}

/// Freezes of works and agents of one owner at a time, at most. A freeze of a work ends with the work.
pub const MAX_FROZEN: usize = 1024;

/// Stops starts and runs in a scope. Saying it twice changes nothing. Nothing that owners do keeps an operator from it,
/// and least of all from a freeze of the whole host.
pub fn freeze(facts: &HostFacts, scope: &Scope, reason: &str, operator: bool) -> Decision {
    check_reason("the reason", reason, false)?;
    if !facts.scope_exists {
        return Err(Problem::new(Code::NotFound, "there is no such work or agent to freeze"));
    }
    if facts.frozen.contains(scope) {
        return Ok(Vec::new());
    }
    if let Scope::Work(id) = scope
        && facts.scope_over
    {
        return Err(Problem::new(Code::WrongState, format!("work {id} is over: there is nothing to freeze"))
            .hint(format!("see what became of it: agentctl work show {id}")));
    }
    let bounded = !operator && *scope != Scope::All;
    if bounded && facts.frozen_of_owner >= MAX_FROZEN {
        let message = format!("{MAX_FROZEN} freezes of works and agents of this owner are in force");
        return Err(Problem::new(Code::Busy, message)
            .hint("freeze the agent instead of its works, or thaw some: agentctl status lists what is frozen"));
    }
    Ok(vec![host(Frozen { scope: scope.clone(), reason: reason.to_owned() })])
}

/// Ends a freeze.
pub fn thaw(facts: &HostFacts, scope: &Scope) -> Decision {
    if !facts.frozen.contains(scope) {
        return Err(Problem::new(Code::WrongState, "nothing is frozen in this scope")
            .hint("agentctl status lists what is frozen"));
    }
    Ok(vec![host(Thawed { scope: scope.clone() })])
}

/// The wall clock jumped: what it triggers is held.
pub fn notice_clock(by_ms: i64) -> Decision {
    Ok(vec![host(ClockJumped { by_ms }).by_host()])
}

/// An operator looked at the clock.
pub fn accept_clock(facts: &HostFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    if facts.clock_held.is_none() {
        return Err(Problem::new(Code::WrongState, "the clock is not held"));
    }
    Ok(vec![host(ClockAccepted { reason: reason.to_owned() })])
}

/// What the ledger knows of content that is to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactFacts {
    /// The blob exists.
    pub exists: bool,
    /// It was erased before.
    pub erased: bool,
    /// Its work is under hold.
    pub held: bool,
}

/// Erases content and salt of one blob. Every proof stays valid.
pub fn redact(facts: RedactFacts, event: u64, slot: u8, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    if !facts.exists {
        return Err(Problem::new(Code::NotFound, format!("event {event} has no content in slot {slot}"))
            .hint("agentctl ledger show lists the blobs of an event"));
    }
    if facts.held {
        return Err(Problem::new(Code::WrongState, format!("the content of event {event} is under hold"))
            .hint("lift the hold first: agentctl ledger hold WORK --lift"));
    }
    if facts.erased {
        return Ok(Vec::new());
    }
    Ok(vec![host(ContentRedacted { event, slot, reason: reason.to_owned() })])
}

/// The daemon serves.
pub fn record_start(agentd: &str, recovered: bool, configuration: Option<&String>) -> Decision {
    let configuration = configuration.cloned();
    Ok(vec![host(DaemonStarted { agentd: agentd.to_owned(), recovered, configuration }).by_host()])
}

/// The configuration was read again.
pub fn record_reload(configuration: &str, changed: &[String], pending: &[String]) -> Decision {
    let (changed, pending) = (changed.to_vec(), pending.to_vec());
    Ok(vec![host(ConfigurationReloaded { configuration: configuration.to_owned(), changed, pending }).by_host()])
}

/// The host's policies were read.
pub fn record_policies(outcome: &Result<PoliciesLoaded, PoliciesRejected>) -> Vec<Draft> {
    match outcome {
        Ok(loaded) => vec![host(loaded.clone())],
        Err(rejected) => vec![host(rejected.clone())],
    }
}

/// The daemon stops.
pub fn record_stop(reason: &str) -> Decision {
    Ok(vec![host(DaemonStopped { reason: reason.to_owned() }).by_host()])
}

/// A rule said no.
pub fn record_denial(action: &str, resource: &str, rule: &str) -> Decision {
    Ok(vec![host(AccessDenied { action: action.to_owned(), resource: resource.to_owned(), rule: rule.to_owned() })])
}

/// A proof failed.
pub fn record_authentication_failure(claimed: &str, reason: &str) -> Decision {
    Ok(vec![host(AuthenticationFailed { claimed: claimed.to_owned(), reason: reason.to_owned() })])
}

/// Denials beyond the rate.
pub fn record_denials(principal: &str, count: u64, period_ms: u64) -> Decision {
    Ok(vec![host(DenialsSummarised { principal: principal.to_owned(), count, period_ms }).by_host()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(n: usize) -> Scope {
        let mut id = [0; 10];
        id[..8].copy_from_slice(&(n as u64).to_be_bytes());
        Scope::Work(agentd_schemas::id::WorkId::from_bytes(id))
    }

    fn full() -> HostFacts {
        HostFacts {
            frozen: (0..MAX_FROZEN).map(work).collect(),
            scope_exists: true,
            frozen_of_owner: MAX_FROZEN,
            ..HostFacts::default()
        }
    }

    #[test]
    fn the_freezes_of_an_owner_are_bounded_and_keep_nobody_from_freezing_the_host() {
        let full = full();
        let problem = freeze(&full, &work(MAX_FROZEN), "more", false).unwrap_err();
        assert_eq!(problem.code, Code::Busy);
        assert_eq!(freeze(&full, &work(MAX_FROZEN), "more", true).unwrap().len(), 1);
        assert_eq!(freeze(&full, &Scope::All, "stop", false).unwrap().len(), 1);
        let other = HostFacts { frozen_of_owner: 0, ..full };
        assert_eq!(freeze(&other, &work(MAX_FROZEN), "mine", false).unwrap().len(), 1);
    }

    #[test]
    fn a_work_that_is_over_is_not_frozen() {
        let over = HostFacts { scope_exists: true, scope_over: true, ..HostFacts::default() };
        assert_eq!(freeze(&over, &work(1), "late", true).unwrap_err().code, Code::WrongState);
    }
}
