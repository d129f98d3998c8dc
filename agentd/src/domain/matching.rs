//! Which agent may take which work. `claim` and `why` read the same answer.

use agentd_schemas::event::AgentState;
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::unit::time::WallMs;

use super::{Defaults, Env};

/// Different demands of one owner's open works, at most: each claim looks at all that are ready.
pub const MAX_DEMANDS: u64 = 1000;

/// What a class of works asks for. Works that ask for the same share a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Demand {
    /// Owner of the works.
    pub owner: u32,
    /// Only this agent.
    pub agent: Option<Slug>,
    /// Needed skills, sorted.
    pub skills: Vec<Skill>,
    /// Only agents that agentd starts: there is a workspace, or a criterion that looks at one.
    pub started: bool,
}

/// What matching knows of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: Slug,
    /// Its owner.
    pub owner: u32,
    /// Takes works of every owner.
    pub shared: bool,
    /// Its state.
    pub state: AgentState,
    /// Its key is revoked.
    pub key_revoked: bool,
    /// Whether somebody lets its key sign.
    pub certified: Certified,
    /// What it claims, sorted.
    pub skills: Vec<Skill>,
    /// Agentd starts its program.
    pub started: bool,
    /// What it showed in this epoch.
    pub evidence: Vec<Evidence>,
    /// Works it holds.
    pub live: u32,
    /// Works at a time, once out of probation.
    pub max_concurrency: u32,
    /// Its model epoch.
    pub epoch: u32,
}

/// Whether an owner has to certify the key of an agent, and has done so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certified {
    /// No certificate is asked for.
    NotNeeded,
    /// There is none for the key at hand.
    Never,
    /// From the first moment to just before the second.
    During(WallMs, WallMs),
}

impl Certified {
    /// Whether the key may sign now. While the clock is held nobody knows what time it is, so no certificate counts.
    pub fn check(self, env: &Env) -> Result<(), Mismatch> {
        match self {
            Self::NotNeeded => Ok(()),
            Self::Never => Err(Mismatch::Uncertified(None)),
            Self::During(..) if env.clock_held => Err(Mismatch::ClockHeld),
            Self::During(from, until) if from <= env.wall && env.wall < until => Ok(()),
            Self::During(_, until) => Err(Mismatch::Uncertified(Some(until))),
        }
    }
}

/// Judged works with one skill in the current epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The skill.
    pub skill: Skill,
    /// Judged works.
    pub judged: u64,
    /// Accepted ones.
    pub accepted: u64,
}

/// What a match rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedBy {
    /// Every needed skill was demonstrated.
    Demonstrated,
    /// At least one is only claimed.
    Claim,
    /// No skill is needed.
    NoSkillNeeded,
}

impl MatchedBy {
    /// As written in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Demonstrated => "demonstrated",
            Self::Claim => "claimed",
            Self::NoSkillNeeded => "no_skill_needed",
        }
    }
}

/// Why an agent may not take a work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The work names another agent.
    #[error("the work is for agent {0} alone")]
    OtherAgent(Slug),
    /// Works of others are not for it.
    #[error("it works for uid {0} alone")]
    OtherOwner(u32),
    /// It is paused, suspended or retired.
    #[error("it is {0}")]
    State(&'static str),
    /// It cannot sign.
    #[error("its key is revoked")]
    KeyRevoked,
    /// The work has a workspace, and the agent comes by itself.
    #[error("the work needs a workspace, and agentd does not start this agent: it has no command")]
    NotStarted,
    /// It does not claim the skill.
    #[error("it lacks the skill {0}")]
    Lacks(Skill),
    /// It claims the skill, and judged works say otherwise.
    #[error(
        "its skill {skill} fell below the bound: {accepted} of {judged} judged works accepted gives {bound} %, {least} % is asked"
    )]
    NotDemonstrated {
        /// The skill.
        skill: Skill,
        /// Judged works.
        judged: u64,
        /// Accepted ones.
        accepted: u64,
        /// The lower confidence bound of that, in percent.
        bound: u32,
        /// The bound that is asked.
        least: u32,
    },
    /// It cannot sign before its owner certifies its key; the one before lapsed then.
    #[error("{}", uncertified(*.0))]
    Uncertified(Option<WallMs>),
    /// Whether its certificate holds is not known.
    #[error("the clock jumped: whether its certificate holds is not known")]
    ClockHeld,
    /// It holds as many works as it may.
    #[error("it holds {live} of at most {most} works{probation}", probation = if *.probation { " (probation)" } else { "" })]
    Full {
        /// Works it holds.
        live: u32,
        /// Works it may hold.
        most: u32,
        /// Because it is on probation.
        probation: bool,
    },
}

impl Mismatch {
    /// Whether only time is missing: the agent would be able as soon as it has room, or its owner certified its key.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Uncertified(_) | Self::ClockHeld)
    }
}

fn uncertified(lapsed: Option<WallMs>) -> String {
    lapsed.map_or_else(
        || "its owner has not certified its key".to_owned(),
        |lapsed| format!("its certificate lapsed on {lapsed}"),
    )
}

/// Whether the agent is able and allowed, whatever it holds at the moment.
pub fn able(agent: &Candidate, demand: &Demand, defaults: &Defaults) -> Result<MatchedBy, Mismatch> {
    if let Some(only) = &demand.agent
        && *only != agent.name
    {
        return Err(Mismatch::OtherAgent(only.clone()));
    }
    if agent.owner != demand.owner && !agent.shared {
        return Err(Mismatch::OtherOwner(agent.owner));
    }
    if !matches!(agent.state, AgentState::Active | AgentState::Probation) {
        return Err(Mismatch::State(agent.state.as_str()));
    }
    if agent.key_revoked {
        return Err(Mismatch::KeyRevoked);
    }
    if demand.started && !agent.started {
        return Err(Mismatch::NotStarted);
    }
    let mut by = if demand.skills.is_empty() { MatchedBy::NoSkillNeeded } else { MatchedBy::Demonstrated };
    for skill in &demand.skills {
        if agent.skills.binary_search(skill).is_err() {
            return Err(Mismatch::Lacks(skill.clone()));
        }
        if !demonstrated(agent, skill, defaults)? {
            by = MatchedBy::Claim;
        }
    }
    Ok(by)
}

/// Whether the agent may begin one more work now: its key can sign, and it has room.
pub fn room(agent: &Candidate, env: &Env) -> Result<(), Mismatch> {
    agent.certified.check(env)?;
    let probation = agent.state == AgentState::Probation;
    let most = if probation { 1 } else { agent.max_concurrency };
    if agent.live >= most {
        return Err(Mismatch::Full { live: agent.live, most, probation });
    }
    Ok(())
}

fn demonstrated(agent: &Candidate, skill: &Skill, defaults: &Defaults) -> Result<bool, Mismatch> {
    let Some(evidence) = agent.evidence.iter().find(|evidence| evidence.skill == *skill) else {
        return Ok(false);
    };
    if evidence.judged < defaults.judged_works {
        return Ok(false);
    }
    let Evidence { judged, accepted, .. } = *evidence;
    let (bound, least) = (lower_bound_percent(accepted, judged), defaults.skill_bound_percent);
    if bound >= least {
        return Ok(true);
    }
    Err(Mismatch::NotDemonstrated { skill: skill.clone(), judged, accepted, bound, least })
}

/// Lower bound of the 95 % Wilson score interval (E. B. Wilson, 1927), in whole percent, rounded down.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts far below 2^52, a result between 0 and 100"
)]
pub fn lower_bound_percent(accepted: u64, judged: u64) -> u32 {
    if judged == 0 {
        return 0;
    }
    let n = judged as f64;
    let p = accepted.min(judged) as f64 / n;
    let z = 1.959_964_f64;
    let centre = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (((centre - spread) / (1.0 + z * z / n)).max(0.0) * 100.0).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::env;

    fn agent() -> Candidate {
        Candidate {
            name: "fixer".parse().unwrap(),
            owner: 1000,
            shared: false,
            state: AgentState::Active,
            key_revoked: false,
            certified: Certified::NotNeeded,
            skills: vec!["git".parse().unwrap(), "rust".parse().unwrap()],
            started: false,
            evidence: Vec::new(),
            live: 0,
            max_concurrency: 1,
            epoch: 1,
        }
    }

    fn demand(skills: &[&str]) -> Demand {
        Demand {
            owner: 1000,
            agent: None,
            skills: skills.iter().map(|skill| skill.parse().unwrap()).collect(),
            started: false,
        }
    }

    fn evidence(judged: u64, accepted: u64) -> Vec<Evidence> {
        vec![Evidence { skill: "rust".parse().unwrap(), judged, accepted }]
    }

    #[test]
    fn a_claimed_skill_matches_until_five_judged_works_exist() {
        let defaults = Defaults::default();
        assert_eq!(able(&agent(), &demand(&["rust"]), &defaults), Ok(MatchedBy::Claim));
        let four = Candidate { evidence: evidence(4, 0), ..agent() };
        assert_eq!(able(&four, &demand(&["rust"]), &defaults), Ok(MatchedBy::Claim));
        let five = Candidate { evidence: evidence(5, 0), ..agent() };
        assert!(matches!(able(&five, &demand(&["rust"]), &defaults), Err(Mismatch::NotDemonstrated { .. })));
        let good = Candidate { evidence: evidence(5, 5), ..agent() };
        assert_eq!(able(&good, &demand(&["rust"]), &defaults), Ok(MatchedBy::Demonstrated));
    }

    #[test]
    fn each_reason_has_its_own_words() {
        let defaults = Defaults::default();
        let says = |agent: &Candidate, demand: &Demand| able(agent, demand, &defaults).unwrap_err().to_string();
        assert_eq!(says(&agent(), &demand(&["fortran"])), "it lacks the skill fortran");
        assert_eq!(says(&agent(), &Demand { owner: 7, ..demand(&[]) }), "it works for uid 1000 alone");
        let workspace = Demand { started: true, ..demand(&[]) };
        assert!(says(&agent(), &workspace).starts_with("the work needs a workspace"));
        assert!(able(&Candidate { started: true, ..agent() }, &workspace, &defaults).is_ok());
        let paused = Candidate { state: AgentState::Paused, ..agent() };
        assert_eq!(says(&paused, &demand(&[])), "it is paused");
        let other = Demand { agent: Some("other".parse().unwrap()), ..demand(&[]) };
        assert_eq!(says(&agent(), &other), "the work is for agent other alone");
        let fell = Candidate { evidence: evidence(5, 1), ..agent() };
        let words = "its skill rust fell below the bound: 1 of 5 judged works accepted gives 3 %, 20 % is asked";
        assert_eq!(says(&fell, &demand(&["rust"])), words);
        let full = Candidate { live: 1, ..agent() };
        assert_eq!(room(&full, &env()).unwrap_err().to_string(), "it holds 1 of at most 1 works");
    }

    #[test]
    fn only_a_certificate_that_holds_now_lets_an_agent_begin() {
        let env = env();
        let at = |seconds: i64| WallMs::saturating(env.wall.as_ms() + seconds * 1000);
        let says = |certified, env: &Env| {
            let verdict = room(&Candidate { certified, ..agent() }, env);
            verdict.map_err(|mismatch| {
                assert!(mismatch.is_passing());
                mismatch.to_string()
            })
        };
        assert_eq!(says(Certified::NotNeeded, &env), Ok(()));
        assert_eq!(says(Certified::During(at(0), at(1)), &env), Ok(()));
        assert_eq!(says(Certified::Never, &env).unwrap_err(), "its owner has not certified its key");
        let lapsed = format!("its certificate lapsed on {}", at(0));
        assert_eq!(says(Certified::During(at(-9), at(0)), &env).unwrap_err(), lapsed);
        assert!(says(Certified::During(at(1), at(9)), &env).is_err(), "the clock was set back");
        let held = Env { clock_held: true, ..env.clone() };
        assert!(says(Certified::During(at(0), at(9)), &held).unwrap_err().starts_with("the clock jumped"));
    }

    #[test]
    fn a_shared_agent_takes_works_of_every_owner() {
        let shared = Candidate { shared: true, ..agent() };
        assert!(able(&shared, &Demand { owner: 7, ..demand(&[]) }, &Defaults::default()).is_ok());
    }

    #[test]
    fn the_lower_bound_is_wilsons() {
        for (accepted, judged, percent) in [(0, 0, 0), (5, 5, 56), (0, 5, 0), (4, 5, 37), (3, 5, 23), (90, 100, 82)] {
            assert_eq!(lower_bound_percent(accepted, judged), percent, "{accepted} of {judged}");
        }
    }
}
