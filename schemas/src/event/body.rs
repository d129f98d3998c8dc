//! What happened: one struct per event type, named in the past tense.

use serde::Serialize;

use super::envelope::EventError;

mod agent;
mod host;
mod plan;
mod work;

pub use agent::*;
pub use host::*;
pub use plan::*;
pub use work::*;

macro_rules! events {
    ($($name:ident)*) => {
        /// The data of one event; the variant is its type.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        #[allow(missing_docs, reason = "each variant is documented at its struct")]
        pub enum EventData { $($name($name),)* }

        impl EventData {
            /// Every type name.
            pub const TYPES: &'static [&'static str] = &[$(stringify!($name),)*];

            /// The type as written in the envelope.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }

            /// Reads the data of a type from its JSON text.
            pub fn parse(kind: &str, json: &str) -> Result<Self, EventError> {
                match kind {
                    $(stringify!($name) => Ok(Self::$name(serde_json::from_str(json)?)),)*
                    other => Err(EventError::Type(other.to_owned())),
                }
            }
        }

        $(impl From<$name> for EventData {
            fn from(data: $name) -> Self { Self::$name(data) }
        })*
    };
}

events! {
    LogStarted IncarnationStarted DaemonStarted DaemonStopped ConfigurationReloaded PoliciesLoaded PoliciesRejected
    AccessDenied AuthenticationFailed DenialsSummarised
    Frozen Thawed ClockJumped ClockAccepted
    ContentRedacted HoldPlaced HoldLifted EffectFinished
    AgentEnrolled AgentActivated AgentPaused AgentResumed AgentSuspended AgentRetired
    ProbationStarted SkillsDeclared ProgramBound KeyRotated KeyRevoked KeyCertified ModelBound ModelMismatched
    WorkSubmitted WorkReadied WorkScheduled WorkClaimed RunStarted RunWaiting ProgramExited RunResumed RunEnded BaseJudged
    NoteAdded CostReserved CostSettled LimitsRaised
    ResultJudged WorkCompleted AttemptFailed WorkFailed WorkCancelled WorkExpired WorkRetried WorkBlocked
    ServiceLevelBreached LeaseVoided
    ScheduleAdded SchedulePaused ScheduleResumed ScheduleRemoved ScheduleTicked
    ObjectiveSet ObjectiveRemoved
    AccountLimitSet
}
