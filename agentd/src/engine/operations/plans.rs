//! Schedules and objectives.

use agentd_schemas::document::{ObjectiveDocument, ScheduleDocument};
use agentd_schemas::event::Subject;
use agentd_schemas::id::ScheduleId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{ObjectiveView, ScheduleView};
use jiff::tz::TimeZone;

use crate::domain::schedule::NewSchedule;
use crate::domain::{Command, schedule};
use crate::engine::{Done, Engine};
use crate::ledger::query::named::Named;
use crate::ledger::{load, query};
use crate::policy::{Action, Caller, Resource};

/// Ticks that are shown ahead, at most.
pub const MAX_TICKS: u32 = 1000;

impl Engine {
    /// Adds a schedule; `file` is the name of the one that declares it.
    pub async fn add_schedule(
        &self,
        caller: &Caller,
        document: ScheduleDocument,
        file: Option<&str>,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<ScheduleView, Problem> {
        let key = self.0.keyed(key, "schedule", body)?;
        if let Some(done) = self.before(caller, key.as_ref())? {
            return self.added(caller, &done);
        }
        let mut new = self.new_schedule(caller, document).await?;
        new.declared = file.map(str::to_owned);
        let done = self.execute(caller, Command::AddSchedule { schedule: Box::new(new) }, key).await?;
        self.added(caller, &done)
    }

    /// Whether a schedule would be taken, its name apart. Nothing is written.
    pub async fn check_schedule(&self, caller: &Caller, document: ScheduleDocument) -> Result<(), Problem> {
        let owner = self.owner(caller, document.owner.as_ref())?;
        self.permit(caller, Action::ScheduleManage, &Resource::owned("schedules of one's own", owner))?;
        self.new_schedule(caller, document).await.map(drop)
    }

    async fn new_schedule(&self, caller: &Caller, mut document: ScheduleDocument) -> Result<NewSchedule, Problem> {
        let owner = self.owner(caller, document.owner.as_ref())?;
        let name = document.time_zone.clone().unwrap_or_else(|| self.host().time_zone.clone());
        let zone = TimeZone::get(&name).map_err(|_| {
            Problem::new(Code::InvalidDocument, format!("no time zone is named {name:?}"))
                .hint("use an IANA name such as Europe/Berlin; the host needs the package tzdata")
        })?;
        document.time_zone = Some(name);
        let work = self.prepare(caller, vec![document.work.clone()]).await?.pop();
        let work = work.ok_or_else(|| Problem::internal("a schedule without a work"))?;
        schedule::prepare(owner, document, zone, work)
    }

    fn added(&self, caller: &Caller, done: &Done) -> Result<ScheduleView, Problem> {
        let id = done.events.iter().find_map(|event| match event.envelope.subject {
            Subject::Schedule(id) => Some(id),
            _ => None,
        });
        let id = id.ok_or_else(|| Problem::internal("a schedule without an id"))?;
        self.0.readers.with(|conn| Ok(query::plans::schedule(conn, &caller.viewer(), &id.to_string())?))
    }

    /// All schedules that the caller may see.
    pub fn schedules(&self, caller: &Caller) -> Result<Vec<ScheduleView>, Problem> {
        self.list(caller, Action::ScheduleRead, "schedules")?;
        self.0.readers.with(|conn| Ok(query::plans::schedules(conn, &caller.viewer())?))
    }

    /// The schedule that a caller names, to act on it.
    fn schedule_id(&self, caller: &Caller, action: Action, text: &str) -> Result<ScheduleId, Problem> {
        self.reach(caller, Some(action), Named::Schedule(text))?;
        self.0.readers.with(|conn| Ok(query::resolve::schedule(conn, &caller.viewer(), text)?.id))
    }

    /// The next ticks of a schedule.
    pub fn next_ticks(&self, caller: &Caller, text: &str, count: u32) -> Result<Vec<WallMs>, Problem> {
        if count == 0 || count > MAX_TICKS {
            return Err(Problem::new(
                Code::OutOfBounds,
                format!("{count} ticks asked for, 1 to {MAX_TICKS} can be shown"),
            ));
        }
        let id = self.schedule_id(caller, Action::ScheduleRead, text)?;
        let now = self.now();
        self.0.readers.with(|conn| {
            let facts = load::plans::schedule(conn, id, false, &self.0.defaults.get()).map_err(Problem::internal)?;
            let facts = facts.ok_or_else(|| Problem::new(Code::NotFound, format!("no schedule {text}")))?;
            facts.upcoming(now, count as usize)
        })
    }

    /// Skips ticks until resumed.
    pub async fn pause_schedule(&self, caller: &Caller, text: &str, reason: &str) -> Result<(), Problem> {
        let schedule = self.schedule_id(caller, Action::ScheduleManage, text)?;
        self.execute(caller, Command::PauseSchedule { schedule, reason: reason.to_owned() }, None).await.map(drop)
    }

    /// Goes on.
    pub async fn resume_schedule(&self, caller: &Caller, text: &str) -> Result<(), Problem> {
        let schedule = self.schedule_id(caller, Action::ScheduleManage, text)?;
        self.execute(caller, Command::ResumeSchedule { schedule }, None).await.map(drop)
    }

    /// Removes a schedule.
    pub async fn remove_schedule(&self, caller: &Caller, text: &str) -> Result<(), Problem> {
        let schedule = self.schedule_id(caller, Action::ScheduleManage, text)?;
        self.execute(caller, Command::RemoveSchedule { schedule }, None).await.map(drop)
    }

    /// Sets an objective for works of the caller.
    pub async fn set_objective(&self, caller: &Caller, objective: ObjectiveDocument) -> Result<(), Problem> {
        self.execute(caller, Command::SetObjective { owner: caller.uid, objective }, None).await.map(drop)
    }

    /// All objectives that the caller may see, and how they stand.
    pub fn objectives(&self, caller: &Caller) -> Result<Vec<ObjectiveView>, Problem> {
        self.list(caller, Action::ObjectiveRead, "objectives")?;
        let now = self.now();
        self.0.readers.with(|conn| Ok(query::plans::objectives(conn, &caller.viewer(), now)?))
    }

    /// Removes an objective of the caller.
    pub async fn remove_objective(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        let name = name.parse().map_err(|error| Problem::new(Code::InvalidDocument, format!("{error}")))?;
        self.execute(caller, Command::RemoveObjective { owner: caller.uid, name }, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
