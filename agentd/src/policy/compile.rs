//! From the text of a file to policies that Cedar can decide with: parsed, each with an id, strictly valid.

use std::sync::{Arc, OnceLock};

use cedar_policy_core::ast::{AnyId, Effect, Policy, PolicyID, PolicySet};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::parser::{Loc, parse_policyset};
use cedar_policy_core::validator::{ValidationMode, Validator, ValidatorSchema};
use miette::Diagnostic;

use super::{Rejected, guard};

/// What policies may speak of.
pub(super) const SCHEMA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/agentd.cedarschema"));
/// What is allowed where nobody wrote a policy.
pub(super) const DEFAULT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/default.cedar"));
/// Their example requests.
pub(super) const DEFAULT_REQUESTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/default.requests.toml"));

/// Bytes of a policy's id, at most.
pub(super) const MAX_POLICY_ID_BYTES: usize = 64;

/// One policy of a file.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its id, which no other policy has.
    pub id: Arc<str>,
    /// What it says to people.
    pub says: Option<Arc<str>>,
    /// Whether it forbids.
    pub forbids: bool,
    /// The file that it is in.
    pub file: Arc<str>,
    /// The line on which it begins.
    pub line: u32,
}

/// The validator of the schema. That it can be made is held by a test.
pub(super) fn validator() -> &'static Validator {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| {
        let read = ValidatorSchema::from_cedarschema_str(SCHEMA, Extensions::all_available());
        Validator::new(read.map_or_else(|_| ValidatorSchema::empty(), |(schema, _)| schema))
    })
}

/// The policies of one file, in its order.
pub(super) fn compile(file: &str, bytes: &[u8]) -> Result<Vec<(Known, Policy)>, Rejected> {
    let text = guard::look_through(file, bytes)?;
    let parsed = parse_policyset(text).map_err(|errors| {
        let first = errors.iter().next();
        refused(file, text, &errors.to_string(), first.map(|error| error as &dyn Diagnostic))
    })?;
    if let Some(template) = parsed.templates().next() {
        let at = template.loc().map_or(0, Loc::start);
        return Err(Rejected::of(file, "has a template (?principal or ?resource), and agentd links none").at(text, at));
    }
    let named = file.into();
    let mut policies = parsed
        .static_policies()
        .map(|policy| known(&named, text, policy).map(|known| (policy.loc().map_or(0, Loc::start), known, policy)))
        .collect::<Result<Vec<_>, _>>()?;
    policies.sort_by_key(|(at, ..)| *at);
    let mut alone = PolicySet::new();
    let mut found = Vec::with_capacity(policies.len());
    for (at, known, policy) in policies {
        let policy = policy.new_id(PolicyID::from_string(&*known.id));
        alone.add(policy.clone()).map_err(|_| twice(file, &known.id).at(text, at))?;
        found.push((known, policy));
    }
    let outcome = validator().validate(&alone, ValidationMode::Strict);
    if let Some(error) = outcome.validation_errors().next() {
        return Err(refused(file, text, &error.to_string(), Some(error)));
    }
    // What Cedar only warns of never applies, or looks like something else: nobody meant to write it.
    if let Some(warning) = outcome.validation_warnings().next() {
        return Err(refused(file, text, &warning.to_string(), Some(warning)));
    }
    Ok(found)
}

/// Another policy has this id.
pub(super) fn twice(file: &str, id: &str) -> Rejected {
    Rejected::of(file, format!("the id {id:?} is another policy's")).hint("give it an id of its own")
}

fn refused(file: &str, text: &str, words: &str, found: Option<&dyn Diagnostic>) -> Rejected {
    let label = found.and_then(Diagnostic::labels).and_then(|mut labels| labels.next());
    let rejected = Rejected::of(file, words);
    let rejected = match label {
        Some(label) => rejected.at(text, label.offset()),
        None => rejected,
    };
    match found.and_then(Diagnostic::help) {
        Some(help) => rejected.hint(help.to_string()),
        None => rejected.hint("what a policy may speak of: docs/policy.md"),
    }
}

fn known(file: &Arc<str>, text: &str, policy: &Policy) -> Result<Known, Rejected> {
    let at = policy.loc().map_or(0, Loc::start);
    let refused = |reason: String| Rejected::of(&**file, reason).at(text, at);
    let (mut id, mut says) = (None, None);
    for (name, annotation) in policy.annotations() {
        let value: &str = annotation.val.as_ref();
        match AnyId::as_ref(name) {
            "id" => id = Some(value),
            "says" => says = Some(Arc::from(value)),
            "decision" => {
                return Err(refused(format!("@decision({value:?}): this agentd allows and forbids, and asks nobody"))
                    .hint("write permit or forbid without @decision"));
            }
            other => {
                return Err(refused(format!("@{other} is no annotation that agentd knows"))
                    .hint("there are @id and @says; write the rest as a comment"));
            }
        }
    }
    let Some(id) = id else {
        return Err(refused("a policy has no id".to_owned())
            .hint("write @id(\"team.what_it_says\") before it: it stands in every event that it decides"));
    };
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-');
    if id.is_empty() || id.len() > MAX_POLICY_ID_BYTES || !id.bytes().all(fits) {
        let hint = format!("an id has 1 to {MAX_POLICY_ID_BYTES} of: a-z 0-9 . _ -");
        return Err(refused(format!("{id:?} is no id of a policy")).hint(hint));
    }
    let before = text.get(..at).unwrap_or_default().matches('\n').count();
    Ok(Known {
        id: id.into(),
        says,
        forbids: policy.effect() == Effect::Forbid,
        file: file.clone(),
        line: u32::try_from(before + 1).unwrap_or(u32::MAX),
    })
}
