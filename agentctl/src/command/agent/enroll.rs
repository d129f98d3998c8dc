//! `agentctl agent enroll`

use std::path::{Path, PathBuf};

use agentd_schemas::document::agent::{AgentLimits, NO_COMMAND};
use agentd_schemas::document::program::{Program, Resources, Sandbox};
use agentd_schemas::document::request::Enrolment;
use agentd_schemas::document::{AgentDocument, ModelBinding};
use agentd_schemas::event::Custody;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::PossessionKind;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::money::Usd;
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::view::AgentView;

use super::{program, show};
use crate::command::model;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::Output;
use crate::presence::govern;
use crate::{agent_key, input, owner, owner_key};

/// Bytes of an `agent.toml`, at most.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 << 10;

/// Enrol an agent: make its key, prove that it is held, and register it
///
/// With a command, agentd starts the agent itself: the program and the files beside the document go with it, and agentd
/// makes its key and holds it. Without one the agent comes by itself. Its key is made here and stays here:
/// ~/.config/agentd/agents/NAME/id_ed25519, in the format of OpenSSH. For a key that is kept elsewhere, give its public
/// half: the first call prints what is to be signed, the second hands in the signature.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl agent enroll fixer --skill rust --skill git --model main/vendor-large\n  \
    agentctl agent enroll --file fixer.toml\n  \
    agentctl agent enroll fixer --skill python -- ./fixer.py '{{ task_file }}'\n  \
    agentctl agent enroll --file fixer.toml --owner-key ~/.ssh/id_ed25519.pub\n  \
    agentctl agent enroll fixer --public-key fixer.pub > to-sign\n  \
    agentctl agent enroll fixer --public-key fixer.pub --nonce NONCE --signature to-sign.sig"
)]
pub(crate) struct Args {
    /// Its name: a-z 0-9 . _ -, at most 64, never reused
    #[arg(required_unless_present = "file")]
    name: Option<Slug>,
    /// Read the agent from this file (TOML or JSON), - for stdin
    #[arg(long, short, value_name = "FILE", conflicts_with_all =
        ["name", "description", "skills", "model", "max_concurrency", "max_cost_per_day", "max_tokens_per_day", "shared"])]
    file: Option<String>,
    /// One line for lists
    #[arg(long)]
    description: Option<String>,
    /// What it can do; may be given several times
    #[arg(long = "skill", value_name = "SKILL")]
    skills: Vec<Skill>,
    /// The model it thinks with
    #[arg(long, value_name = "PROVIDER/NAME", value_parser = model::binding)]
    model: Option<ModelBinding>,
    /// Works at a time, once out of probation
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = crate::command::whole(1..=u32::MAX))]
    max_concurrency: Option<u32>,
    /// Money per day, as in 10usd
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = crate::command::money)]
    max_cost_per_day: Option<Usd>,
    /// Tokens per day
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = crate::command::whole(0..=u64::MAX))]
    max_tokens_per_day: Option<u64>,
    /// Takes works of every owner, not only of its own; for operators
    #[arg(long)]
    shared: bool,
    /// Use this private key instead of making one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_dir", "public_key"])]
    key: Option<PathBuf>,
    /// Make the key in this directory
    #[arg(long, value_name = "DIR", conflicts_with = "public_key")]
    key_dir: Option<PathBuf>,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Put a program in the owner's custody: the owner's public key, whose certificates let agentd sign for the agent
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "key_dir", "public_key"])]
    owner_key: Option<String>,
    /// The program that agentd starts for each work, and its arguments: ./FILE is handed in with it, {{ task_file }} and
    /// others are filled in
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["file", "key", "key_dir", "public_key"])]
    command: Vec<String>,
}

/// A key that is kept where agentctl cannot use it.
#[derive(Debug, clap::Args)]
pub(super) struct Elsewhere {
    /// The public half of a key that is kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub(super) public_key: Option<String>,
    /// The nonce in the text that was signed
    #[arg(long, requires_all = ["public_key", "signature"])]
    pub(super) nonce: Option<String>,
    /// The signature: a file with base64 of 64 bytes, or from ssh-keygen -Y sign
    #[arg(long, value_name = "FILE", requires_all = ["public_key", "nonce"])]
    pub(super) signature: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(mut self, context: &Context) -> Result<(), Failure> {
        let agent = self.agent()?;
        if !agent.command.is_empty() {
            return self.program(context, agent).await;
        }
        if let Some(field) = agent.lacks_command() {
            let message = format!("agent {} has no command, and {field} says something of a program", agent.name);
            return Err(Failure::unfit(message).hint(NO_COMMAND));
        }
        if self.owner_key.is_some() || agent.custody == Some(Custody::Owner) {
            return Err(Failure::usage(format!(
                "agent {} has no command, and is to be in its owner's custody",
                agent.name
            ))
            .hint("an agent that comes by itself holds its own key: leave out --owner-key and custody"));
        }
        if let Some(file) = &self.elsewhere.public_key {
            let key = agent_key::load_public(file)?;
            return match self.elsewhere.proof()? {
                Some((nonce, signature)) => {
                    let view = hand_in(context, agent, &key, nonce, signature, None).await?;
                    show_enrolled(context, &view, None)
                }
                None => ask_to_sign(context, PossessionKind::Enroll, &agent.name, &key, file).await,
            };
        }
        let (path, made) = match &self.key {
            Some(path) => (path.clone(), false),
            None => (agent_key::path(&agent.name, self.key_dir.as_deref())?, true),
        };
        let view = with_key(context, agent, &path, made, None).await?;
        show_enrolled(context, &view, Some(&path))
    }

    /// An agent that agentd starts: its files are read here, its key is made there.
    async fn program(&self, context: &Context, agent: AgentDocument) -> Result<(), Failure> {
        if self.key.is_some() || self.key_dir.is_some() || self.elsewhere.public_key.is_some() {
            return Err(Failure::usage("an agent that agentd starts has a key that agentd makes and holds")
                .hint("leave out the key, or the command"));
        }
        if agent.custody == Some(Custody::Owner) && self.owner_key.is_none() {
            let file = self.file.as_deref().map_or("agent.toml".to_owned(), crate::output::shell_word);
            let message =
                format!("agent {} is to be in its owner's custody, and no key of the owner is given", agent.name);
            return Err(Failure::unfit(message)
                .hint(format!("agentctl agent enroll --file {file} --owner-key ~/.ssh/id_ed25519.pub")));
        }
        let (agents, host) = (context.agents().await?, context.host().await?);
        let owner = match &self.owner_key {
            Some(file) => Some(owner_key::prove(&agents, &host, &agent.name, file).await?),
            None => None,
        };
        let missing = program::missing(&agent);
        let enrolment = program::enrolment(agent, self.file.as_deref(), owner, None)?;
        let view: AgentView = read(&govern::<_, String>(agents.inner(), "EnrollProgram", &(&enrolment,)).await?)?;
        context.out.show(&view, &[view.row.name.to_string()], |out| show::words(out, &view))?;
        if let Some(missing) = missing {
            context.out.note(missing);
        }
        if view.authority.is_some() {
            let with = self.owner_key.as_deref().map_or("OWNER_KEY", |file| file.strip_suffix(".pub").unwrap_or(file));
            context.out.hint(format!(
                "it gets no work before its key is certified: agentctl agent certify {} --with {}",
                view.row.name,
                crate::output::shell_word(with)
            ));
        }
        let skills: Vec<String> = view.row.skills.iter().map(|skill| format!(" --skill {skill}")).collect();
        context.out.hint(format!("agentctl submit 'what is to be done'{} --repo . --wait", skills.concat()));
        Ok(())
    }

    fn agent(&mut self) -> Result<AgentDocument, Failure> {
        if let Some(file) = &self.file {
            let mut agent: AgentDocument = input::document(file, MAX_DOCUMENT_BYTES)?;
            agent.owner = agent.owner.as_ref().map(owner::found).transpose()?;
            return Ok(agent);
        }
        let name = self.name.take().ok_or_else(|| Failure::usage("an agent needs a name"))?;
        let limits = AgentLimits {
            max_concurrency: self.max_concurrency,
            max_cost_per_day: self.max_cost_per_day,
            max_tokens_per_day: self.max_tokens_per_day,
        };
        let (description, skills) = (self.description.take(), std::mem::take(&mut self.skills));
        Ok(AgentDocument {
            name,
            description,
            skills,
            owner: None,
            public_key: None,
            shared: self.shared,
            model: self.model.take(),
            command: std::mem::take(&mut self.command),
            files: Vec::new(),
            custody: None,
            program: Program::default(),
            sandbox: Sandbox::default(),
            resources: Resources::default(),
            limits,
        })
    }
}

impl Elsewhere {
    /// Nonce and signature, when they were made.
    pub(super) fn proof(&self) -> Result<Option<(String, String)>, Failure> {
        match (&self.nonce, &self.signature) {
            (Some(nonce), Some(file)) => {
                let signature = input::text(file, 4096)?;
                Ok(Some((nonce.clone(), signature.trim().to_owned())))
            }
            _ => Ok(None),
        }
    }
}

/// Takes in an agent that comes by itself, with the key at `path`, which is made there where it is to be.
pub(crate) async fn with_key(
    context: &Context,
    agent: AgentDocument,
    path: &Path,
    made: bool,
    declared: Option<String>,
) -> Result<AgentView, Failure> {
    // The daemon first: without one no key is made.
    let (agents, host) = (context.agents().await?, context.host().await?);
    // And the name: nothing is to be done with a key for one that is taken.
    if agents.show(agent.name.as_str()).await.is_ok() {
        let taken = format!("the agent name {} is taken: names are never reused", agent.name);
        return Err(Problem::new(Code::NameTaken, taken).hint("choose another name").into());
    }
    let key = if made { agent_key::generate()? } else { agent_key::load(path)? };
    if made {
        agent_key::save(&key, &agent.name, path)?;
    }
    let public = key.public_key();
    let enrolled = async {
        let challenge = agent_key::challenge(&agents, &host, PossessionKind::Enroll, &agent.name, &public).await?;
        let signature = agent_key::sign(&key, &challenge.message);
        hand_in(context, agent, &public, challenge.nonce, signature, declared).await
    };
    enrolled.await.inspect_err(|failure| match failure.is_broken() {
        true => {
            context.out.note(format!("whether it is enrolled is not known; the key stays in {}", path.display()));
        }
        false if made => agent_key::discard(path),
        false => {}
    })
}

async fn hand_in(
    context: &Context,
    agent: AgentDocument,
    key: &PublicKey,
    nonce: String,
    signature: String,
    declared: Option<String>,
) -> Result<AgentView, Failure> {
    let enrolment = Enrolment { agent, public_key: key.to_string(), nonce, signature, declared };
    let agents = context.agents().await?;
    read(&govern::<_, String>(agents.inner(), "Enroll", &(document(&enrolment)?,)).await?)
}

fn show_enrolled(context: &Context, view: &AgentView, path: Option<&Path>) -> Result<(), Failure> {
    context.out.show(view, &[view.row.name.to_string()], |out| show::words(out, view))?;
    if let Some(path) = path {
        context.out.note(format!("its key is in {}", path.display()));
    }
    context.out.hint(format!("agentctl agent serve {} -- COMMAND", view.row.name));
    Ok(())
}

/// Prints the text that the holder of a key has to sign, and how.
pub(super) async fn ask_to_sign(
    context: &Context,
    kind: PossessionKind,
    name: &Slug,
    key: &PublicKey,
    file: &str,
) -> Result<(), Failure> {
    let (agents, host) = (context.agents().await?, context.host().await?);
    let challenge = agent_key::challenge(&agents, &host, kind, name, key).await?;
    let message = String::from_utf8_lossy(&challenge.message).into_owned();
    let view = serde_json::json!({ "message": message, "nonce": challenge.nonce, "namespace": kind.namespace() });
    context.out.show(&view, std::slice::from_ref(&challenge.nonce), |out: &Output| out.raw(&challenge.message))?;
    context.out.note("sign exactly this text within five minutes, with the key itself or as an SSH signature");
    context.out.hint(format!("ssh-keygen -Y sign -f KEY -n {} to-sign", kind.namespace()));
    let verb = if kind == PossessionKind::Enroll { "enroll" } else { "rotate-key" };
    let file = crate::output::shell_word(file);
    context.out.hint(format!(
        "agentctl agent {verb} {name} --public-key {file} --nonce {} --signature to-sign.sig …",
        challenge.nonce
    ));
    Ok(())
}
