//! What happened to works and their runs.

use agentd_schemas::event::{
    AttemptFailed, CostSettled, EventData, LimitsRaised, Verdict, WaitReason, WorkClaimed, WorkSubmitted,
};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::money::MicroUsd;

use super::{run, serde_word, spaced};
use crate::output::count;

/// The words for an event of a work; `None` for other events.
pub(super) fn words(data: &EventData) -> Option<String> {
    Some(match data {
        EventData::WorkSubmitted(e) => submitted(e),
        EventData::WorkReadied(e) => format!("ready: {}", spaced(&e.because)),
        EventData::WorkScheduled(e) => format!("scheduled for {}", e.not_before),
        EventData::WorkBlocked(e) => format!("blocked by {}, which did not complete", e.by),
        EventData::WorkClaimed(e) => claimed(e),
        EventData::RunStarted(e) => match &e.confinement {
            Some(held) => format!("started: {}", run::confinement(held)),
            None => "started".to_owned(),
        },
        EventData::RunEnded(e) => run::ended(e),
        EventData::BaseJudged(e) => run::base_judged(e),
        EventData::RunWaiting(e) => format!("waits for {}", waits_for(&e.reason)),
        EventData::ProgramExited(e) => run::exited(e),
        EventData::RunResumed(e) => format!("goes on: {}", spaced(&e.because)),
        EventData::NoteAdded(_) => "note".to_owned(),
        EventData::CostReserved(e) => format!("set aside {}", amount(Some(e.micro_usd), e.tokens)),
        EventData::CostSettled(e) => settled(e),
        EventData::LimitsRaised(e) => raised(e),
        EventData::ResultJudged(e) => {
            format!("result waits for a person{}{}", verdicts(&e.verdicts), run::commit(e.commit.as_ref()))
        }
        EventData::WorkCompleted(e) => {
            format!("completed by {}{}{}", e.agent, verdicts(&e.verdicts), run::commit(e.commit.as_ref()))
        }
        EventData::AttemptFailed(e) => attempt_failed(e),
        EventData::WorkFailed(e) => format!("failed, no attempt is left: {}", serde_word(&e.reason)),
        EventData::WorkCancelled(e) => format!("cancelled: {}", spaced(&e.reason)),
        EventData::WorkExpired(_) => "expired: not started by its deadline".to_owned(),
        EventData::WorkRetried(e) => {
            format!(
                "retried ({}, {} in all): {}",
                e.state.as_str(),
                count(u64::from(e.max_attempts), "attempt"),
                e.reason
            )
        }
        EventData::ServiceLevelBreached(e) => format!("missed its {} level, due {}", serde_word(&e.level), e.due),
        EventData::LeaseVoided(e) => format!("lease void, no attempt used up: {}", spaced(&e.because)),
        _ => return None,
    })
}

fn submitted(event: &WorkSubmitted) -> String {
    let mut text = format!("submitted: {}", event.state.as_str());
    if !event.required_skills.is_empty() {
        let skills: Vec<&str> = event.required_skills.iter().map(AsRef::as_ref).collect();
        text.push_str(&format!(", needs {}", skills.join(", ")));
    }
    if let Some(agent) = &event.agent {
        text.push_str(&format!(", for agent {agent} only"));
    }
    if !event.depends_on.is_empty() {
        text.push_str(&format!(", after {}", count(event.depends_on.len() as u64, "work")));
    }
    if let Some(from) = &event.from_schedule {
        text.push_str(&format!(", by schedule {}", from.schedule));
    }
    text
}

fn claimed(event: &WorkClaimed) -> String {
    let basis = if event.matched_by == "claimed" { ", matched by claim, not yet demonstrated" } else { "" };
    format!("claimed by {} (attempt {}, fence {}){basis}", event.agent, event.attempt, event.fence)
}

/// What a run waits for.
pub(crate) fn waits_for(reason: &WaitReason) -> String {
    match reason {
        WaitReason::Budget { account, .. } => format!("budget: account {account} has too little left"),
        WaitReason::Person => "a person to answer".to_owned(),
    }
}

/// Money and tokens; money without a price is said to have none.
fn amount(micro_usd: Option<u64>, tokens: u64) -> String {
    let money = match micro_usd.map(MicroUsd::new) {
        Some(Ok(money)) => money.to_string(),
        Some(Err(error)) => error.to_string(),
        None => "unpriced".to_owned(),
    };
    if tokens == 0 { money } else { format!("{money}, {}", count(tokens, "token")) }
}

fn settled(event: &CostSettled) -> String {
    let model = event.effective_model.as_deref().map_or_else(String::new, |model| format!(", model {model}"));
    format!("spent {} ({}{model})", amount(event.micro_usd, event.tokens), serde_word(&event.source))
}

fn raised(event: &LimitsRaised) -> String {
    let mut parts = Vec::new();
    if let Some(micro_usd) = event.max_cost_micro_usd {
        parts.push(amount(Some(micro_usd), 0));
    }
    if let Some(tokens) = event.max_tokens {
        parts.push(count(tokens, "token"));
    }
    if let Some(attempts) = event.max_attempts {
        parts.push(count(u64::from(attempts), "attempt"));
    }
    format!("limits raised to {}", parts.join(", "))
}

fn attempt_failed(event: &AttemptFailed) -> String {
    let next = match event.retry_after_ms.map(Span::from_ms) {
        Some(Ok(span)) => format!("; next attempt in {span}"),
        _ => String::new(),
    };
    format!("attempt by {} failed: {}{}{next}", event.agent, serde_word(&event.reason), verdicts(&event.verdicts))
}

/// `; criterion 1 (json schema) met, criterion 2 (person) open`.
pub(crate) fn verdicts(verdicts: &[Verdict]) -> String {
    let said: Vec<String> = verdicts.iter().map(verdict).collect();
    if said.is_empty() { String::new() } else { format!("; {}", said.join(", ")) }
}

/// `criterion 1 (json schema) met`.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    let word = match verdict.met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "open",
    };
    format!("criterion {} ({}) {word}{}", verdict.criterion + 1, spaced(&verdict.kind), run::evidence(verdict))
}

#[cfg(test)]
mod tests {
    use agentd_schemas::event::{AmountSource, FailureReason};

    use super::*;

    #[test]
    fn money_of_unknown_price_is_never_told_as_an_amount() {
        let event = CostSettled {
            reservation: None,
            micro_usd: None,
            tokens: 1,
            source: AmountSource::Reported,
            effective_model: Some("large-2".to_owned()),
            released_micro_usd: 0,
            released_tokens: 0,
            accounts: Vec::new(),
        };
        let told = words(&EventData::from(event)).unwrap();
        assert_eq!(told, "spent unpriced, 1 token (reported, model large-2)");
    }

    #[test]
    fn a_failed_attempt_tells_verdicts_and_what_comes_next() {
        let event = AttemptFailed {
            agent: "fixer".parse().unwrap(),
            reason: FailureReason::Rejected,
            verdicts: vec![Verdict {
                criterion: 0,
                kind: "json_schema".to_owned(),
                sha256: None,
                met: Some(false),
                evidence: None,
            }],
            retry_after_ms: Some(2000),
            artefacts: Vec::new(),
            commit: None,
        };
        let told = words(&EventData::from(event)).unwrap();
        assert_eq!(told, "attempt by fixer failed: rejected; criterion 1 (json schema) not met; next attempt in 2s");
    }
}
