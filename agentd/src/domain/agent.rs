//! Agents: enrolment, states, keys, skills, and the model they think with.

use agentd_schemas::document::Runtime;
use agentd_schemas::document::agent::{
    AgentDocument, MAX_AGENT_SKILLS, MAX_CONCURRENCY, MAX_MODEL_NAMES, MAX_REASON_BYTES, ModelBinding,
};
use agentd_schemas::event::{
    AgentActivated, AgentEnrolled, AgentPaused, AgentResumed, AgentRetired, AgentState, AgentSuspended, KeyRevoked,
    KeyRotated, ModelBound, ProbationStarted, ProgramBound, SkillsDeclared, Subject,
};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Skill;

use super::account::{Limit, set_limit};
use super::command::NewAgent;
use super::matching::Candidate;
use super::{Decision, Draft, Env, Rejection};

/// What a decision about one agent may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFacts {
    /// What matching knows.
    pub candidate: Candidate,
    /// Its key.
    pub public_key: String,
    /// The owner's key, which has to certify that; none where no certificate is asked for.
    pub authority: Option<String>,
    /// Its binding.
    pub model: Option<ModelBinding>,
    /// Judged works in this epoch.
    pub judged_in_epoch: u64,
    /// Accepted ones.
    pub accepted_in_epoch: u64,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// The state before it was paused or suspended.
    pub state_before: AgentState,
}

/// What the ledger knows when an agent is enrolled.
#[derive(Debug, Clone, Default)]
pub struct EnrolFacts {
    /// The name was used before.
    pub name_taken: bool,
    /// The key belongs or belonged to this agent.
    pub key_of: Option<String>,
    /// Agents that are not retired.
    pub agents: u64,
    /// Those of the owner.
    pub own_agents: u64,
}

/// Takes an agent in, on probation.
pub fn enrol(facts: &EnrolFacts, new: &NewAgent, env: &Env) -> Decision {
    let document = &new.document;
    check_document(document)?;
    check_declared(new.declared.as_deref())?;
    let name = &document.name;
    if facts.name_taken {
        return Err(Problem::new(Code::NameTaken, format!("the agent name {name} is taken: names are never reused"))
            .hint("choose another name"));
    }
    if let Some(other) = &facts.key_of {
        return Err(Problem::new(Code::NameTaken, format!("this key belongs to agent {other}")).hint(
            "each agent has a key of its own: agentctl makes one where neither --key nor --public-key is given",
        ));
    }
    let most = env.defaults.max_agents;
    if facts.agents >= most {
        return Err(Problem::new(Code::Busy, format!("{most} agents are enrolled, more are not allowed"))
            .hint("retire some, or raise limits.max_agents in the configuration"));
    }
    if facts.own_agents >= env.defaults.max_agents_per_owner {
        let message = format!("uid {} has {} agents, one owner may not have more", new.owner, facts.own_agents);
        return Err(Problem::new(Code::Busy, message)
            .hint("retire some, or raise limits.max_agents_per_owner in the configuration"));
    }
    let enrolled = AgentEnrolled {
        agent_id: new.agent_id.clone(),
        owner: new.owner,
        public_key: new.public_key.clone(),
        custody: new.custody,
        nonce: new.nonce.clone(),
        signature: new.signature.clone(),
        skills: sorted(&document.skills),
        shared: document.shared,
        max_concurrency: document.limits.max_concurrency.unwrap_or(1),
        model: document.model.clone(),
        runtime: new.runtime.clone(),
        authority: new.authority.clone(),
        declared: new.declared.clone(),
    };
    let mut drafts = vec![with_files(enrolled_draft(document, enrolled), &new.files)];
    drafts.extend(limits(document));
    Ok(drafts)
}

fn enrolled_draft(document: &AgentDocument, enrolled: AgentEnrolled) -> Draft {
    let mut draft = Draft::new(Subject::Agent(document.name.clone()), enrolled);
    draft.epoch = Some(1);
    match &document.description {
        Some(text) => draft.with_blob(0, agentd_schemas::content::TEXT, text.as_bytes()),
        None => draft,
    }
}

/// Binds another program, for runs from now on.
pub fn bind_program(agent: &AgentFacts, runtime: &Runtime, files: &[Vec<u8>], reason: &str) -> Decision {
    agent.not_retired("change the program of")?;
    check_reason("the reason", reason, false)?;
    if !agent.candidate.started {
        return Err(agent.wrong("give a program to", "it came by itself: enrol another agent, with a command"));
    }
    let bound = ProgramBound { runtime: runtime.clone(), reason: reason.to_owned() };
    Ok(vec![with_files(agent.draft(bound), files)])
}

/// The files that come with an agent are blobs from 1 on.
fn with_files(draft: Draft, files: &[Vec<u8>]) -> Draft {
    (1..).zip(files).fold(draft, |draft, (slot, file)| draft.with_blob(slot, "application/octet-stream", file.clone()))
}

fn limits(document: &AgentDocument) -> Option<Draft> {
    let limits = &document.limits;
    if limits.max_cost_per_day.is_none() && limits.max_tokens_per_day.is_none() {
        return None;
    }
    let account = format!("agent:{}", document.name);
    let micro_usd = limits.max_cost_per_day.map_or(Limit::Same, |cost| Limit::Most(cost.0.as_micro()));
    let tokens = limits.max_tokens_per_day.map_or(Limit::Same, Limit::Most);
    let set = set_limit(&account, agentd_schemas::document::request::Period::Day, micro_usd, tokens, None);
    set.ok()?.pop()
}

fn sorted(skills: &[Skill]) -> Vec<Skill> {
    let mut skills = skills.to_vec();
    skills.sort();
    skills.dedup();
    skills
}

/// Bounds of an agent document.
pub fn check_document(document: &AgentDocument) -> Result<(), Rejection> {
    check_skills(&document.skills)?;
    if let Some(text) = &document.description {
        check_reason("the description", text, true)?;
    }
    if let Some(most) = document.limits.max_concurrency
        && (most == 0 || most > MAX_CONCURRENCY)
    {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("max_concurrency {most} is outside 1 to {MAX_CONCURRENCY}"),
        ));
    }
    let limits = &document.limits;
    super::account::check_amount("max_tokens_per_day", limits.max_tokens_per_day)?;
    document.model.as_ref().map_or(Ok(()), check_binding)
}

fn check_skills(skills: &[Skill]) -> Result<(), Rejection> {
    if skills.len() > MAX_AGENT_SKILLS {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("{} skills given, at most {MAX_AGENT_SKILLS} are allowed", skills.len()),
        ));
    }
    Ok(())
}

/// Bounds of a binding.
pub fn check_binding(binding: &ModelBinding) -> Result<(), Rejection> {
    let names = std::iter::once(&binding.name).chain(&binding.versions).chain(&binding.helpers);
    for name in names {
        if name.is_empty() || name.len() > 256 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Problem::new(Code::InvalidDocument, format!("the model name {name:?} is not usable"))
                .hint("1 to 256 bytes, without spaces and controls"));
        }
    }
    if binding.versions.len() + binding.helpers.len() > MAX_MODEL_NAMES {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("at most {MAX_MODEL_NAMES} versions and helpers are allowed"),
        ));
    }
    for (name, digest) in [("parameters_sha256", &binding.parameters_sha256), ("prompt_sha256", &binding.prompt_sha256)]
    {
        if let Some(digest) = digest
            && (digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        {
            return Err(Problem::new(Code::InvalidDocument, format!("{name} is not 64 lowercase hex digits"))
                .hint("sha256sum FILE prints it"));
        }
    }
    Ok(())
}

/// A reason is a sentence for the ledger: bounded, without controls, and there.
pub fn check_reason(what: &str, text: &str, may_be_empty: bool) -> Result<(), Rejection> {
    if text.len() > MAX_REASON_BYTES {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("{what} has {} bytes, at most {MAX_REASON_BYTES} are allowed", text.len()),
        ));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Problem::new(Code::InvalidDocument, format!("{what} contains control characters")));
    }
    if !may_be_empty && text.trim().is_empty() {
        return Err(Problem::new(Code::InvalidDocument, format!("{what} is empty"))
            .hint("say why: it stands in the ledger for those who read it later"));
    }
    Ok(())
}

/// The name of a declaring file is part of the ledger: bounded, without controls, and there.
pub fn check_declared(file: Option<&str>) -> Result<(), Rejection> {
    file.map_or(Ok(()), |file| check_reason("the name of the declaring file", file, false))
}

impl AgentFacts {
    fn subject(&self) -> Subject {
        Subject::Agent(self.candidate.name.clone())
    }

    fn wrong(&self, verb: &str, hint: &str) -> Rejection {
        let name = &self.candidate.name;
        Problem::new(Code::WrongState, format!("cannot {verb} agent {name}: it is {}", self.candidate.state.as_str()))
            .hint(hint)
    }

    pub(super) fn not_retired(&self, verb: &str) -> Result<(), Rejection> {
        if self.candidate.state == AgentState::Retired {
            return Err(self.wrong(verb, "a retired agent stays retired: enrol a new one under another name"));
        }
        Ok(())
    }

    pub(super) fn draft(&self, data: impl Into<agentd_schemas::event::EventData>) -> Draft {
        let mut draft = Draft::new(self.subject(), data);
        draft.epoch = Some(self.candidate.epoch);
        draft
    }
}

/// Ends a probation by a person's word.
pub fn activate(agent: &AgentFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    match agent.candidate.state {
        AgentState::Probation => Ok(vec![agent.draft(AgentActivated { reason: reason.to_owned() })]),
        AgentState::Active => Ok(Vec::new()),
        _ => {
            let hint = format!("resume it first: agentctl agent resume {} --reason '…'", agent.candidate.name);
            Err(agent.wrong("activate", &hint))
        }
    }
}

/// Gives it no more work. What it holds goes on.
pub fn pause(agent: &AgentFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    match agent.candidate.state {
        AgentState::Active | AgentState::Probation => Ok(vec![agent.draft(AgentPaused { reason: reason.to_owned() })]),
        AgentState::Paused => Ok(Vec::new()),
        _ => Err(agent.wrong("pause", "only an agent at work can be paused")),
    }
}

/// Gives it work again.
pub fn resume(agent: &AgentFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, true)?;
    let name = &agent.candidate.name;
    if agent.candidate.key_revoked && agent.candidate.state != AgentState::Retired {
        return Err(Problem::new(Code::WrongState, format!("cannot resume agent {name}: its key is revoked"))
            .hint(format!("give it a new key first: agentctl agent rotate-key {name} --reason '…'")));
    }
    match agent.candidate.state {
        AgentState::Paused | AgentState::Suspended => {
            let to = agent.state_before;
            Ok(vec![agent.draft(AgentResumed { reason: reason.to_owned(), to })])
        }
        AgentState::Active | AgentState::Probation => {
            Err(agent.wrong("resume", "only a paused or suspended agent is resumed; nothing was changed"))
        }
        AgentState::Retired => Err(agent.wrong("resume", "enrol a new one under another name")),
    }
}

/// Shuts it out: its tokens are void and its leases end.
pub fn suspend(agent: &AgentFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    agent.not_retired("suspend")?;
    if agent.candidate.state == AgentState::Suspended {
        return Ok(Vec::new());
    }
    Ok(vec![agent.draft(AgentSuspended { reason: reason.to_owned() })])
}

/// Ends it for good.
pub fn retire(agent: &AgentFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    if agent.candidate.state == AgentState::Retired {
        return Ok(Vec::new());
    }
    Ok(vec![agent.draft(AgentRetired { reason: reason.to_owned() })])
}

/// Changes what it claims.
pub fn declare_skills(agent: &AgentFacts, skills: &[Skill]) -> Decision {
    agent.not_retired("change the skills of")?;
    check_skills(skills)?;
    let skills = sorted(skills);
    if skills == agent.candidate.skills {
        return Ok(Vec::new());
    }
    Ok(vec![agent.draft(SkillsDeclared { skills })])
}

/// Gives it a new key, whose possession was proved.
pub fn rotate_key(
    agent: &AgentFacts,
    key_of: Option<&str>,
    to: &str,
    nonce: &str,
    signature: &str,
    reason: &str,
) -> Decision {
    agent.not_retired("rotate the key of")?;
    check_reason("the reason", reason, false)?;
    if let Some(other) = key_of {
        return Err(Problem::new(Code::NameTaken, format!("this key belongs or belonged to agent {other}"))
            .hint("make a fresh key: keys are never reused"));
    }
    Ok(vec![agent.draft(KeyRotated {
        from: agent.public_key.clone(),
        to: to.to_owned(),
        nonce: nonce.to_owned(),
        signature: signature.to_owned(),
        reason: reason.to_owned(),
    })])
}

/// Takes its key away from this index of the log on.
pub fn revoke_key(agent: &AgentFacts, reason: &str) -> Decision {
    check_reason("the reason", reason, false)?;
    if agent.candidate.key_revoked {
        return Ok(Vec::new());
    }
    Ok(vec![agent.draft(KeyRevoked { public_key: agent.public_key.clone(), reason: reason.to_owned() })])
}

/// Puts it on probation again, in a new epoch: what it shows counts from nothing, as after a repair.
pub fn restart_probation(agent: &AgentFacts, reason: &str) -> Decision {
    agent.not_retired("put on probation")?;
    check_reason("the reason", reason, false)?;
    let epoch = agent.candidate.epoch + 1;
    let started = ProbationStarted { epoch, model: agent.model.clone(), reason: reason.to_owned() };
    let mut draft = agent.draft(started);
    draft.epoch = Some(epoch);
    Ok(vec![draft])
}

/// Binds another model: a new epoch, and probation again.
pub fn bind_model(agent: &AgentFacts, to: Option<&ModelBinding>, reason: &str) -> Decision {
    agent.not_retired("change the model of")?;
    check_reason("the reason", reason, false)?;
    if let Some(binding) = to {
        check_binding(binding)?;
    }
    if agent.model.as_ref() == to {
        return Err(Problem::new(
            Code::WrongState,
            format!("agent {} is bound to exactly this model already", agent.candidate.name),
        )
        .hint("see: agentctl model history"));
    }
    let epoch = agent.candidate.epoch + 1;
    let bound = ModelBound { epoch, from: agent.model.clone(), to: to.cloned(), reason: reason.to_owned() };
    let mut draft = agent.draft(bound);
    draft.epoch = Some(epoch);
    Ok(vec![draft])
}
