//! A question to policy in Cedar's terms: who asks, what for, on what, with all that is known of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use agentd_schemas::event::{Actor, Assurance};
use cedar_policy_core::ast::{Context, Eid, Entity, EntityType, EntityUID, Request, RestrictedExpr};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::CoreSchema;

use super::{Action, Caller, Resource, compile};

/// The names of the schema, parsed once.
struct Names {
    types: HashMap<&'static str, EntityType>,
    actions: HashMap<Action, EntityUID>,
    /// The actions with their groups, which every decision needs.
    actions_known: Entities,
}

/// Every type of the schema but Action.
const TYPES: [&str; 8] = ["Group", "User", "Agent", "Work", "Schedule", "Objective", "Account", "Host"];

/// A question that could not be put, and why.
#[derive(Debug)]
pub(super) struct Unasked(pub(super) String);

fn unasked(error: impl std::fmt::Display) -> Unasked {
    Unasked(error.to_string())
}

fn names() -> Result<&'static Names, Unasked> {
    static NAMES: OnceLock<Result<Names, String>> = OnceLock::new();
    NAMES.get_or_init(|| parsed().map_err(|Unasked(why)| why)).as_ref().map_err(|why| Unasked(why.clone()))
}

fn parsed() -> Result<Names, Unasked> {
    let mut types = HashMap::new();
    for name in TYPES {
        types.insert(name, format!("Agentd::{name}").parse::<EntityType>().map_err(unasked)?);
    }
    let action: EntityType = "Agentd::Action".parse().map_err(unasked)?;
    let uid = |each: &Action| (*each, EntityUID::from_components(action.clone(), Eid::new(each.as_str()), None));
    let schema = CoreSchema::new(compile::validator().schema());
    let extensions = Extensions::all_available();
    let actions_known = Entities::from_entities([], Some(&schema), TCComputation::AssumeAlreadyComputed, extensions)
        .map_err(unasked)?;
    Ok(Names { types, actions: Action::ALL.iter().map(uid).collect(), actions_known })
}

impl Names {
    fn uid(&self, kind: &str, id: &str) -> Result<EntityUID, Unasked> {
        let kind = self.types.get(kind).ok_or_else(|| unasked("a type that is not in the schema"))?;
        Ok(EntityUID::from_components(kind.clone(), Eid::new(id), None))
    }

    fn user(&self, uid: u32) -> Result<EntityUID, Unasked> {
        self.uid("User", &uid.to_string())
    }
}

/// The type of a thing and its id, from its name: `work w-…`, `works of one's own`, `host`.
fn thing(name: &str) -> (&'static str, &str) {
    let (kind, id) = name.split_once(' ').unwrap_or((name, name));
    match kind {
        "work" | "works" => ("Work", id),
        "agent" | "agents" => ("Agent", id),
        "schedule" | "schedules" => ("Schedule", id),
        "objective" | "objectives" => ("Objective", id),
        "account" | "accounts" => ("Account", id),
        _ => ("Host", name),
    }
}

/// The question, and what is known of who and what is in it.
pub(super) fn question(caller: &Caller, action: Action, on: &Resource) -> Result<(Request, Entities), Unasked> {
    let names = names()?;
    let extensions = Extensions::all_available();
    let (kind, id) = thing(&on.name);
    let resource = names.uid(kind, id)?;
    let mut facts = vec![("suspended".into(), RestrictedExpr::val(on.suspended))];
    if let Some(owner) = on.owner {
        facts.push(("owner".into(), RestrictedExpr::val(names.user(owner)?)));
    }
    if let Some(agent) = &on.agent {
        facts.push(("agent".into(), RestrictedExpr::val(names.uid("Agent", agent.as_str())?)));
    }
    let none = HashSet::new;
    let thing = Entity::new(resource.clone(), facts, none(), none(), [], extensions).map_err(unasked)?;
    let principal = match &caller.actor {
        Actor::Agent(name) => {
            let uid = names.uid("Agent", name.as_str())?;
            let facts = [("suspended".into(), RestrictedExpr::val(false))];
            Entity::new(uid, facts, none(), none(), [], extensions).map_err(unasked)?
        }
        _ => person(names, caller)?,
    };
    let asking = [("run".into(), RestrictedExpr::val(caller.run.is_some()))];
    let context = Context::from_pairs(asking, extensions).map_err(unasked)?;
    let asked = names.actions.get(&action).ok_or_else(|| unasked("an action that is not in the schema"))?;
    let who = principal.uid().clone();
    let schema = Some(compile::validator().schema());
    let request =
        Request::new((who.clone(), None), (asked.clone(), None), (resource.clone(), None), context, schema, extensions);
    // Who acts on itself is known as what is acted on.
    let known = if who == resource { vec![Arc::new(thing)] } else { vec![Arc::new(thing), Arc::new(principal)] };
    let entities = names
        .actions_known
        .clone()
        .add_entities(known, None::<&NoEntitiesSchema>, TCComputation::AssumeAlreadyComputed, extensions)
        .map_err(unasked)?;
    Ok((request.map_err(unasked)?, entities))
}

fn person(names: &Names, caller: &Caller) -> Result<Entity, Unasked> {
    let member = [("users", caller.outside.is_none()), ("operators", caller.operator), ("auditors", caller.auditor)];
    let mut groups = HashSet::new();
    for (group, _) in member.into_iter().filter(|(_, is_in)| *is_in) {
        groups.insert(names.uid("Group", group)?);
    }
    let facts = [
        ("uid".into(), RestrictedExpr::val(i64::from(caller.uid))),
        ("unattended".into(), RestrictedExpr::val(caller.assurance == Assurance::Unattended)),
    ];
    Entity::new(names.user(caller.uid)?, facts, HashSet::new(), groups, [], Extensions::all_available())
        .map_err(unasked)
}
