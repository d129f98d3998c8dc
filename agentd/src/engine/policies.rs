//! The policies in force: read at the start, read again when somebody asks for it, exchanged as a whole.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use agentd_schemas::event::{Actor, PoliciesLoaded, PoliciesRejected, PolicyFile};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::{PoliciesView, PolicyAnswer, PolicyQuestion, PolicyRow};

use super::current::Current;
use super::recovery::StartError;
use super::{Engine, message_ids};
use crate::domain::Command;
use crate::ledger::query::named::Named;
use crate::policy::{self, Action, Caller, Decision, Known, Presence, Rejected, Resource, Set, folder};

/// Who somebody with a uid is on this host: its groups are looked up.
pub type People = Box<dyn Fn(u32) -> Result<Caller, String> + Send + Sync>;

/// What decides, and where it comes from.
pub(crate) struct Policies {
    current: Current<Set>,
    folder: Option<PathBuf>,
    /// One reload at a time.
    reload: tokio::sync::Mutex<()>,
    rejected: Mutex<Option<Rejected>>,
    people: OnceLock<People>,
}

fn read(folder: Option<&PathBuf>) -> Result<Set, Rejected> {
    match folder {
        None => Set::build(&policy::Sources::default()),
        Some(folder) => Set::build(&folder::read(folder)?),
    }
}

impl Policies {
    /// What is found at the start. A folder that is broken shuts the daemon: it cannot know what was to be forbidden.
    pub(super) fn at_start(folder: Option<PathBuf>) -> Self {
        let (set, rejected) = match read(folder.as_ref()) {
            Ok(set) => (set, None),
            Err(rejected) => (Set::shut(), Some(rejected)),
        };
        Self {
            current: Current::new(Arc::new(set)),
            folder,
            reload: tokio::sync::Mutex::default(),
            rejected: Mutex::new(rejected),
            people: OnceLock::new(),
        }
    }

    fn rejected(&self) -> Option<Rejected> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wrong(&self) -> Option<String> {
        let set = self.current.get();
        let rejected = self.rejected().map(|rejected| {
            if set.is_shut() {
                format!(
                    "policies could not be read, so all but looking, reloading and the end of running work is denied: \
                     {rejected} (agentctl policy reload)"
                )
            } else {
                format!("policies were not taken, those before count: {rejected} (agentctl policy reload)")
            }
        });
        rejected.or_else(|| set.alarm())
    }
}

fn loaded(set: &Set) -> PoliciesLoaded {
    let files = set.sources().iter();
    PoliciesLoaded {
        set: set.digest().to_owned(),
        policies: u32::try_from(set.policies().len()).unwrap_or(u32::MAX),
        files: files.map(|(name, sha256)| PolicyFile { name: name.clone(), sha256: sha256.clone() }).collect(),
    }
}

fn not_taken(rejected: &Rejected, in_force: &Set) -> PoliciesRejected {
    PoliciesRejected {
        place: rejected.place(),
        reason: rejected.reason.clone(),
        set: in_force.digest().to_owned(),
        shut: in_force.is_shut(),
    }
}

fn row(known: &Known) -> PolicyRow {
    PolicyRow {
        id: known.id.to_string(),
        effect: effect(known.forbids),
        says: known.says.as_deref().map(str::to_owned),
        place: format!("{}:{}", known.file, known.line),
    }
}

fn effect(forbids: bool) -> String {
    if forbids { "forbid" } else { "permit" }.to_owned()
}

impl Engine {
    /// The policies that decide now.
    pub(crate) fn policies(&self) -> Arc<Set> {
        self.0.policies.current.get()
    }

    /// What is wrong with the policies, for the status of the host.
    pub(super) fn policy_complaint(&self) -> Option<String> {
        self.0.policies.wrong()
    }

    /// How people are looked up, for who asks what another may do.
    pub fn look_people_up(&self, people: People) {
        let _ = self.0.policies.people.set(people);
    }

    /// Puts on record which policies count from the start on, where a host has any.
    pub(super) async fn record_first_policies(&self) -> Result<(), StartError> {
        let set = self.policies();
        let outcome = match self.0.policies.rejected() {
            Some(rejected) => {
                tracing::error!(
                    "the policies could not be read, and all that they could forbid is denied: {rejected}; mend them and run: \
                     agentctl policy reload"
                );
                Err(not_taken(&rejected, &set))
            }
            None if set.sources().is_empty() => return Ok(()),
            None => Ok(loaded(&set)),
        };
        let recorded = self.execute(&Caller::host(), Command::RecordPolicies { outcome }, None).await;
        recorded.map(drop).map_err(|problem| StartError::System(problem.to_string()))
    }

    /// Reads the host's policies again. What is broken changes nothing.
    pub async fn reload_policies(&self, caller: &Caller) -> Result<PoliciesView, Problem> {
        self.permit(caller, Action::PolicyReload, &Resource::host())?;
        let policies = &self.0.policies;
        let _turn = policies.reload.lock().await;
        let folder = policies.folder.clone();
        let found = tokio::task::spawn_blocking(move || read(folder.as_ref())).await.map_err(Problem::internal)?;
        let in_force = self.policies();
        match found {
            Ok(set) => {
                let is_same = set.digest() == in_force.digest() && policies.rejected().is_none();
                // A signal that changes nothing is no event. What a person asks for is one.
                if !(is_same && caller.actor == Actor::Host) {
                    self.execute(caller, Command::RecordPolicies { outcome: Ok(loaded(&set)) }, None).await?;
                }
                tracing::info!(
                    MESSAGE_ID = message_ids::DAEMON_RELOADED,
                    "policies in force: {} in set {}",
                    set.policies().len(),
                    set.digest()
                );
                policies.current.set(set);
                *policies.rejected.lock().unwrap_or_else(PoisonError::into_inner) = None;
                // What waited for a permission is looked at again.
                self.0.agents_changed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.0.timer.notify_one();
                Ok(self.policies_view())
            }
            Err(rejected) => {
                tracing::error!("policies were not taken, those before count: {rejected}");
                let outcome = Err(not_taken(&rejected, &in_force));
                let line =
                    format!("policies were not taken, those before count: {}: {}", rejected.place(), rejected.reason);
                let hint = rejected.hint.clone().unwrap_or_else(|| "agentctl policy check shows the same".to_owned());
                *policies.rejected.lock().unwrap_or_else(PoisonError::into_inner) = Some(rejected);
                self.execute(caller, Command::RecordPolicies { outcome }, None).await?;
                Err(Problem::new(Code::InvalidDocument, line).hint(hint))
            }
        }
    }

    /// What is in force.
    pub fn show_policies(&self, caller: &Caller) -> Result<PoliciesView, Problem> {
        self.permit(caller, Action::PolicyRead, &Resource::host())?;
        Ok(self.policies_view())
    }

    fn policies_view(&self) -> PoliciesView {
        let set = self.policies();
        let built_in = policy::built_in_rules().map(|(id, says, forbids)| PolicyRow {
            id: id.to_owned(),
            effect: effect(forbids),
            says: Some(says.to_owned()),
            place: "built in".to_owned(),
        });
        PoliciesView {
            set: set.digest().to_owned(),
            shut: set.is_shut(),
            folder: self.0.policies.folder.clone(),
            files: loaded(&set).files,
            policies: built_in.chain(set.policies().iter().map(row)).collect(),
            wrong: self.0.policies.wrong(),
            actions: Action::ALL.iter().map(|action| action.as_str().to_owned()).collect(),
        }
    }

    /// What policy says to a question, and which policies said so. Nothing is done and nothing is denied.
    pub async fn explain_policy(&self, caller: &Caller, question: PolicyQuestion) -> Result<PolicyAnswer, Problem> {
        // Groups of others may be looked up over the network.
        let (engine, caller) = (self.clone(), caller.clone());
        let explained = tokio::task::spawn_blocking(move || engine.explained(&caller, &question));
        explained.await.map_err(Problem::internal)?
    }

    fn explained(&self, caller: &Caller, question: &PolicyQuestion) -> Result<PolicyAnswer, Problem> {
        self.permit(caller, Action::PolicyRead, &Resource::host())?;
        let action = Action::of_name(&question.action).ok_or_else(|| {
            Problem::new(Code::InvalidDocument, format!("there is no action {:?}", shortened(&question.action)))
                .hint("agentctl policy show lists them: work.manage, agent.enrol, policy.reload, …")
        })?;
        let who = self.who(caller, question.principal.as_deref())?;
        let resource = self.what(caller, &who, action, question.on.as_deref())?;
        let set = self.policies();
        let explained = set.explain(&who, action, &resource);
        let (allowed, rule) = match &explained.decision {
            Decision::Allow(rule) => (true, rule),
            Decision::Deny(rule) => (false, rule),
        };
        let proves = Presence::owed(&set, &who, action, &resource).filter(|_| allowed && self.host().mode == "system");
        Ok(PolicyAnswer {
            allowed,
            rule: rule.to_string(),
            says: set.says(rule).map(str::to_owned),
            principal: who.actor.to_string(),
            action: action.as_str().to_owned(),
            on: resource.name,
            policies: explained.policies.iter().map(row).collect(),
            errors: explained.errors,
            proves: proves.map(|presence| presence.id().to_owned()),
            set: set.digest().to_owned(),
        })
    }

    /// Who is asked about. Others are for who may see everything.
    fn who(&self, caller: &Caller, principal: Option<&str>) -> Result<Caller, Problem> {
        let refused = |message: String| Problem::new(Code::InvalidDocument, message).hint("--as USER, or --agent NAME");
        let Some(principal) = principal else { return Ok(caller.clone()) };
        match principal.split_once(':') {
            Some(("user", uid)) => {
                let uid = uid.parse().map_err(|_| refused(format!("{:?} is no uid", shortened(uid))))?;
                if uid == caller.uid && caller.agent_name().is_none() {
                    return Ok(caller.clone());
                }
                if !caller.viewer().all {
                    return Err(Problem::new(
                        Code::Denied,
                        format!("{} may not ask what uid {uid} may do", caller.actor),
                    )
                    .hint("operators and auditors may; leave --as out to ask what you may do yourself"));
                }
                let people = self.0.policies.people.get();
                let found = people.map_or_else(|| Ok(Caller::person(uid, false, false)), |people| people(uid));
                found.map_err(refused)
            }
            Some(("agent", name)) => {
                let agent = self.read(caller, Named::Agent(name))?;
                let name =
                    name.parse().map_err(|_| refused(format!("{:?} is no name of an agent", shortened(name))))?;
                Ok(Caller::agent(name, agent.owner.unwrap_or_default()))
            }
            _ => Err(refused(format!("{:?} is neither user:UID nor agent:NAME", shortened(principal)))),
        }
    }

    /// What is asked about, of what the caller may see.
    fn what(&self, caller: &Caller, who: &Caller, action: Action, on: Option<&str>) -> Result<Resource, Problem> {
        let kind = action.as_str().split('.').next().unwrap_or_default();
        let own = || match who.agent_name() {
            Some(name) if matches!(action, Action::WorkClaim | Action::AgentRead) => {
                Resource { name: format!("agent {name}"), ..Resource::own("", who) }
            }
            _ if action == Action::FreezeOwn => Resource::own("works of one's own", who),
            _ => Resource::own(format!("{kind}s of one's own"), who),
        };
        let is_the_hosts =
            !matches!(kind, "work" | "run" | "agent" | "schedule" | "objective") && action != Action::FreezeOwn;
        match on.map(|on| on.split_once(':').unwrap_or((on, ""))) {
            None if is_the_hosts => Ok(Resource::host()),
            None | Some(("own", "")) => Ok(own()),
            Some(("host", "")) => Ok(Resource::host()),
            Some(("work", id)) => self.read(caller, Named::Work(id)),
            Some(("agent", name)) => self.read(caller, Named::Agent(name)),
            Some(("schedule", name)) => self.read(caller, Named::Schedule(name)),
            Some(_) => Err(Problem::new(
                Code::InvalidDocument,
                format!("{:?} is nothing that is acted on", shortened(on.unwrap_or_default())),
            )
            .hint("--on work:ID, agent:NAME, schedule:NAME, host or own")),
        }
    }
}

/// The beginning of what somebody wrote.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
