//! Agents, as persons handle them.

use agentd_schemas::document::ModelBinding;
use agentd_schemas::document::agent::NO_COMMAND;
use agentd_schemas::document::request::{Enrolment, KeyRotation};
use agentd_schemas::event::{Custody, EventData};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::{PossessionKind, PossessionSignature};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::unit::owner::Owner;
use agentd_schemas::view::{AgentRow, AgentView, EpochView, HistoryRow};

use crate::domain::Command;
use crate::domain::command::NewAgent;
use crate::engine::Engine;
use crate::identity::trust_domain;
use crate::ledger::query;
use crate::ledger::query::named::Named;
use crate::policy::{Action, Caller, Resource};

pub(super) fn slug(name: &str) -> Result<Slug, Problem> {
    name.parse().map_err(|error| {
        Problem::new(Code::InvalidDocument, format!("{error}")).hint("see the names with: agentctl agent list")
    })
}

/// Whether two lines name one key, whatever their comments say.
fn same_key(one: &str, other: &str) -> bool {
    match (one.parse::<PublicKey>(), other.parse::<PublicKey>()) {
        (Ok(one), Ok(other)) => one.to_string() == other.to_string(),
        _ => false,
    }
}

impl Engine {
    /// Who is to own what a document describes: who hands it in, or whom an operator names.
    pub(super) fn owner(&self, caller: &Caller, named: Option<&Owner>) -> Result<u32, Problem> {
        match named {
            None => Ok(caller.uid),
            Some(Owner::Uid(uid)) if *uid == caller.uid => Ok(*uid),
            Some(Owner::Uid(uid)) => {
                self.permit(caller, Action::HostManage, &Resource::host())?;
                Ok(*uid)
            }
            Some(Owner::Name(name)) => {
                Err(Problem::new(Code::InvalidDocument, format!("owner {name:?} is a name, and this door takes a uid"))
                    .hint(format!("agentctl looks names up; else see: id -u {name}")))
            }
        }
    }

    /// A nonce for a proof of possession of this name's key.
    pub fn challenge(&self, caller: &Caller, name: &str) -> Result<String, Problem> {
        let name = slug(name)?;
        self.permit(caller, Action::AgentEnrol, &Resource::own("agents of one's own", caller))?;
        let now = self.0.clock.boot_ms();
        let mut challenges = self.0.challenges.lock().map_err(|_| Problem::internal("challenges are poisoned"))?;
        challenges.issue(caller.uid, &name, now).map_err(Problem::internal)
    }

    /// Takes an agent in. The owner is the uid that the kernel named, unless an operator names another.
    pub async fn enrol(&self, caller: &Caller, enrolment: Enrolment) -> Result<AgentView, Problem> {
        let name = enrolment.agent.name.clone();
        let owner = self.owner(caller, enrolment.agent.owner.as_ref())?;
        if let Some(field) = enrolment.agent.lacks_command() {
            let message = format!("agent {name} has no command, and {field} says something of a program");
            return Err(Problem::new(Code::InvalidDocument, message).hint(NO_COMMAND));
        }
        if enrolment.agent.public_key.as_ref().is_some_and(|key| !same_key(key, &enrolment.public_key)) {
            return Err(Problem::new(
                Code::InvalidDocument,
                format!("agent {name} is to have the public key of its document, and another one is proved"),
            )
            .hint("prove the key of the document, or leave public_key out of it"));
        }
        let kind = PossessionKind::Enroll;
        let key =
            self.prove_possession(caller, kind, &name, &enrolment.public_key, &enrolment.nonce, &enrolment.signature)?;
        let random = crate::sys::random::bytes().map_err(Problem::internal)?;
        let host = self.host();
        let agent_id = trust_domain::agent_id(&host.trust_domain, name.as_str(), self.0.clock.wall_ms(), random);
        let agent = NewAgent {
            document: enrolment.agent,
            owner,
            agent_id,
            public_key: key.to_string(),
            custody: Custody::Resident,
            nonce: enrolment.nonce,
            signature: enrolment.signature,
            runtime: None,
            authority: None,
            files: Vec::new(),
            declared: enrolment.declared,
        };
        self.execute(caller, Command::EnrolAgent { agent: Box::new(agent) }, None).await?;
        self.agent(caller, name.as_str())
    }

    pub(super) fn prove_possession(
        &self,
        caller: &Caller,
        kind: PossessionKind,
        name: &Slug,
        public_key: &str,
        nonce: &str,
        signature: &str,
    ) -> Result<PublicKey, Problem> {
        let bad = |error: &dyn std::fmt::Display| {
            Problem::new(Code::InvalidDocument, format!("the key of agent {name}: {error}"))
                .hint("ssh-keygen -t ed25519 makes one")
        };
        let key: PublicKey = public_key.parse().map_err(|error| bad(&error))?;
        let now = self.0.clock.boot_ms();
        let redeemed = {
            let mut challenges = self.0.challenges.lock().map_err(|_| Problem::internal("challenges are poisoned"))?;
            challenges.redeem(name, nonce, now)
        };
        redeemed.map_err(|error| self.unproven(caller.uid, name, error.word(), &error.to_string()))?;
        let signature: PossessionSignature =
            signature.parse().map_err(|error| self.unproven(caller.uid, name, "bad_signature", &format!("{error}")))?;
        self.possession(kind, name, nonce, &key)
            .verify(&signature)
            .map_err(|error| self.unproven(caller.uid, name, "bad_signature", &error.to_string()))?;
        Ok(key)
    }

    /// All agents that the caller may see.
    pub fn agents(&self, caller: &Caller) -> Result<Vec<AgentRow>, Problem> {
        self.list(caller, Action::AgentRead, "agents")?;
        self.0.readers.with(|conn| Ok(query::agents::list(conn, &caller.viewer())?))
    }

    /// One agent in full.
    pub fn agent(&self, caller: &Caller, name: &str) -> Result<AgentView, Problem> {
        self.read(caller, Named::Agent(name))?;
        let (day, _) = self.today();
        self.0.readers.with(|conn| Ok(query::agents::show(conn, &caller.viewer(), name, &day, &self.0.defaults.get())?))
    }

    pub(super) fn today(&self) -> (String, String) {
        crate::engine::world::names(self.0.clock.wall_ms(), &self.0.zone)
    }

    /// `activate`, `probation`, `pause`, `resume`, `suspend` or `retire`.
    pub async fn set_agent_state(&self, caller: &Caller, name: &str, state: &str, reason: &str) -> Result<(), Problem> {
        let (agent, reason) = (slug(name)?, reason.to_owned());
        let command = match state {
            "activate" => Command::ActivateAgent { agent, reason },
            "probation" => Command::RestartProbation { agent, reason },
            "pause" => Command::PauseAgent { agent, reason },
            "resume" => Command::ResumeAgent { agent, reason },
            "suspend" => Command::SuspendAgent { agent, reason },
            "retire" => Command::RetireAgent { agent, reason },
            other => {
                return Err(Problem::new(Code::InvalidDocument, format!("{other:?} is nothing to do with an agent"))
                    .hint("activate, probation, pause, resume, suspend or retire"));
            }
        };
        self.execute(caller, command, None).await.map(drop)
    }

    /// Changes what an agent claims.
    pub async fn declare_skills(&self, caller: &Caller, name: &str, skills: Vec<Skill>) -> Result<(), Problem> {
        self.execute(caller, Command::DeclareSkills { agent: slug(name)?, skills }, None).await.map(drop)
    }

    /// Gives an agent a new key.
    pub async fn rotate_key(&self, caller: &Caller, rotation: KeyRotation) -> Result<(), Problem> {
        if let Some(held) = self.rotation_of_held(caller, &rotation)? {
            return self.execute(caller, held, None).await.map(drop);
        }
        let KeyRotation { name, public_key, nonce, signature, reason } = rotation;
        let key = self.prove_possession(caller, PossessionKind::Rotate, &name, &public_key, &nonce, &signature)?;
        let command = Command::RotateKey { agent: name, public_key: key.to_string(), nonce, signature, reason };
        self.execute(caller, command, None).await.map(drop)
    }

    /// Takes an agent's key away.
    pub async fn revoke_key(&self, caller: &Caller, name: &str, reason: &str) -> Result<(), Problem> {
        let command = Command::RevokeKey { agent: slug(name)?, reason: reason.to_owned() };
        self.execute(caller, command, None).await.map(drop)
    }

    /// An agent's runs, newest first.
    pub fn history(&self, caller: &Caller, name: &str, before: u64, limit: u32) -> Result<Vec<HistoryRow>, Problem> {
        self.read(caller, Named::Agent(name))?;
        let before = if before == 0 { u64::try_from(i64::MAX).unwrap_or(u64::MAX) } else { before };
        self.0.readers.with(|conn| Ok(query::agents::history(conn, &caller.viewer(), name, before, limit)?))
    }

    /// Binds another model; answers with the epoch that it opens.
    pub async fn set_model(
        &self,
        caller: &Caller,
        name: &str,
        binding: Option<ModelBinding>,
        reason: &str,
    ) -> Result<u32, Problem> {
        let command = Command::BindModel { agent: slug(name)?, to: binding, reason: reason.to_owned() };
        let done = self.execute(caller, command, None).await?;
        let epoch = done.events.iter().find_map(|event| match &event.data {
            EventData::ModelBound(bound) => Some(bound.epoch),
            _ => None,
        });
        epoch.ok_or_else(|| Problem::internal("a binding without an epoch"))
    }

    /// The model epochs of an agent, oldest first.
    pub fn model_history(&self, caller: &Caller, name: &str) -> Result<Vec<EpochView>, Problem> {
        self.read(caller, Named::Agent(name))?;
        self.0.readers.with(|conn| Ok(query::agents::model_history(conn, &caller.viewer(), name)?))
    }
}
