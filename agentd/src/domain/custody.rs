//! Keys that owners certify: taking a certificate, and what is refused without one.
//!
//! A result needs a certificate that holds when it is committed, by wall time. That of the claim is not asked for again: who
//! reads the log later sees from one event alone whether the owner let the key sign then.

use agentd_schemas::event::KeyCertified;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::agent::AgentFacts;
use super::matching::{Certified, Mismatch};
use super::{Decision, Env, Rejection};

/// Takes a certificate of the owner, whose own form was checked, for the key and at the time of this commit.
pub fn certify_key(agent: &AgentFacts, certified: &KeyCertified, env: &Env) -> Decision {
    let name = &agent.candidate.name;
    agent.not_retired("certify the key of")?;
    let Some(authority) = &agent.authority else {
        return Err(Problem::new(Code::WrongState, format!("agent {name} is not in its owner's custody"))
            .hint("its key signs without a certificate"));
    };
    if certified.authority != *authority || certified.public_key != agent.public_key {
        return Err(Problem::new(Code::Conflict, format!("the key of agent {name} changed meanwhile"))
            .hint(format!("certify its new key: agentctl agent certify {name}")));
    }
    if agent.candidate.key_revoked {
        return Err(Problem::new(Code::KeyRevoked, format!("the key of agent {name} is revoked"))
            .hint(format!("give it a new key first: agentctl agent rotate-key {name} --reason '…'")));
    }
    let now = Certified::During(certified.valid_after, certified.valid_before);
    now.check(env).map_err(|mismatch| uncertified(name, &mismatch))?;
    Ok(vec![agent.draft(certified.clone())])
}

fn uncertified(name: &Slug, mismatch: &Mismatch) -> Rejection {
    let hint = match mismatch {
        Mismatch::ClockHeld => "agentctl clock accept --reason '…'".to_owned(),
        _ => format!("agentctl agent certify {name}"),
    };
    Problem::new(Code::Uncertified, format!("agent {name} cannot sign now: {mismatch}")).hint(hint)
}

impl AgentFacts {
    /// Whether its key may sign now.
    pub fn certified(&self, env: &Env) -> Result<(), Rejection> {
        let candidate = &self.candidate;
        candidate.certified.check(env).map_err(|mismatch| uncertified(&candidate.name, &mismatch))
    }
}

#[cfg(test)]
mod tests {
    use agentd_schemas::event::AgentState;
    use agentd_schemas::unit::time::WallMs;

    use super::*;
    use crate::domain::fixture;

    fn agent() -> AgentFacts {
        let mut agent = fixture::agent();
        agent.authority = Some("ssh-ed25519 OWNER".to_owned());
        agent.candidate.certified = Certified::Never;
        agent
    }

    fn certified() -> KeyCertified {
        let now = fixture::env().wall.as_ms();
        KeyCertified {
            certificate: "line".to_owned(),
            serial: 0,
            public_key: agent().public_key,
            authority: "ssh-ed25519 OWNER".to_owned(),
            valid_after: WallMs::saturating(now),
            valid_before: WallMs::saturating(now + 1),
        }
    }

    #[test]
    fn a_certificate_is_taken_for_the_key_at_hand_while_it_holds() {
        let env = fixture::env();
        let drafts = certify_key(&agent(), &certified(), &env).unwrap();
        assert_eq!(fixture::names(&drafts), ["KeyCertified"]);
        let code = |agent: &AgentFacts, certified: &KeyCertified, env: &Env| {
            certify_key(agent, certified, env).unwrap_err().code
        };
        let rotated = AgentFacts { public_key: "ssh-ed25519 BBBB".to_owned(), ..agent() };
        assert_eq!(code(&rotated, &certified(), &env), Code::Conflict);
        assert_eq!(code(&AgentFacts { authority: None, ..agent() }, &certified(), &env), Code::WrongState);
        let mut revoked = agent();
        revoked.candidate.key_revoked = true;
        assert_eq!(code(&revoked, &certified(), &env), Code::KeyRevoked);
        let mut retired = agent();
        retired.candidate.state = AgentState::Retired;
        assert_eq!(code(&retired, &certified(), &env), Code::WrongState);
        let lapsed = KeyCertified { valid_before: env.wall, ..certified() };
        assert_eq!(code(&agent(), &lapsed, &env), Code::Uncertified);
        let held = Env { clock_held: true, ..env };
        assert_eq!(code(&agent(), &certified(), &held), Code::Uncertified);
    }
}
