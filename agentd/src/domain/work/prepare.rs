//! From a document to a work that can be decided on: defaults, bounds, references. Pure and without facts, so a
//! client's dry run and the real submit say the same.

use agentd_schemas::content::WorkContent;
use agentd_schemas::document::acceptance::MAX_JUDGE_MS;
use agentd_schemas::document::work::{
    MAX_ATTEMPTS, MAX_CRITERIA, MAX_DEPENDENCIES, MAX_INPUTS_BYTES, MAX_INSTRUCTIONS_BYTES, MAX_LABELS, MAX_PRIORITY,
    MAX_SCHEMA_BYTES, MAX_SKILLS, MAX_TITLE_BYTES, WorkDocument,
};
use agentd_schemas::document::workspace::{ContentKind, MAX_SETUP_BYTES};
use agentd_schemas::document::{Acceptance, WorkspaceDocument};
use agentd_schemas::event::{Criterion, WorkState, WorkSubmitted, WorkspaceBase};
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::name::Slug;
use sha2::{Digest as _, Sha256};

use super::judge;
use crate::domain::account::check_amount;
use crate::domain::{Defaults, Rejection};

/// A work that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// In the ledger.
    Work(WorkId),
    /// In the same bulk submit, by its place.
    Item(usize),
}

/// A checked work, not yet decided on. `spec` lacks what only facts and time can give: state, resolved references,
/// times computed from the submit.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWork {
    /// What will stand in the event.
    pub spec: WorkSubmitted,
    /// What will stand in blob 0: a `WorkContent` as JSON.
    pub content: Vec<u8>,
    /// Dependencies.
    pub depends_on: Vec<Reference>,
    /// The work that it is a part of.
    pub parent: Option<Reference>,
    /// Service level.
    pub start_within_ms: Option<u64>,
    /// Service level.
    pub finish_within_ms: Option<u64>,
}

/// Checks a list of documents. `resolve` turns the text of an id (or its prefix) into a work of the ledger.
pub fn prepare(
    documents: Vec<WorkDocument>,
    defaults: &Defaults,
    resolve: &mut dyn FnMut(&str) -> Result<WorkId, Rejection>,
) -> Result<Vec<NewWork>, Rejection> {
    let many = documents.len() > 1;
    let names: Vec<Option<Slug>> = documents.iter().map(|document| document.reference.clone()).collect();
    check_names(&names)?;
    let mut works = Vec::with_capacity(documents.len());
    for (place, document) in documents.into_iter().enumerate() {
        let work = one(document, defaults, &mut |text| reference(text, &names, resolve));
        works.push(work.map_err(|problem| if many { at(problem, place) } else { problem })?);
    }
    Ok(works)
}

/// Says which of many works a problem is about.
pub fn at(mut problem: Problem, place: usize) -> Problem {
    problem.message = format!("work {} of the list: {}", place + 1, problem.message);
    problem.detail("item", place)
}

fn check_names(names: &[Option<Slug>]) -> Result<(), Rejection> {
    let mut seen = std::collections::HashSet::new();
    for name in names.iter().flatten() {
        if !seen.insert(name) {
            return Err(invalid(format!("ref {name:?} is given to two works of the list", name = name.as_str()))
                .hint("give each work of one submit its own ref"));
        }
    }
    Ok(())
}

fn reference(
    text: &str,
    names: &[Option<Slug>],
    resolve: &mut dyn FnMut(&str) -> Result<WorkId, Rejection>,
) -> Result<Reference, Rejection> {
    let Some(name) = text.strip_prefix("ref:") else {
        return resolve(text).map(Reference::Work);
    };
    names
        .iter()
        .position(|candidate| candidate.as_ref().is_some_and(|candidate| candidate.as_str() == name))
        .map(Reference::Item)
        .ok_or_else(|| {
            invalid(format!("no work of this submit has the ref {name:?}"))
                .hint("set ref = \"…\" on the work that is meant, in the same submit")
        })
}

fn invalid(message: String) -> Problem {
    Problem::new(Code::InvalidDocument, message)
}

fn bound(what: &str, is: usize, most: usize) -> Result<(), Rejection> {
    if is <= most {
        return Ok(());
    }
    let hint = match what {
        "title bytes" => "say it in one line; the rest belongs into the instructions",
        _ => "split the work, or put bulk data into a file that the agent can read",
    };
    Err(Problem::new(Code::OutOfBounds, format!("{what}: {is} given, at most {most} allowed")).hint(hint))
}

fn one(
    document: WorkDocument,
    defaults: &Defaults,
    reference: &mut dyn FnMut(&str) -> Result<Reference, Rejection>,
) -> Result<NewWork, Rejection> {
    check_bounds(&document)?;
    let title = title(&document)?;
    let workspace = document.workspace.as_ref().map(workspace).transpose()?;
    let Criteria { acceptance, schemas, checks } = criteria(&document.acceptance)?;
    let mut depends_on = Vec::with_capacity(document.depends_on.len());
    for text in &document.depends_on {
        let found = reference(text)?;
        if !depends_on.contains(&found) {
            depends_on.push(found);
        }
    }
    let parent = document.parent.as_deref().map(&mut *reference).transpose()?;
    let mut required_skills = document.required_skills;
    required_skills.sort();
    required_skills.dedup();
    let content = WorkContent {
        title,
        instructions: document.instructions,
        inputs: document.inputs,
        schemas,
        checks,
        workspace: document.workspace,
    };
    let content = serde_json::to_vec(&content).map_err(Problem::internal)?;
    let limits = document.limits;
    Ok(NewWork {
        spec: WorkSubmitted {
            owner: 0,
            state: WorkState::Ready,
            required_skills,
            agent: document.agent,
            labels: document.labels,
            priority: document.priority,
            depends_on: Vec::new(),
            on_dependency_failure: document.on_dependency_failure,
            parent: None,
            not_before: document.not_before,
            deadline: document.deadline,
            on_deadline: document.on_deadline,
            latest_start: None,
            finish_by: None,
            timeout_ms: limits.timeout.map(Span::as_ms),
            max_attempts: limits.max_attempts.unwrap_or(defaults.max_attempts),
            max_cost_micro_usd: limits.max_cost.map(|cost| cost.0.as_micro()),
            max_tokens: limits.max_tokens,
            acceptance,
            workspace,
            from_schedule: None,
        },
        content,
        depends_on,
        parent,
        start_within_ms: document.slo.start_within.map(Span::as_ms),
        finish_within_ms: document.slo.finish_within.map(Span::as_ms),
    })
}

fn check_bounds(document: &WorkDocument) -> Result<(), Rejection> {
    bound("title bytes", document.title.as_deref().map_or(0, str::len), MAX_TITLE_BYTES)?;
    bound("instructions bytes", document.instructions.as_deref().map_or(0, str::len), MAX_INSTRUCTIONS_BYTES)?;
    bound("required_skills", document.required_skills.len(), MAX_SKILLS)?;
    bound("labels", document.labels.len(), MAX_LABELS)?;
    bound("depends_on", document.depends_on.len(), MAX_DEPENDENCIES)?;
    bound("acceptance", document.acceptance.len(), MAX_CRITERIA)?;
    if let Some(inputs) = &document.inputs {
        bound("inputs bytes", json_size(inputs)?, MAX_INPUTS_BYTES)?;
    }
    if document.priority.unsigned_abs() > MAX_PRIORITY.unsigned_abs() {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("priority {} is outside -{MAX_PRIORITY} to {MAX_PRIORITY}", document.priority),
        )
        .hint("0 is normal, higher goes first"));
    }
    if let Some(attempts) = document.limits.max_attempts
        && (attempts == 0 || attempts > MAX_ATTEMPTS)
    {
        return Err(Problem::new(Code::OutOfBounds, format!("max_attempts {attempts} is outside 1 to {MAX_ATTEMPTS}")));
    }
    check_amount("max_tokens", document.limits.max_tokens)?;
    let (limits, slo) = (&document.limits, &document.slo);
    let spans = [("timeout", limits.timeout), ("start_within", slo.start_within), ("finish_within", slo.finish_within)];
    if let Some((name, _)) = spans.iter().find(|(_, span)| *span == Some(Span::ZERO)) {
        return Err(Problem::new(Code::OutOfBounds, format!("{name} is 0s: no attempt could ever keep it"))
            .hint(format!("give a time as in 1h, or leave {name} out to have none")));
    }
    if let (Some(from), Some(until)) = (document.not_before, document.deadline)
        && from >= until
    {
        return Err(invalid(format!("not_before {from} is not before the deadline {until}"))
            .hint("move one of them: as it stands the work could never start"));
    }
    Ok(())
}

fn json_size(value: &serde_json::Value) -> Result<usize, Rejection> {
    serde_json::to_vec(value).map(|bytes| bytes.len()).map_err(Problem::internal)
}

fn title(document: &WorkDocument) -> Result<String, Rejection> {
    let given = document.title.as_deref().map(str::trim).filter(|title| !title.is_empty());
    let text = given.or(document.instructions.as_deref()).unwrap_or_default();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.ok_or_else(|| {
        invalid("the work says nothing: title and instructions are both empty".to_owned())
            .hint("say what is wanted: agentctl submit \"make the tests pass\"")
    })?;
    if let Some(control) = line.chars().find(|c| c.is_control()) {
        return Err(invalid(format!("the title contains the control character U+{:04X}", u32::from(control)))
            .hint("remove it; instructions may have several lines"));
    }
    let mut title = String::new();
    for c in line.chars() {
        if title.len() + c.len_utf8() > MAX_TITLE_BYTES {
            break;
        }
        title.push(c);
    }
    Ok(title)
}

/// Bounds of a workspace, and how the ledger keeps it. Whether the content is there is for who keeps it to say.
fn workspace(document: &WorkspaceDocument) -> Result<WorkspaceBase, Rejection> {
    bound("bytes of the setup command", document.setup.as_deref().map_or(0, str::len), MAX_SETUP_BYTES)?;
    if document.setup_timeout.is_some_and(|timeout| timeout.as_ms() == 0 || timeout.as_ms() > MAX_JUDGE_MS) {
        return Err(invalid("setup_timeout is from 1ms to 1d".to_owned()));
    }
    let Some(content) = &document.content else {
        if document.repository.is_some() || document.folder.is_some() {
            return Err(invalid(
                "the workspace names a place and has no content: agentd opens no path of others".to_owned(),
            )
            .hint("agentctl submit --repo PATH (or --file work.toml) reads it with your rights and hands it in"));
        }
        return Ok(WorkspaceBase { content: None, sha256: None, base: None });
    };
    let hex = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !hex(&content.sha256, &[64]) {
        return Err(invalid("workspace.content.sha256 is not 64 lowercase hex digits".to_owned()));
    }
    match (content.kind, &content.base) {
        (ContentKind::Git, Some(base)) if hex(base, &[40, 64]) => {}
        (ContentKind::Git, _) => {
            return Err(invalid("workspace.content.base is not the id of a commit: 40 or 64 hex digits".to_owned()));
        }
        (ContentKind::Tar, None) => {}
        (ContentKind::Tar, Some(_)) => return Err(invalid("a tar archive has no base: leave it out".to_owned())),
    }
    Ok(WorkspaceBase { content: Some(content.kind), sha256: Some(content.sha256.clone()), base: content.base.clone() })
}

/// The criteria of a work: as the ledger keeps them, and their content.
#[derive(Default)]
struct Criteria {
    acceptance: Vec<Criterion>,
    schemas: Vec<Option<serde_json::Value>>,
    checks: Vec<Option<Acceptance>>,
}

fn criteria(acceptance: &[Acceptance]) -> Result<Criteria, Rejection> {
    let mut criteria = Criteria::default();
    for (place, one) in acceptance.iter().enumerate() {
        let (mut schema, mut check) = (None, None);
        criteria.acceptance.push(match one {
            Acceptance::JsonSchema(document) => {
                let bytes = serde_json::to_vec(document).map_err(Problem::internal)?;
                bound("bytes of an acceptance schema", bytes.len(), MAX_SCHEMA_BYTES)?;
                judge::check_schema(document, place)?;
                schema = Some(document.clone());
                Criterion::JsonSchema { sha256: digest(&bytes) }
            }
            Acceptance::Person(who) => Criterion::Person(*who),
            other => {
                check = Some(other.clone());
                judge::check_criterion(other, place)?
            }
        });
        criteria.schemas.push(schema);
        criteria.checks.push(check);
    }
    if criteria.schemas.iter().all(Option::is_none) {
        criteria.schemas.clear();
    }
    if criteria.checks.iter().all(Option::is_none) {
        criteria.checks.clear();
    }
    Ok(criteria)
}

fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(json: serde_json::Value) -> Result<NewWork, Problem> {
        let none = &mut |_: &str| Err(Problem::new(Code::NotFound, "none"));
        let works = prepare(vec![serde_json::from_value(json).unwrap()], &Defaults::default(), none);
        works.map(|mut works| works.remove(0))
    }

    #[test]
    fn a_workspace_is_named_by_what_was_handed_in_and_by_no_path() {
        let work = |workspace: serde_json::Value| prepared(serde_json::json!({ "title": "a", "workspace": workspace }));
        let content = |kind: &str, base: Option<&str>| serde_json::json!({ "content": { "kind": kind, "sha256": "ab".repeat(32), "bytes": 7, "base": base } });
        let base = work(content("git", Some(&"c0".repeat(20)))).unwrap().spec.workspace.unwrap();
        assert_eq!((base.content, base.base.unwrap().len()), (Some(ContentKind::Git), 40));
        assert!(work(content("tar", None)).is_ok());
        for (workspace, says) in [
            (serde_json::json!({ "repository": "/srv/a" }), "opens no path"),
            (content("git", None), "base is not the id of a commit"),
            (content("git", Some("HEAD")), "base is not the id of a commit"),
            (content("tar", Some(&"c0".repeat(20))), "has no base"),
            (serde_json::json!({ "setup": "x".repeat(MAX_SETUP_BYTES + 1) }), "setup command"),
        ] {
            let problem = work(workspace).unwrap_err();
            assert!(problem.message.contains(says), "{problem:?}");
        }
    }

    #[test]
    fn a_criterion_is_in_the_ledger_as_its_digest_and_beside_it_as_it_was_written() {
        let judge = serde_json::json!({ "command": "make test", "protected_paths": ["tests/**"] });
        let work = prepared(serde_json::json!({ "title": "a", "acceptance": [{ "person": "owner" }, judge] })).unwrap();
        let content: WorkContent = serde_json::from_slice(&work.content).unwrap();
        assert!(content.checks[0].is_none() && content.schemas.is_empty());
        let sha256 = digest(&serde_json::to_vec(content.checks[1].as_ref().unwrap()).unwrap());
        assert_eq!(work.spec.acceptance[1], Criterion::Command { sha256 });
        assert!(super::super::claim::needs_workspace(&work.spec));
    }

    #[test]
    fn the_order_in_which_fields_were_written_changes_no_digest() {
        let written = r#"{"title":"a","inputs":{"z":1,"a":{"d":2,"c":[{"y":0,"x":0}]}},
            "acceptance":[{"json_schema":{"type":"object","properties":{"b":{"type":"integer"},"a":{"minimum":1}}}}]}"#;
        let work = prepared(serde_json::from_str(written).unwrap()).unwrap();
        let schema = br#"{"properties":{"a":{"minimum":1},"b":{"type":"integer"}},"type":"object"}"#;
        assert_eq!(work.spec.acceptance, [Criterion::JsonSchema { sha256: digest(schema) }]);
        let content = String::from_utf8(work.content).unwrap();
        assert!(content.contains(r#""inputs":{"a":{"c":[{"x":0,"y":0}],"d":2},"z":1}"#), "{content}");
        assert!(content.contains(str::from_utf8(schema).unwrap()), "{content}");
    }

    #[test]
    fn a_criterion_that_could_judge_nothing_or_reach_out_is_refused() {
        for (criterion, says) in [
            (serde_json::json!({ "command": "  " }), "the command has"),
            (serde_json::json!({ "command": "true", "timeout": "2d" }), "timeout"),
            (serde_json::json!({ "command": "true", "protected_paths": ["../x"] }), "not a usable pattern"),
            (serde_json::json!({ "command": "true", "protected_paths": ["["] }), "the [ at character 1 has no ]"),
            (serde_json::json!({ "changes": { "only": ["a", "b[z-a]"] } }), "the range z-a at character 3"),
            (serde_json::json!({ "files": { "present": ["a["] } }), "the [ at character 2 has no ]"),
            (serde_json::json!({ "files": { "absent": ["a\\"] } }), "has nothing behind it"),
            (serde_json::json!({ "command": "true", "protected_paths": ["/etc"] }), "not a usable pattern"),
            (serde_json::json!({ "command": "true", "protected_paths": [":(top)x"] }), "not a usable pattern"),
            (serde_json::json!({ "changes": { "binary": true } }), "judge nothing"),
            (serde_json::json!({ "files": {} }), "names none"),
            (serde_json::json!({ "artefact": { "name": "a", "sha256": "abc" } }), "64 lowercase hex"),
        ] {
            let problem = prepared(serde_json::json!({ "title": "a", "acceptance": [criterion] })).unwrap_err();
            assert!(problem.message.contains("acceptance 1: ") && problem.message.contains(says), "{problem:?}");
        }
    }

    #[test]
    fn a_time_of_nothing_is_refused_by_its_name() {
        for (name, part) in [("timeout", "limits"), ("start_within", "slo"), ("finish_within", "slo")] {
            let document =
                |span: &str| serde_json::from_value(serde_json::json!({"title": "a", part: {name: span}})).unwrap();
            let none = &mut |_: &str| Err(Problem::new(Code::NotFound, "none"));
            let problem = prepare(vec![document("0s")], &Defaults::default(), none).unwrap_err();
            assert_eq!(problem.code, Code::OutOfBounds);
            assert!(problem.message.contains(&format!("{name} is 0s")), "{problem:?}");
            assert!(prepare(vec![document("1ms")], &Defaults::default(), none).is_ok());
        }
    }
}
