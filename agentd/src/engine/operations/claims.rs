//! Claims: an agent asks for work and waits until there is some.

use std::time::Duration;

use agentd_schemas::http::{Claim, ClaimRequest, MAX_POLL_S};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::Key;
use super::runs::name;
use crate::domain::Command;
use crate::domain::command::{Looked, RunRef};
use crate::engine::Engine;
use crate::engine::waiters::Waiter;
use crate::ledger::{load, query};
use crate::policy::Caller;

impl Engine {
    /// Gives the agent its next work; waits for one when there is none.
    pub async fn claim(&self, caller: &Caller, request: &ClaimRequest) -> Result<Option<Claim>, Problem> {
        self.claim_looked(caller, request, None).await
    }

    /// The same; where something was looked at before, that or nothing.
    pub(in crate::engine) async fn claim_looked(
        &self,
        caller: &Caller,
        request: &ClaimRequest,
        looked: Option<Looked>,
    ) -> Result<Option<Claim>, Problem> {
        let agent = name(caller)?.clone();
        if request.wait_s > MAX_POLL_S {
            return Err(Problem::new(
                Code::OutOfBounds,
                format!("wait_s {} is outside 0 to {MAX_POLL_S} seconds", request.wait_s),
            ));
        }
        let lease_ms = request.lease_s.map_or(self.0.defaults.get().lease_ms, |seconds| u64::from(seconds) * 1000);
        let until = tokio::time::Instant::now() + Duration::from_secs(u64::from(request.wait_s));
        let command = || Command::ClaimWork { agent: agent.clone(), lease_ms, looked };
        let asked = serde_json::to_vec(&request.lease_s).map_err(Problem::internal)?;
        let request_key = self.0.keyed(request.key.as_deref(), "claim", &asked)?;
        let key = self.key_of(&agent)?.ok_or_else(void)?;
        let mut passed = None;
        loop {
            // Mostly there is work. Only who gets none takes a place among those who wait, and asks once more: a work
            // that became ready in between woke somebody else, or nobody.
            let claimed = self.claim_now(caller, command(), request_key.clone()).await;
            if !matches!(claimed, Ok(Some(_)))
                && let Some(wake) = passed.take()
            {
                self.0.waiters.pass_on(wake);
            }
            if let Some(claim) = claimed? {
                return Ok(Some(claim));
            }
            if request.wait_s == 0 {
                return Ok(None);
            }
            let waiting = self.0.waiters.register(self.waiter(&agent)?);
            // A key that became void before the place was taken woke nobody.
            if self.key_of(&agent)? != Some(key) {
                return Err(void());
            }
            if let Some(claim) = self.claim_now(caller, command(), request_key.clone()).await? {
                return Ok(Some(claim));
            }
            let Some(mut waiting) = waiting else {
                return Err(Problem::new(Code::Busy, "too many agents wait for work").hint("try again later"));
            };
            match tokio::time::timeout_at(until, waiting.woken()).await {
                // Who began to wait with a key that is not the agent's any more gets nothing for it.
                Ok(Ok(wake)) if self.key_of(&agent).is_ok_and(|now| now == Some(key)) => passed = Some(wake),
                Ok(Ok(wake)) => {
                    self.0.waiters.pass_on(wake);
                    return Err(void());
                }
                Ok(Err(_)) => return Err(Problem::new(Code::Stopping, "agentd is stopping").hint("try again")),
                Err(_) => return Ok(None),
            }
        }
    }

    async fn claim_now(&self, caller: &Caller, command: Command, key: Option<Key>) -> Result<Option<Claim>, Problem> {
        let done = self.execute(caller, command, key).await?;
        done.events.first().map(|event| self.claimed(event.envelope.index)).transpose()
    }

    fn key_of(&self, agent: &Slug) -> Result<Option<PublicKey>, Problem> {
        Ok(self.known(agent)?.filter(|known| known.shut_out.is_none()).map(|known| known.public_key))
    }

    fn waiter(&self, agent: &Slug) -> Result<Waiter, Problem> {
        self.0.readers.with(|conn| {
            let candidate = load::agents::candidate(conn, agent).map_err(Problem::internal)?;
            let candidate = candidate.ok_or_else(|| Problem::new(Code::NotFound, format!("no agent {agent}")))?;
            let (owner, shared, skills) = (candidate.owner, candidate.shared, candidate.skills);
            Ok(Waiter { agent: agent.clone(), owner, shared, skills })
        })
    }

    fn claimed(&self, key: u64) -> Result<Claim, Problem> {
        let key = i64::try_from(key).map_err(Problem::internal)?;
        let (claim, terms) = self.0.readers.with(|conn| Ok(query::claim::claim_document(conn, key)?))?;
        self.0.live.agree(&RunRef { work: claim.work, attempt: claim.run.attempt, fence: claim.fence }, terms);
        Ok(claim)
    }
}

fn void() -> Problem {
    Problem::new(Code::Unauthenticated, "the key that the agent proved itself with is not its key any more")
        .hint("prove possession again: POST /v1/challenge, then POST /v1/token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::trial;

    #[tokio::test]
    async fn who_waits_with_a_key_that_was_revoked_gets_nothing_for_it() {
        let (engine, _state) = trial::engine().await;
        let owner = Caller::person(1000, false, false);
        trial::enrol(&engine, &owner, "fixer", 7).await;
        let agent = Caller::agent("fixer".parse().unwrap(), 1000);
        let ask = ClaimRequest { wait_s: MAX_POLL_S, ..ClaimRequest::default() };
        // Whichever comes first, the answer is the same, and it does not take as long as the claim may wait.
        let revoke = engine.revoke_key(&owner, "fixer", "lost");
        let (claimed, revoked) = tokio::join!(engine.claim(&agent, &ask), revoke);
        revoked.unwrap();
        assert_eq!(claimed.unwrap_err().code, Code::Unauthenticated);
        assert_eq!(engine.claim(&agent, &ask).await.unwrap_err().code, Code::Unauthenticated);
    }

    #[tokio::test]
    async fn a_claim_repeated_under_its_key_brings_the_same_work_and_no_second_one() {
        let (engine, _state) = trial::engine().await;
        let owner = Caller::person(1000, false, false);
        trial::enrol(&engine, &owner, "fixer", 7).await;
        let agent = Caller::agent("fixer".parse().unwrap(), 1000);
        let ask = |key: &str| ClaimRequest { key: Some(key.to_owned()), ..ClaimRequest::default() };
        assert!(engine.claim(&agent, &ask("one")).await.unwrap().is_none(), "nothing is there, and nothing is kept");
        trial::submit(&engine, &owner, serde_json::json!({ "title": "first" })).await;
        let first = engine.claim(&agent, &ask("one")).await.unwrap().unwrap();
        let again = engine.claim(&agent, &ask("one")).await.unwrap().unwrap();
        assert_eq!((again.run, again.fence), (first.run, first.fence));
        let longer = ClaimRequest { lease_s: Some(30), ..ask("one") };
        assert_eq!(engine.claim(&agent, &longer).await.unwrap_err().code, Code::KeyReused);
    }
}
