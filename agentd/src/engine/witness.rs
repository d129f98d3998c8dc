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

    /// Has a caller prove beforehand what it will owe, so that nothing of a plan is done where one part would be refused for it.
    /// Who owes nothing has proved it: what such a caller may do, policy says at each command.
    pub async fn prove_presence(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        self.permit(caller, Action::HostRead, &Resource::host())?;
        let Some(presence) = Presence::of_id(id) else {
            let known = Presence::ALL.iter().map(|presence| presence.id()).collect::<Vec<_>>().join(", ");
            let message = format!("{id:?} is no action that an operator proves to be there for");
            return Err(Problem::new(Code::InvalidDocument, message).hint(format!("these are: {known}")));
        };
        let owed = caller.operator.then_some(presence);
        self.witnessed(caller, presence.governs(), "what is declared", owed).await.map(drop)
    }

    /// Asks policy and, where it is owed, for presence, about something that is no command.
    pub(in crate::engine) async fn permit_witnessed(
        &self,
        caller: &Caller,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Problem> {
        self.permit(caller, action, resource)?;
        self.witnessed(caller, action, &resource.name, Presence::owed(&self.policies(), caller, action, resource))
            .await
            .map(drop)
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
    async fn a_plan_learns_beforehand_whether_the_person_is_there_and_who_owes_nothing_is_not_asked() {
        let (engine, _state) = trial::engine().await;
        for presence in Presence::ALL {
            engine.prove_presence(&operator(Ok(Assurance::Session)), presence.id()).await.unwrap();
            let refused = engine.prove_presence(&operator(Err(())), presence.id()).await.unwrap_err();
            assert_eq!(refused.code, Code::Denied, "{}", presence.id());
            let user = Caller { operator: false, ..operator(Err(())) };
            engine.prove_presence(&user, presence.id()).await.unwrap();
            engine.prove_presence(&Caller::person(0, true, false), presence.id()).await.unwrap();
        }
        assert_eq!(trial::recorded(&engine)[0], format!("host.manage on what is declared ({NOT_PROVED})"));
        let refused =
            engine.prove_presence(&operator(Ok(Assurance::Session)), "org.agentd1.anything").await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidDocument);
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
