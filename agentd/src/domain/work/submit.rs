//! Submitting works: one, or many at once, all or nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use agentd_schemas::content::WORK_CONTENT;
use agentd_schemas::document::request::Scope;
use agentd_schemas::document::work::{MAX_CHILDREN, MAX_DEPENDANTS, OnDependencyFailure};
use agentd_schemas::event::{AgentState, FromSchedule, Subject, WorkState, WorkSubmitted};
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::time::WallMs;

use super::frozen;
use super::prepare::{NewWork, Reference, at};
use super::room::Room;
use crate::domain::account::AccountFacts;
use crate::domain::command::Submitter;
use crate::domain::matching::MAX_DEMANDS;
use crate::domain::{Decision, Draft, Env, Rejection};

/// What the ledger knows when works are submitted.
#[derive(Debug, Clone, Default)]
pub struct SubmitFacts {
    /// Every work of the ledger that the new ones refer to.
    pub linked: HashMap<WorkId, LinkedWork>,
    /// Works that are not over.
    pub open_works: u64,
    /// Those of the owner.
    pub own_open_works: u64,
    /// What the owner's works ask for.
    pub demands: Demands,
    /// Agents that the works name.
    pub agents: HashMap<String, NamedAgent>,
    /// For works that become wholes of new parts: each with those that it is part of, as accounts.
    pub rooms: HashMap<WorkId, Vec<(WorkId, AccountFacts)>>,
    /// For submits by a run: the work of the run.
    pub run: Option<super::WorkFacts>,
    /// For submits by a run: what is frozen.
    pub frozen: Vec<Scope>,
}

/// How many different demands there are: agent and skills that works ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demands {
    /// Those of the owner's open works. Counted only where new ones come, and no further than the bound.
    pub open: u64,
    /// Those that only the new works have.
    pub fresh: u64,
}

/// One agent that new works name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedAgent {
    /// Its state.
    pub state: AgentState,
    /// Its owner.
    pub owner: u32,
    /// It works for every owner.
    pub shared: bool,
}

/// One work that new ones refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedWork {
    /// Its state.
    pub state: WorkState,
    /// Its owner.
    pub owner: u32,
    /// Direct dependants so far.
    pub dependants: u32,
    /// Children so far.
    pub children: u32,
    /// Depth below the topmost parent.
    pub depth: u32,
}

/// Depth of works below works, at most.
pub const MAX_DEPTH: u32 = 8;

/// Decides on a submit. The works come in the order of [`order`].
pub fn submit(facts: &SubmitFacts, owner: u32, works: &[NewWork], from: &Submitter, env: &Env) -> Decision {
    check_room(facts, owner, works, env)?;
    let order = order(works)?;
    let ids: Vec<WorkId> =
        (0..works.len()).map(|nth| WorkId::from_bytes(env.ids.id(u32::try_from(nth).unwrap_or(u32::MAX)))).collect();
    let mut added = Added::default();
    let mut drafts = Vec::with_capacity(works.len());
    for place in order {
        let draft = one(facts, owner, &works[place], from, &ids, place, &mut added, env);
        drafts.push(draft.map_err(|problem| if works.len() > 1 { at(problem, place) } else { problem })?);
    }
    Ok(drafts)
}

/// Refuses a work that no tick could submit: its agent, its dependencies and its parent are looked at as in a submit, room
/// is not, for it comes and goes.
pub fn check_repeated(facts: &SubmitFacts, owner: u32, work: &NewWork, env: &Env) -> Result<(), Rejection> {
    if work.spec.deadline.is_some() {
        return Err(Problem::new(
            Code::InvalidDocument,
            "a deadline is one moment: each tick after it would be refused",
        )
        .hint("leave the deadline out, or set a service level, which counts from each tick: finish_within"));
    }
    let ids = [WorkId::from_bytes(env.ids.id(0))];
    one(facts, owner, work, &Submitter::Person, &ids, 0, &mut Added::default(), env).map(drop)
}

/// What this submit adds to works of the ledger and of its own list, and the new works that may become wholes of others.
#[derive(Default)]
struct Added {
    dependants: HashMap<WorkId, u32>,
    children: HashMap<WorkId, u32>,
    /// How deep the works of the list are that were decided on already; parents come before their parts.
    depths: HashMap<WorkId, u32>,
    /// What they leave their parts.
    rooms: HashMap<WorkId, Room>,
}

impl Added {
    /// One more part of a work that has so many in the ledger, and is so deep itself.
    fn part(&mut self, of: WorkId, children: u32, depth: u32) -> Result<(), Rejection> {
        let more = self.children.entry(of).or_default();
        *more += 1;
        if children as usize + *more as usize > MAX_CHILDREN {
            return Err(Problem::new(Code::OutOfBounds, format!("work {of} has {MAX_CHILDREN} children already"))
                .hint("make parts of parts"));
        }
        if depth + 1 > MAX_DEPTH {
            return Err(Problem::new(Code::OutOfBounds, format!("work {of} is {MAX_DEPTH} levels deep already"))
                .hint("make it a part of a work further up"));
        }
        Ok(())
    }
}

fn check_room(facts: &SubmitFacts, owner: u32, works: &[NewWork], env: &Env) -> Result<(), Rejection> {
    if works.is_empty() {
        return Err(Problem::new(Code::InvalidDocument, "the submit has no work in it"));
    }
    let most = env.defaults.max_open_works;
    if facts.open_works.saturating_add(works.len() as u64) > most {
        return Err(Problem::new(Code::Busy, format!("{} works are open, at most {most} may be", facts.open_works))
            .hint("let some finish, cancel some, or raise limits.max_open_works in the configuration"));
    }
    let most = env.defaults.max_open_works_per_owner;
    if facts.own_open_works.saturating_add(works.len() as u64) > most {
        let message =
            format!("{} works of uid {owner} are open, at most {most} of one owner may be", facts.own_open_works);
        return Err(Problem::new(Code::Busy, message)
            .hint("let some finish, cancel some, or raise limits.max_open_works_per_owner in the configuration"));
    }
    let Demands { open, fresh } = facts.demands;
    if fresh > 0 && open.saturating_add(fresh) > MAX_DEMANDS {
        let message = format!(
            "the open works of uid {owner} ask for too many different agents and sets of skills: {fresh} more would \
             make over {MAX_DEMANDS}"
        );
        return Err(Problem::new(Code::Busy, message)
            .hint("ask for fewer different sets of skills, and tell works apart by labels"));
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "one submit is one thought; a struct would only rename it")]
fn one(
    facts: &SubmitFacts,
    owner: u32,
    work: &NewWork,
    from: &Submitter,
    ids: &[WorkId],
    place: usize,
    added: &mut Added,
    env: &Env,
) -> Result<Draft, Rejection> {
    let mut spec = WorkSubmitted { owner, ..work.spec.clone() };
    check_agent(facts, owner, &spec)?;
    let mut open = false;
    for reference in &work.depends_on {
        let id = resolve(reference, ids);
        open |= match reference {
            Reference::Item(_) => true,
            Reference::Work(id) => dependency(facts, owner, *id, spec.on_dependency_failure, added)?,
        };
        spec.depends_on.push(id);
    }
    spec.parent = parent(facts, owner, work, from, ids, added)?;
    let above = spec.parent.and_then(|id| added.depths.get(&id).copied().or(facts.linked.get(&id).map(|it| it.depth)));
    added.depths.insert(ids[place], above.map_or(0, |depth| depth + 1));
    let room = room(facts, added, spec.parent);
    room.check(&spec)?;
    if ids.len() > 1 {
        added.rooms.insert(ids[place], room.within(ids[place], &spec));
    }
    let base = spec.not_before.map_or(env.wall, |time| time.max(env.wall));
    spec.latest_start = work.start_within_ms.map(|ms| later(base, ms));
    spec.finish_by = work.finish_within_ms.map(|ms| later(base, ms));
    if let Some(deadline) = spec.deadline
        && deadline <= env.wall
    {
        return Err(Problem::new(Code::InvalidDocument, format!("the deadline {deadline} has passed"))
            .hint("set a deadline in the future, or none"));
    }
    spec.state = match spec.not_before {
        _ if open => WorkState::Blocked,
        Some(time) if !env.has_come(time) => WorkState::Scheduled,
        _ => WorkState::Ready,
    };
    if let Submitter::Schedule { schedule, tick } = from {
        spec.from_schedule = Some(FromSchedule { schedule: *schedule, tick: *tick });
    }
    let mut draft = Draft::new(Subject::Work(ids[place]), spec).with_blob(0, WORK_CONTENT, work.content.clone());
    if !matches!(from, Submitter::Person) {
        draft = draft.on_behalf_of(owner);
    }
    if let Some(run) = &facts.run {
        draft.run = Some(run.run_id());
        draft.epoch = run.run.as_ref().map(|run| run.epoch);
    }
    Ok(draft)
}

fn resolve(reference: &Reference, ids: &[WorkId]) -> WorkId {
    match reference {
        Reference::Work(id) => *id,
        Reference::Item(place) => ids[*place],
    }
}

fn later(base: WallMs, ms: u64) -> WallMs {
    WallMs::saturating(base.as_ms().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// An agent that never works for this owner is no agent to it: whether there is one does not show.
fn check_agent(facts: &SubmitFacts, owner: u32, spec: &WorkSubmitted) -> Result<(), Rejection> {
    let Some(name) = &spec.agent else { return Ok(()) };
    let found = facts.agents.get(name.as_str()).filter(|agent| agent.shared || agent.owner == owner);
    match found.map(|agent| agent.state) {
        None => Err(Problem::new(Code::NotFound, format!("no agent is named {name}"))
            .hint("see the names with: agentctl agent list")),
        Some(AgentState::Retired) => {
            Err(Problem::new(Code::WrongState, format!("agent {name} is retired")).hint("name another agent, or none"))
        }
        Some(_) => Ok(()),
    }
}

/// Whether the dependency is still open.
fn dependency(
    facts: &SubmitFacts,
    owner: u32,
    id: WorkId,
    on_failure: OnDependencyFailure,
    added: &mut Added,
) -> Result<bool, Rejection> {
    let linked = visible(facts, owner, id)?;
    let more = added.dependants.entry(id).or_default();
    *more += 1;
    if linked.dependants as usize + *more as usize > MAX_DEPENDANTS {
        return Err(Problem::new(Code::OutOfBounds, format!("work {id} has {MAX_DEPENDANTS} dependants already"))
            .hint("let one work depend on it, and the others on that one"));
    }
    match linked.state {
        WorkState::Completed => Ok(false),
        state if state.is_past() => match on_failure {
            OnDependencyFailure::Run => Ok(false),
            OnDependencyFailure::Block => Ok(true),
            OnDependencyFailure::Cancel => {
                Err(Problem::new(Code::WrongState, format!("it depends on work {id}, which is {}", state.as_str()))
                    .hint(format!("retry that one first: agentctl work retry {id}; or set on_dependency_failure")))
            }
        },
        _ => Ok(true),
    }
}

fn visible(facts: &SubmitFacts, owner: u32, id: WorkId) -> Result<&LinkedWork, Rejection> {
    facts.linked.get(&id).filter(|linked| linked.owner == owner).ok_or_else(|| {
        Problem::new(Code::NotFound, format!("no work {id} of this owner")).hint("see: agentctl work list")
    })
}

fn parent(
    facts: &SubmitFacts,
    owner: u32,
    work: &NewWork,
    from: &Submitter,
    ids: &[WorkId],
    added: &mut Added,
) -> Result<Option<WorkId>, Rejection> {
    if let Submitter::Run(named) = from {
        let run = facts.run.as_ref().ok_or_else(|| Problem::internal("a submit by a run has no run"))?;
        frozen::refuse(run, named, &facts.frozen)?;
        if work.parent.is_some() {
            return Err(
                Problem::new(Code::InvalidDocument, "a run's works are parts of its own work").hint("leave parent out")
            );
        }
        return child(facts, owner, run.id, added).map(Some);
    }
    match &work.parent {
        None => Ok(None),
        Some(Reference::Item(place)) => {
            let id = ids[*place];
            let depth = added.depths.get(&id).copied().unwrap_or(0);
            added.part(id, 0, depth).map(|()| Some(id))
        }
        Some(Reference::Work(id)) => child(facts, owner, *id, added).map(Some),
    }
}

/// What the work that a new one is part of leaves it.
fn room(facts: &SubmitFacts, added: &Added, parent: Option<WorkId>) -> Room {
    let Some(parent) = parent else { return Room::default() };
    let known = || Room::of(facts.rooms.get(&parent));
    added.rooms.get(&parent).copied().unwrap_or_else(known)
}

fn child(facts: &SubmitFacts, owner: u32, id: WorkId, added: &mut Added) -> Result<WorkId, Rejection> {
    let linked = visible(facts, owner, id)?;
    added.part(id, linked.children, linked.depth)?;
    if linked.state.is_past() {
        return Err(Problem::new(
            Code::WrongState,
            format!("work {id} is {}: it takes no parts", linked.state.as_str()),
        ));
    }
    Ok(id)
}

/// The places of the list in the order in which its works enter the ledger: each behind those that it refers to, else as
/// they stand in the list (Kahn's algorithm). The same list has the same order always. References must not form a cycle;
/// older works cannot point at new ones.
pub fn order(works: &[NewWork]) -> Result<Vec<usize>, Rejection> {
    let mut waits: Vec<usize> = vec![0; works.len()];
    let mut unlocks: Vec<Vec<usize>> = vec![Vec::new(); works.len()];
    for (place, work) in works.iter().enumerate() {
        let items = work.depends_on.iter().chain(&work.parent).filter_map(|reference| match reference {
            Reference::Item(other) => Some(*other),
            Reference::Work(_) => None,
        });
        for other in items {
            waits[place] += 1;
            unlocks[other].push(place);
        }
    }
    let mut free: BinaryHeap<Reverse<usize>> =
        (0..works.len()).filter(|place| waits[*place] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(works.len());
    while let Some(Reverse(place)) = free.pop() {
        order.push(place);
        for &next in &unlocks[place] {
            waits[next] -= 1;
            if waits[next] == 0 {
                free.push(Reverse(next));
            }
        }
    }
    if order.len() == works.len() {
        return Ok(order);
    }
    let stuck: Vec<String> =
        waits.iter().enumerate().filter(|(_, n)| **n > 0).take(8).map(|(place, _)| (place + 1).to_string()).collect();
    Err(Problem::new(Code::Cycle, format!("works {} of the list wait for each other in a cycle", stuck.join(", ")))
        .hint("remove one of their dependencies"))
}

#[cfg(test)]
mod tests;
