//! What the interfaces of one connection share: the engine, and who calls.

use std::ops::Deref;
use std::sync::Arc;

use agentd_schemas::problem::Problem;
use tokio::sync::OwnedSemaphorePermit;
use zbus::message::{Flags, Header};

use super::bus::BusCallers;
use super::follow::Followers;
use super::polkit::{Sender, Subject};
use super::refusal::Result;
use crate::engine::Engine;
use crate::policy::{Caller, Witnessed};

/// One connection's view of the engine.
pub(super) struct Door {
    /// Behind the door.
    pub(super) engine: Engine,
    /// Who asked to be told of new events.
    pub(super) followers: Followers,
    source: Source,
}

/// Who says who calls.
enum Source {
    /// The kernel, when the connection was accepted: one caller for the whole connection, and what polkit is asked about
    /// where it has to prove that it is there.
    Peer(Arc<Caller>, Option<Subject>),
    /// The same, of somebody who is not heard here: each call gets the reason.
    TurnedAway(Problem),
    /// The bus, for each sender.
    Bus(BusCallers),
}

impl Door {
    /// A connection from one process.
    pub(super) fn of_peer(engine: Engine, caller: Caller, proved_as: Option<Subject>) -> Self {
        Self { engine, followers: Followers::default(), source: Source::Peer(Arc::new(caller), proved_as) }
    }

    /// A connection from a process that is not heard.
    pub(super) fn of_nobody(engine: Engine, why: Problem) -> Self {
        Self { engine, followers: Followers::default(), source: Source::TurnedAway(why) }
    }

    /// A connection to a bus.
    pub(super) fn of_bus(engine: Engine, callers: BusCallers) -> Self {
        Self { engine, followers: Followers::default(), source: Source::Bus(callers) }
    }

    /// Lets a call in. It counts as open until the answer of this function is dropped.
    pub(super) async fn enter(&self, header: &Header<'_>) -> Result<Entered> {
        match &self.source {
            Source::Peer(caller, proved_as) => {
                Ok(Entered { caller: witnessed(caller.clone(), proved_as.clone(), header), _permit: None })
            }
            Source::TurnedAway(why) => Err(why.clone().into()),
            Source::Bus(callers) => {
                let permit = callers.permit()?;
                let caller = callers.caller(&self.engine, header).await?;
                let proved_as = callers.proved_as(&caller, header);
                Ok(Entered { caller: witnessed(caller, proved_as, header), _permit: Some(permit) })
            }
        }
    }

    /// Whether the connection is to a bus, where signals need a destination.
    pub(super) fn is_bus(&self) -> bool {
        matches!(self.source, Source::Bus(_))
    }
}

/// The caller of one message, with who can say that it is there.
fn witnessed(caller: Arc<Caller>, subject: Option<Subject>, header: &Header<'_>) -> Arc<Caller> {
    let Some(subject) = subject else { return caller };
    let interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
    let presence = Witnessed::by(Arc::new(Sender { subject, interactive }));
    Arc::new(Caller { presence, ..Caller::clone(&caller) })
}

/// A call that was let in.
pub(super) struct Entered {
    caller: Arc<Caller>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Deref for Entered {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}
