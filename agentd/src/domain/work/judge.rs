//! Acceptance: what the machine criteria say of a result, and what follows from it.

use agentd_schemas::content::{DSSE_ENVELOPE, JUDGE_REPORT, TEXT};
use agentd_schemas::document::Acceptance;
use agentd_schemas::document::acceptance::{MAX_JUDGE_BYTES, MAX_JUDGE_MS, MAX_PATTERN_BYTES, MAX_PATTERNS};
use agentd_schemas::event::{
    AttemptFailed, Criterion, EventData, FailureReason, ResultJudged, Verdict, WorkCompleted, WorkState,
};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::pattern;
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
pub fn check_criterion(criterion: &Acceptance, place: usize) -> Result<Criterion, Rejection> {
    criterion_bounds(criterion).map_err(|reason| {
        Problem::new(Code::InvalidDocument, format!("acceptance {}: {reason}", place + 1))
            .hint("see what a criterion may say: agentctl explain work.acceptance")
    })?;
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

fn criterion_bounds(criterion: &Acceptance) -> Result<(), String> {
    match criterion {
        Acceptance::Command(judge) => {
            if judge.command.trim().is_empty() || judge.command.len() > MAX_JUDGE_BYTES || judge.command.contains('\0')
            {
                return Err(format!("the command has 1 to {MAX_JUDGE_BYTES} bytes, none of them NUL"));
            }
            if judge.timeout.is_some_and(|timeout| !(1..=MAX_JUDGE_MS).contains(&timeout.as_ms())) {
                return Err("the timeout of a command is from 1ms to 1d".to_owned());
            }
            globs(&judge.protected_paths)
        }
        Acceptance::Changes(rules) => {
            let asks = !rules.only.is_empty() || rules.max_lines.is_some() || rules.max_files.is_some() || rules.none;
            if !asks && rules.binary {
                return Err("rules for changes that allow everything judge nothing".to_owned());
            }
            globs(&rules.only)
        }
        Acceptance::Files(files) => {
            if files.present.is_empty() && files.absent.is_empty() {
                return Err("files names none that is to be present or absent".to_owned());
            }
            globs(&files.present)?;
            globs(&files.absent)
        }
        Acceptance::Artefact(artefact) => {
            let hex =
                |text: &String| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if artefact.sha256.as_ref().is_some_and(|sha256| !hex(sha256)) {
                return Err("sha256 is not 64 lowercase hex digits".to_owned());
            }
            patterns(std::slice::from_ref(&artefact.name))
        }
        Acceptance::JsonSchema(_) | Acceptance::Person(_) => Ok(()),
    }
}

/// Patterns that can be read, so that they judge.
fn globs(globs: &[String]) -> Result<(), String> {
    patterns(globs)?;
    let read = |glob: &String| pattern::check(glob).map_err(|error| format!("{glob:?} cannot be read: {error}"));
    globs.iter().try_for_each(read)
}

/// Patterns are relative, plain, and few.
fn patterns(patterns: &[String]) -> Result<(), String> {
    if patterns.len() > MAX_PATTERNS {
        return Err(format!("{} patterns, at most {MAX_PATTERNS} are allowed", patterns.len()));
    }
    let bad = |pattern: &&String| {
        pattern.is_empty()
            || pattern.len() > MAX_PATTERN_BYTES
            || pattern.starts_with(['/', ':', '!'])
            || pattern.chars().any(char::is_control)
            || pattern.split('/').any(|part| part == "..")
    };
    match patterns.iter().find(bad) {
        None => Ok(()),
        Some(pattern) => Err(format!(
            "{pattern:?} is not a usable pattern: 1 to {MAX_PATTERN_BYTES} bytes, relative to the top, without .., and \
             without : or ! in front"
        )),
    }
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
    agent.certified(env)?;
    if let Some(waiting) = &run.waiting {
        return Err(super::spend::must_wait(work, waiting));
    }
    let media = if done.json { "application/json" } else { TEXT };
    let with_content = |mut draft: Draft| {
        made(&mut draft.data, done);
        let draft = draft.with_blob(0, DSSE_ENVELOPE, done.statement.clone()).with_blob(1, media, done.result.clone());
        match &done.report {
            Some(report) => draft.with_blob(3, JUDGE_REPORT, report.clone()),
            None => draft,
        }
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
    let with_content = |draft: Draft| match &done.message {
        // Nothing that speaks against it, and yet to be known.
        Some(message) => with_content(draft).with_blob(2, TEXT, message.as_bytes()),
        None => with_content(draft),
    };
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

/// Says of an event that ends an attempt, or waits for a person, what the run made.
fn made(data: &mut EventData, done: &Completion) {
    let (artefacts, commit) = match data {
        EventData::ResultJudged(data) => (&mut data.artefacts, &mut data.commit),
        EventData::WorkCompleted(data) => (&mut data.artefacts, &mut data.commit),
        EventData::AttemptFailed(data) => (&mut data.artefacts, &mut data.commit),
        _ => return,
    };
    artefacts.clone_from(&done.artefacts);
    commit.clone_from(&done.commit);
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
