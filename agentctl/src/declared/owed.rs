//! What a plan needs the person for: actions of polkit, which the daemon asks about when an operator acts for others.
//!
//! Who owes nothing is not asked: the daemon knows who that is.

use super::plan::{Change, Step};
use crate::context::Context;
use crate::error::Failure;
use crate::presence::govern;

/// Agents for everybody, and of others.
const AGENTS: &str = "org.agentd1.manage-agents";
/// Schedules of others.
const WORKS: &str = "org.agentd1.manage-works";
/// Limits of accounts.
const BUDGETS: &str = "org.agentd1.manage-budgets";

/// Has the person prove to be there for all that the changes need, before the first of them is made.
pub(crate) async fn prove(context: &Context, changes: &[Change]) -> Result<(), Failure> {
    for action in owed(changes) {
        let proved = govern::<_, ()>(context.host().await?.inner(), "ProvePresence", &(action,)).await;
        proved.map_err(|failure| failure.hint_too("nothing was done: what is declared needs this proof"))?;
    }
    Ok(())
}

/// Each action once, in the order in which it is first needed.
fn owed(changes: &[Change]) -> Vec<&'static str> {
    let mut owed = Vec::new();
    for change in changes {
        for action in change.steps.iter().filter_map(|step| of(step, change.of_others)) {
            if !owed.contains(&action) {
                owed.push(action);
            }
        }
    }
    owed
}

fn of(step: &Step, of_others: bool) -> Option<&'static str> {
    match step {
        Step::SetLimit(_) => Some(BUDGETS),
        Step::AddSchedule(_) | Step::RemoveSchedule(_) => of_others.then_some(WORKS),
        Step::EnrolProgram(_)
        | Step::EnrolResident(_)
        | Step::SetProgram(_)
        | Step::SetModel(..)
        | Step::DeclareSkills(..)
        | Step::Retire(_) => of_others.then_some(AGENTS),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Kind, What};
    use super::*;

    fn change(of_others: bool, steps: Vec<Step>) -> Change {
        let (name, file, fields) = (String::new(), String::new(), Vec::new());
        Change { change: Kind::Change, kind: What::Agent, name, file, fields, steps, of_others }
    }

    #[test]
    fn what_is_ones_own_needs_nobody_and_what_is_of_others_each_action_once() {
        let agent = || Step::Retire("fixer".parse().unwrap());
        let schedule = || Step::RemoveSchedule("s".to_owned());
        let limit = || {
            let limit = serde_json::json!({ "account": "host", "period": "day" });
            Step::SetLimit(serde_json::from_value(limit).unwrap())
        };
        assert!(owed(&[change(false, vec![agent(), schedule()])]).is_empty());
        assert_eq!(owed(&[change(false, vec![limit()])]), [BUDGETS], "limits are never one's own");
        let all = [change(true, vec![schedule(), schedule()]), change(true, vec![agent(), limit()])];
        assert_eq!(owed(&all), [WORKS, AGENTS, BUDGETS]);
    }
}
