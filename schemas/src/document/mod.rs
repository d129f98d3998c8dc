//! Documents that people and programs write and hand in at a door. Every type refuses unknown fields.

pub mod agent;
pub mod objective;
pub mod request;
pub mod schedule;
pub mod schema;
pub mod work;

pub use agent::{AgentDocument, ModelBinding, OnMismatch};
pub use objective::{Indicator, ObjectiveDocument};
pub use schedule::ScheduleDocument;
pub use work::{Acceptance, Limits, OnDeadline, OnDependencyFailure, PersonAcceptance, ServiceLevel, WorkDocument};
