//! What happened to agents and to the host.

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::EventData;
use agentd_schemas::unit::name::Skill;
use agentd_schemas::view::work::FreezeView;

use super::{run, serde_word, spaced};
use crate::output::{Output, span_ms};

/// The words for an event of an agent or the host; `None` for other events.
pub(super) fn words(data: &EventData) -> Option<String> {
    agent(data).or_else(|| host(data))
}

fn agent(data: &EventData) -> Option<String> {
    Some(match data {
        EventData::AgentEnrolled(e) => {
            let shared = if e.shared { ", shared" } else { "" };
            let runs =
                e.runtime.as_ref().map_or_else(String::new, |runtime| format!(", runs {}", run::program(runtime)));
            format!("enrolled for uid {}{shared}{}{runs}", e.owner, skills(", skills ", &e.skills))
        }
        EventData::ProgramBound(e) => format!("runs {} from now on: {}", run::program(&e.runtime), e.reason),
        EventData::AgentActivated(e) => format!("active, probation is over: {}", spaced(&e.reason)),
        EventData::ProbationStarted(e) => format!("on probation again, epoch {}: {}", e.epoch, spaced(&e.reason)),
        EventData::AgentPaused(e) => format!("paused: {}", spaced(&e.reason)),
        EventData::AgentResumed(e) => format!("resumed ({}): {}", e.to.as_str(), spaced(&e.reason)),
        EventData::AgentSuspended(e) => format!("suspended: {}", spaced(&e.reason)),
        EventData::AgentRetired(e) => format!("retired: {}", spaced(&e.reason)),
        EventData::SkillsDeclared(e) => format!("declares skills{}", skills(" ", &e.skills)),
        EventData::KeyRotated(e) => format!("has a new key: {}", e.reason),
        EventData::KeyCertified(e) => format!("key certified by its owner until {}", e.valid_before),
        EventData::KeyRevoked(e) => format!("key revoked: {}", e.reason),
        EventData::ModelBound(e) => {
            let to = e.to.as_ref().map_or_else(|| "no model".to_owned(), |to| format!("{}/{}", to.provider, to.name));
            format!("bound to {to}, epoch {}: {}", e.epoch, e.reason)
        }
        EventData::ModelMismatched(e) => {
            format!("answered with model {}, outside its binding ({})", e.effective, serde_word(&e.action))
        }
        _ => return None,
    })
}

fn host(data: &EventData) -> Option<String> {
    Some(match data {
        EventData::LogStarted(e) => format!("log {} started by agentd {}", e.origin, e.agentd),
        EventData::IncarnationStarted(e) => {
            format!(
                "restored as incarnation {} from {} events of {}: {}",
                e.incarnation, e.previous_size, e.previous_origin, e.reason
            )
        }
        EventData::DaemonStarted(e) => {
            let after = if e.recovered { ", recovered after a crash" } else { "" };
            format!("agentd {} started{after}", e.agentd)
        }
        EventData::ConfigurationReloaded(e) => {
            let pending = if e.pending.is_empty() {
                String::new()
            } else {
                format!(", at the next start: {}", e.pending.join(", "))
            };
            format!(
                "configuration read again: {}{pending}",
                if e.changed.is_empty() { "nothing new counts".to_owned() } else { e.changed.join(", ") }
            )
        }
        EventData::PoliciesLoaded(e) => {
            let files: Vec<&str> = e.files.iter().map(|file| file.name.as_str()).collect();
            let files = if files.is_empty() { "the defaults alone".to_owned() } else { files.join(", ") };
            format!("policies in force: {} in set {:.12}, {files}", e.policies, e.set)
        }
        EventData::PoliciesRejected(e) => {
            let shut = if e.shut { "; what a policy could forbid is denied" } else { "; those before count" };
            format!("policies not taken: {}: {}{shut}", e.place, e.reason)
        }
        EventData::DaemonStopped(e) => format!("agentd stopped: {}", e.reason),
        EventData::AccessDenied(e) => format!("denied {} on {} (rule {})", e.action, e.resource, e.rule),
        EventData::AuthenticationFailed(e) => format!("{} did not prove itself: {}", e.claimed, spaced(&e.reason)),
        EventData::DenialsSummarised(e) => {
            format!("{} more denials of {} within {}", e.count, e.principal, span_ms(e.period_ms))
        }
        EventData::Frozen(e) => format!("froze {}: {}", scope(&e.scope), e.reason),
        EventData::Thawed(e) => format!("thawed {}", scope(&e.scope)),
        EventData::ClockJumped(e) => {
            let way = if e.by_ms < 0 { "back" } else { "forward" };
            format!("wall clock jumped {way} by {}", span_ms(e.by_ms.unsigned_abs()))
        }
        EventData::ClockAccepted(e) => format!("clock accepted: {}", e.reason),
        EventData::ContentRedacted(e) => format!("erased content {} of event {}: {}", e.slot, e.event, e.reason),
        EventData::HoldPlaced(e) => format!("content on hold: {}", e.reason),
        EventData::HoldLifted(e) => format!("hold lifted: {}", e.reason),
        EventData::EffectFinished(e) => format!("{} of event {} done", spaced(&e.kind), e.effect),
        _ => return None,
    })
}

/// What a freeze covers, in words.
pub(crate) fn scope(scope: &Scope) -> String {
    match scope {
        Scope::All => "everything".to_owned(),
        Scope::Work(work) => format!("work {work}"),
        Scope::Agent(agent) => format!("agent {agent}"),
    }
}

/// A freeze that holds a work: since when, by whom, why, and what else it holds.
pub(crate) fn frozen(out: &Output, freeze: &FreezeView) -> String {
    let FreezeView { scope: what, since, actor, reason } = freeze;
    format!("since {} by {actor}: {reason} ({})", out.time(*since), scope(what))
}

fn skills(before: &str, skills: &[Skill]) -> String {
    let names: Vec<&str> = skills.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::new() } else { format!("{before}{}", names.join(", ")) }
}
