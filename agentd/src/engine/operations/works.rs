//! Works, as persons handle them.

use std::collections::HashSet;

use agentd_schemas::document::Acceptance;
use agentd_schemas::document::WorkDocument;
use agentd_schemas::document::request::{Raise, WorkFilter};
use agentd_schemas::document::work::MAX_BULK_ITEMS;
use agentd_schemas::event::{EventData, Subject, WorkState, WorkSubmitted};
use agentd_schemas::id::{ID_BYTES, WorkId};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Skill;
use agentd_schemas::view::work::{AgentVerdict, SubmittedWork};
use agentd_schemas::view::{SubmittedView, WhyView, WorkPage, WorkView};
use rusqlite::Connection;

use crate::domain::command::Submitter;
use crate::domain::matching::Demand;
use crate::domain::work::{self, NewWork};
use crate::domain::{Command, Defaults, Env, Ids};
use crate::engine::{Done, Engine};
use crate::ledger::query::named::Named;
use crate::ledger::{load, query};
use crate::policy::{Action, Caller, Resource};

impl Engine {
    /// Submits works: all of them or none.
    pub async fn submit(
        &self,
        caller: &Caller,
        documents: Vec<WorkDocument>,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<SubmittedView, Problem> {
        let key = self.0.keyed(key, "submit", body)?;
        if let Some(done) = self.before(caller, key.as_ref())? {
            let works = self.listed(documents)?;
            return self.submitted(caller, &done, &work::submit::order(&works)?, &skills(&works));
        }
        let works = self.prepare(caller, documents).await?;
        works.iter().try_for_each(|work| self.check_content(caller.uid, &work.spec))?;
        let (skills, order) = (skills(&works), work::submit::order(&works)?);
        let command = Command::SubmitWorks { owner: caller.uid, works, from: Submitter::Person };
        let done = self.execute(caller, command, key).await?;
        self.submitted(caller, &done, &order, &skills)
    }

    /// What a submit would do; nothing is written.
    pub async fn check(&self, caller: &Caller, documents: Vec<WorkDocument>) -> Result<SubmittedView, Problem> {
        let works = self.prepare(caller, documents).await?;
        works.iter().try_for_each(|work| self.check_content(caller.uid, &work.spec))?;
        self.permit(caller, Action::WorkSubmit, &Resource::owned("works of one's own", caller.uid))?;
        let (skills, order) = (skills(&works), work::submit::order(&works)?);
        let env = self.env()?;
        let (drafts, unserved) = self.0.readers.with(|conn| {
            let facts = load::submit::submit_facts(conn, caller.uid, &works, &Submitter::Person);
            let facts = facts.map_err(Problem::internal)?;
            let drafts = work::submit::submit(&facts, caller.uid, &works, &Submitter::Person, &env)?;
            let unserved = Unserved::of(conn, drafts.iter().map(|draft| &draft.data), &self.0.defaults.get())?;
            Ok::<_, Problem>((drafts, unserved))
        })?;
        let works = drafts.iter().filter_map(|draft| match (&draft.subject, &draft.data) {
            (Subject::Work(id), EventData::WorkSubmitted(spec)) => {
                Some(SubmittedWork { id: *id, short: id.short(4), state: unserved.shown(spec.state, spec).to_owned() })
            }
            _ => None,
        });
        let works = as_listed(works.collect(), &order);
        Ok(SubmittedView { works, repeated: false, dry_run: true, notes: self.notes(caller, &skills)? })
    }

    /// Checks documents; schemas are compiled where that holds nobody up.
    pub(super) async fn prepare(&self, caller: &Caller, documents: Vec<WorkDocument>) -> Result<Vec<NewWork>, Problem> {
        if documents.len() > MAX_BULK_ITEMS {
            let message = format!("{} works in one submit, at most {MAX_BULK_ITEMS} are allowed", documents.len());
            return Err(Problem::new(Code::TooLarge, message).hint("split the list; give each part its own key"));
        }
        let judged = documents.iter().flat_map(|each| &each.acceptance);
        if !judged.into_iter().any(|criterion| matches!(criterion, Acceptance::JsonSchema(_))) {
            return self.prepare_here(caller, documents);
        }
        let (engine, caller) = (self.clone(), caller.clone());
        self.0.judges.run(caller.uid, move || engine.prepare_here(&caller, documents)).await
    }

    fn prepare_here(&self, caller: &Caller, documents: Vec<WorkDocument>) -> Result<Vec<NewWork>, Problem> {
        let refers = documents.iter().any(|each| !each.depends_on.is_empty() || each.parent.is_some());
        if !refers {
            let none = &mut |text: &str| Err(Problem::new(Code::NotFound, format!("no work {text}")));
            return work::prepare(documents, &self.0.defaults.get(), none);
        }
        work::prepare(documents, &self.0.defaults.get(), &mut |text| self.resolve(caller, Action::WorkRead, text))
    }

    /// The list of works that are in the ledger already. What they refer to there matters no more.
    pub(super) fn listed(&self, documents: Vec<WorkDocument>) -> Result<Vec<NewWork>, Problem> {
        work::prepare(documents, &self.0.defaults.get(), &mut |_| Ok(WorkId::from_bytes([0; ID_BYTES])))
    }

    /// The world as a dry run sees it.
    pub(in crate::engine) fn env(&self) -> Result<Env, Problem> {
        let moment = self.0.clock.moment();
        let (day, month) = crate::engine::world::names(moment.wall_ms, &self.0.zone);
        Ok(Env {
            wall: agentd_schemas::unit::time::WallMs::saturating(moment.wall_ms),
            boot_ms: moment.boot_ms,
            clock_held: self.0.clock_held.load(std::sync::atomic::Ordering::Relaxed),
            incarnation: self.host().incarnation,
            next_index: *self.0.size.borrow(),
            day,
            month,
            ids: Ids::new(crate::sys::random::bytes().map_err(Problem::internal)?),
            defaults: self.0.defaults.get(),
        })
    }

    /// The answer to a submit. `order` is that of the ledger, as places of the list.
    pub(super) fn submitted(
        &self,
        caller: &Caller,
        done: &Done,
        order: &[usize],
        skills: &[Vec<Skill>],
    ) -> Result<SubmittedView, Problem> {
        let works = self.0.readers.with(|conn| {
            let unserved = Unserved::of(conn, done.events.iter().map(|event| &event.data), &self.0.defaults.get())?;
            let each = done.events.iter().filter_map(|event| match (&event.envelope.subject, &event.data) {
                (Subject::Work(id), EventData::WorkSubmitted(spec)) => Some((*id, spec)),
                _ => None,
            });
            let row = |(id, spec): (WorkId, &WorkSubmitted)| {
                let state = if done.repeated { state_now(conn, id)? } else { None };
                let state = unserved.shown(state.unwrap_or(spec.state), spec).to_owned();
                let short = query::resolve::short(conn, &id).map_err(Problem::internal)?;
                Ok::<_, Problem>(SubmittedWork { id, short, state })
            };
            each.map(row).collect()
        })?;
        let works = as_listed(works, order);
        Ok(SubmittedView { works, repeated: done.repeated, dry_run: false, notes: self.notes(caller, skills)? })
    }

    /// What a person would want to know of new works: skills that nobody has.
    fn notes(&self, caller: &Caller, skills: &[Vec<Skill>]) -> Result<Vec<String>, Problem> {
        if skills.is_empty() {
            return Ok(Vec::new());
        }
        self.0.readers.with(|conn| {
            let lacking = load::agents::lacking(conn, caller.uid, skills).map_err(Problem::internal)?;
            Ok(lacking.into_iter().take(5).map(|needed| lacking_note(needed)).collect())
        })
    }

    /// A page of works.
    pub fn works(&self, caller: &Caller, filter: &WorkFilter) -> Result<WorkPage, Problem> {
        self.list(caller, Action::WorkRead, "works")?;
        if let Some(parent) = filter.parent {
            self.read(caller, Named::Work(&parent.to_string()))?;
        }
        self.0.readers.with(|conn| {
            let parked = self.0.parked(conn)?;
            Ok(query::works::list(conn, &caller.viewer(), filter, &|queue| parked.contains(&queue))?)
        })
    }

    /// One work in full.
    pub fn work(&self, caller: &Caller, text: &str) -> Result<WorkView, Problem> {
        self.read(caller, Named::Work(text))?;
        self.0.readers.with(|conn| {
            let parked = self.0.parked(conn)?;
            let live = |run: agentd_schemas::id::RunId| {
                let live = self.0.live.get(run.work).filter(|live| live.run.attempt == run.attempt)?;
                Some(query::works::Pulse { progress: live.progress, heartbeat_at: live.heartbeat_at? })
            };
            Ok(query::works::show(conn, &caller.viewer(), text, &|queue| parked.contains(&queue), &live)?)
        })
    }

    /// Why a work is where it is.
    pub fn why(&self, caller: &Caller, text: &str) -> Result<WhyView, Problem> {
        self.read(caller, Named::Work(text))?;
        let env = self.env()?;
        self.0.readers.with(|conn| {
            let found = query::resolve::work(conn, &caller.viewer(), text)?;
            let facts = load::why::facts(conn, found.key, &env).map_err(Problem::internal)?;
            let mut facts = facts.ok_or_else(|| Problem::new(Code::NotFound, format!("no work {text}")))?;
            facts.held_back = self.held_back(conn, &facts)?;
            let mut why = work::why::why(&facts, &env);
            if facts.work.state == WorkState::Ready && facts.agents.iter().any(|agent| agent.started) {
                let supervisor = self.0.supervisor.as_ref();
                why.reasons.extend(supervisor.and_then(|supervisor| supervisor.why_full()));
                why.reasons.extend(supervisor.and_then(|supervisor| supervisor.why_unwritable()));
            }
            let parked =
                facts.work.state == WorkState::Ready && work::why::is_parked(&facts.work, &facts.agents, &env.defaults);
            let state = if parked { "parked" } else { facts.work.state.as_str() };
            Ok(WhyView {
                id: found.id,
                state: state.to_owned(),
                summary: why.summary,
                reasons: why.reasons,
                agents: why
                    .agents
                    .into_iter()
                    .map(|(agent, eligible, because)| AgentVerdict { agent, eligible, because })
                    .collect(),
                hint: why.hint,
            })
        })
    }

    /// Agents that could take a work that is ready, but for what this host cannot do.
    fn held_back(&self, conn: &Connection, facts: &work::why::WhyFacts) -> Result<Vec<work::why::HeldBack>, Problem> {
        let mut held = Vec::new();
        let Some(supervisor) = &self.0.supervisor else { return Ok(held) };
        let is_ready = facts.work.state == WorkState::Ready;
        for agent in facts.agents.iter().filter(|agent| is_ready && agent.started) {
            let of_agent = supervisor.obstacle(conn, &agent.name)?;
            let of_work = || supervisor.obstacle_of_work(conn, &agent.name, &facts.work);
            if let Some(obstacle) = of_agent.map_or_else(of_work, |obstacle| Ok(Some(obstacle)))? {
                let Problem { message, hint, .. } = obstacle.problem;
                held.push(work::why::HeldBack { agent: agent.name.clone(), because: message, hint });
            }
        }
        Ok(held)
    }

    /// The work that a caller names, to act on it. The action is asked again with the command.
    pub(super) fn resolve(&self, caller: &Caller, action: Action, text: &str) -> Result<WorkId, Problem> {
        self.reach(caller, Some(action), Named::Work(text))?;
        self.0.readers.with(|conn| Ok(query::resolve::work(conn, &caller.viewer(), text)?.id))
    }

    async fn manage(
        &self,
        caller: &Caller,
        text: &str,
        command: impl FnOnce(WorkId) -> Command,
    ) -> Result<WorkId, Problem> {
        let work = self.resolve(caller, Action::WorkManage, text)?;
        self.execute(caller, command(work), None).await?;
        Ok(work)
    }

    async fn judge(
        &self,
        caller: &Caller,
        text: &str,
        command: impl FnOnce(WorkId) -> Command,
    ) -> Result<WorkId, Problem> {
        let work = self.resolve(caller, Action::WorkJudge, text)?;
        self.execute(caller, command(work), None).await?;
        Ok(work)
    }

    /// Calls a work off.
    pub async fn cancel(&self, caller: &Caller, text: &str, reason: &str) -> Result<WorkId, Problem> {
        let reason = reason.to_owned();
        self.manage(caller, text, |work| Command::CancelWork { work, reason }).await
    }

    /// Gives a work one more attempt.
    pub async fn retry(&self, caller: &Caller, text: &str, reason: &str) -> Result<WorkId, Problem> {
        let reason = reason.to_owned();
        let work = self.resolve(caller, Action::WorkManage, text)?;
        self.check_retry(work)?;
        self.execute(caller, Command::RetryWork { work, reason }, None).await?;
        Ok(work)
    }

    /// Takes a result that waits for a person.
    pub async fn accept(&self, caller: &Caller, text: &str, note: &str) -> Result<WorkId, Problem> {
        let note = (!note.trim().is_empty()).then(|| note.to_owned());
        self.judge(caller, text, |work| Command::AcceptResult { work, note }).await
    }

    /// Refuses a result that waits for a person.
    pub async fn reject(&self, caller: &Caller, text: &str, reason: &str) -> Result<WorkId, Problem> {
        let reason = reason.to_owned();
        self.judge(caller, text, |work| Command::RejectResult { work, reason }).await
    }

    /// Raises limits of a work.
    pub async fn raise(&self, caller: &Caller, text: &str, raise: Raise) -> Result<WorkId, Problem> {
        self.manage(caller, text, |work| Command::RaiseLimits { work, raise }).await
    }

    /// Adds a note to a work.
    pub async fn note(&self, caller: &Caller, text: &str, words: &str) -> Result<WorkId, Problem> {
        let words = words.to_owned();
        self.manage(caller, text, |work| Command::AddNote { work, text: words }).await
    }

    /// Answers a run that waits for a person.
    pub async fn answer(&self, caller: &Caller, text: &str, words: &str) -> Result<WorkId, Problem> {
        let words = words.to_owned();
        self.manage(caller, text, |work| Command::AnswerRun { work, text: words }).await
    }

    /// The exact bytes of one blob, for who may see the event.
    pub fn content(&self, caller: &Caller, event: u64, slot: u8) -> Result<Vec<u8>, Problem> {
        self.read(caller, Named::Content(event, slot))?;
        self.0.readers.with(|conn| Ok(query::ledger::content(conn, &caller.viewer(), event, slot)?))
    }
}

/// Works in the order of the list that they were submitted with.
fn as_listed(works: Vec<SubmittedWork>, order: &[usize]) -> Vec<SubmittedWork> {
    let mut placed: Vec<(usize, SubmittedWork)> =
        works.into_iter().enumerate().map(|(nth, work)| (order.get(nth).copied().unwrap_or(nth), work)).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, work)| work).collect()
}

fn skills(works: &[NewWork]) -> Vec<Vec<Skill>> {
    let mut skills: Vec<Vec<Skill>> = works.iter().map(|work| work.spec.required_skills.clone()).collect();
    skills.retain(|needed| !needed.is_empty());
    skills.sort();
    skills.dedup();
    skills
}

fn lacking_note(needed: &[Skill]) -> String {
    let needed: Vec<&str> = needed.iter().map(agentd_schemas::unit::name::Skill::as_str).collect();
    match needed.as_slice() {
        [one] => format!("no enrolled agent has the skill {one}: the work is parked until one does"),
        many => {
            format!("no enrolled agent has all of the skills {}: the work is parked until one does", many.join(", "))
        }
    }
}

fn state_now(conn: &Connection, id: WorkId) -> Result<Option<WorkState>, Problem> {
    let work = load::works::work(conn, id, false).map_err(Problem::internal)?;
    Ok(work.map(|work| work.state))
}

/// What new works ask for that no agent is able to do.
struct Unserved(HashSet<Demand>);

impl Unserved {
    /// Of the works that these events submit.
    fn of<'a>(
        conn: &Connection,
        events: impl Iterator<Item = &'a EventData>,
        defaults: &Defaults,
    ) -> Result<Self, Problem> {
        let asked = events.filter_map(|data| match data {
            EventData::WorkSubmitted(spec) => Some(demand(spec)),
            _ => None,
        });
        let asked: HashSet<Demand> = asked.collect();
        let asked = Vec::from_iter(asked);
        // One submit has one owner.
        let Some(owner) = asked.first().map(|demand| demand.owner) else {
            return Ok(Self(HashSet::new()));
        };
        let unserved = load::agents::unserved(conn, owner, asked, defaults).map_err(Problem::internal)?;
        Ok(Self(unserved.into_iter().collect()))
    }

    /// The state as lists show it.
    fn shown(&self, state: WorkState, spec: &WorkSubmitted) -> &'static str {
        if state == WorkState::Ready && self.0.contains(&demand(spec)) { "parked" } else { state.as_str() }
    }
}

fn demand(spec: &WorkSubmitted) -> Demand {
    work::claim::demand_of(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_in_the_order_of_the_list() {
        let work = |n: u8| {
            let id = WorkId::from_bytes([n; 10]);
            SubmittedWork { id, short: id.short(4), state: "ready".to_owned() }
        };
        // The ledger took the third of the list first.
        let works = as_listed(vec![work(3), work(1), work(2)], &[2, 0, 1]);
        assert_eq!(works, [work(1), work(2), work(3)]);
    }
}
