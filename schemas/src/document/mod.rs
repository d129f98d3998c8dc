//! Documents that people and programs write and hand in at a door. Every type refuses unknown fields.

pub mod acceptance;
pub mod agent;
pub mod budget;
pub mod governance;
pub mod objective;
pub mod program;
pub mod request;
pub mod schedule;
pub mod schema;
pub mod work;
pub mod workspace;

pub use acceptance::{Acceptance, PersonAcceptance};
pub use agent::{AgentDocument, ModelBinding, OnMismatch};
pub use budget::BudgetDocument;
pub use governance::GovernanceDocument;
pub use objective::{Indicator, ObjectiveDocument};
pub use program::Runtime;
pub use schedule::ScheduleDocument;
pub use work::{Limits, OnDeadline, OnDependencyFailure, ServiceLevel, WorkDocument};
pub use workspace::{WorkspaceContent, WorkspaceDocument};
