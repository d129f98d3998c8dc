//! What happened to schedules, objectives and accounts.

use agentd_schemas::event::{AccountLimitSet, EventData, TickOutcome};
use agentd_schemas::unit::money::MicroUsd;

use super::{serde_word, spaced};
use crate::output::{count, days};

/// The words for an event of a schedule, an objective or an account; `None` for other events.
pub(super) fn words(data: &EventData) -> Option<String> {
    Some(match data {
        EventData::ScheduleAdded(e) => format!("schedule {} added: {} in {}", e.name, e.cron, e.time_zone),
        EventData::SchedulePaused(e) => format!("paused: {}", e.reason),
        EventData::ScheduleResumed(_) => "resumed".to_owned(),
        EventData::ScheduleRemoved(_) => "removed; its works stay".to_owned(),
        EventData::ScheduleTicked(e) => {
            let missed = if e.missed == 0 { String::new() } else { format!(" ({} missed before)", e.missed) };
            match &e.outcome {
                TickOutcome::Submitted { work } => format!("tick of {} submitted {work}{missed}", e.tick),
                TickOutcome::Skipped { because } => format!("tick of {} skipped: {}{missed}", e.tick, spaced(because)),
            }
        }
        EventData::ObjectiveSet(e) => {
            let document = &e.objective;
            format!(
                "objective {}: {} % {} over {}",
                document.name,
                document.target_percent,
                serde_word(&document.indicator),
                days(document.window)
            )
        }
        EventData::ObjectiveRemoved(_) => "objective removed".to_owned(),
        EventData::AccountLimitSet(e) => limit(e),
        _ => return None,
    })
}

fn limit(event: &AccountLimitSet) -> String {
    let money = event.max_cost_micro_usd.map(|micro| match MicroUsd::new(micro) {
        Ok(money) => money.to_string(),
        Err(error) => error.to_string(),
    });
    let tokens = event.max_tokens.map(|tokens| count(tokens, "token"));
    let no_money = event.no_max_cost.then(|| "no limit of money set".to_owned());
    let no_tokens = event.no_max_tokens.then(|| "no limit of tokens".to_owned());
    let limits: Vec<String> = money.or(no_money).into_iter().chain(tokens.or(no_tokens)).collect();
    format!("limit for each {}: {}", serde_word(&event.period), limits.join(", "))
}
