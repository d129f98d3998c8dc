//! What is, and what is declared, in one form: a document with every default written out.

use agentd_schemas::document::program::AgentFile;
use agentd_schemas::document::request::FileContent;
use agentd_schemas::document::{AgentDocument, ScheduleDocument, WorkDocument};
use agentd_schemas::event::Custody;
use agentd_schemas::unit::owner::Owner;
use agentd_schemas::view::{AccountView, AgentView, ScheduleView};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fields::{Fields, fields};
use crate::error::Failure;

/// The fields of a declared agent. Files stand in it by their digests.
pub(super) fn declared_agent(document: &AgentDocument, contents: &[FileContent]) -> Result<Fields, Failure> {
    let mut whole = document.clone();
    whole.skills.sort();
    whole.skills.dedup();
    whole.files.clear();
    let custody = if whole.command.is_empty() { Custody::Resident } else { Custody::Host };
    whole.custody.get_or_insert(custody);
    whole.limits.max_concurrency.get_or_insert(1);
    let mut found = fields(&whole)?;
    for content in contents {
        let bytes = data_encoding::BASE64.decode(content.base64.as_bytes()).unwrap_or_default();
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        found.insert(format!("files.{}", content.name), file(&sha256, content.executable));
    }
    Ok(found)
}

fn file(sha256: &str, executable: bool) -> Value {
    json!(format!("{sha256}{}", if executable { ", executable" } else { "" }))
}

/// The fields of an agent as it is. What the declaration says nothing of and what has a command of its own (a key that is
/// kept elsewhere, limits of its account) is left out.
pub(super) fn agent(view: &AgentView, day: Option<&AccountView>, declared: &Fields) -> Result<Fields, Failure> {
    let mut found = fields(&json!({
        "name": view.row.name,
        "description": view.description,
        "skills": view.row.skills,
        "owner": view.row.owner,
        "shared": view.row.shared.then_some(true),
        "model": view.binding,
        "custody": view.custody,
        "limits": {
            "max_concurrency": view.max_concurrency,
            "max_cost_per_day": day.and_then(|day| day.max_cost),
            "max_tokens_per_day": day.and_then(|day| day.max_tokens),
        },
        "public_key": view.public_key,
    }))?;
    if view.row.skills.is_empty() {
        found.remove("skills");
    }
    if let Some(runtime) = &view.runtime {
        let document = AgentDocument {
            name: view.row.name.clone(),
            description: None,
            skills: Vec::new(),
            owner: None,
            public_key: None,
            shared: false,
            model: None,
            command: runtime.command.clone(),
            files: Vec::new(),
            custody: None,
            program: runtime.program.clone(),
            sandbox: runtime.sandbox.clone(),
            resources: runtime.resources,
            limits: agentd_schemas::document::agent::AgentLimits::default(),
        };
        found.extend(fields(&document)?);
        for AgentFile { name, sha256, executable } in &runtime.files {
            found.insert(format!("files.{name}"), file(sha256, *executable));
        }
    }
    for path in ["public_key", "limits.max_cost_per_day", "limits.max_tokens_per_day"] {
        if !declared.contains_key(path) {
            found.remove(path);
        }
    }
    Ok(found)
}

/// The fields of a schedule as it is, and as it is declared. A zone that is not declared is the host's, whatever it is.
pub(super) fn schedule(
    view: &ScheduleView,
    work: Option<WorkDocument>,
    declared: &ScheduleDocument,
) -> Result<(Fields, Fields), Failure> {
    let mut is = fields(&json!({
        "name": view.name,
        "owner": Owner::Uid(view.owner),
        "cron": view.cron,
        "time_zone": view.time_zone,
        "missed": view.missed,
        "overlap": view.overlap,
        "work": work.map(|work| serde_json::to_value(work).unwrap_or_default()),
    }))?;
    if declared.time_zone.is_none() {
        is.remove("time_zone");
    }
    Ok((is, fields(declared)?))
}
