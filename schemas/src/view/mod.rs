//! What the doors answer: one JSON document each. Times are RFC 3339 UTC, money is text with its currency.

pub mod agent;
pub mod host;
pub mod ledger;
pub mod plan;
pub mod policy;
pub mod run;
pub mod work;

pub use agent::{AgentRow, AgentView, EpochView, HistoryRow, SkillEvidence};
pub use host::{
    AccountView, Denials, DigestView, FreezeReport, HostFindings, LauncherFinding, Moneys, PolkitFinding, Reads,
    RunsView, StatusView, WaitingForPerson,
};
pub use ledger::{EventView, HeadView, PageOfEvents};
pub use plan::{ObjectiveView, ScheduleView, TickView};
pub use policy::{PoliciesView, PolicyAnswer, PolicyQuestion, PolicyRow};
pub use run::{ArtefactView, CostFilter, CostRow, EndedView, GarbageRow, GarbageView, OutputView, UploadedView};
pub use work::{RunView, SubmittedView, WhyView, WorkPage, WorkRow, WorkView};
