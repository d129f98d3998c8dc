//! What policy allowed an operator alone is done when the person is there too.

use agentd_schemas::event::{Assurance, Decided};
use agentd_schemas::problem::{Code, Problem};

use super::Engine;
use crate::policy::{Action, Caller, Presence, Resource};

/// The rule that stands in the record of a denial.
const NOT_PROVED: &str = "presence.not_proved";

/// What was proved, and how sure that makes us of who called.
pub(super) type Proved = (Presence, Assurance);

/// How sure we are of a caller that did what it had to prove. The agreement joins the rules that decided.
pub(super) fn agreed(
    caller: &Caller,
    owed: Option<Presence>,
    proved: Option<Proved>,
    decided: &mut Decided,
) -> Result<Assurance, Problem> {
    let (Some(owed), Some(_)) = (owed, caller.presence.witness()) else { return Ok(caller.assurance) };
    match proved {
        Some((before, assurance)) if before == owed => {
            decided.rules.push(owed.id().to_owned());
            // That nobody sits there stays true, whatever polkit allows.
            Ok(if caller.assurance == Assurance::Unattended { caller.assurance } else { assurance })
        }
        // What is acted on became another's after polkit was asked.
        _ => {
            Err(Problem::new(Code::Conflict, "what the request acts on changed while polkit was asked")
                .hint("try again"))
        }
    }
}

impl Engine {
    /// Has a caller prove what it owes for an action that policy allowed.
    pub(super) async fn witnessed(
        &self,
        caller: &Caller,
        action: Action,
        on: &str,
        owed: Option<Presence>,
    ) -> Result<Option<Proved>, Problem> {
        let (Some(owed), Some(witness)) = (owed, caller.presence.witness()) else { return Ok(None) };
        let proved = witness.prove(owed, on).await;
        let assurance = proved.inspect_err(|_| self.record_denial(caller, action, on, NOT_PROVED))?;
        Ok(Some((owed, assurance)))
    }

    /// Asks policy and, where it is owed, for presence, about something that is no command.
    pub(in crate::engine) async fn permit_witnessed(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Problem> {
        self.permit(caller, action, resource)?;
        self.witnessed(caller, action, &resource.name, Presence::owed(caller, action, resource)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::trial;
    use crate::policy::{Proving, Witness, Witnessed};
    use agentd_schemas::document::request::Scope;

    /// Says the same about everything.
    struct Says(Result<Assurance, ()>);

    impl Witness for Says {
        fn prove<'a>(&'a self, _: Presence, _: &'a str) -> Proving<'a> {
            let said = self.0.map_err(|()| Problem::new(Code::Denied, "nobody is there"));
            Box::pin(std::future::ready(said))
        }
    }

    fn operator(says: Result<Assurance, ()>) -> Caller {
        Caller { presence: Witnessed::by(Arc::new(Says(says))), ..Caller::person(1000, true, false) }
    }

    #[tokio::test]
    async fn an_operator_that_is_not_there_changes_nothing_and_that_is_on_record() {
        let (engine, _state) = trial::engine().await;
        let absent = operator(Err(()));
        let refused = engine.freeze(&absent, Scope::All, "x").await.unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (Code::Denied, "nobody is there"));
        assert_eq!(trial::recorded(&engine), [format!("host.manage on host ({NOT_PROVED})")]);
        engine.status(&absent).unwrap();
        assert!(engine.freeze(&operator(Ok(Assurance::Reauth)), Scope::All, "x").await.is_ok());
    }

    #[tokio::test]
    async fn what_was_proved_is_in_the_event() {
        let (engine, _state) = trial::engine().await;
        let caller = operator(Ok(Assurance::Reauth));
        let frozen = crate::domain::Command::Freeze { scope: Scope::All, reason: "x".to_owned() };
        let done = engine.execute(&caller, frozen, None).await.unwrap();
        let envelope = &done.events[0].envelope;
        assert_eq!(envelope.assurance, Assurance::Reauth);
        let decided = envelope.decided.as_ref().unwrap();
        assert_eq!(decided.rules, ["operator.manages_the_host", "org.agentd1.manage-host"]);
    }
}
