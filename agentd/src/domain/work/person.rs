//! What persons do with a work: cancel, retry, raise, note, answer, hold.

use agentd_schemas::content::TEXT;
use agentd_schemas::document::request::Raise;
use agentd_schemas::document::work::MAX_ATTEMPTS;
use agentd_schemas::event::{
    HoldLifted, HoldPlaced, LimitsRaised, NoteAdded, RunResumed, RunWaiting, WaitReason, WorkCancelled, WorkRetried,
    WorkState,
};
use agentd_schemas::http::MAX_NOTE_BYTES;
use agentd_schemas::problem::{Code, Problem};

use super::WorkFacts;
use super::spend::{may_go_on, own_account, settle_open};
use crate::domain::account::{AccountFacts, check_amount};
use crate::domain::command::RunRef;
use crate::domain::{Decision, Draft, Env, Rejection};

/// Calls the work off.
pub fn cancel(work: &WorkFacts, reason: &str) -> Decision {
    if work.state.is_past() {
        return Err(work.wrong_state("cancel", &format!("see what became of it: agentctl work show {}", work.id)));
    }
    let mut drafts = settle_open(work);
    drafts.push(work.draft(WorkCancelled { reason: reason.to_owned() }));
    Ok(drafts)
}

/// One more attempt for a work that ended without success. The times that it was submitted with are in force again; what
/// was missed before is not missed twice.
pub fn retry(work: &WorkFacts, reason: &str, env: &Env) -> Decision {
    if !matches!(work.state, WorkState::Failed | WorkState::Cancelled | WorkState::Expired) {
        return Err(work.wrong_state("retry", "only a work that failed, expired or was cancelled can be retried"));
    }
    if work.attempts >= MAX_ATTEMPTS {
        return Err(Problem::new(Code::OutOfBounds, format!("work {} had {MAX_ATTEMPTS} attempts", work.id))
            .hint("submit it anew"));
    }
    let spec = &work.spec;
    if let Some(deadline) = spec.deadline.filter(|deadline| *deadline <= env.wall) {
        return Err(Problem::new(
            Code::WrongState,
            format!("cannot retry work {}: its deadline {deadline} has passed", work.id),
        )
        .hint("submit it anew with a later deadline, or with none")
        .detail("work", work.id.to_string())
        .detail("deadline", deadline.to_string()));
    }
    // Its time binds until it was handed out once.
    let not_before = spec.not_before.filter(|time| work.unmet == 0 && work.attempts == 0 && !env.has_come(*time));
    let state = match not_before {
        _ if work.unmet > 0 => WorkState::Blocked,
        Some(_) => WorkState::Scheduled,
        None => WorkState::Ready,
    };
    Ok(vec![work.draft(WorkRetried {
        state,
        max_attempts: work.max_attempts.max(work.attempts + 1),
        not_before,
        deadline: spec.deadline.filter(|_| !work.breached_deadline),
        latest_start: spec.latest_start.filter(|_| work.attempts == 0 && !work.breached_start),
        finish_by: spec.finish_by.filter(|_| !work.breached_finish),
        reason: reason.to_owned(),
    })])
}

/// Raises limits; a run that waits for budget goes on when what it asked for fits. Parts may still spend after their
/// whole is over, so its limits of money and tokens can be raised then too.
pub fn raise(work: &WorkFacts, raise: &Raise, accounts: &[AccountFacts]) -> Decision {
    if work.state.is_past() && (!work.has_parts || raise.max_attempts.is_some()) {
        return Err(work.wrong_state("raise the limits of", "a work that is over has no limits"));
    }
    let max_cost = raised("max_cost", work.max_cost, raise.max_cost.map(|cost| cost.0.as_micro()))?;
    check_amount("max_tokens", raise.max_tokens)?;
    let max_tokens = raised("max_tokens", work.max_tokens, raise.max_tokens)?;
    let max_attempts = raised("max_attempts", Some(u64::from(work.max_attempts)), raise.max_attempts.map(u64::from))?;
    if max_cost.is_none() && max_tokens.is_none() && max_attempts.is_none() {
        return Err(Problem::new(Code::InvalidDocument, "no limit was given")
            .hint(format!("for example: agentctl work raise {} --max-cost 3usd", work.id)));
    }
    if max_attempts.is_some_and(|attempts| attempts > u64::from(MAX_ATTEMPTS)) {
        return Err(Problem::new(Code::OutOfBounds, format!("max_attempts is at most {MAX_ATTEMPTS}")));
    }
    let raised = LimitsRaised {
        max_cost_micro_usd: max_cost,
        max_tokens,
        max_attempts: max_attempts.and_then(|attempts| u32::try_from(attempts).ok()),
    };
    let mut drafts = vec![work.draft(raised)];
    let own = AccountFacts {
        max_cost: max_cost.or(work.max_cost),
        max_tokens: max_tokens.or(work.max_tokens),
        ..own_account(work)
    };
    if work.state.is_leased() && may_go_on(work, &own, accounts) {
        drafts.push(work.draft(RunResumed { because: "raised".to_owned() }));
    }
    Ok(drafts)
}

fn raised(name: &str, is: Option<u64>, to: Option<u64>) -> Result<Option<u64>, Rejection> {
    let Some(to) = to else { return Ok(None) };
    match is {
        None => Err(Problem::new(Code::WrongState, format!("{name} is not limited: a raise would lower it"))
            .hint("cancel and submit anew to set a limit")),
        Some(is) if to <= is => Err(Problem::new(Code::InvalidDocument, format!("{name} would not rise"))
            .hint("give a value above the present one")
            .detail("present", is)),
        Some(_) => Ok(Some(to)),
    }
}

/// Adds a note.
pub fn note(work: &WorkFacts, text: &str) -> Decision {
    check_text(text)?;
    Ok(vec![work.draft(NoteAdded {}).with_blob(0, TEXT, text)])
}

/// Adds a note of a run.
pub fn run_note(work: &WorkFacts, named: &RunRef, text: &str) -> Decision {
    work.live(named)?;
    note(work, text)
}

/// The run asks a person and waits for the answer. While it waits for something else it cannot ask: nobody would see
/// that an answer is wanted.
pub fn ask(work: &WorkFacts, named: &RunRef, text: &str) -> Decision {
    let run = work.live(named)?;
    let mut drafts = note(work, text)?;
    match &run.waiting {
        None => drafts.push(work.draft(RunWaiting { reason: WaitReason::Person })),
        Some(WaitReason::Person) => {}
        Some(other) => return Err(super::spend::must_wait(work, other)),
    }
    Ok(drafts)
}

/// A person answers a run that waits for one.
pub fn answer(work: &WorkFacts, text: &str) -> Decision {
    let waits = work.run.as_ref().and_then(|run| run.waiting.as_ref());
    if !work.state.is_leased() || waits != Some(&WaitReason::Person) {
        return Err(
            work.wrong_state("answer", &format!("nobody asked; a note works always: agentctl work note {} …", work.id))
        );
    }
    let mut drafts = note(work, text)?;
    drafts.push(work.draft(RunResumed { because: "answered".to_owned() }));
    Ok(drafts)
}

/// Keeps the content of a work, or no longer. Saying it twice changes nothing.
pub fn hold(work: &WorkFacts, held: bool, reason: &str) -> Decision {
    let reason = reason.to_owned();
    Ok(match (work.held, held) {
        (false, true) => vec![Draft::new(work.subject(), HoldPlaced { reason })],
        (true, false) => vec![Draft::new(work.subject(), HoldLifted { reason })],
        _ => Vec::new(),
    })
}

pub(super) fn check_text(text: &str) -> Result<(), Rejection> {
    if text.trim().is_empty() {
        return Err(Problem::new(Code::InvalidDocument, "the text is empty").hint("say what is to be known"));
    }
    if text.len() > MAX_NOTE_BYTES {
        return Err(Problem::new(
            Code::TooLarge,
            format!("the text has {} bytes, at most {MAX_NOTE_BYTES} are allowed", text.len()),
        )
        .hint("say the gist, and where the rest is"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
