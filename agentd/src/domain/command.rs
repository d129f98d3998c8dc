//! Everything that can be asked of the ledger, in the imperative.

use agentd_schemas::document::Runtime;
use agentd_schemas::document::agent::{AgentDocument, ModelBinding};
use agentd_schemas::document::objective::ObjectiveDocument;
use agentd_schemas::document::request::{Period, Raise, Scope};
use agentd_schemas::event::{
    AmountSource, ArtefactRef, Authority, CommitRef, Custody, FailureReason, KeyCertified, PoliciesLoaded,
    PoliciesRejected, RunConfinement, RunEnded, Verdict,
};
use agentd_schemas::id::{Fence, ScheduleId, WorkId};
use agentd_schemas::launch::Ending;
use agentd_schemas::unit::name::{Skill, Slug};
use agentd_schemas::unit::time::WallMs;

use super::account::Limit;
use super::schedule::NewSchedule;
use super::work::NewWork;

/// One command.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the documents and events that they become")]
pub enum Command {
    // Work, by persons.
    SubmitWorks { owner: u32, works: Vec<NewWork>, from: Submitter },
    CancelWork { work: WorkId, reason: String },
    RetryWork { work: WorkId, reason: String },
    AcceptResult { work: WorkId, note: Option<String> },
    RejectResult { work: WorkId, reason: String },
    RaiseLimits { work: WorkId, raise: Raise },
    AddNote { work: WorkId, text: String },
    AnswerRun { work: WorkId, text: String },
    // Work, by agents.
    // `looked`: it is given that one or none, for the daemon looked whether this host can start its program for it.
    ClaimWork { agent: Slug, lease_ms: u64, looked: Option<Looked> },
    StartRun { run: RunRef, confinement: Option<Box<RunConfinement>> },
    ReserveCost { run: RunRef, micro_usd: u64, tokens: u64 },
    SettleCost { run: RunRef, cost: Spending },
    AddRunNote { run: RunRef, text: String },
    AskPerson { run: RunRef, text: String },
    CompleteWork { run: RunRef, completion: Box<Completion> },
    FailRun { run: RunRef, message: String },
    // Work, by what the daemon starts.
    ExitProgram { run: RunRef, start: u32, ending: Ending, handed_in: bool },
    EndProgram { run: RunRef, end: Box<ProgramEnd> },
    JudgeBase { work: WorkId, verdicts: Vec<Verdict> },
    GiveUpRun { run: RunRef, reason: FailureReason, message: String },
    // Work, by the daemon's timers and recovery.
    ExpireLease { run: RunRef },
    TimeOutRun { run: RunRef },
    VoidLease { run: RunRef, because: &'static str },
    WakeWork { work: WorkId },
    PassDeadline { work: WorkId },
    BreachLevel { work: WorkId, level: agentd_schemas::event::ServiceLevelKind },
    Cascade { effect: u64 },
    ResumeBudget { work: WorkId },
    // Agents.
    EnrolAgent { agent: Box<NewAgent> },
    ActivateAgent { agent: Slug, reason: String },
    RestartProbation { agent: Slug, reason: String },
    PauseAgent { agent: Slug, reason: String },
    ResumeAgent { agent: Slug, reason: String },
    SuspendAgent { agent: Slug, reason: String },
    RetireAgent { agent: Slug, reason: String },
    DeclareSkills { agent: Slug, skills: Vec<Skill> },
    BindProgram { agent: Slug, runtime: Box<Runtime>, files: Vec<Vec<u8>>, reason: String },
    RotateKey { agent: Slug, public_key: String, nonce: String, signature: String, reason: String },
    CertifyKey { agent: Slug, certified: Box<KeyCertified> },
    RevokeKey { agent: Slug, reason: String },
    BindModel { agent: Slug, to: Option<ModelBinding>, reason: String },
    // Plans.
    AddSchedule { schedule: Box<NewSchedule> },
    PauseSchedule { schedule: ScheduleId, reason: String },
    ResumeSchedule { schedule: ScheduleId },
    RemoveSchedule { schedule: ScheduleId },
    TickSchedule { schedule: ScheduleId },
    SetObjective { owner: u32, objective: ObjectiveDocument },
    RemoveObjective { owner: u32, name: Slug },
    SetAccountLimit { account: String, period: Period, micro_usd: Limit, tokens: Limit, declared: Option<String> },
    // Host.
    Freeze { scope: Scope, reason: String },
    Thaw { scope: Scope },
    NoticeClock { by_ms: i64 },
    AcceptClock { reason: String },
    Redact { event: u64, slot: u8, reason: String },
    Hold { work: WorkId, held: bool, reason: String },
    RecordStart { agentd: String, recovered: bool, configuration: Option<String> },
    RecordReload { configuration: String, changed: Vec<String>, pending: Vec<String> },
    RecordPolicies { outcome: Result<PoliciesLoaded, PoliciesRejected> },
    RecordStop { reason: String },
    RecordDenial { action: String, resource: String, rule: String },
    RecordAuthenticationFailure { claimed: String, reason: String },
    RecordDenials { principal: String, count: u64, period_ms: u64 },
}

/// A run as its agent names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRef {
    /// The work.
    pub work: WorkId,
    /// The number of the attempt.
    pub attempt: u32,
    /// The fence that was promised.
    pub fence: Fence,
}

/// What was looked at before a claim: the claim is for that alone. Another work that came before it meanwhile, or another
/// program of the agent, was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// The work.
    pub work: WorkId,
    /// The index at which the agent's program was bound.
    pub program: u64,
}

/// Who submits works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitter {
    /// A person, or a program of theirs.
    Person,
    /// A run, as parts of its own work.
    Run(RunRef),
    /// A schedule's tick.
    Schedule {
        /// The schedule.
        schedule: ScheduleId,
        /// The tick.
        tick: WallMs,
    },
}

/// What a run spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// The reservation that it settles.
    pub reservation: Option<u64>,
    /// Money; absent when unpriced.
    pub micro_usd: Option<u64>,
    /// Tokens.
    pub tokens: u64,
    /// Where the amount comes from.
    pub source: AmountSource,
    /// The model that answered.
    pub effective_model: Option<String>,
}

/// A result that was checked against the machine criteria before it is decided on.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The exact DSSE envelope.
    pub statement: Vec<u8>,
    /// The exact result.
    pub result: Vec<u8>,
    /// Whether the result is JSON.
    pub json: bool,
    /// One per criterion, in order; `met` is absent for persons.
    pub verdicts: Vec<Verdict>,
    /// Log index of the submit that the criteria were read from.
    pub judged_work: u64,
    /// Key that signed the statement.
    pub signed_by: String,
    /// What the criteria complained about.
    pub message: Option<String>,
    /// What the run made.
    pub artefacts: Vec<ArtefactRef>,
    /// Its commit.
    pub commit: Option<CommitRef>,
    /// What the commands that judged wrote, as JSON.
    pub report: Option<Vec<u8>>,
}

/// The end of a program, with what it wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgramEnd {
    /// How it ended, and what it used.
    pub ended: RunEnded,
    /// Its standard output, as far as it was kept.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// An agent whose possession of its key was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Its document, checked.
    pub document: AgentDocument,
    /// Owner: who enrols it, or whom an operator names.
    pub owner: u32,
    /// `spiffe://…`.
    pub agent_id: String,
    /// `ssh-ed25519 …`.
    pub public_key: String,
    /// Where the private key is.
    pub custody: Custody,
    /// Nonce of the proof.
    pub nonce: String,
    /// The proof.
    pub signature: String,
    /// The owner's key, which has to certify that of the agent.
    pub authority: Option<Authority>,
    /// What agentd starts for it.
    pub runtime: Option<Runtime>,
    /// The files that come with it, in the order of the runtime's.
    pub files: Vec<Vec<u8>>,
    /// The file that declares it.
    pub declared: Option<String>,
}
