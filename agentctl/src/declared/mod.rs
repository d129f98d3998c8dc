//! A declared host: the files below a folder such as `/etc/agentd` that say which agents, schedules and budgets there
//! are, read and checked before anything is done.
//!
//! Invariant: a file that anybody may write declares nothing, and neither does one in a folder that anybody may write.

mod accounts;
mod compare;
mod fields;
mod owed;
mod perform;
mod plan;

pub(crate) use owed::prove;
pub(crate) use perform::apply;
pub(crate) use plan::{Change, Kind, What, plan};

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use agentd_schemas::document::request::{AccountLimit, FileContent, Period};
use agentd_schemas::document::{AgentDocument, BudgetDocument, ScheduleDocument};
use agentd_schemas::event::Custody;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::unit::owner::Owner;
use serde::de::DeserializeOwned;

use crate::command::agent::{enroll, program};
use crate::command::schedule::add;
use crate::content::secrets::{self, Name};
use crate::error::Failure;
use crate::output::shell_word;
use crate::{input, owner};

/// Where a host is declared.
pub(crate) const FOLDER: &str = "/etc/agentd";
/// Files in one of the folders, at most.
pub(crate) const MAX_FILES: usize = 10_000;
/// Bytes of a file that declares limits, at most.
const MAX_BUDGET_BYTES: usize = 64 << 10;

/// What the files declare. The name of each is that below the folder: `agents.d/fixer.toml`.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) agents: Vec<File<AgentDocument>>,
    pub(crate) schedules: Vec<File<ScheduleDocument>>,
    pub(crate) budgets: Vec<File<AccountLimit>>,
}

/// One file and its document.
#[derive(Debug)]
pub(crate) struct File<T> {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) document: T,
}

/// Reads and checks every file below a folder. Owners are uids afterwards: who is not named is `own`.
pub(crate) fn read(folder: &Path, own: u32) -> Result<Declared, Failure> {
    let metadata = std::fs::metadata(folder).map_err(|error| {
        Failure::unfit(format!("cannot read {}: {}", folder.display(), crate::error::said(&error)))
            .hint("--dir names the folder that has agents.d, schedules.d and budgets.d in it")
    })?;
    closed(folder, &metadata)?;
    let mut declared = Declared {
        agents: documents(folder, "agents.d", enroll::MAX_DOCUMENT_BYTES)?,
        schedules: documents(folder, "schedules.d", add::MAX_DOCUMENT_BYTES)?,
        budgets: Vec::new(),
    };
    for file in &mut declared.agents {
        agent(file, own).map_err(|failure| failure.unfit_about(&file.name))?;
    }
    for file in &mut declared.schedules {
        let schedule = &mut file.document;
        let uid = schedule.owner.as_ref().map_or(Ok(own), owner::uid);
        schedule.owner = Some(Owner::Uid(uid.map_err(|failure| failure.unfit_about(&file.name))?));
    }
    for File { name, path, document } in documents::<BudgetDocument>(folder, "budgets.d", MAX_BUDGET_BYTES)? {
        let document = budget(document, &name).map_err(|failure| failure.unfit_about(&name))?;
        declared.budgets.push(File { name, path, document });
    }
    once(&declared)?;
    Ok(declared)
}

/// The documents in one of the folders, by name. Files that an agent needs may lie beside them.
fn documents<T: DeserializeOwned>(folder: &Path, part: &str, limit: usize) -> Result<Vec<File<T>>, Failure> {
    let mut found = Vec::new();
    for name in names(folder, part)? {
        if Path::new(&name).extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        if found.len() == MAX_FILES {
            return Err(Failure::unfit(format!("{part} has more than {MAX_FILES} files")));
        }
        let (path, name) = (folder.join(part).join(&name), format!("{part}/{name}"));
        let bytes = bytes(&path, limit)?;
        let document = input::parsed(&path.display().to_string(), bytes, 1)?.pop();
        let document = document.ok_or_else(|| Failure::unfit(format!("{name} holds no document")))?;
        found.push(File { name, path, document });
    }
    Ok(found)
}

/// The names in one of the folders, sorted, hidden ones left out; none where there is no such folder.
fn names(folder: &Path, part: &str) -> Result<Vec<String>, Failure> {
    let path = folder.join(part);
    let failed = |error: std::io::Error| {
        Failure::unfit(format!("cannot read {}: {}", path.display(), crate::error::said(&error)))
    };
    match std::fs::metadata(&path) {
        Ok(metadata) => closed(&path, &metadata)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.into_string().map_err(|name| {
            Failure::unfit(format!("{} has a file whose name is not UTF-8: {}", path.display(), name.to_string_lossy()))
        })?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The bytes of a file that only some may write, as it was when that was looked at.
fn bytes(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::unfit(format!("cannot read {}: {}", path.display(), crate::error::said(&error)))
    };
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = std::fs::File::from(file);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::unfit(format!("{} is no file", path.display())));
    }
    closed(path, &metadata)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limit {
        return Err(Failure::unfit(format!("{} is larger than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

/// Refuses what everybody may write.
fn closed(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    if metadata.mode() & 0o002 == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err(Failure::unfit(format!("everybody may write {shown} (mode {:o})", metadata.mode() & 0o7777))
        .hint(format!("chmod o-w {}", shell_word(&shown.to_string()))))
}

fn agent(file: &mut File<AgentDocument>, own: u32) -> Result<(), Failure> {
    let agent = &mut file.document;
    agent.owner = Some(Owner::Uid(agent.owner.as_ref().map_or(Ok(own), owner::uid)?));
    if agent.custody == Some(Custody::Owner) {
        return Err(Failure::unfit("an agent in its owner's custody needs a proof by the owner's key")
            .hint(format!("agentctl agent enroll --file {} --owner-key KEY.pub, as its owner", file.path.display())));
    }
    if let Some(key) = &agent.public_key {
        let key: PublicKey = key.parse().map_err(|error| Failure::unfit(format!("public_key: {error}")))?;
        agent.public_key = Some(key.to_string());
    }
    if agent.command.is_empty() {
        return Ok(());
    }
    if agent.public_key.is_some() {
        return Err(Failure::unfit("an agent with a command has no public_key").hint("agentd makes its key"));
    }
    program::write_out_home(agent)?;
    let beside = file.path.parent().unwrap_or(Path::new("."));
    for content in program::contents(agent, beside)? {
        if let Some(what) = secret(&content) {
            return Err(Failure::unfit(format!("{} looks like a secret ({what})", content.name))
                .hint("every run of the agent could read it: give it to the service that the agent speaks to"));
        }
        let path = beside.join(&content.name);
        let metadata = std::fs::metadata(&path).map_err(|error| Failure::file(&path, "read", &error))?;
        closed(&path, &metadata)?;
    }
    Ok(())
}

/// What kind of secret a file looks like, by its name, and by its content where the name leaves it open.
fn secret(content: &FileContent) -> Option<&'static str> {
    match secrets::name(&content.name) {
        Name::Secret(what) => Some(what),
        Name::Perhaps(what, words) => {
            let bytes = data_encoding::BASE64.decode(content.base64.as_bytes()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            words.iter().any(|word| text.contains(word)).then_some(what)
        }
        Name::Plain => None,
    }
}

fn budget(document: BudgetDocument, file: &str) -> Result<AccountLimit, Failure> {
    let BudgetDocument { mut account, per: period, max_cost, max_tokens } = document;
    if max_cost.is_none() && max_tokens.is_none() {
        return Err(Failure::unfit("no limit is given").hint("max_cost = \"30 USD\", or max_tokens = 50_000_000"));
    }
    if let Some(name) = account.strip_prefix("owner:") {
        let named = Owner::parse(name).map_err(Failure::unfit)?;
        account = format!("owner:{}", owner::uid(&named)?);
    } else if account != "host"
        && account.strip_prefix("agent:").is_none_or(|name| name.parse::<agentd_schemas::unit::name::Slug>().is_err())
    {
        return Err(Failure::unfit(format!("{account:?} is not an account"))
            .hint("accounts are host, owner:UID, owner:USER and agent:NAME"));
    }
    let declared = Some(file.to_owned());
    Ok(AccountLimit { account, period, max_cost, max_tokens, no_max_cost: false, no_max_tokens: false, declared })
}

/// Nothing is declared twice: the last file would win, and each apply would find a difference.
fn once(declared: &Declared) -> Result<(), Failure> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut twice = |what: String, file| match seen.insert(what.clone(), file) {
        Some(other) => {
            Err(Failure::unfit(format!("{other} and {file} both declare {what}")).hint("remove one of them"))
        }
        None => Ok(()),
    };
    for file in &declared.agents {
        let agent = &file.document;
        twice(format!("agent {}", agent.name), &file.name)?;
        let (cost, tokens) = (agent.limits.max_cost_per_day.is_some(), agent.limits.max_tokens_per_day.is_some());
        limits(&format!("agent:{}", agent.name), Period::Day, cost, tokens, &file.name, &mut twice)?;
    }
    for file in &declared.schedules {
        let owner = file.document.owner.as_ref().map(ToString::to_string).unwrap_or_default();
        twice(format!("schedule {} of uid {owner}", file.document.name), &file.name)?;
    }
    for file in &declared.budgets {
        let limit = &file.document;
        let (cost, tokens) = (limit.max_cost.is_some(), limit.max_tokens.is_some());
        limits(&limit.account, limit.period, cost, tokens, &file.name, &mut twice)?;
    }
    Ok(())
}

fn limits<'a>(
    account: &str,
    period: Period,
    cost: bool,
    tokens: bool,
    file: &'a str,
    twice: &mut impl FnMut(String, &'a str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let word = plan::period(period);
    if cost {
        twice(format!("the money of {account} per {word}"), file)?;
    }
    if tokens {
        twice(format!("the tokens of {account} per {word}"), file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
