//! Reading the file, whatever its parts say of each other; and trying its examples.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Case, Contradiction, Duties, answer};
use crate::document::governance::{
    Constraint, Example, GovernanceDocument, MAX_CONSTRAINTS, MAX_COUNT, MAX_EXAMPLES, MAX_GOVERNANCE_BYTES,
    MAX_LISTED, MAX_PRINCIPALS, MAX_RULES, MAX_SAYS_BYTES, MAX_STAGES, Principal, PrincipalKind, Rule, Stage,
};
use crate::strict::{DocumentError, Limits, nearest, toml};
use crate::unit::name::Slug;

/// Reads the rules, and refuses what no work could follow.
pub fn read(bytes: &[u8]) -> Result<GovernanceDocument, DocumentError> {
    let limits = Limits { max_bytes: MAX_GOVERNANCE_BYTES, ..Limits::DEFAULT };
    let document: GovernanceDocument = toml::from_slice(bytes, &limits)?;
    // What was read as TOML is UTF-8.
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    fits(&document).map_err(|fault| {
        let path: Vec<&str> = fault.path.split('.').collect();
        toml::refusal(text, &path, fault.message, fault.hint)
    })?;
    Ok(document)
}

/// What is wrong, where, and the way out.
struct Fault {
    /// As `rule.0.stage.1.name`.
    path: String,
    message: String,
    hint: String,
}

type Checked = Result<(), Fault>;

fn fault(path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault { path: path.into(), message: message.into(), hint: hint.into() }
}

fn fits(document: &GovernanceDocument) -> Checked {
    let constraints = document.rules.iter().map(|rule| rule.constraints.len()).sum();
    let stages: BTreeSet<&Slug> =
        document.rules.iter().flat_map(|rule| &rule.stages).map(|stage| &stage.name).collect();
    for (what, found, most) in [
        ("rule", document.rules.len(), MAX_RULES),
        ("different stage", stages.len(), MAX_STAGES),
        ("constraint", constraints, MAX_CONSTRAINTS),
        ("principal", document.principals.len(), MAX_PRINCIPALS),
        ("example", document.examples.len(), MAX_EXAMPLES),
    ] {
        if found > most {
            let message = format!("there are {found} {what}s, at most {most} are allowed");
            return Err(fault(what.rsplit(' ').next().unwrap_or_default(), message, "remove some"));
        }
    }
    once("rule", "id", document.rules.iter().map(|rule| &rule.id))?;
    once("principal", "name", document.principals.iter().map(|principal| &principal.name))?;
    once("example", "name", document.examples.iter().map(|example| &example.name))?;
    document.rules.iter().enumerate().try_for_each(|(index, rule)| rule_fits(index, rule))?;
    document.principals.iter().enumerate().try_for_each(|(index, principal)| principal_fits(index, principal))?;
    document.examples.iter().enumerate().try_for_each(|(index, example)| example_fits(document, index, example))?;
    agree(document)
}

/// Names of a list that must be different.
fn once<'a>(list: &str, field: &str, names: impl Iterator<Item = &'a Slug>) -> Checked {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            let message = format!("there are two {list}s with the {field} {name}");
            return Err(fault(format!("{list}.{index}.{field}"), message, "rename one of them"));
        }
    }
    Ok(())
}

fn short(path: &str, found: usize) -> Checked {
    if found <= MAX_LISTED {
        return Ok(());
    }
    Err(fault(path, format!("the list has {found} names, at most {MAX_LISTED} are allowed"), "shorten it"))
}

fn rule_fits(index: usize, rule: &Rule) -> Checked {
    if rule.says.trim().is_empty() || rule.says.len() > MAX_SAYS_BYTES {
        let message = format!("rule {} says nothing, or more than {MAX_SAYS_BYTES} bytes", rule.id);
        return Err(fault(format!("rule.{index}.says"), message, "say in a sentence what it is for"));
    }
    if rule.stages.is_empty() {
        let message = format!("rule {} has no stage", rule.id);
        return Err(fault(format!("rule.{index}.id"), message, "add [[rule.stage]] with a name"));
    }
    let mut names: Vec<&str> = Vec::new();
    for (at, stage) in rule.stages.iter().enumerate() {
        if names.contains(&stage.name.as_str()) {
            let message = format!("rule {} has two stages {}", rule.id, stage.name);
            return Err(fault(format!("rule.{index}.stage.{at}.name"), message, "put them together"));
        }
        names.push(stage.name.as_str());
    }
    for (at, stage) in rule.stages.iter().enumerate() {
        let path = format!("rule.{index}.stage.{at}");
        stage_fits(stage, &path)?;
        known(rule, &names, &stage.after, &format!("{path}.after"))?;
    }
    for (at, constraint) in rule.constraints.iter().enumerate() {
        constraint_fits(rule, &names, constraint, &format!("rule.{index}.constraint.{at}"))?;
    }
    Ok(())
}

fn stage_fits(stage: &Stage, path: &str) -> Checked {
    if let Some(count) = stage.count.filter(|count| !(1..=MAX_COUNT).contains(count)) {
        let message = format!("stage {} takes {count} principals", stage.name);
        let hint = format!("write 1 to {MAX_COUNT}");
        return Err(fault(format!("{path}.count"), message, hint));
    }
    short(&format!("{path}.needs"), stage.needs.len())?;
    short(&format!("{path}.evidence"), stage.evidence.len())
}

/// Refuses the name of a stage that the rule has not.
fn known(rule: &Rule, names: &[&str], used: &[Slug], path: &str) -> Checked {
    let Some(unknown) = used.iter().find(|name| !names.contains(&name.as_str())) else { return Ok(()) };
    let hint = match nearest(names, unknown.as_str()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("its stages are {}; a rule names each stage that it speaks of", names.join(", ")),
    };
    Err(fault(path, format!("rule {} has no stage {unknown}", rule.id), hint))
}

fn constraint_fits(rule: &Rule, names: &[&str], constraint: &Constraint, path: &str) -> Checked {
    let Constraint { separate, owners, same, not_owner_of_work, only } = constraint;
    let kinds = [separate.is_some(), same.is_some(), not_owner_of_work.is_some(), only.is_some()];
    if kinds.iter().filter(|is| **is).count() != 1 {
        let message = format!(
            "a constraint of rule {} has none or several of separate, same, not_owner_of_work and only",
            rule.id
        );
        return Err(fault(path, message, "write one [[rule.constraint]] for each"));
    }
    if *owners && separate.is_none() {
        let message = format!("owners of a constraint of rule {} means something with separate alone", rule.id);
        return Err(fault(path, message, "remove owners"));
    }
    for list in separate.iter().chain(same) {
        let different: BTreeSet<&Slug> = list.iter().collect();
        if different.len() < 2 || different.len() < list.len() {
            let message = format!("a constraint of rule {} does not name two different stages", rule.id);
            return Err(fault(path, message, "name two or more, each once; count = 2 gives one stage two principals"));
        }
        known(rule, names, list, path)?;
    }
    let single = not_owner_of_work.iter().chain(only.iter().map(|only| &only.stage));
    single.map(std::slice::from_ref).try_for_each(|stage| known(rule, names, stage, path))
}

fn principal_fits(index: usize, principal: &Principal) -> Checked {
    let name = &principal.name;
    let refused = |field, message: String, hint: &str| Err(fault(format!("principal.{index}.{field}"), message, hint));
    match principal.kind {
        PrincipalKind::Agent if principal.owner.is_none() => {
            return refused("name", format!("the agent {name} has no owner"), "add owner = \"alice\"");
        }
        PrincipalKind::Person if principal.model_class.is_some() => {
            return refused(
                "model_class",
                format!("the person {name} has a model class"),
                "remove it: agents think with models",
            );
        }
        PrincipalKind::Agent | PrincipalKind::Person => {}
    }
    if let Some(skill) = principal.demonstrated.iter().find(|skill| !principal.skills.contains(skill)) {
        let message = format!("{name} demonstrated the skill {skill} and does not have it");
        return refused("demonstrated", message, "add it to skills");
    }
    for (field, found) in [
        ("skills", principal.skills.len()),
        ("clearances", principal.clearances.len()),
        ("groups", principal.groups.len()),
    ] {
        short(&format!("principal.{index}.{field}"), found)?;
    }
    Ok(())
}

fn example_fits(document: &GovernanceDocument, index: usize, example: &Example) -> Checked {
    let name = &example.name;
    if example.path.is_some() == example.unmet.is_some() {
        let message = format!("example {name} expects no answer, or two");
        return Err(fault(format!("example.{index}.name"), message, "write one of path and unmet"));
    }
    let people: Vec<&str> = document.principals.iter().map(|principal| principal.name.as_str()).collect();
    let rules: Vec<&str> = document.rules.iter().map(|rule| rule.id.as_str()).collect();
    let path = example.path.iter().flat_map(BTreeMap::values).flatten();
    for (field, what, used, there) in [
        ("principals", "principal", example.principals.iter().flatten().collect::<Vec<_>>(), &people),
        ("path", "principal", path.collect(), &people),
        ("unmet", "rule", example.unmet.iter().collect(), &rules),
    ] {
        let Some(unknown) = used.into_iter().find(|name| !there.contains(&name.as_str())) else { continue };
        let hint = match nearest(there, unknown.as_str()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("add [[{what}]]"),
        };
        return Err(fault(
            format!("example.{index}.{field}"),
            format!("example {name}: there is no {what} {unknown}"),
            hint,
        ));
    }
    Ok(())
}

/// Refuses rules that contradict themselves, and two rules that contradict each other where a work can be under both.
fn agree(document: &GovernanceDocument) -> Checked {
    let rules = &document.rules;
    let says = |contradiction: Contradiction| {
        let index = rules.iter().position(|rule| rule.id == *contradiction.rule()).unwrap_or_default();
        fault(format!("rule.{index}.id"), contradiction.to_string(), contradiction.way_out())
    };
    for rule in rules {
        Duties::together([rule]).map_err(says)?;
    }
    for (index, one) in rules.iter().enumerate() {
        for other in rules[index + 1..].iter().filter(|other| one.when.label.meets_with(&other.when.label)) {
            Duties::together([one, other]).map_err(says)?;
        }
    }
    Ok(())
}

/// What became of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// The example.
    pub example: &'a Example,
    /// What the rules answer.
    pub answer: Answer,
    /// Whether that is what it expects.
    pub holds: bool,
}

impl Example {
    /// The work of the example with those who are there.
    pub fn case<'a>(&'a self, document: &'a GovernanceDocument) -> Case<'a> {
        let is_there = |name: &Slug| self.principals.as_ref().is_none_or(|names| names.contains(name));
        let principals = document.principals.iter().filter(|principal| is_there(&principal.name)).collect();
        Case { labels: &self.labels, owner: &self.owner, principals }
    }

    /// Whether the answer is what it expects.
    fn expects(&self, answer: &Answer) -> bool {
        match answer {
            Answer::Path(path) => self.path.as_ref().is_some_and(|expected| {
                let sorted = |names: &[Slug]| names.iter().cloned().collect::<BTreeSet<_>>();
                expected.len() == path.stages.len()
                    && path.stages.iter().all(|step| {
                        let found: BTreeSet<Slug> = step.who.iter().map(|pick| pick.name.clone()).collect();
                        expected.get(&step.stage).is_some_and(|names| sorted(names) == found)
                    })
            }),
            Answer::Unmet(unmet) => {
                self.unmet.as_ref().is_some_and(|rule| unmet.demands.iter().any(|demand| demand.rule == *rule))
            }
            Answer::Contradiction(_) | Answer::TooHard => false,
        }
    }
}

/// Tries the examples of a document.
pub fn examples(document: &GovernanceDocument) -> Vec<Verdict<'_>> {
    let tried = document.examples.iter().map(|example| {
        let answer = answer(document, &example.case(document));
        Verdict { example, holds: example.expects(&answer), answer }
    });
    tried.collect()
}
