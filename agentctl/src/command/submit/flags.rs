//! A work written as flags.

use std::collections::BTreeMap;

use agentd_schemas::document::work::{MAX_ATTEMPTS, MAX_INPUTS_BYTES, MAX_SCHEMA_BYTES};
use agentd_schemas::document::{
    Acceptance, Limits, OnDeadline, OnDependencyFailure, PersonAcceptance, ServiceLevel, WorkDocument,
};
use agentd_schemas::strict::{self, json};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::money::Usd;
use agentd_schemas::unit::name::{LabelKey, LabelValue, Skill, Slug};

use crate::command::{self, word};
use crate::context::Context;
use crate::error::Failure;
use crate::input;
use crate::moment::{self, Moment};
use crate::{ambient, latest};

/// What a work is, as flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = true)]
pub(crate) struct WorkFlags {
    /// One line for lists; the first line of the text by default
    #[arg(long)]
    title: Option<String>,
    /// An agent needs this skill; may be given several times
    #[arg(long = "skill", value_name = "SKILL")]
    skills: Vec<Skill>,
    /// Only this agent may take it
    #[arg(long, value_name = "NAME")]
    agent: Option<Slug>,
    /// A class for objectives, reports and lists; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = command::label)]
    labels: Vec<(LabelKey, LabelValue)>,
    /// From -100 to 100; higher goes first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, hide_default_value = true)]
    priority: i16,
    /// Not before this work is completed; may be given several times
    #[arg(long, value_name = "WORK")]
    after: Vec<String>,
    /// What a failed dependency does to this work
    #[arg(long, value_name = "WHAT", value_parser = word::<OnDependencyFailure>(&["cancel", "block", "run"]))]
    on_dependency_failure: Option<OnDependencyFailure>,
    /// The work that this one is a part of
    #[arg(long, value_name = "WORK")]
    parent: Option<String>,
    /// Not handed out before this time: 2h, 22:00, tomorrow, 2026-12-01 22:00, in the zone of TZ or of this machine
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment::ahead)]
    not_before: Option<Moment>,
    /// Not started by then: expired; written as for --not-before
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment::ahead)]
    deadline: Option<Moment>,
    /// What the deadline does to a running work
    #[arg(long, value_name = "WHAT", value_parser = word::<OnDeadline>(&["breach", "stop"]))]
    on_deadline: Option<OnDeadline>,
    /// Running time of one attempt, as in 1h; waiting does not count, nor do setup and criteria of a program that agentd starts
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = command::span)]
    timeout: Option<Span>,
    /// Attempts until the work fails
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = command::whole(1..=MAX_ATTEMPTS))]
    max_attempts: Option<u32>,
    /// Money over all attempts, as in 2usd; at the limit the run waits for a raise
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = command::money)]
    max_cost: Option<Usd>,
    /// Tokens over all attempts
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = command::whole(0..=u64::MAX))]
    max_tokens: Option<u64>,
    /// Service level: a first agent has it within this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = command::span)]
    start_within: Option<Span>,
    /// Service level: it is over within this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = command::span)]
    finish_within: Option<Span>,
    /// The result must be JSON that this JSON Schema accepts; may be given several times
    #[arg(long = "accept-schema", value_name = "FILE")]
    accept_schemas: Vec<String>,
    /// A person must accept the result
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "owner",
          value_parser = word::<PersonAcceptance>(&["owner", "operator"]))]
    accept_by_person: Option<PersonAcceptance>,
    /// Data for the agent: JSON, or @FILE, or @- for stdin
    #[arg(long, value_name = "JSON")]
    inputs: Option<String>,
}

impl WorkFlags {
    /// The document of a work with these flags and this text.
    pub(crate) async fn document(self, context: &Context, text: Option<String>) -> Result<WorkDocument, Failure> {
        if text.is_none() && self.title.is_none() {
            return Err(Failure::usage("a work needs a text or a title")
                .hint("agentctl submit 'what is to be done', or agentctl submit --file work.toml"));
        }
        self.say_times(context);
        let acceptance = self.acceptance()?;
        let inputs = self.inputs.as_deref().map(read_inputs).transpose()?;
        let mut depends_on = Vec::new();
        for work in &self.after {
            depends_on.push(latest::work_id(context, work).await?.to_string());
        }
        let parent = match &self.parent {
            Some(parent) => Some(latest::work_id(context, parent).await?.to_string()),
            None => None,
        };
        Ok(WorkDocument {
            title: self.title,
            instructions: text,
            inputs,
            required_skills: self.skills,
            agent: self.agent,
            labels: labels(self.labels)?,
            priority: self.priority,
            reference: None,
            depends_on,
            on_dependency_failure: self.on_dependency_failure.unwrap_or_default(),
            parent,
            not_before: self.not_before.map(|moment| moment.at),
            deadline: self.deadline.map(|moment| moment.at),
            on_deadline: self.on_deadline.unwrap_or_default(),
            limits: Limits {
                max_cost: self.max_cost,
                max_tokens: self.max_tokens,
                timeout: self.timeout,
                max_attempts: self.max_attempts,
            },
            workspace: None,
            slo: ServiceLevel { start_within: self.start_within, finish_within: self.finish_within },
            acceptance,
        })
    }

    /// What a person should know of the times that they named.
    fn say_times(&self, context: &Context) {
        for note in [&self.not_before, &self.deadline].into_iter().flatten().filter_map(|moment| moment.note.as_ref()) {
            context.out.note(note);
        }
        if let Some(moment) = self.not_before.as_ref().filter(|moment| moment.at < ambient::now()) {
            context
                .out
                .note(format!("--not-before has passed, {}: it holds nothing back", context.out.time(moment.at)));
        }
    }

    fn acceptance(&self) -> Result<Vec<Acceptance>, Failure> {
        let mut acceptance = Vec::new();
        for file in &self.accept_schemas {
            let bytes = input::read(file, MAX_SCHEMA_BYTES)?;
            let schema = json::from_slice(&bytes, &strict::Limits::DEFAULT);
            acceptance.push(Acceptance::JsonSchema(schema.map_err(|error| Failure::document(file, &error))?));
        }
        acceptance.extend(self.accept_by_person.map(Acceptance::Person));
        Ok(acceptance)
    }
}

/// Labels by key; the same key twice is a mistake.
pub(crate) fn labels(pairs: Vec<(LabelKey, LabelValue)>) -> Result<BTreeMap<LabelKey, LabelValue>, Failure> {
    let mut labels = BTreeMap::new();
    for (key, value) in pairs {
        if labels.insert(key.clone(), value).is_some() {
            return Err(Failure::usage(format!("label {key} is given twice")));
        }
    }
    Ok(labels)
}

fn read_inputs(text: &str) -> Result<serde_json::Value, Failure> {
    let (name, bytes) = match text.strip_prefix('@') {
        Some(file) => (file, input::read(file, MAX_INPUTS_BYTES)?),
        None => ("--inputs", text.as_bytes().to_vec()),
    };
    json::from_slice(&bytes, &strict::Limits::DEFAULT).map_err(|error| {
        let failure = Failure::document(name, &error);
        if text.starts_with('@') { failure } else { failure.hint("--inputs takes JSON, or @FILE") }
    })
}
