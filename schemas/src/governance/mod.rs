//! What the rules of `governance.toml` mean for a work: the *workflow satisfiability problem*, solved exactly.
//!
//! Labels pull rules in ([`Duties`]), rules demand stages, and [`answer`] finds who does them: the cheapest lawful path,
//! or the demands that together cannot be met, and what would change that. Pure: documents in, an answer out. It is here and
//! not in the daemon because who writes rules, who is governed by them and who audits them must come to one answer, and
//! not all of them run a daemon.
//!
//! Of several lawful paths the first of this order is taken: least cost; fewest stages that rest on a claimed skill;
//! names, stage by stage. So there is one answer, whatever the order in a file.

mod check;
mod duties;
mod path;
mod problem;
mod solve;
mod table;
mod unmet;

use std::collections::BTreeMap;

pub use check::{Verdict, examples, read};
pub use duties::{Contradiction, Demand, Duties, StageDuty, What};
pub use path::{MatchedBy, Other, Path, Pick, Step};
pub use unmet::{Change, Thing, Unmet};

use crate::document::governance::{GovernanceDocument, Principal};
use crate::unit::name::{LabelKey, LabelValue};
use crate::unit::owner::Owner;
use problem::World;

/// Steps that one search takes at most, before it says that the rules are too hard.
pub const MAX_SEARCH_STEPS: u64 = 50_000_000;

/// What the rules say of a work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Who does which stage.
    Path(Path),
    /// Nobody can: what cannot be met.
    Unmet(Unmet),
    /// The rules contradict each other.
    Contradiction(Contradiction),
    /// The search took [`MAX_SEARCH_STEPS`] and is not over. No answer is given rather than a wrong one.
    TooHard,
}

/// A work, as far as rules look at it.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// Its labels.
    pub labels: &'a BTreeMap<LabelKey, LabelValue>,
    /// Who it belongs to.
    pub owner: &'a Owner,
    /// Who is there to do it.
    pub principals: Vec<&'a Principal>,
}

/// Finds the lawful path of a work under the rules of a document.
pub fn answer(document: &GovernanceDocument, case: &Case<'_>) -> Answer {
    let duties = match Duties::of(document, case.labels) {
        Ok(duties) => duties,
        Err(contradiction) => return Answer::Contradiction(contradiction),
    };
    let world = World::new(&duties, case);
    match world.solve() {
        Ok(Some(best)) => Answer::Path(path::told(&world, &best)),
        Ok(None) => Answer::Unmet(unmet::explain(&world)),
        Err(problem::TooHard) => Answer::TooHard,
    }
}

#[cfg(test)]
mod tests;
