//! The host: freezes, the clock, redaction, and the record of what was refused.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{
    AccessDenied, AuthenticationFailed, ClockAccepted, ClockJumped, ContentRedacted, DaemonStarted, DaemonStopped,
    DenialsSummarised, Frozen, Subject, Thawed,
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
}

/// Freezes at most, at a time.
pub const MAX_FROZEN: usize = 1024;

/// Stops starts and runs in a scope. Saying it twice changes nothing.
pub fn freeze(facts: &HostFacts, scope: &Scope, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    if !facts.scope_exists {
        return Err(Problem::new(Code::NotFound, "there is no such work or agent to freeze"));
    }
    if facts.frozen.contains(scope) {
        return Ok(Vec::new());
    }
    if facts.frozen.len() >= MAX_FROZEN {
        return Err(Problem::new(Code::Busy, format!("{MAX_FROZEN} freezes are in force")).hint("use freeze --all"));
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
pub fn record_start(agentd: &str, recovered: bool) -> Decision {
    Ok(vec![host(DaemonStarted { agentd: agentd.to_owned(), recovered }).by_host()])
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
