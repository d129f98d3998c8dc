//! Runs that agentd started, as they speak at their own sockets.

use agentd_schemas::http::run::{MAX_RUN_KEY_BYTES, RunChildren, RunCost, RunDocument, RunFail, RunNote, RunReserve};
use agentd_schemas::http::{Children, Completed, Cost, Fail, Note, Reserve, RunStatus};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::SubmittedView;
use std::sync::Arc;

use super::runs::check_progress;
use crate::engine::Engine;
use crate::engine::doors::RunDoor;
use crate::ledger::query;
use crate::policy::Caller;

impl Engine {
    /// Who speaks at a door, for as long as it is open and its agent is let in. That it is the run was asked of the kernel
    /// before.
    pub fn speaker(&self, door: &Arc<RunDoor>) -> Result<Caller, Problem> {
        let run = door.run();
        if !self.door(run).is_some_and(|open| Arc::ptr_eq(&open, door)) {
            return Err(Problem::new(Code::StaleFence, format!("run {run} is over"))
                .hint("stop this attempt; what it says now is not heard"));
        }
        let agent = &door.what.agent;
        match self.known(agent)? {
            Some(known) if known.shut_out.is_none() => Ok(Caller::run(agent.clone(), door.what.owner, run)),
            known => {
                let why = known.and_then(|known| known.shut_out).unwrap_or("unknown_agent");
                Err(Problem::new(Code::KeyRevoked, format!("agent {agent} is shut out: {why}"))
                    .hint(format!("a person can help: agentctl agent show {agent}")))
            }
        }
    }

    /// What is to be done, and how it stands.
    pub fn shown(&self, caller: &Caller, door: &RunDoor) -> Result<RunDocument, Problem> {
        let run = &door.what.run;
        self.stands(caller, run)?;
        let status = self.status_of(run)?;
        let key = i64::try_from(run.fence.n).map_err(Problem::internal)?;
        let (mut claim, terms) = self.0.readers.with(|conn| Ok(query::claim::claim_document(conn, key)?))?;
        let now = self.0.clock.boot_ms();
        if let (Some(live), Some(most)) = (self.0.live.get(run.work), terms.timeout_ms) {
            claim.timeout_s = Some(most.saturating_sub(live.ran_ms(now)) / 1000);
        }
        Ok(RunDocument { claim, status, finished: door.handed().result.is_some() })
    }

    /// Notes what the run does. The lease is the daemon's to keep: this renews nothing.
    pub fn progress(&self, caller: &Caller, door: &RunDoor, text: String) -> Result<RunStatus, Problem> {
        check_progress(&text)?;
        let run = &door.what.run;
        self.stands(caller, run)?;
        match self.0.live.say(run, self.0.clock.boot_ms(), self.now(), text) {
            Some(live) => self.directive(&live),
            None => Err(self.why_stale(run)?),
        }
    }

    /// Sets money and tokens aside.
    pub async fn set_aside(&self, caller: &Caller, door: &RunDoor, asked: RunReserve) -> Result<RunStatus, Problem> {
        let key = of_run(door, asked.key)?;
        let reserve = Reserve { fence: door.what.run.fence, micro_usd: asked.micro_usd, tokens: asked.tokens, key };
        self.reserve(caller, door.run(), &reserve).await
    }

    /// Records what was spent.
    pub async fn spent(&self, caller: &Caller, door: &RunDoor, said: RunCost) -> Result<RunStatus, Problem> {
        let cost = Cost {
            fence: door.what.run.fence,
            reservation: said.reservation,
            micro_usd: said.micro_usd,
            tokens: said.tokens,
            source: said.source,
            effective_model: said.effective_model,
            key: of_run(door, said.key)?,
        };
        self.cost(caller, door.run(), &cost).await
    }

    /// Adds a note.
    pub async fn noted(&self, caller: &Caller, door: &RunDoor, note: RunNote) -> Result<RunStatus, Problem> {
        self.run_note(caller, door.run(), &words(door, note)?).await
    }

    /// Asks a person and waits.
    pub async fn asked(&self, caller: &Caller, door: &RunDoor, note: RunNote) -> Result<RunStatus, Problem> {
        self.ask(caller, door.run(), &words(door, note)?).await
    }

    /// Submits parts of the run's work.
    pub async fn parts(&self, caller: &Caller, door: &RunDoor, parts: RunChildren) -> Result<SubmittedView, Problem> {
        // The next attempt at the work may ask for the same parts.
        let key = keyed(&door.what.run.work, parts.key)?;
        self.children(caller, door.run(), Children { fence: door.what.run.fence, works: parts.works, key }).await
    }

    /// Gives up.
    pub async fn given_up(&self, caller: &Caller, door: &RunDoor, fail: RunFail) -> Result<Completed, Problem> {
        let key = of_run(door, fail.key)?;
        self.fail(caller, door.run(), &Fail { fence: door.what.run.fence, message: fail.message, key }).await
    }
}

fn words(door: &RunDoor, note: RunNote) -> Result<Note, Problem> {
    Ok(Note { fence: door.what.run.fence, text: note.text, key: of_run(door, note.key)? })
}

fn of_run(door: &RunDoor, key: Option<String>) -> Result<Option<String>, Problem> {
    keyed(&door.run(), key)
}

/// Keys are the agent's, for ever. One run must not use up those of another, so each has its own.
fn keyed(of: &impl std::fmt::Display, key: Option<String>) -> Result<Option<String>, Problem> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
    if key.len() > MAX_RUN_KEY_BYTES {
        return Err(Problem::new(Code::InvalidDocument, "the idempotency key is not usable")
            .hint(format!("at most {MAX_RUN_KEY_BYTES} bytes, without controls")));
    }
    Ok(Some(format!("{of}/{key}")))
}
