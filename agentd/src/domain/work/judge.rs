//! Acceptance: what the machine criteria say of a result, and what follows from it.

use agentd_schemas::content::{DSSE_ENVELOPE, TEXT};
use agentd_schemas::document::Acceptance;
use agentd_schemas::event::{AttemptFailed, Criterion, FailureReason, ResultJudged, Verdict, WorkCompleted, WorkState};
use agentd_schemas::problem::{Code, Problem};
use sha2::{Digest as _, Sha256};

use super::WorkFacts;
use super::ending;
use super::schema;
use super::spend::settle_open;
use crate::domain::agent::AgentFacts;
use crate::domain::command::{Completion, RunRef};
use crate::domain::{Decision, Draft, Env, Rejection};

/// Refuses a schema that could not judge: malformed, with references that leave the document, or asking for too much.
pub fn check_schema(document: &serde_json::Value, place: usize) -> Result<(), Rejection> {
    schema::compile(document).map(drop).map_err(|reason| {
        Problem::new(Code::InvalidDocument, format!("acceptance {}: not a usable JSON Schema: {reason}", place + 1)).hint(
            "draft 2020-12 is assumed; references stay within the document (#/$defs/…) and are not multiplied by each \
             other, patterns have no look-around and no back-references; a person can judge the rest: person = \"owner\"",
        )
    })
}

/// Bounds of a criterion that looks at what a run made, and how the ledger keeps it.
pub fn check_criterion(criterion: &Acceptance, _place: usize) -> Result<Criterion, Rejection> {
    let bytes = serde_json::to_vec(criterion).map_err(Problem::internal)?;
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
    Ok(match criterion {
        Acceptance::Command(_) => Criterion::Command { sha256 },
        Acceptance::Changes(_) => Criterion::Changes { sha256 },
        Acceptance::Files(_) => Criterion::Files { sha256 },
        Acceptance::Artefact(_) => Criterion::Artefact { sha256 },
        Acceptance::JsonSchema(_) => Criterion::JsonSchema { sha256 },
        Acceptance::Person(who) => Criterion::Person(*who),
    })
}

/// SHA-256 (hex) over the criteria as JSON: what a statement binds its result to.
pub fn acceptance_digest(criteria: &[Criterion]) -> String {
    let bytes = serde_json::to_vec(criteria).unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes))
}

/// One verdict per criterion before anybody judged.
pub fn blank_verdicts(criteria: &[Criterion]) -> Vec<Verdict> {
    criteria
        .iter()
        .zip(0..)
        .map(|(criterion, place)| Verdict {
            criterion: place,
            kind: criterion.kind().to_owned(),
            sha256: criterion.sha256().map(str::to_owned),
            met: None,
            evidence: None,
        })
        .collect()
}

/// Decides on a result that was checked against the machine criteria.
pub fn complete(work: &WorkFacts, agent: &AgentFacts, named: &RunRef, done: &Completion, env: &Env) -> Decision {
    let run = work.live(named)?;
    if done.judged_work != work.key || agent.candidate.name != run.agent {
        return Err(Problem::internal("a result was judged for another work"));
    }
    if agent.public_key != done.signed_by || agent.candidate.key_revoked {
        return Err(Problem::new(
            Code::KeyRevoked,
            format!("the statement is signed with a key that agent {} no longer has", run.agent),
        )
        .hint("sign with the agent's current key"));
    }
    if let Some(waiting) = &run.waiting {
        return Err(super::spend::must_wait(work, waiting));
    }
    let media = if done.json { "application/json" } else { TEXT };
    let with_content = |draft: Draft| {
        draft.with_blob(0, DSSE_ENVELOPE, done.statement.clone()).with_blob(1, media, done.result.clone())
    };
    if done.verdicts.iter().any(|verdict| verdict.met == Some(false)) {
        let message = done.message.clone();
        return Ok(ending::attempt_failed(
            work,
            agent,
            FailureReason::Rejected,
            done.verdicts.clone(),
            message,
            env,
            with_content,
        ));
    }
    if done.verdicts.iter().any(|verdict| verdict.met.is_none()) {
        let judged = work.draft(ResultJudged { verdicts: done.verdicts.clone(), artefacts: Vec::new(), commit: None });
        let mut drafts = settle_open(work);
        drafts.push(with_content(judged.on_behalf_of(work.spec.owner)));
        return Ok(drafts);
    }
    let mut drafts = ending::completed(work, agent, done.verdicts.clone(), env);
    if let Some(first) = drafts.first_mut() {
        *first = with_content(first.clone());
    }
    drafts.splice(0..0, settle_open(work));
    Ok(drafts)
}

/// A person takes or refuses a result that waits for one.
pub fn decide_by_person(
    work: &WorkFacts,
    agent: &AgentFacts,
    verdicts: &[Verdict],
    accepts: bool,
    operator: bool,
    words: Option<&str>,
    env: &Env,
) -> Decision {
    if work.state != WorkState::Verifying {
        let verb = if accepts { "accept" } else { "reject" };
        return Err(work.wrong_state(
            verb,
            &format!("only a work that is verifying waits for a person: agentctl why {}", work.id),
        ));
    }
    let needs_operator =
        work.spec.acceptance.iter().any(|criterion| {
            matches!(criterion, Criterion::Person(agentd_schemas::document::PersonAcceptance::Operator))
        });
    if needs_operator && !operator {
        return Err(Problem::new(Code::Denied, format!("work {} asks for the acceptance of an operator", work.id))
            .hint("an operator of this host can accept it"));
    }
    let verdicts: Vec<Verdict> = verdicts
        .iter()
        .cloned()
        .map(|verdict| if verdict.met.is_none() { Verdict { met: Some(accepts), ..verdict } } else { verdict })
        .collect();
    if accepts {
        if let Some(words) = words {
            super::person::check_text(words)?;
        }
        let mut drafts = ending::completed(work, agent, verdicts, env);
        if let (Some(first), Some(words)) = (drafts.first_mut(), words) {
            *first = first.clone().with_blob(2, TEXT, words.as_bytes());
        }
        return Ok(drafts);
    }
    let message = words.map(str::to_owned);
    Ok(ending::attempt_failed(work, agent, FailureReason::Rejected, verdicts, message, env, |draft| draft))
}

/// The data of a completion, for the ending.
pub(super) fn completed_data(work: &WorkFacts, verdicts: Vec<Verdict>) -> Option<WorkCompleted> {
    Some(WorkCompleted { agent: work.run.as_ref()?.agent.clone(), verdicts, artefacts: Vec::new(), commit: None })
}

/// The data of a failed attempt, for the ending.
pub(super) fn failed_data(
    work: &WorkFacts,
    reason: FailureReason,
    verdicts: Vec<Verdict>,
    retry_after_ms: Option<u64>,
) -> Option<AttemptFailed> {
    let agent = work.run.as_ref()?.agent.clone();
    Some(AttemptFailed { agent, reason, verdicts, retry_after_ms, artefacts: Vec::new(), commit: None })
}

#[cfg(test)]
mod tests;
