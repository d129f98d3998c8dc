//! Runs, as their agents handle them.

use std::sync::Arc;

use agentd_schemas::event::{Criterion, EventData, WaitReason, WorkState};
use agentd_schemas::http::{
    Children, Complete, Completed, Cost, Directive, Fail, Fenced, Heartbeat, MAX_NOTE_BYTES, MAX_PROGRESS_BYTES,
    MAX_RESULT_BYTES, Note, Reserve, RunStatus,
};
use agentd_schemas::id::{Fence, RunId};
use agentd_schemas::key::statement::{self, Artefact, Sha256Digest};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::SubmittedView;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Key;
use crate::domain::Command;
use crate::domain::account::in_words;
use crate::domain::command::{Completion, RunRef, Spending, Submitter};
use crate::domain::work::judge::acceptance_digest;
use crate::domain::work::{WorkFacts, submit};
use crate::engine::execute::absent;
use crate::engine::live::ran_out;
use crate::engine::{Done, Engine, LiveRun};
use crate::ledger::load;
use crate::ledger::query::claim::Terms;
use crate::policy::{Action, Caller};

pub(super) fn name(caller: &Caller) -> Result<&Slug, Problem> {
    caller.agent_name().ok_or_else(|| Problem::new(Code::Denied, "this is the door of agents"))
}

/// Progress is one short line.
pub(super) fn check_progress(progress: &str) -> Result<(), Problem> {
    if progress.len() > MAX_PROGRESS_BYTES || progress.chars().any(char::is_control) {
        return Err(Problem::new(Code::InvalidDocument, "the progress is not one short line")
            .hint(format!("at most {MAX_PROGRESS_BYTES} bytes, without controls")));
    }
    Ok(())
}

impl Engine {
    /// A run as its agent names it. A fence of an earlier incarnation is stale whatever the ledger knows of its run: the
    /// host was restored from a backup, and nothing of then lives.
    fn named(&self, run: RunId, fence: Fence) -> Result<RunRef, Problem> {
        let now = self.0.host.incarnation;
        if fence.incarnation != now {
            return Err(Problem::new(
                Code::StaleFence,
                format!(
                    "fence {fence} of run {}.{} is stale: this ledger is incarnation {now}, restored from a backup",
                    run.work, run.attempt
                ),
            )
            .hint("stop this attempt, discard what it made, and claim again")
            .detail("work", run.work.to_string())
            .detail("fence", fence.to_string()));
        }
        Ok(RunRef { work: run.work, attempt: run.attempt, fence })
    }

    /// The agent began.
    pub async fn start(&self, caller: &Caller, run: RunId, fenced: &Fenced) -> Result<RunStatus, Problem> {
        let run = self.named(run, fenced.fence)?;
        self.execute(caller, Command::StartRun { run, confinement: None }, None).await?;
        self.status_of(&run)
    }

    /// Renews the lease.
    pub fn heartbeat(&self, caller: &Caller, run: RunId, beat: Heartbeat) -> Result<RunStatus, Problem> {
        let run = self.named(run, beat.fence)?;
        let agent = name(caller)?;
        beat.progress.as_deref().map_or(Ok(()), check_progress)?;
        self.own(caller, agent, &run)?;
        let now = self.0.clock.boot_ms();
        let live = self.0.live.heartbeat(&run, now, self.now(), beat.progress, beat.frozen);
        match live {
            Some(live) => self.directive(&live),
            None => Err(self.why_stale(&run)?),
        }
    }

    /// A run may be spoken for by its own agent alone.
    pub(super) fn own(&self, caller: &Caller, agent: &Slug, run: &RunRef) -> Result<(), Problem> {
        let live = self.0.live.get(run.work);
        if live.is_some_and(|live| live.run == *run && live.agent == *agent) {
            return Ok(());
        }
        let resource = self.0.readers.with(|conn| load::resource::run(conn, run).map_err(Problem::internal))?;
        // What never was is nobody's: there is nothing to put on record, however often it is asked for.
        let resource = resource.ok_or_else(|| absent(&format!("work {}", run.work)))?;
        self.permit(caller, Action::RunAct, &resource).map(drop)
    }

    pub(in crate::engine) fn why_stale(&self, run: &RunRef) -> Result<Problem, Problem> {
        let work = self.0.readers.with(|conn| load::works::work(conn, run.work, false).map_err(Problem::internal))?;
        let missing = || Problem::new(Code::NotFound, format!("no work {}", run.work));
        Ok(work.ok_or_else(missing)?.live(run).err().unwrap_or_else(|| ran_out(run)))
    }

    pub(super) fn status_of(&self, run: &RunRef) -> Result<RunStatus, Problem> {
        match self.0.live.get(run.work).filter(|live| live.run == *run) {
            Some(live) => self.directive(&live),
            None => Err(self.why_stale(run)?),
        }
    }

    /// The answer to what was recorded. Who repeats it when the attempt is over hears that it counts, and that no more will.
    fn status_after(&self, run: &RunRef, done: &Done) -> Result<RunStatus, Problem> {
        match self.status_of(run) {
            Err(problem) if done.repeated && problem.code == Code::StaleFence => Ok(RunStatus {
                directive: Directive::Wait,
                reason: Some("it was recorded before; this attempt is over".to_owned()),
                lease_s: 0,
                notes: Vec::new(),
                reservation: None,
            }),
            status => status,
        }
    }

    /// The idempotency key of a request, with what it was sent for.
    fn request_key(&self, key: Option<&str>, operation: &str, asked: &impl Serialize) -> Result<Option<Key>, Problem> {
        self.0.keyed(key, operation, &serde_json::to_vec(asked).map_err(Problem::internal)?)
    }

    pub(super) fn directive(&self, live: &LiveRun) -> Result<RunStatus, Problem> {
        let (frozen, notes) = self.0.readers.with(|conn| {
            let frozen = load::host::frozen(conn).map_err(Problem::internal)?;
            let notes = load::content::notes_since(conn, live.run.work, live.run.fence.n).map_err(Problem::internal)?;
            Ok((frozen, notes))
        })?;
        let (directive, reason) = if super::host::is_frozen(&frozen, live) {
            (Directive::Freeze, Some("frozen by a person".to_owned()))
        } else {
            match &live.waiting {
                None => (Directive::Continue, None),
                Some(WaitReason::Person) => (Directive::Wait, Some("waits for a person's answer".to_owned())),
                Some(WaitReason::Budget { account, .. }) => {
                    (Directive::Wait, Some(format!("waits for budget: {} has too little left", in_words(account))))
                }
            }
        };
        let lease_s = u32::try_from(live.lease_ms / 1000).unwrap_or(u32::MAX);
        Ok(RunStatus { directive, reason, lease_s, notes, reservation: None })
    }

    /// Sets money and tokens aside, or makes the run wait for them.
    pub async fn reserve(&self, caller: &Caller, run: RunId, reserve: &Reserve) -> Result<RunStatus, Problem> {
        let run = self.named(run, reserve.fence)?;
        let key = self.request_key(reserve.key.as_deref(), "reserve", &(run.work, run.attempt, reserve))?;
        let command = Command::ReserveCost { run, micro_usd: reserve.micro_usd, tokens: reserve.tokens };
        let done = self.execute(caller, command, key).await?;
        let mut status = self.status_after(&run, &done)?;
        status.reservation = done.events.iter().find_map(|event| match event.data {
            EventData::CostReserved(_) => Some(event.envelope.index),
            _ => None,
        });
        Ok(status)
    }

    /// Records what was spent.
    pub async fn cost(&self, caller: &Caller, run: RunId, cost: &Cost) -> Result<RunStatus, Problem> {
        let run = self.named(run, cost.fence)?;
        if let Some(model) = &cost.effective_model
            && (model.is_empty() || model.len() > 256 || model.chars().any(char::is_control))
        {
            return Err(
                Problem::new(Code::InvalidDocument, "effective_model is not a model name").hint("1 to 256 bytes")
            );
        }
        let spending = Spending {
            reservation: cost.reservation,
            micro_usd: cost.micro_usd,
            tokens: cost.tokens,
            source: cost.source.unwrap_or(agentd_schemas::event::AmountSource::Reported),
            effective_model: cost.effective_model.clone(),
        };
        let key = self.request_key(cost.key.as_deref(), "cost", &(run.work, run.attempt, cost))?;
        let done = self.execute(caller, Command::SettleCost { run, cost: spending }, key).await?;
        self.status_after(&run, &done)
    }

    /// Adds a note of the run.
    pub async fn run_note(&self, caller: &Caller, run: RunId, note: &Note) -> Result<RunStatus, Problem> {
        let run = self.named(run, note.fence)?;
        let key = self.request_key(note.key.as_deref(), "note", &(run.work, run.attempt, note))?;
        let done = self.execute(caller, Command::AddRunNote { run, text: note.text.clone() }, key).await?;
        self.status_after(&run, &done)
    }

    /// Asks a person and waits.
    pub async fn ask(&self, caller: &Caller, run: RunId, note: &Note) -> Result<RunStatus, Problem> {
        let run = self.named(run, note.fence)?;
        let key = self.request_key(note.key.as_deref(), "ask", &(run.work, run.attempt, note))?;
        let done = self.execute(caller, Command::AskPerson { run, text: note.text.clone() }, key).await?;
        self.status_after(&run, &done)
    }

    /// Submits works as parts of the run's own.
    pub async fn children(&self, caller: &Caller, run: RunId, children: Children) -> Result<SubmittedView, Problem> {
        let run = self.named(run, children.fence)?;
        // The next attempt at the same work may ask for the same children.
        let key = self.request_key(children.key.as_deref(), "children", &(run.work, &children.works))?;
        if let Some(done) = self.before(caller, key.as_ref())? {
            return self.submitted(caller, &done, &submit::order(&self.listed(children.works)?)?, &[]);
        }
        self.own(caller, name(caller)?, &run)?;
        let facts = self.facts(&run)?;
        facts.live(&run)?;
        let owner = facts.spec.owner;
        let works = self.prepare(&Caller::person(owner, false, false), children.works).await?;
        let order = submit::order(&works)?;
        let command = Command::SubmitWorks { owner, works, from: Submitter::Run(run) };
        let done = self.execute(caller, command, key).await?;
        self.submitted(caller, &done, &order, &[])
    }

    fn facts(&self, run: &RunRef) -> Result<WorkFacts, Problem> {
        let found = self.0.readers.with(|conn| load::works::work(conn, run.work, false).map_err(Problem::internal))?;
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("no work {}", run.work)))
    }

    /// Takes a signed result, judges it, and completes the work or says why not.
    pub async fn complete(&self, caller: &Caller, run: RunId, complete: Complete) -> Result<Completed, Problem> {
        let run = self.named(run, complete.fence)?;
        let agent = name(caller)?;
        if complete.result.len() > MAX_RESULT_BYTES {
            return Err(Problem::new(
                Code::TooLarge,
                format!("the result has {} bytes, at most {MAX_RESULT_BYTES} are allowed", complete.result.len()),
            )
            .hint("hand in a summary, and say in it where the rest is"));
        }
        let terms = match self.0.live.terms(&run).filter(|(holder, _)| holder == agent) {
            Some((_, terms)) => terms,
            None => match self.terms_of(caller, agent, &run)? {
                Ok(terms) => Arc::new(terms),
                Err(done) => return Ok(done),
            },
        };
        let signed_by = self.check_statement(caller, &terms, &run, &complete)?;
        let schemas = self.schemas(&terms)?;
        let _only = self.0.judges.only(RunId { work: run.work, attempt: run.attempt })?;
        let judged = self.0.judges.judge(caller.uid, terms.acceptance.clone(), schemas, complete.result).await?;
        let completion = Completion {
            statement: complete.statement.to_json().map_err(Problem::internal)?.into_bytes(),
            result: judged.result.into_bytes(),
            json: judged.json,
            verdicts: judged.verdicts,
            judged_work: terms.work_key,
            signed_by,
            message: judged.message.clone(),
            artefacts: Vec::new(),
            commit: None,
            report: None,
        };
        let command = Command::CompleteWork { run, completion: Box::new(completion) };
        let done = self.execute(caller, command, None).await?;
        Ok(outcome(&done, judged.message))
    }

    /// The terms of a run as the ledger has them; the answer of then for a completion that arrived before, when its
    /// answer was lost.
    fn terms_of(&self, caller: &Caller, agent: &Slug, run: &RunRef) -> Result<Result<Terms, Completed>, Problem> {
        self.own(caller, agent, run)?;
        let facts = self.facts(run)?;
        if let Some(done) = already(&facts, run, agent) {
            return Ok(Err(done));
        }
        let epoch = facts.live(run)?.epoch;
        let (owner, timeout_ms, acceptance) = (facts.spec.owner, facts.spec.timeout_ms, facts.spec.acceptance.clone());
        Ok(Ok(Terms { work_key: facts.key, owner, epoch, timeout_ms, acceptance }))
    }

    /// The schemas that judge a work; its content is read only where there are some.
    fn schemas(&self, terms: &Terms) -> Result<Vec<Option<serde_json::Value>>, Problem> {
        if !terms.acceptance.iter().any(|criterion| matches!(criterion, Criterion::JsonSchema { .. })) {
            return Ok(Vec::new());
        }
        let content =
            self.0.readers.with(|conn| load::content::of_work(conn, terms.work_key).map_err(Problem::internal))?;
        Ok(content.map(|content| content.schemas).unwrap_or_default())
    }

    /// The statement must be by the agent's key and speak of exactly this run and result.
    fn check_statement(
        &self,
        caller: &Caller,
        terms: &Terms,
        run: &RunRef,
        complete: &Complete,
    ) -> Result<String, Problem> {
        let agent = name(caller)?;
        let known = self.known(agent)?.ok_or_else(|| Problem::new(Code::NotFound, format!("no agent {agent}")))?;
        if known.shut_out.is_some() {
            return Err(Problem::new(Code::KeyRevoked, format!("agent {agent} has no valid key")));
        }
        let refuse = |why: &dyn std::fmt::Display| {
            self.0.denials.unauthenticated(caller.uid, agent.as_str(), "bad_signature");
            self.0.timer.notify_one();
            Problem::new(
                Code::BadSignature,
                format!("the statement of run {}.{} was refused: {why}", run.work, run.attempt),
            )
            .hint("sign a statement over exactly this result, run, fence and acceptance with the agent's current key")
        };
        let payload =
            complete.statement.verify(&known.public_key, statement::PAYLOAD_TYPE).map_err(|error| refuse(&error))?;
        let said = statement::Completion::parse(payload).map_err(|error| refuse(&error))?;
        let acceptance = acceptance_digest(&terms.acceptance);
        let expected = statement::Completion {
            artefacts: vec![Artefact {
                name: "result".to_owned(),
                sha256: Sha256Digest(Sha256::digest(complete.result.as_bytes()).into()),
            }],
            origin: self.host().origin.clone(),
            work: run.work.to_string(),
            run: format!("{}.{}", run.work, run.attempt),
            fence: run.fence.n,
            agent: known.agent_id.clone(),
            epoch: u64::from(terms.epoch),
            acceptance: acceptance.parse().map_err(Problem::internal)?,
            finished_at: None,
        };
        said.check(&expected).map_err(|error| refuse(&error))?;
        Ok(known.public_key.to_string())
    }

    /// Gives up.
    pub async fn fail(&self, caller: &Caller, run: RunId, fail: &Fail) -> Result<Completed, Problem> {
        let run = self.named(run, fail.fence)?;
        if fail.message.len() > MAX_NOTE_BYTES {
            return Err(Problem::new(Code::TooLarge, format!("the message has more than {MAX_NOTE_BYTES} bytes")));
        }
        if fail.message.trim().is_empty() {
            return Err(Problem::new(Code::InvalidDocument, "the message is empty")
                .hint("say what went wrong: it is what people read first"));
        }
        let key = self.request_key(fail.key.as_deref(), "fail", &(run.work, run.attempt, fail))?;
        let done = self.execute(caller, Command::FailRun { run, message: fail.message.clone() }, key).await?;
        Ok(outcome(&done, None))
    }
}

/// A completion that arrived before, when its answer was lost.
fn already(work: &WorkFacts, run: &RunRef, agent: &Slug) -> Option<Completed> {
    let same = work.run.as_ref().is_some_and(|held| held.fence == run.fence && held.agent == *agent);
    let done = matches!(work.state, WorkState::Completed | WorkState::Verifying);
    (same && done).then(|| Completed { state: work.state, verdicts: Vec::new(), message: None })
}

fn outcome(done: &Done, message: Option<String>) -> Completed {
    let mut completed = Completed { state: WorkState::Failed, verdicts: Vec::new(), message };
    for event in done.events.iter() {
        match &event.data {
            EventData::WorkCompleted(data) => {
                completed.state = WorkState::Completed;
                completed.verdicts.clone_from(&data.verdicts);
                return completed;
            }
            EventData::ResultJudged(data) => {
                completed.state = WorkState::Verifying;
                completed.verdicts.clone_from(&data.verdicts);
                return completed;
            }
            EventData::AttemptFailed(data) => {
                completed.verdicts.clone_from(&data.verdicts);
                if data.retry_after_ms.is_some() {
                    completed.state = WorkState::Scheduled;
                }
            }
            _ => {}
        }
    }
    completed
}
