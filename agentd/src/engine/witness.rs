//! What policy allowed an operator alone is done when the person is there too.

use agentd_schemas::event::{Assurance, Decided};
use agentd_schemas::problem::Problem;

use super::Engine;
use crate::policy::{Action, Caller, Presence, Resource};

/// The rule that stands in the record of a denial.
const NOT_PROVED: &str = "presence.not_proved";

/// What one command owes, and what it proved of it. It is asked for once, however often the command is decided.
#[derive(Debug, Default)]
pub(super) struct Proved(Option<(Presence, Assurance)>);

impl Engine {
    /// Has a caller prove what it owes for an action that policy allowed. Its agreement joins the rules that decided.
    pub(super) async fn witnessed(
        &self,
        caller: &Caller,
        (action, on, owed): (Action, &str, Option<Presence>),
        decided: &mut Decided,
        proved: &mut Proved,
    ) -> Result<Assurance, Problem> {
        let (Some(owed), Some(witness)) = (owed, caller.presence.witness()) else { return Ok(caller.assurance) };
        let assurance = match proved.0 {
            Some((before, assurance)) if before == owed => assurance,
            _ => witness.prove(owed, on).await.inspect_err(|_| self.record_denial(caller, action, on, NOT_PROVED))?,
        };
        proved.0 = Some((owed, assurance));
        decided.rules.push(owed.id().to_owned());
        Ok(assurance)
    }

    /// Asks policy and, where it is owed, for presence, about something that is no command.
    pub(in crate::engine) async fn permit_witnessed(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Problem> {
        self.permit(caller, action, resource)?;
        let owed = Presence::owed(caller, action, resource);
        let mut unrecorded = Decided { rules: Vec::new(), set: String::new() };
        self.witnessed(caller, (action, &resource.name, owed), &mut unrecorded, &mut Proved::default()).await.map(drop)
    }
}
