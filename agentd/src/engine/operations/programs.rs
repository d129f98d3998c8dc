//! Agents that the daemon starts: taken in with a key that it makes, and given other programs.

use agentd_schemas::document::program::{AgentFile, MAX_AGENT_FILE_BYTES, MAX_AGENT_FILES};
use agentd_schemas::document::request::{FileContent, ProgramEnrolment};
use agentd_schemas::document::{AgentDocument, Runtime};
use agentd_schemas::key::possession::{Possession, PossessionKind};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::AgentView;
use sha2::{Digest as _, Sha256};

use crate::domain::Command;
use crate::domain::agent::check_document;
use crate::domain::command::NewAgent;
use crate::domain::runtime::check_runtime;
use crate::engine::Engine;
use crate::engine::operations::custody::{custody_of, unmade};
use crate::engine::supervise::Supervisor;
use crate::identity::trust_domain;
use crate::policy::{Action, Caller, Resource};

impl Engine {
    pub(super) fn supervisor(&self) -> Result<&Supervisor, Problem> {
        self.0.supervisor.as_deref().ok_or_else(|| {
            Problem::new(Code::WrongState, "this agentd starts no agents")
                .hint("agents can come by themselves: agentctl agent serve")
        })
    }

    /// Takes in an agent with a program. The daemon makes its key, proves to itself that it has it, and keeps it.
    pub async fn enrol_program(&self, caller: &Caller, enrolment: ProgramEnrolment) -> Result<AgentView, Problem> {
        let ProgramEnrolment { agent: document, contents, owner_key, nonce, signature, declared } = enrolment;
        let name = document.name.clone();
        let custody = custody_of(&document, owner_key.is_some())?;
        // Before a key is made: who may not enrol, or not under this name, leaves nothing behind.
        let (owner, supervisor) = self.may_start(caller, &document)?;
        let (runtime, files) = runtime(&document, contents)?;
        can_start(supervisor, &runtime)?;
        if let Some(known) = self.known(&name)? {
            return Err(taken(&name, known.owner == caller.uid));
        }
        let authority = match owner_key {
            Some(key) => {
                let (nonce, signature) = (nonce.unwrap_or_default(), signature.unwrap_or_default());
                Some(self.authority(caller, &name, &key, nonce, signature)?)
            }
            None => None,
        };
        let key = supervisor.keys().make(&name).map_err(|error| unmade(&error))?;
        let nonce = data_encoding::HEXLOWER.encode(&crate::sys::random::bytes::<16>().map_err(Problem::internal)?);
        let trust_domain = &self.host().trust_domain;
        let public_key = key.public_key();
        let possession = Possession {
            kind: PossessionKind::Enroll,
            trust_domain,
            name: name.as_str(),
            nonce: &nonce,
            public_key: &public_key,
        };
        let signature = possession.sign(&key).map_err(Problem::internal)?.to_string();
        let random = crate::sys::random::bytes().map_err(Problem::internal)?;
        let agent = NewAgent {
            agent_id: trust_domain::agent_id(trust_domain, name.as_str(), self.0.clock.wall_ms(), random),
            owner,
            public_key: public_key.to_string(),
            custody,
            nonce,
            signature,
            authority,
            runtime: Some(runtime),
            files,
            document,
            declared,
        };
        self.execute(caller, Command::EnrolAgent { agent: Box::new(agent) }, None).await?;
        self.agent(caller, name.as_str())
    }

    /// Who is to own an agent that this caller may enrol, and what is to start it.
    fn may_start(&self, caller: &Caller, document: &AgentDocument) -> Result<(u32, &Supervisor), Problem> {
        let name = &document.name;
        let owner = self.owner(caller, document.owner.as_ref())?;
        if document.public_key.is_some() {
            return Err(Problem::new(Code::InvalidDocument, format!("agent {name} has a command and a public key"))
                .hint("agentd makes the key of what it starts: leave public_key out"));
        }
        let action = if document.shared { Action::AgentEnrolShared } else { Action::AgentEnrol };
        self.permit(caller, action, &Resource::owned(format!("agent {name}"), owner))?;
        Ok((owner, self.supervisor()?))
    }

    /// Whether an agent with a program would be taken in, its name apart. Nothing is written.
    pub fn check_program(&self, caller: &Caller, enrolment: ProgramEnrolment) -> Result<(), Problem> {
        let ProgramEnrolment { agent: document, contents, owner_key, .. } = enrolment;
        custody_of(&document, owner_key.is_some())?;
        let (_, supervisor) = self.may_start(caller, &document)?;
        check_document(&document)?;
        let (runtime, _) = runtime(&document, contents)?;
        can_start(supervisor, &runtime)
    }

    /// Gives an agent another program, for runs from now on.
    pub async fn set_program(
        &self,
        caller: &Caller,
        enrolment: ProgramEnrolment,
        reason: &str,
    ) -> Result<AgentView, Problem> {
        let name = enrolment.agent.name.clone();
        let (runtime, files) = runtime(&enrolment.agent, enrolment.contents)?;
        can_start(self.supervisor()?, &runtime)?;
        let reason = reason.to_owned();
        let command = Command::BindProgram { agent: name.clone(), runtime: Box::new(runtime), files, reason };
        self.execute(caller, command, None).await?;
        self.agent(caller, name.as_str())
    }
}

/// The name of another agent. Who does not own that one cannot give it a program, and is told of no such way.
fn taken(name: &Slug, is_own: bool) -> Problem {
    let program = format!(", or give it another program: agentctl agent program {name} --file …");
    Problem::new(Code::NameTaken, format!("the agent name {name} is taken: names are never reused"))
        .hint(format!("choose another name{}", if is_own { program.as_str() } else { "" }))
}

/// Whether this host has what a program asks of it, and gives it to runs. What is missing later makes works wait.
fn can_start(supervisor: &Supervisor, runtime: &Runtime) -> Result<(), Problem> {
    supervisor.runs.host.check(runtime).map_err(|refused| {
        Problem::new(Code::InvalidDocument, refused.to_string()).hint(
            "profiles and what runs never see stand in the configuration: agentd --help names the file, section runs",
        )
    })
}

/// What agentd starts, from a document and the files that came with it.
fn runtime(document: &AgentDocument, contents: Vec<FileContent>) -> Result<(Runtime, Vec<Vec<u8>>), Problem> {
    let invalid = |message: String| Problem::new(Code::InvalidDocument, message);
    if document.command.is_empty() {
        return Err(invalid(format!("agent {} has no command", document.name))
            .hint("an agent that comes by itself proves its own key: agentctl agent enroll does that"));
    }
    if contents.len() > MAX_AGENT_FILES {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("{} files, at most {MAX_AGENT_FILES} are allowed", contents.len()),
        )
        .hint("put what is larger where runs may read it: sandbox.read_only_paths"));
    }
    let (mut listed, mut files) = (Vec::with_capacity(contents.len()), Vec::with_capacity(contents.len()));
    for FileContent { name, executable, base64 } in contents {
        let bytes = data_encoding::BASE64.decode(base64.as_bytes());
        let bytes = bytes.map_err(|error| invalid(format!("file {name:?} is not base64: {error}")))?;
        if bytes.len() > MAX_AGENT_FILE_BYTES {
            let message =
                format!("file {name:?} has {} bytes, at most {MAX_AGENT_FILE_BYTES} are allowed", bytes.len());
            return Err(Problem::new(Code::TooLarge, message)
                .hint("put what is larger where runs may read it: sandbox.read_only_paths"));
        }
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        listed.push(AgentFile { name, sha256, executable });
        files.push(bytes);
    }
    let runtime = Runtime {
        command: document.command.clone(),
        program: document.program.clone(),
        sandbox: document.sandbox.clone(),
        resources: document.resources,
        files: listed,
    };
    check_runtime(&runtime)?;
    Ok((runtime, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_to_choose_another_name_and_the_owner_of_the_agent_program_too() {
        let hint = |is_own| taken(&"fixer".parse().unwrap(), is_own).hint.unwrap();
        assert_eq!(hint(false), "choose another name");
        assert!(hint(true).ends_with("agentctl agent program fixer --file …"));
    }
}
