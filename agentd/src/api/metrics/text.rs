//! Measures in the text format 0.0.4: `# HELP`, `# TYPE`, then the samples of each family.

use std::fmt::Write as _;

use agentd_schemas::document::request::Scope;
use agentd_schemas::event::{AgentState, WorkState};

use crate::engine::meters::{BusState, COMMIT_BUCKETS_US, Doorway, ENDS, REASONS, Reading};
use crate::engine::operations::measures::Measures;

/// What people are waited for, as status has it.
const WAITS: [&str; 3] = ["accept", "answer", "budget"];

/// The text being written.
struct Text(String);

/// The kind of a family.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Text {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (nth, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if nth == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn each<'a, V: std::fmt::Display>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        label: &str,
        values: impl Iterator<Item = (&'a str, V)>,
    ) {
        self.family(name, kind, help);
        values.for_each(|(text, value)| self.sample(name, &[(label, text)], value));
    }
}

/// The whole answer.
pub(super) fn text(measures: &Measures) -> String {
    let mut text = Text(String::with_capacity(8 << 10));
    daemon(&mut text, measures);
    work(&mut text, measures);
    ledger(&mut text, measures);
    commits(&mut text, &measures.counted);
    process(&mut text, measures);
    text.0
}

/// Whole and thousandth seconds, exactly.
fn seconds_of_ms(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn seconds_of_us(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// A share of one, of whole percents.
fn ratio(percent: u64) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

fn daemon(text: &mut Text, measures: &Measures) {
    let (status, counted) = (&measures.status, &measures.counted);
    text.family("agentd_build_info", Kind::Gauge, "The daemon, by version and mode; always 1.");
    text.sample("agentd_build_info", &[("version", &status.version), ("mode", &status.mode)], 1);
    let beat = seconds_of_ms(counted.beat_ms);
    let help = "When the timers last looked around, as Unix time; they do at least once a second.";
    text.one("agentd_last_beat_timestamp_seconds", Kind::Gauge, help, beat);
    if counted.bus != BusState::None {
        let connected = u8::from(counted.bus == BusState::Connected);
        text.one("agentd_bus_connected", Kind::Gauge, "Whether the bus that is served is there.", connected);
    }
    let healthy = |word: &&String| *word != "ok";
    let warnings = status.health.iter().filter(healthy).count() - status.critical.len();
    let problems = [("critical", status.critical.len()), ("warning", warnings)];
    let family = ("agentd_health_problems", Kind::Gauge, "What status complains of, by how bad it is.");
    text.each(family, "severity", problems.into_iter());
    let held = u8::from(status.clock_held_ms.is_some());
    text.one("agentd_clock_held", Kind::Gauge, "Whether the wall clock jumped and nobody looked yet.", held);
    let frozen = u8::from(status.frozen.contains(&Scope::All));
    text.one("agentd_frozen", Kind::Gauge, "Whether the whole host is frozen.", frozen);
    let refused = [("denied", status.denials.denied), ("unauthenticated", status.denials.unauthenticated)];
    let family = ("agentd_refusals_total", Kind::Counter, "Requests that were refused, by kind.");
    text.each(family, "kind", refused.into_iter());
    let reads = [("own", status.reads.own), ("others", status.reads.others)];
    let family = ("agentd_reads_total", Kind::Counter, "Reads of one's own things, and of what belongs to others.");
    text.each(family, "of", reads.into_iter());
    let doors = Doorway::ALL.iter().map(|(_, word)| *word).zip(counted.connections);
    let family = ("agentd_door_connections", Kind::Gauge, "Open connections at each socket.");
    text.each(family, "door", doors);
    let (depth, places) = measures.mailbox;
    text.one("agentd_mailbox_commands", Kind::Gauge, "Commands that wait for the writer.", depth);
    text.one("agentd_mailbox_capacity", Kind::Gauge, "Commands that can wait for the writer.", places);
}

fn work(text: &mut Text, measures: &Measures) {
    let (status, counted) = (&measures.status, &measures.counted);
    let count = |of: &std::collections::BTreeMap<String, u64>, word: &str| of.get(word).copied().unwrap_or(0);
    // Parked is a property of a work's queue, and counted as a state.
    let states = WorkState::ALL.into_iter().map(WorkState::as_str).chain(["parked"]);
    let works = states.map(|state| (state, count(&status.works, state)));
    text.each(("agentd_works", Kind::Gauge, "Works by state."), "state", works);
    let ends = ENDS.into_iter().zip(counted.ends);
    let help = "Works that ended since the daemon started, by outcome.";
    text.each(("agentd_works_ended_total", Kind::Counter, help), "outcome", ends);
    let failed = REASONS.iter().map(|(_, word)| *word).zip(counted.attempts);
    let help = "Attempts that failed since the daemon started, by reason; lease_expired is a lease that was lost.";
    text.each(("agentd_attempts_failed_total", Kind::Counter, help), "reason", failed);
    let runs = &status.runs;
    let phases = [("preparing", runs.preparing), ("running", runs.running), ("judging", runs.judging)];
    let family = ("agentd_runs", Kind::Gauge, "Runs of agents that agentd starts, by phase.");
    text.each(family, "phase", phases.into_iter());
    text.one("agentd_runs_max", Kind::Gauge, "Runs at a time, at most.", runs.max);
    text.one("agentd_leases", Kind::Gauge, "Works that an agent holds.", measures.leases);
    let states =
        [AgentState::Probation, AgentState::Active, AgentState::Paused, AgentState::Suspended, AgentState::Retired];
    let agents = states.into_iter().map(|state| (state.as_str(), count(&status.agents, state.as_str())));
    text.each(("agentd_agents", Kind::Gauge, "Agents by state."), "state", agents);
    let waiting = |word: &'static str| status.waiting.iter().filter(move |item| item.what == word);
    let help = "Works that wait for a person, by what for; at most 50 in all are counted, and each kind has its share.";
    let waits = WAITS.into_iter().map(|word| (word, waiting(word).count()));
    text.each(("agentd_waiting_for_person", Kind::Gauge, help), "what", waits);
    let oldest = measures.oldest_waiting.map_or(0, |since| measures.now.as_ms().saturating_sub(since.as_ms()).max(0));
    let help = "How long the work has waited that has waited longest for a person, of all; 0 where none does.";
    text.one("agentd_waiting_for_person_oldest_seconds", Kind::Gauge, help, seconds_of_ms(oldest));
    let rates = [("1d", ratio(measures.burn_day_percent)), ("7d", ratio(measures.burn_week_percent))];
    let help = "The highest burn rate of an objective: 1 spends its error budget exactly within its window.";
    text.each(("agentd_slo_burn_rate_max", Kind::Gauge, help), "over", rates.into_iter());
    let today = &status.today;
    let spent = today.spent.0.as_micro();
    text.one("agentd_spent_today_micro_usd", Kind::Gauge, "Money spent today, in millionths of a US dollar.", spent);
    text.one("agentd_tokens_today", Kind::Gauge, "Tokens used today.", today.tokens);
    let help = "Calls today without a price: their money is unknown.";
    text.one("agentd_unpriced_calls_today", Kind::Gauge, help, today.unpriced_calls);
}

fn ledger(text: &mut Text, measures: &Measures) {
    let status = &measures.status;
    text.one("agentd_ledger_events_total", Kind::Counter, "Events in the ledger.", status.events);
    let help = "Events below the newest signed checkpoint.";
    text.one("agentd_ledger_signed_events", Kind::Gauge, help, measures.signed_events);
    text.one("agentd_ledger_incarnation", Kind::Gauge, "Which incarnation of the ledger it is.", status.incarnation);
    text.one("agentd_ledger_bytes", Kind::Gauge, "Bytes of the database.", status.database_bytes);
    let free = ratio(status.disk_free_percent.into());
    text.one("agentd_disk_free_ratio", Kind::Gauge, "The share of the ledger's disk that is free, 0 to 1.", free);
}

fn commits(text: &mut Text, counted: &Reading) {
    let name = "agentd_commit_duration_seconds";
    text.family(name, Kind::Histogram, "How long commits to the ledger took.");
    let mut sum = 0;
    for (nth, number) in counted.commits.into_iter().enumerate() {
        sum += number;
        let bound = COMMIT_BUCKETS_US.get(nth).map_or_else(|| "+Inf".to_owned(), |bound| seconds_of_us(*bound));
        let bound = if bound.contains('.') { bound.trim_end_matches('0').trim_end_matches('.') } else { &bound };
        text.sample("agentd_commit_duration_seconds_bucket", &[("le", bound)], sum);
    }
    text.sample("agentd_commit_duration_seconds_sum", &[], seconds_of_us(counted.commit_us));
    text.sample("agentd_commit_duration_seconds_count", &[], sum);
    let help = "Commits that failed: everything in them was undone.";
    text.one("agentd_commits_failed_total", Kind::Counter, help, counted.failed_commits);
}

fn process(text: &mut Text, measures: &Measures) {
    let process = &measures.process;
    let cpu = seconds_of_us(process.cpu_us);
    text.one("process_cpu_seconds_total", Kind::Counter, "Processor time, of user and system.", cpu);
    text.one("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", process.resident_bytes);
    text.one("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory.", process.virtual_bytes);
    text.one("process_threads", Kind::Gauge, "Threads.", process.threads);
    if let Some(most) = process.max_open_files {
        text.one("process_max_fds", Kind::Gauge, "Open files, at most.", most);
    }
    let since = seconds_of_ms(measures.status.since.as_ms());
    text.one("process_start_time_seconds", Kind::Gauge, "When the daemon started, as Unix time.", since);
}
