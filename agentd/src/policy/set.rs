//! A set of policies: what is built in, the defaults, and a host's own above them. It decides, and it does not change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use agentd_schemas::event::{Actor, Assurance, Decided};
use agentd_schemas::id::RunId;
use cedar_policy_core::ast::PolicySet;
use cedar_policy_core::authorizer::{Authorizer, Decision as Answer};
use hashlink::LruCache;
use sha2::{Digest as _, Sha256};

use super::compile::{self, Known};
use super::{Action, Caller, Decision, Rejected, Resource, facts, guard, requests, rules};

/// Decisions that are kept, at most.
pub(super) const MAX_DECISIONS_KEPT: usize = 4096;
/// The rule that denies when a policy could not be evaluated.
pub const BROKEN: &str = "policy.error";
/// The rule that denies while the host's policies could not be read at the start.
pub const UNREADABLE: &str = "policy.unreadable";
/// The name of the file that is compiled in.
const DEFAULT_FILE: &str = "default.cedar";

/// A file, by its name in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Files of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Policies, by name.
    pub policies: Vec<Source>,
    /// Example requests, by name.
    pub requests: Vec<Source>,
}

/// What a decision rests on.
#[derive(PartialEq, Eq, Hash)]
struct Question {
    actor: Actor,
    flags: [bool; 4],
    uid: u32,
    run: Option<RunId>,
    action: Action,
    on: (String, Option<u32>, Option<String>, bool),
}

/// Policies that decide together.
pub struct Set {
    policies: PolicySet,
    known: Vec<Known>,
    places: HashMap<Arc<str>, usize>,
    digest: String,
    sources: Vec<(String, String)>,
    /// The host's policies are not in it, and what they could forbid is denied.
    shut: bool,
    authorizer: Authorizer,
    kept: Mutex<LruCache<Question, Decision>>,
    alarm: Mutex<Option<String>>,
}

/// Why something is allowed or denied.
#[derive(Debug)]
pub struct Explained {
    /// The decision.
    pub decision: Decision,
    /// Every policy that said so, in the order of the set; empty where what is built in decided.
    pub policies: Vec<Known>,
    /// What could not be evaluated.
    pub errors: Vec<String>,
}

impl Set {
    /// The built-in rules with the defaults, and a host's files above them. Their example requests must get their answers.
    pub fn build(sources: &Sources) -> Result<Self, Rejected> {
        let set = Self::compiled(&sources.policies)?;
        requests::hold(&set, sources)?;
        Ok(set)
    }

    /// As [`build`](Self::build), without the example requests.
    pub fn compiled(sources: &[Source]) -> Result<Self, Rejected> {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&rules::VERSION.to_be_bytes());
        for rule in rules::FORBIDS.iter().chain([&rules::HOST_ACTS]) {
            part(rule.id.as_bytes());
            part(rule.says.as_bytes());
        }
        part(compile::SCHEMA.as_bytes());
        part(compile::DEFAULT.as_bytes());
        let mut set = Self::empty();
        set.add(DEFAULT_FILE, compile::DEFAULT.as_bytes())?;
        for source in sources {
            part(source.name.as_bytes());
            part(&source.bytes);
            set.add(&source.name, &source.bytes)?;
            set.sources.push((source.name.clone(), data_encoding::HEXLOWER.encode(&Sha256::digest(&source.bytes))));
        }
        set.digest = data_encoding::HEXLOWER.encode(&hash.finalize());
        Ok(set)
    }

    fn empty() -> Self {
        Self {
            policies: PolicySet::new(),
            known: Vec::new(),
            places: HashMap::new(),
            digest: String::new(),
            sources: Vec::new(),
            shut: false,
            authorizer: Authorizer::new(),
            kept: Mutex::new(LruCache::new(MAX_DECISIONS_KEPT)),
            alarm: Mutex::new(None),
        }
    }

    fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), Rejected> {
        for (known, policy) in compile::compile(file, bytes)? {
            if self.known.len() == guard::MAX_POLICIES {
                return Err(Rejected::of(file, format!("there are more than {} policies", guard::MAX_POLICIES)));
            }
            let taken = rules::FORBIDS.iter().chain([&rules::HOST_ACTS]).map(|rule| rule.id);
            let taken = taken.chain([BROKEN, UNREADABLE, "no_rule", "decision"]);
            if self.places.contains_key(&known.id) || taken.into_iter().any(|id| id == &*known.id) {
                let rejected = compile::twice(file, &known.id);
                return Err(Rejected { place: Some((known.line, 1)), ..rejected });
            }
            self.policies.add(policy).map_err(|error| Rejected::of(file, error.to_string()))?;
            self.places.insert(known.id.clone(), self.known.len());
            self.known.push(known);
        }
        Ok(())
    }

    /// The built-in rules and the defaults, for a host that has no policies.
    #[allow(clippy::expect_used, reason = "the text is compiled in, and a test builds it")]
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: OnceLock<Arc<Set>> = OnceLock::new();
        BUILT_IN.get_or_init(|| Arc::new(Self::compiled(&[]).expect("the defaults are policies"))).clone()
    }

    /// The same without a host's policies that could not be read: what they could forbid is denied.
    #[allow(clippy::expect_used, reason = "the text is compiled in, and a test builds it")]
    pub fn shut() -> Self {
        let open = Self::compiled(&[]).expect("the defaults are policies");
        // It decides otherwise than the set without a host's policies, so it has another name.
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("shut {}", open.digest)));
        Self { shut: true, digest, ..open }
    }

    /// Whether the host's policies are missing in it.
    pub const fn is_shut(&self) -> bool {
        self.shut
    }

    /// SHA-256 (hex) of all that is in it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its policies, the defaults first.
    pub fn policies(&self) -> &[Known] {
        &self.known
    }

    /// The host's files, each with its SHA-256 (hex).
    pub fn sources(&self) -> &[(String, String)] {
        &self.sources
    }

    /// What a rule says, where it says something.
    pub fn says(&self, rule: &str) -> Option<&str> {
        let built_in = rules::FORBIDS.iter().chain([&rules::HOST_ACTS]).find(|each| each.id == rule);
        match (built_in, self.places.get(rule)) {
            (Some(known), _) => Some(known.says),
            (None, Some(place)) => self.known.get(*place)?.says.as_deref(),
            _ => None,
        }
    }

    /// What could not be evaluated last; the set stays suspect.
    pub fn alarm(&self) -> Option<String> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What stands in an event that this rule allowed.
    pub fn decided(&self, rule: &str) -> Decided {
        // What the daemon does by itself rests on what is built in alone, whatever a host adds.
        let is_hosts = rule == rules::HOST_ACTS.id && !self.sources.is_empty();
        let set = if is_hosts { Self::built_in().digest.clone() } else { self.digest.clone() };
        Decided { rules: vec![rule.to_owned()], set }
    }

    /// What is built in decides first. Then a policy that forbids denies, else one that permits allows, else `no_rule`. The
    /// first one in the order of the set is named.
    pub fn authorize(&self, caller: &Caller, action: Action, resource: &Resource) -> Decision {
        if let Some(decision) = self.built_in_rule(caller, action, resource) {
            return decision;
        }
        let question = Question {
            actor: caller.actor.clone(),
            flags: [
                caller.operator,
                caller.auditor,
                caller.assurance == Assurance::Unattended,
                caller.outside.is_some(),
            ],
            uid: caller.uid,
            run: caller.run,
            action,
            on: (
                resource.name.clone(),
                resource.owner,
                resource.agent.as_ref().map(|agent| agent.as_str().to_owned()),
                resource.suspended,
            ),
        };
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&question) {
            return kept.clone();
        }
        let decision = self.evaluated(caller, action, resource).decision;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(question, decision.clone());
        decision
    }

    /// As [`authorize`](Self::authorize), with all policies that said so.
    pub fn explain(&self, caller: &Caller, action: Action, resource: &Resource) -> Explained {
        match self.built_in_rule(caller, action, resource) {
            Some(decision) => Explained { decision, policies: Vec::new(), errors: Vec::new() },
            None => self.evaluated(caller, action, resource),
        }
    }

    fn built_in_rule(&self, caller: &Caller, action: Action, resource: &Resource) -> Option<Decision> {
        if let Some(rule) = rules::forbidden(caller, action, resource) {
            return Some(Decision::Deny(rule.id.into()));
        }
        if rules::host_acts(caller, action, resource) {
            return Some(Decision::Allow(rules::HOST_ACTS.id.into()));
        }
        (self.shut && !is_harmless(action)).then(|| Decision::Deny(UNREADABLE.into()))
    }

    fn evaluated(&self, caller: &Caller, action: Action, resource: &Resource) -> Explained {
        let (request, entities) = match facts::question(caller, action, resource) {
            Ok(question) => question,
            Err(facts::Unasked(why)) => return self.alarmed(action, vec![why]),
        };
        let response = self.authorizer.is_authorized(request, &self.policies, &entities);
        if !response.diagnostics.errors.is_empty() {
            // Cedar passes over a policy that errs. One that forbids would thus forbid nothing.
            return self.alarmed(action, response.diagnostics.errors.iter().map(ToString::to_string).collect());
        }
        let ids = response.diagnostics.reason.iter();
        let mut places: Vec<usize> =
            ids.filter_map(|id| self.places.get::<str>(AsRef::<str>::as_ref(id)).copied()).collect();
        places.sort_unstable();
        let policies: Vec<Known> = places.iter().filter_map(|place| self.known.get(*place).cloned()).collect();
        let rule = policies.first().map_or_else(|| "no_rule".into(), |first| first.id.clone());
        let decision = match response.decision {
            Answer::Allow => Decision::Allow(rule),
            Answer::Deny => Decision::Deny(rule),
        };
        Explained { decision, policies, errors: Vec::new() }
    }

    fn alarmed(&self, action: Action, errors: Vec<String>) -> Explained {
        let line = format!(
            "a policy could not be evaluated for {}, which was denied: {}",
            action.as_str(),
            errors.first().map_or("", String::as_str)
        );
        tracing::error!("{line}");
        *self.alarm.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        Explained { decision: Decision::Deny(BROKEN.into()), policies: Vec::new(), errors }
    }
}

/// What may be done while the host's policies are missing: to look what is wrong and mend it, and to bring to an end what was
/// begun. Nothing begins.
const fn is_harmless(action: Action) -> bool {
    matches!(
        action,
        Action::HostRead
            | Action::HostExamine
            | Action::HostMeasure
            | Action::LedgerReadOwn
            | Action::LedgerReadAll
            | Action::PolicyRead
            | Action::PolicyReload
            | Action::RunAct
    )
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("digest", &self.digest).field("policies", &self.known.len()).finish_non_exhaustive()
    }
}
