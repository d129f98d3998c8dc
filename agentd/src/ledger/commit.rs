//! From a command to its events: load facts, decide, append, project. One function per group of commands; the order of
//! one commit is in [`super::writer`].

use agentd_schemas::event::Subject;
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use rusqlite::Connection;

use super::load::{self, LoadError};
use crate::domain::agent::{self, AgentFacts};
use crate::domain::command::{Command, RunRef, Submitter};
use crate::domain::work::{self, WorkFacts};
use crate::domain::{Draft, Env, Rejection, account, custody, host, objective, schedule};

/// Why a command has no events.
#[derive(Debug)]
pub enum Refusal {
    /// A rule says no: an answer.
    Rejected(Rejection),
    /// Facts could not be loaded: broken or failing storage.
    Load(LoadError),
}

impl From<Rejection> for Refusal {
    fn from(problem: Rejection) -> Self {
        Self::Rejected(problem)
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// What a command decides.
pub type Decided = Result<Vec<Draft>, Refusal>;

/// Loads the facts of a command and decides on it.
pub fn decide(tx: &Connection, command: &Command, operator: bool, env: &Env) -> Decided {
    match command {
        Command::SubmitWorks { owner, works, from } => {
            let facts = load::submit::submit_facts(tx, *owner, works, from)?;
            Ok(work::submit::submit(&facts, *owner, works, from, env)?)
        }
        Command::ClaimWork { agent, lease_ms, looked } => {
            let facts = load::works::claim_facts(tx, agent, looked.as_ref(), env)?.ok_or_else(|| no_agent(agent))?;
            Ok(work::claim::claim(&facts, *lease_ms, env)?)
        }
        _ if is_run(command) => decide_run(tx, command, env),
        _ if is_work(command) => decide_work(tx, command, operator, env),
        _ if is_agent(command) => decide_agent(tx, command, env),
        _ => decide_host(tx, command, operator, env),
    }
}

const fn is_run(command: &Command) -> bool {
    matches!(
        command,
        Command::StartRun { .. }
            | Command::ReserveCost { .. }
            | Command::SettleCost { .. }
            | Command::AddRunNote { .. }
            | Command::AskPerson { .. }
            | Command::CompleteWork { .. }
            | Command::FailRun { .. }
            | Command::ExpireLease { .. }
            | Command::TimeOutRun { .. }
            | Command::VoidLease { .. }
            | Command::ExitProgram { .. }
            | Command::EndProgram { .. }
            | Command::GiveUpRun { .. }
    )
}

const fn is_work(command: &Command) -> bool {
    matches!(
        command,
        Command::CancelWork { .. }
            | Command::RetryWork { .. }
            | Command::AcceptResult { .. }
            | Command::RejectResult { .. }
            | Command::RaiseLimits { .. }
            | Command::AddNote { .. }
            | Command::AnswerRun { .. }
            | Command::WakeWork { .. }
            | Command::PassDeadline { .. }
            | Command::BreachLevel { .. }
            | Command::ResumeBudget { .. }
            | Command::Hold { .. }
            | Command::JudgeBase { .. }
    )
}

const fn is_agent(command: &Command) -> bool {
    matches!(
        command,
        Command::EnrolAgent { .. }
            | Command::ActivateAgent { .. }
            | Command::RestartProbation { .. }
            | Command::PauseAgent { .. }
            | Command::ResumeAgent { .. }
            | Command::SuspendAgent { .. }
            | Command::RetireAgent { .. }
            | Command::DeclareSkills { .. }
            | Command::RotateKey { .. }
            | Command::CertifyKey { .. }
            | Command::RevokeKey { .. }
            | Command::BindModel { .. }
            | Command::BindProgram { .. }
    )
}

fn no_agent(name: &Slug) -> Refusal {
    Problem::new(Code::NotFound, format!("no agent is named {name}")).hint("see: agentctl agent list").into()
}

fn no_work(id: WorkId) -> Refusal {
    Problem::new(Code::NotFound, format!("no work {id}")).hint("see: agentctl work list").into()
}

fn load_work(tx: &Connection, id: WorkId, may_end: bool) -> Result<WorkFacts, Refusal> {
    load::works::work(tx, id, may_end)?.ok_or_else(|| no_work(id))
}

fn agent_of(tx: &Connection, work: &WorkFacts) -> Result<AgentFacts, Refusal> {
    let name = work.run.as_ref().map(|run| &run.agent);
    let name = name.ok_or_else(|| Problem::new(Code::StaleFence, format!("work {} has no run", work.id)))?;
    load::agents::facts(tx, name)?.ok_or_else(|| no_agent(name))
}

fn decide_run(tx: &Connection, command: &Command, env: &Env) -> Decided {
    match command {
        Command::ReserveCost { run, micro_usd, tokens } => {
            let facts = load::works::spend_facts(tx, run, None, env)?.ok_or_else(|| no_work(run.work))?;
            work::frozen::refuse(&facts.work, run, &load::host::frozen(tx)?)?;
            has_share(tx, &facts.work, run, None)?;
            Ok(work::spend::reserve(&facts, run, *micro_usd, *tokens)?)
        }
        Command::SettleCost { run, cost } => {
            let facts = load::works::spend_facts(tx, run, cost.reservation, env)?.ok_or_else(|| no_work(run.work))?;
            has_share(tx, &facts.work, run, None)?;
            Ok(work::spend::settle(&facts, run, cost, env)?)
        }
        Command::StartRun { run, confinement } => {
            Ok(work::claim::start(&load_work(tx, run.work, false)?, run, confinement.as_deref())?)
        }
        Command::ExitProgram { run, start, ending, handed_in } => {
            let work = load_work(tx, run.work, false)?;
            let known = load::programs::last_exit(tx, &work, run)?;
            Ok(work::program::exited(&work, run, (*start, ending), *handed_in, known))
        }
        Command::EndProgram { run, end } => {
            let output = [end.stdout.as_slice(), end.stderr.as_slice()];
            Ok(work::program::ended(load::programs::program(tx, run)?, run, &end.ended, output)?)
        }
        Command::GiveUpRun { run, reason, message } => {
            let (facts, agent) = held(tx, run)?;
            Ok(work::program::give_up(&facts, &agent, run, *reason, message, env)?)
        }
        Command::AddRunNote { run, text } => {
            let facts = load_work(tx, run.work, false)?;
            has_share(tx, &facts, run, Some(text))?;
            Ok(work::person::run_note(&facts, run, text)?)
        }
        Command::AskPerson { run, text } => {
            let facts = load_work(tx, run.work, false)?;
            has_share(tx, &facts, run, Some(text))?;
            Ok(work::person::ask(&facts, run, text)?)
        }
        Command::VoidLease { run, because } => {
            Ok(work::recover::void_lease(&load_work(tx, run.work, false)?, run, because)?)
        }
        Command::CompleteWork { run, completion } => {
            let (facts, agent) = held(tx, run)?;
            Ok(work::judge::complete(&facts, &agent, run, completion, env)?)
        }
        Command::FailRun { run, message } => {
            let (facts, agent) = held(tx, run)?;
            Ok(work::recover::fail(&facts, &agent, run, message, env)?)
        }
        Command::ExpireLease { run } => {
            let (facts, agent) = held(tx, run)?;
            Ok(work::recover::expire_lease(&facts, &agent, run, env)?)
        }
        Command::TimeOutRun { run } => {
            let (facts, agent) = held(tx, run)?;
            Ok(work::recover::time_out(&facts, &agent, run, env)?)
        }
        _ => Err(Problem::internal("not a command about a run").into()),
    }
}

/// Refuses what would go beyond a living run's share of the ledger. Of one that is over the rule that follows speaks.
fn has_share(tx: &Connection, work: &WorkFacts, run: &RunRef, text: Option<&str>) -> Result<(), Refusal> {
    if work.live(run).is_err() {
        return Ok(());
    }
    let said = load::works::said(tx, work, run)?;
    match text {
        Some(text) => work::share::check_note(work, said, text)?,
        None => work::share::check_event(work, said)?,
    }
    Ok(())
}

/// The work of a run that its caller names, and the agent that holds it.
fn held(tx: &Connection, run: &RunRef) -> Result<(WorkFacts, AgentFacts), Refusal> {
    let facts = load_work(tx, run.work, true)?;
    facts.live(run)?;
    let agent = agent_of(tx, &facts)?;
    Ok((facts, agent))
}

fn decide_work(tx: &Connection, command: &Command, operator: bool, env: &Env) -> Decided {
    match command {
        Command::CancelWork { work, reason } => {
            agent::check_reason("the reason", reason, false)?;
            Ok(work::person::cancel(&load_work(tx, *work, false)?, reason)?)
        }
        Command::RetryWork { work, reason } => {
            agent::check_reason("the reason", reason, false)?;
            Ok(work::person::retry(&load_work(tx, *work, false)?, reason, env)?)
        }
        Command::AcceptResult { work, note } => judge(tx, *work, true, note.as_deref(), operator, env),
        Command::RejectResult { work, reason } => {
            agent::check_reason("the reason", reason, false)?;
            judge(tx, *work, false, Some(reason), operator, env)
        }
        Command::RaiseLimits { work, raise } => {
            let facts = load_work(tx, *work, false)?;
            Ok(work::person::raise(&facts, raise, &accounts(tx, &facts, env)?)?)
        }
        Command::ResumeBudget { work } => {
            let facts = load_work(tx, *work, false)?;
            Ok(work::spend::resume_budget(&facts, &accounts(tx, &facts, env)?)?)
        }
        Command::JudgeBase { work, verdicts } => {
            let known = load::programs::is_base_judged(tx, *work)?;
            Ok(work::program::base_judged(&load_work(tx, *work, false)?, known, verdicts)?)
        }
        Command::AddNote { work, text } => Ok(work::person::note(&load_work(tx, *work, false)?, text)?),
        Command::AnswerRun { work, text } => Ok(work::person::answer(&load_work(tx, *work, false)?, text)?),
        Command::Hold { work, held, reason } => {
            agent::check_reason("the reason", reason, false)?;
            Ok(work::person::hold(&load_work(tx, *work, false)?, *held, reason)?)
        }
        Command::WakeWork { work } => Ok(work::recover::wake(&load_work(tx, *work, false)?, env)?),
        Command::BreachLevel { work, level } => Ok(work::deadline::breach(&load_work(tx, *work, false)?, *level, env)?),
        Command::PassDeadline { work } => {
            let facts = load_work(tx, *work, true)?;
            let agent = match &facts.run {
                Some(run) => load::agents::facts(tx, &run.agent)?,
                None => None,
            };
            Ok(work::deadline::pass(&facts, agent.as_ref(), env)?)
        }
        _ => Err(Problem::internal("not a command about a work").into()),
    }
}

fn accounts(tx: &Connection, work: &WorkFacts, env: &Env) -> Result<Vec<account::AccountFacts>, Refusal> {
    let agent = work.run.as_ref().map(|run| &run.agent);
    Ok(load::accounts::over(tx, work, agent, env)?)
}

fn judge(tx: &Connection, id: WorkId, accepts: bool, words: Option<&str>, operator: bool, env: &Env) -> Decided {
    let facts = load_work(tx, id, true)?;
    if facts.run.is_none() {
        let problem = facts.wrong_state("judge", "there is no result to judge: agentctl why");
        return Err(problem.into());
    }
    let agent = agent_of(tx, &facts)?;
    let verdicts = load::works::pending_verdicts(tx, &facts)?;
    Ok(work::judge::decide_by_person(&facts, &agent, &verdicts, accepts, operator, words, env)?)
}

fn decide_agent(tx: &Connection, command: &Command, env: &Env) -> Decided {
    if let Command::EnrolAgent { agent: new } = command {
        let facts = load::agents::enrol(tx, new)?;
        return Ok(agent::enrol(&facts, new, env)?);
    }
    let load =
        |name: &Slug| -> Result<AgentFacts, Refusal> { load::agents::facts(tx, name)?.ok_or_else(|| no_agent(name)) };
    Ok(match command {
        Command::ActivateAgent { agent: name, reason } => agent::activate(&load(name)?, reason)?,
        Command::RestartProbation { agent: name, reason } => agent::restart_probation(&load(name)?, reason)?,
        Command::PauseAgent { agent: name, reason } => agent::pause(&load(name)?, reason)?,
        Command::ResumeAgent { agent: name, reason } => agent::resume(&load(name)?, reason)?,
        Command::SuspendAgent { agent: name, reason } => {
            shut_out(tx, &load(name)?, agent::suspend(&load(name)?, reason)?, env)?
        }
        Command::RetireAgent { agent: name, reason } => {
            shut_out(tx, &load(name)?, agent::retire(&load(name)?, reason)?, env)?
        }
        Command::DeclareSkills { agent: name, skills } => agent::declare_skills(&load(name)?, skills)?,
        Command::RotateKey { agent: name, public_key, nonce, signature, reason } => {
            let key_of = load::agents::key_of(tx, public_key)?;
            agent::rotate_key(&load(name)?, key_of.as_deref(), public_key, nonce, signature, reason)?
        }
        Command::CertifyKey { agent: name, certified } => custody::certify_key(&load(name)?, certified, env)?,
        Command::RevokeKey { agent: name, reason } => agent::revoke_key(&load(name)?, reason)?,
        Command::BindProgram { agent: name, runtime, files, reason } => {
            agent::bind_program(&load(name)?, runtime, files, reason)?
        }
        Command::BindModel { agent: name, to, reason } => agent::bind_model(&load(name)?, to.as_ref(), reason)?,
        _ => return Err(Problem::internal("not a command about an agent").into()),
    })
}

/// An agent that is shut out loses its leases in the same commit; the attempts count for the works, not against it.
fn shut_out(tx: &Connection, agent: &AgentFacts, mut drafts: Vec<Draft>, env: &Env) -> Decided {
    if drafts.is_empty() {
        return Ok(drafts);
    }
    let reason = agentd_schemas::event::FailureReason::AgentShutOut;
    for work in load::works::held_by(tx, &agent.candidate.name)? {
        let words = Some(format!("agent {} was shut out", agent.candidate.name));
        drafts.extend(work::ending::attempt_failed(&work, agent, reason, Vec::new(), words, env, Draft::by_host));
    }
    Ok(drafts)
}

fn decide_host(tx: &Connection, command: &Command, operator: bool, env: &Env) -> Decided {
    Ok(match command {
        Command::Cascade { effect } => match load::works::cascade_facts(tx, *effect)? {
            Some(facts) => work::recover::cascade(&facts, env)?,
            None => Vec::new(),
        },
        Command::AddSchedule { schedule: new } => {
            let mut facts = load::plans::add(tx, new.owner, &new.document.name)?;
            facts.submit =
                load::submit::submit_facts(tx, new.owner, std::slice::from_ref(&new.work), &Submitter::Person)?;
            schedule::add(&facts, new, env)?
        }
        Command::PauseSchedule { schedule: id, reason } => {
            schedule::pause(&load_schedule(tx, *id, false, env)?, reason)?
        }
        Command::ResumeSchedule { schedule: id } => schedule::resume(&load_schedule(tx, *id, false, env)?, env)?,
        Command::RemoveSchedule { schedule: id } => schedule::remove(&load_schedule(tx, *id, false, env)?)?,
        Command::TickSchedule { schedule: id } => schedule::tick(&load_schedule(tx, *id, true, env)?, env)?,
        Command::SetObjective { owner, objective } => {
            objective::set(&load::plans::objective(tx, *owner, &objective.name)?, *owner, objective, env)?
        }
        Command::RemoveObjective { owner, name } => {
            objective::remove(&load::plans::objective(tx, *owner, name)?, *owner, name)?
        }
        Command::SetAccountLimit { account, period, micro_usd, tokens, declared } => {
            if let account::AccountScope::Agent(name) = account::parse_scope(account)?
                && load::agents::candidate(tx, &name)?.is_none()
            {
                return Err(no_agent(&name));
            }
            account::set_limit(account, *period, *micro_usd, *tokens, declared.as_deref())?
        }
        Command::Freeze { scope, reason } => {
            host::freeze(&load::host::facts(tx, Some(scope))?, scope, reason, operator)?
        }
        Command::Thaw { scope } => host::thaw(&load::host::facts(tx, Some(scope))?, scope)?,
        Command::AcceptClock { reason } => host::accept_clock(&load::host::facts(tx, None)?, reason)?,
        Command::NoticeClock { by_ms } => host::notice_clock(*by_ms)?,
        Command::Redact { event, slot, reason } => {
            host::redact(load::host::redact(tx, *event, *slot)?, *event, *slot, reason)?
        }
        Command::RecordStart { agentd, recovered, configuration } => {
            host::record_start(agentd, *recovered, configuration.as_ref())?
        }
        Command::RecordReload { configuration, changed, pending } => {
            host::record_reload(configuration, changed, pending)?
        }
        Command::RecordPolicies { outcome } => host::record_policies(outcome),
        Command::RecordStop { reason } => host::record_stop(reason)?,
        Command::RecordDenial { action, resource, rule } => host::record_denial(action, resource, rule)?,
        Command::RecordAuthenticationFailure { claimed, reason } => {
            host::record_authentication_failure(claimed, reason)?
        }
        Command::RecordDenials { principal, count, period_ms } => host::record_denials(principal, *count, *period_ms)?,
        _ => return Err(Problem::internal("a command without a rule").into()),
    })
}

fn load_schedule(
    tx: &Connection,
    id: agentd_schemas::id::ScheduleId,
    with_work: bool,
    env: &Env,
) -> Result<schedule::ScheduleFacts, Refusal> {
    let found = load::plans::schedule(tx, id, with_work, &env.defaults)?;
    let missing =
        || Problem::new(Code::NotFound, format!("no {}", Subject::Schedule(id))).hint("see: agentctl schedule list");
    Ok(found.ok_or_else(missing)?)
}
