//! Service-level objectives: what counts as good, and the arithmetic of attainment, budget and burn rate.

use agentd_schemas::document::objective::{Indicator, ObjectiveDocument};
use agentd_schemas::event::{ObjectiveRemoved, ObjectiveSet, ServiceLevelKind, Subject};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;

use super::{Decision, Draft, Env, Rejection};

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;
/// Longest window.
pub const MAX_WINDOW_DAYS: u64 = 366;

/// What the ledger knows of one objective.
#[derive(Debug, Clone, Default)]
pub struct ObjectiveFacts {
    /// The one of this name.
    pub existing: Option<ObjectiveDocument>,
    /// Objectives of the owner.
    pub count: u64,
}

fn subject(owner: u32, name: &Slug) -> Subject {
    Subject::Objective(format!("{owner}/{name}"))
}

/// Sets an objective. The same one again changes nothing.
pub fn set(facts: &ObjectiveFacts, owner: u32, objective: &ObjectiveDocument, env: &Env) -> Decision {
    target_milli_percent(&objective.target_percent)?;
    window_days(objective)?;
    if facts.existing.as_ref() == Some(objective) {
        return Ok(Vec::new());
    }
    let most = env.defaults.max_objectives;
    if facts.existing.is_none() && facts.count >= most {
        return Err(Problem::new(Code::Busy, format!("{most} objectives exist, more are not allowed")));
    }
    let set = ObjectiveSet { owner, objective: objective.clone() };
    Ok(vec![Draft::new(subject(owner, &objective.name), set)])
}

/// Removes an objective.
pub fn remove(facts: &ObjectiveFacts, owner: u32, name: &Slug) -> Decision {
    if facts.existing.is_none() {
        return Err(Problem::new(Code::NotFound, format!("no objective is named {name}")).hint("see: agentctl slo"));
    }
    Ok(vec![Draft::new(subject(owner, name), ObjectiveRemoved {})])
}

/// `99.5` as thousandths of a percent: 99,500.
pub fn target_milli_percent(text: &str) -> Result<u32, Rejection> {
    let bad = || {
        Problem::new(Code::InvalidDocument, format!("target_percent {text:?} is not a percentage"))
            .hint("above 0 and at most 100, with at most three decimals: 99.5")
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
        return Err(bad());
    }
    let padded = format!("{decimals:0<3}");
    let value = whole.parse::<u32>().map_err(|_| bad())? * 1000 + padded.parse::<u32>().map_err(|_| bad())?;
    if value == 0 || value > 100_000 {
        return Err(bad());
    }
    Ok(value)
}

/// The window in whole days.
pub fn window_days(objective: &ObjectiveDocument) -> Result<u64, Rejection> {
    let ms = objective.window.as_ms();
    if ms == 0 || !ms.is_multiple_of(DAY_MS) || ms / DAY_MS > MAX_WINDOW_DAYS {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("the window {} is not 1 to {MAX_WINDOW_DAYS} whole days", objective.window),
        )
        .hint("for example: 28d"));
    }
    Ok(ms / DAY_MS)
}

/// Whether a work that missed a level, reached an end, or its first claim, is good, bad, or does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// It met the objective.
    Good,
    /// It missed it.
    Bad,
}

/// A moment in a work's life that an indicator looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A service level was missed: it counts then, whatever becomes of the work.
    Missed(ServiceLevelKind),
    /// First claim: whether in time; `None` without a service level, or when it was counted before.
    Started(Option<bool>),
    /// Completed: whether in time; `None` without a service level, or when it was counted before.
    Completed(Option<bool>),
    /// Failed or expired; the flags say whether a start or a finish level was asked and not yet counted.
    Failed {
        /// It was never claimed and had a `start_within`.
        start_missed: bool,
        /// It had a `finish_within`.
        finish_missed: bool,
    },
}

/// How a moment counts for an indicator.
pub const fn count(indicator: Indicator, moment: Moment) -> Option<Count> {
    match (indicator, moment) {
        (Indicator::Success, Moment::Completed(_))
        | (Indicator::StartWithin, Moment::Started(Some(true)))
        | (Indicator::FinishWithin, Moment::Completed(Some(true))) => Some(Count::Good),
        (Indicator::Success, Moment::Failed { .. })
        | (
            Indicator::StartWithin,
            Moment::Missed(ServiceLevelKind::Start)
            | Moment::Started(Some(false))
            | Moment::Failed { start_missed: true, .. },
        )
        | (
            Indicator::FinishWithin,
            Moment::Missed(ServiceLevelKind::Finish)
            | Moment::Completed(Some(false))
            | Moment::Failed { finish_missed: true, .. },
        ) => Some(Count::Bad),
        _ => None,
    }
}

/// How an objective stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Good over all, in thousandths of a percent; absent while nothing counted.
    pub attainment_milli_percent: Option<u32>,
    /// Bad works that the target allows among those that counted, rounded down.
    pub budget: u64,
    /// What is left of them.
    pub budget_left: i64,
}

/// Attainment and error budget of what counted in the window.
pub fn standing(target_milli_percent: u32, good: u64, bad: u64) -> Standing {
    let total = good.saturating_add(bad);
    let allowed = u128::from(total) * u128::from(100_000 - target_milli_percent) / 100_000;
    let budget = u64::try_from(allowed).unwrap_or(u64::MAX);
    let share = (u128::from(good) * 100_000).checked_div(u128::from(total));
    Standing {
        attainment_milli_percent: share.and_then(|share| u32::try_from(share).ok()),
        budget,
        budget_left: i64::try_from(i128::from(budget) - i128::from(bad)).unwrap_or(i64::MIN),
    }
}

/// Burn rate in percent: the share of bad works over the share that the target allows (Site Reliability Workbook,
/// chapter 5). 100 uses the budget up exactly at the end of the window. Absent while nothing counted, or when the
/// target allows nothing.
pub fn burn_rate_percent(target_milli_percent: u32, good: u64, bad: u64) -> Option<u64> {
    let total = u128::from(good) + u128::from(bad);
    let allowed = u128::from(100_000 - target_milli_percent) * total;
    let rate = (u128::from(bad) * 100_000 * 100).checked_div(allowed)?;
    u64::try_from(rate).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_at_most_three_decimals() {
        for (text, value) in [("99.5", 99_500), ("100", 100_000), ("0.001", 1), ("95.", 95_000)] {
            assert_eq!(target_milli_percent(text), Ok(value), "{text}");
        }
        for text in ["", "0", "100.001", "99.9999", "-1", "1e2", "abc", ".5"] {
            assert!(target_milli_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_budget_is_what_the_target_leaves() {
        let standing = standing(99_000, 985, 15);
        assert_eq!(standing.attainment_milli_percent, Some(98_500));
        assert_eq!((standing.budget, standing.budget_left), (10, -5));
        assert_eq!(burn_rate_percent(99_000, 985, 15), Some(150));
        assert_eq!(burn_rate_percent(100_000, 5, 1), None);
        assert_eq!(burn_rate_percent(99_000, 0, 0), None);
    }

    #[test]
    fn only_works_with_a_service_level_count_for_it() {
        assert_eq!(count(Indicator::StartWithin, Moment::Started(None)), None);
        assert_eq!(count(Indicator::FinishWithin, Moment::Completed(Some(false))), Some(Count::Bad));
        assert_eq!(count(Indicator::Success, Moment::Completed(Some(false))), Some(Count::Good));
        assert_eq!(count(Indicator::StartWithin, Moment::Missed(ServiceLevelKind::Start)), Some(Count::Bad));
        assert_eq!(count(Indicator::FinishWithin, Moment::Missed(ServiceLevelKind::Start)), None);
        assert_eq!(count(Indicator::Success, Moment::Missed(ServiceLevelKind::Finish)), None);
    }
}
