//! The way of one command: what it acts on, may it, commit, answer.

use std::sync::Arc;

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{Actor, Decided, Event};
use agentd_schemas::problem::{Code, Problem};

use super::reads::read;
use super::witness::{Proved, agreed};
use super::{Engine, Inner};
use crate::domain::Command;
use crate::domain::command::Submitter;
use crate::ledger::load::resource;
use crate::ledger::store::{Answer, Request};
use crate::policy::{self, Action, Caller, Decision, Presence, Resource, Set};

/// How often a decision is made anew when what it rested on changed.
const MAX_STALE: usize = 3;

/// A command that policy allowed.
struct Allowed {
    decided: Decided,
    /// What the decision rests on, where an event can change it.
    resource: Option<Resource>,
    action: Action,
    /// The name of what is acted on.
    on: String,
    /// What the caller has to prove besides.
    owed: Option<Presence>,
}

/// What became of a command.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its events; empty when nothing had to change.
    pub events: Arc<[Event]>,
    /// Whether an earlier command with the same key had made them.
    pub repeated: bool,
}

impl Engine {
    /// Runs a command. `key` is an idempotency key with the digest of the body.
    pub async fn execute(
        &self,
        caller: &Caller,
        command: Command,
        key: Option<(String, String)>,
    ) -> Result<Done, Problem> {
        // Before all else, and in a place of its own: few callers have a witness, and the others are spared the room for it.
        let proved = match caller.presence.witness() {
            Some(_) => Box::pin(self.proved(caller, &command)).await?,
            None => None,
        };
        for attempt in 0..MAX_STALE {
            let expected = if attempt == 0 { self.expected(caller, &command) } else { None };
            let Allowed { mut decided, resource, action, on, owed } = self.authorize(caller, &command, expected)?;
            let assurance = agreed(caller, owed, proved, &mut decided)?;
            let asked = Caller { assurance, ..caller.clone() };
            let request = Request { caller: asked, command: command.clone(), decided, resource, key: key.clone() };
            // In a box: a course of a run has many commands on its way, and would carry the room of each.
            match Box::pin(self.0.mailbox()?.send(request)).await? {
                Answer::Committed(events) => return Ok(Done { events, repeated: false }),
                Answer::Repeated(events) => return Ok(Done { events, repeated: true }),
                Answer::Refused(problem) => {
                    // What a decision denies to this caller is a denial like any other.
                    if problem.code == Code::Denied {
                        self.record_denial(caller, action, &on, "decision");
                    }
                    return Err(problem);
                }
                Answer::Stale => {}
            }
        }
        Err(Problem::new(Code::Conflict, "what the request acts on kept changing while it was decided")
            .hint("try again"))
    }

    /// Has a caller prove what it owes for a command that policy allows it.
    async fn proved(&self, caller: &Caller, command: &Command) -> Result<Option<Proved>, Problem> {
        let Allowed { action, on, owed, .. } = self.authorize(caller, command, None)?;
        self.witnessed(caller, action, &on, owed).await
    }

    /// What an agent most likely acts on, from memory: itself, or a run that it was given. The store looks whether that
    /// is so; a decision on it is never a denial.
    fn expected(&self, caller: &Caller, command: &Command) -> Option<Resource> {
        let agent = caller.agent_name()?;
        let (name, owner) = match command {
            Command::ClaimWork { agent: claims, .. } if claims == agent => (format!("agent {agent}"), caller.uid),
            Command::CompleteWork { run, .. } | Command::SettleCost { run, .. } | Command::ReserveCost { run, .. } => {
                let (holder, terms) = self.0.live.terms(run)?;
                (holder == *agent).then(|| (format!("work {}", run.work), terms.owner))?
            }
            _ => return None,
        };
        let resource = Resource { name, owner: Some(owner), agent: Some(agent.clone()), suspended: false };
        let allowed = self.policies().authorize(caller, action(command, &resource), &resource);
        matches!(allowed, Decision::Allow(_)).then_some(resource)
    }

    /// Asks policy; a denial is recorded, and who may not see the thing does not learn that it exists.
    fn authorize(&self, caller: &Caller, command: &Command, expected: Option<Resource>) -> Result<Allowed, Problem> {
        self.is_let_in(caller, || {
            let name = unchanging(command).map_or_else(|| named(command), |resource| resource.name);
            (action(command, &Resource::own("", caller)), name)
        })?;
        let (resource, recheck) = if caller.actor == Actor::Host {
            (Resource::host(), false)
        } else if let Some(resource) = unchanging(command) {
            (resource, false)
        } else if let Some(resource) = expected {
            (resource, true)
        } else {
            let found = self.0.readers.with(|conn| resource::of(conn, command).map_err(Problem::internal))?;
            (found.ok_or_else(|| absent(&named(command)))?, true)
        };
        let action = action(command, &resource);
        let decided = self.permit(caller, action, &resource)?;
        let (on, owed) = (resource.name.clone(), Presence::owed(&self.policies(), caller, action, &resource));
        Ok(Allowed { decided, resource: recheck.then_some(resource), action, on, owed })
    }

    /// Tells who is in none of the host's groups so before anything is looked up: what is there and what is not has the same
    /// answer.
    pub(super) fn is_let_in(&self, caller: &Caller, asks: impl FnOnce() -> (Action, String)) -> Result<(), Problem> {
        // An auditor may look, and what it may not change it may see.
        if caller.outside.is_none() || caller.auditor {
            return Ok(());
        }
        let (action, name) = asks();
        self.uncounted(caller, action, &Resource { name, ..Resource::host() }).map(drop)
    }

    /// Asks policy about a query or a command; `Err` is what the caller is told, and the denial is on record. A read is
    /// counted.
    pub(crate) fn permit(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<Decided, Problem> {
        let decided = self.uncounted(caller, action, resource)?;
        if let Some(others) = read(caller, action, resource) {
            self.0.reads.count(others);
        }
        Ok(decided)
    }

    /// As [`permit`](Self::permit), and counts nothing.
    pub(super) fn uncounted(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<Decided, Problem> {
        let set = self.policies();
        match set.authorize(caller, action, resource) {
            Decision::Allow(rule) => Ok(set.decided(&rule)),
            Decision::Deny(rule) => {
                self.record_denial(caller, action, &resource.name, &rule);
                let visible = resource.owner.is_none_or(|owner| caller.viewer().sees(owner));
                Err(if visible || resource.agent.as_ref() == caller.agent_name() && caller.agent_name().is_some() {
                    denied(&set, caller, action, resource, &rule)
                } else {
                    absent(&resource.name)
                })
            }
        }
    }

    /// Puts a denial on record; the loop that writes it is woken.
    pub(super) fn record_denial(&self, caller: &Caller, action: Action, on: &str, rule: &str) {
        if self.0.denials.denied(caller, action.as_str(), on, rule) {
            self.0.timer.notify_one();
        }
    }
}

/// Said of all that is denied while the host's policies are missing.
const SHUT: &str = "the host's policies could not be read when agentd started, and what they could forbid is denied; an operator \
                    mends them (agentctl status says where) and runs: agentctl policy reload";

/// Who may, for somebody who may not: the group that would let it, named where the host has one. Nothing where no group
/// would: an agent joins none, and what agents alone do, no person does.
fn who_may(set: &Set, caller: &Caller, action: Action, resource: &Resource, rule: &str) -> Option<String> {
    if rule == policy::UNREADABLE {
        return Some(SHUT.to_owned());
    }
    let joining = |group: &str| {
        let uid = caller.uid;
        format!(
            "members of the group {group} may; let root run: usermod -aG {group} \"$(id -un {uid})\", and log in anew"
        )
    };
    let says = || match set.says(rule) {
        Some(says) => Some(format!("rule {rule}: {says}")),
        None => (rule != "no_rule").then(|| format!("policy {rule} forbids it; see: agentctl policy show")),
    };
    if !matches!(caller.actor, Actor::Uid(_)) {
        return says();
    }
    let may = |caller: Caller, on: &Resource| matches!(set.authorize(&caller, action, on), Decision::Allow(_));
    // What a plain member may not do to its own either, membership alone does not help to.
    let own = Resource { owner: resource.owner.or(Some(caller.uid)), ..resource.clone() };
    let as_member = may(Caller { operator: false, auditor: false, outside: None, ..caller.clone() }, &own);
    let as_operator = may(Caller { operator: true, outside: None, ..caller.clone() }, resource);
    match (&caller.outside, &caller.operators) {
        (Some(users), _) if as_member => Some(joining(users)),
        (outside, Some(operators)) if as_operator && (rule == "no_rule" || outside.is_some()) => {
            Some(joining(operators))
        }
        (Some(users), _) if as_operator => Some(joining(users)),
        (Some(_), _) => None,
        (None, _) => says().or_else(|| {
            let words =
                "an operator of this host may (root, the daemon's own user, or a member of the operators' group)";
            as_operator.then(|| words.to_owned())
        }),
    }
}

fn denied(set: &Set, caller: &Caller, action: Action, resource: &Resource, rule: &str) -> Problem {
    let what = match resource.name.as_str() {
        "host" => String::new(),
        name if name.ends_with(" of one's own") => String::new(),
        name => format!(" ({name})"),
    };
    let problem = Problem::new(Code::Denied, format!("{} may not {}{what}", caller.actor, action.words()))
        .detail("rule", rule)
        .detail("action", action.as_str());
    match who_may(set, caller, action, resource, rule) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// What is said of a thing that is not there, and word for word of one that the caller may not see.
pub(super) fn absent(name: &str) -> Problem {
    let hint = match name.split_once(' ').map_or(name, |(kind, _)| kind) {
        "agent" => "see: agentctl agent list",
        "schedule" => "see: agentctl schedule list",
        _ => "see: agentctl work list",
    };
    Problem::new(Code::NotFound, format!("no {name}")).hint(hint)
}

/// The name of what a command acts on, as its resource would have it.
fn named(command: &Command) -> String {
    match command {
        Command::PauseSchedule { schedule, .. }
        | Command::ResumeSchedule { schedule }
        | Command::RemoveSchedule { schedule } => format!("schedule {schedule}"),
        Command::ClaimWork { agent, .. }
        | Command::ActivateAgent { agent, .. }
        | Command::RestartProbation { agent, .. }
        | Command::PauseAgent { agent, .. }
        | Command::ResumeAgent { agent, .. }
        | Command::SuspendAgent { agent, .. }
        | Command::RetireAgent { agent, .. }
        | Command::DeclareSkills { agent, .. }
        | Command::RotateKey { agent, .. }
        | Command::CertifyKey { agent, .. }
        | Command::RevokeKey { agent, .. }
        | Command::BindModel { agent, .. }
        | Command::BindProgram { agent, .. }
        | Command::Freeze { scope: Scope::Agent(agent), .. }
        | Command::Thaw { scope: Scope::Agent(agent) } => format!("agent {agent}"),
        Command::CancelWork { work, .. }
        | Command::RetryWork { work, .. }
        | Command::AcceptResult { work, .. }
        | Command::RejectResult { work, .. }
        | Command::RaiseLimits { work, .. }
        | Command::AddNote { work, .. }
        | Command::AnswerRun { work, .. }
        | Command::Hold { work, .. }
        | Command::Freeze { scope: Scope::Work(work), .. }
        | Command::Thaw { scope: Scope::Work(work) } => format!("work {work}"),
        Command::StartRun { run, .. }
        | Command::ReserveCost { run, .. }
        | Command::SettleCost { run, .. }
        | Command::AddRunNote { run, .. }
        | Command::AskPerson { run, .. }
        | Command::CompleteWork { run, .. }
        | Command::FailRun { run, .. }
        | Command::SubmitWorks { from: Submitter::Run(run), .. } => format!("work {}", run.work),
        _ => Resource::host().name,
    }
}

/// Resources that no event can change: nothing to read, nothing to check again.
fn unchanging(command: &Command) -> Option<Resource> {
    match command {
        Command::SubmitWorks { owner, from, .. } if !matches!(from, Submitter::Run(_)) => {
            Some(Resource::owned("works of one's own", *owner))
        }
        Command::AddSchedule { schedule } => Some(Resource::owned("schedules of one's own", schedule.owner)),
        Command::EnrolAgent { agent } => Some(Resource::owned(format!("agent {}", agent.document.name), agent.owner)),
        Command::SetObjective { owner, .. } | Command::RemoveObjective { owner, .. } => {
            Some(Resource::owned("objectives of one's own", *owner))
        }
        _ => None,
    }
}

/// What a command asks of policy.
fn action(command: &Command, resource: &Resource) -> Action {
    match command {
        Command::SubmitWorks { .. } => Action::WorkSubmit,
        Command::ClaimWork { .. } => Action::WorkClaim,
        Command::AcceptResult { .. } | Command::RejectResult { .. } => Action::WorkJudge,
        Command::CancelWork { .. }
        | Command::RetryWork { .. }
        | Command::RaiseLimits { .. }
        | Command::AddNote { .. } => Action::WorkManage,
        Command::AnswerRun { .. } => Action::WorkAnswer,
        Command::ActivateAgent { .. } => Action::AgentActivate,
        Command::StartRun { .. }
        | Command::ReserveCost { .. }
        | Command::SettleCost { .. }
        | Command::AddRunNote { .. }
        | Command::AskPerson { .. }
        | Command::CompleteWork { .. }
        | Command::FailRun { .. } => Action::RunAct,
        Command::EnrolAgent { agent } if agent.document.shared => Action::AgentEnrolShared,
        Command::EnrolAgent { .. } => Action::AgentEnrol,
        Command::ResumeAgent { .. } if resource.suspended => Action::AgentReinstate,
        Command::RestartProbation { .. }
        | Command::PauseAgent { .. }
        | Command::ResumeAgent { .. }
        | Command::SuspendAgent { .. }
        | Command::RetireAgent { .. }
        | Command::DeclareSkills { .. }
        | Command::RotateKey { .. }
        | Command::CertifyKey { .. }
        | Command::RevokeKey { .. }
        | Command::BindModel { .. }
        | Command::BindProgram { .. } => Action::AgentManage,
        Command::AddSchedule { .. }
        | Command::PauseSchedule { .. }
        | Command::ResumeSchedule { .. }
        | Command::RemoveSchedule { .. } => Action::ScheduleManage,
        Command::SetObjective { .. } | Command::RemoveObjective { .. } => Action::ObjectiveManage,
        Command::SetAccountLimit { .. } => Action::AccountManage,
        Command::Freeze { scope, .. } | Command::Thaw { scope } if *scope != Scope::All => Action::FreezeOwn,
        Command::Redact { .. } | Command::Hold { .. } => Action::ContentManage,
        Command::RecordPolicies { .. } => Action::PolicyReload,
        _ => Action::HostManage,
    }
}

impl Inner {
    pub(crate) fn mailbox(&self) -> Result<&crate::ledger::writer::Mailbox, Problem> {
        self.mailbox.get().ok_or_else(|| Problem::new(Code::Stopping, "agentd is not ready yet").hint("try again"))
    }
}
