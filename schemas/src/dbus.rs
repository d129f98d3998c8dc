//! The operators' door: names, error names and client proxies. The same interfaces are served on the system bus, the
//! session bus and the private socket.
//!
//! Documents cross as JSON text, so that both doors check them with the same readers; the docstring of each method
//! names the type of its document. Ids may be any unique prefix unless said otherwise. `key` is an idempotency key: unique per caller, at
//! most 128 bytes; empty for none.

/// Well-known name on a bus.
pub const BUS_NAME: &str = "org.agentd1";
/// The one object.
pub const OBJECT_PATH: &str = "/org/agentd1";
/// Prefix of error names; the rest is [`Code::dbus_name`](crate::problem::Code::dbus_name). The body of an error is
/// three strings: message, hint (possibly empty), and the details as a JSON object.
pub const ERROR_PREFIX: &str = "org.agentd1.Error.";
/// Bytes of one message at this door, at most. Bulk data goes by descriptor.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Bytes of an idempotency key, at most.
pub const MAX_KEY_BYTES: usize = 128;

/// The host.
#[zbus::proxy(interface = "org.agentd1.Host", default_service = "org.agentd1", default_path = "/org/agentd1")]
pub trait Host {
    /// [`StatusView`](crate::view::StatusView).
    fn status(&self) -> zbus::Result<String>;
    /// What the daemon found out about its host: [`HostFindings`](crate::view::HostFindings).
    fn examine(&self) -> zbus::Result<String>;
    /// Proves that the caller is there for an action of polkit, `org.agentd1.manage-agents`, where it would have to for what it is
    /// about to do. Nothing else is done.
    fn prove_presence(&self, action: &str) -> zbus::Result<()>;
    /// Argument: [`Scope`](crate::document::request::Scope). Answer: [`FreezeReport`](crate::view::FreezeReport).
    fn freeze(&self, scope: &str, reason: &str) -> zbus::Result<String>;
    /// How a freeze stands: [`FreezeReport`](crate::view::FreezeReport).
    fn freeze_report(&self, scope: &str) -> zbus::Result<String>;
    /// Argument: [`Scope`](crate::document::request::Scope).
    fn thaw(&self, scope: &str) -> zbus::Result<()>;
    /// Lets wall-time triggers go on after a jump of the clock.
    fn accept_clock(&self, reason: &str) -> zbus::Result<()>;
    /// [`DigestView`](crate::view::DigestView); times are Unix milliseconds.
    fn digest(&self, since_ms: i64) -> zbus::Result<String>;
    /// Removes workspaces, artefacts and uploads whose time is over, or with `dry_run` says which. Answer:
    /// [`GarbageView`](crate::view::GarbageView).
    fn collect_garbage(&self, dry_run: bool) -> zbus::Result<String>;
    /// A list of [`AccountView`](crate::view::AccountView).
    fn accounts(&self) -> zbus::Result<String>;
    /// Argument: [`AccountLimit`](crate::document::request::AccountLimit).
    fn set_account_limit(&self, limit: &str) -> zbus::Result<()>;
    /// [`PoliciesView`](crate::view::PoliciesView).
    fn policies(&self) -> zbus::Result<String>;
    /// Reads the host's policies again: what is broken changes nothing. Answer: [`PoliciesView`](crate::view::PoliciesView).
    fn reload_policies(&self) -> zbus::Result<String>;
    /// Argument: [`PolicyQuestion`](crate::view::PolicyQuestion). Answer: [`PolicyAnswer`](crate::view::PolicyAnswer).
    fn explain_policy(&self, question: &str) -> zbus::Result<String>;
    /// Version of the daemon.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
    /// Trust domain.
    #[zbus(property(emits_changed_signal = "const"))]
    fn trust_domain(&self) -> zbus::Result<String>;
    /// Path of the agents' door.
    #[zbus(property(emits_changed_signal = "const"))]
    fn agents_socket(&self) -> zbus::Result<String>;
    /// Path of the state directory, for `agentd verify`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn state_directory(&self) -> zbus::Result<String>;
}

/// Works.
#[zbus::proxy(interface = "org.agentd1.Works", default_service = "org.agentd1", default_path = "/org/agentd1")]
pub trait Works {
    /// One [`WorkDocument`](crate::document::WorkDocument). Answer: [`SubmittedView`](crate::view::SubmittedView).
    fn submit(&self, document: &str, key: &str) -> zbus::Result<String>;
    /// A JSON list of [`WorkDocument`](crate::document::WorkDocument), all or nothing, at most 4,096 items or 8 MiB.
    fn submit_many(&self, documents: &str, key: &str) -> zbus::Result<String>;
    /// What a submit of this list would do; nothing is written.
    fn check(&self, documents: &str) -> zbus::Result<String>;
    /// Argument: [`WorkFilter`](crate::document::request::WorkFilter). Answer: [`WorkPage`](crate::view::WorkPage).
    fn list(&self, filter: &str) -> zbus::Result<String>;
    /// [`WorkView`](crate::view::WorkView).
    fn show(&self, work: &str) -> zbus::Result<String>;
    /// [`WhyView`](crate::view::WhyView).
    fn why(&self, work: &str) -> zbus::Result<String>;
    /// Calls it off; a run is told with its next heartbeat. Answers with the whole id.
    fn cancel(&self, work: &str, reason: &str) -> zbus::Result<String>;
    /// One more attempt for a work that failed, expired or was cancelled. Answers with the whole id.
    fn retry(&self, work: &str, reason: &str) -> zbus::Result<String>;
    /// Takes a result that waits for a person.
    fn accept(&self, work: &str, note: &str) -> zbus::Result<String>;
    /// Refuses a result that waits for a person; the reason is given to the next attempt.
    fn reject(&self, work: &str, reason: &str) -> zbus::Result<String>;
    /// Argument: [`Raise`](crate::document::request::Raise).
    fn raise(&self, work: &str, raise: &str) -> zbus::Result<String>;
    /// Adds a note.
    fn note(&self, work: &str, text: &str) -> zbus::Result<String>;
    /// Answers a run that waits for a person: the answer is a note that the agent reads.
    fn answer(&self, work: &str, text: &str) -> zbus::Result<String>;
    /// The exact bytes of a blob: log index and slot.
    fn content(&self, event: u64, slot: u8) -> zbus::Result<Vec<u8>>;
    /// Hands in content for workspaces: what the descriptor gives until its end, and what it is: `git` or `tar`. It is kept
    /// for the caller alone, for a day where no work names it. Answer: [`UploadedView`](crate::view::UploadedView).
    fn upload(&self, from: zbus::Fd<'_>, kind: &str) -> zbus::Result<String>;
    /// A list of [`ArtefactView`](crate::view::ArtefactView), newest run first.
    fn artefacts(&self, work: &str) -> zbus::Result<String>;
    /// Writes the bytes of an artefact into the descriptor; attempt 0 is the newest that has one of this name. Answers with
    /// their SHA-256 (hex).
    fn artefact(&self, work: &str, attempt: u32, name: &str, into: zbus::Fd<'_>) -> zbus::Result<String>;
    /// What the program of a run wrote from `offset` on: attempt 0 is the newest, `stream` is `stdout` or `stderr`. At most
    /// 64 KiB. Answer: [`OutputView`](crate::view::OutputView).
    fn output(&self, work: &str, attempt: u32, stream: &str, offset: u64) -> zbus::Result<String>;
    /// Argument: [`CostFilter`](crate::view::CostFilter). Answer: a list of [`CostRow`](crate::view::CostRow), dearest first.
    fn cost(&self, filter: &str) -> zbus::Result<String>;
}

/// Agents.
#[zbus::proxy(interface = "org.agentd1.Agents", default_service = "org.agentd1", default_path = "/org/agentd1")]
pub trait Agents {
    /// A one-use nonce for a possession proof of this name, good for five minutes.
    fn challenge(&self, name: &str) -> zbus::Result<String>;
    /// Argument: [`Enrolment`](crate::document::request::Enrolment). Answer: [`AgentView`](crate::view::AgentView).
    fn enroll(&self, enrolment: &str) -> zbus::Result<String>;
    /// Enrols an agent that agentd starts, with a key that agentd makes and holds. Argument:
    /// [`ProgramEnrolment`](crate::document::request::ProgramEnrolment). Answer: [`AgentView`](crate::view::AgentView).
    fn enroll_program(&self, enrolment: &str) -> zbus::Result<String>;
    /// Gives an agent another program, for runs from now on: a
    /// [`ProgramEnrolment`](crate::document::request::ProgramEnrolment) of which command, files, program, sandbox and resources
    /// count. Answer: [`AgentView`](crate::view::AgentView).
    fn set_program(&self, enrolment: &str, reason: &str) -> zbus::Result<String>;
    /// Whether an enrolment with a program would be taken: a
    /// [`ProgramEnrolment`](crate::document::request::ProgramEnrolment). Nothing is written.
    fn check(&self, enrolment: &str) -> zbus::Result<()>;
    /// A list of [`AgentRow`](crate::view::AgentRow).
    fn list(&self) -> zbus::Result<String>;
    /// [`AgentView`](crate::view::AgentView).
    fn show(&self, name: &str) -> zbus::Result<String>;
    /// `state` is `activate`, `probation`, `pause`, `resume`, `suspend` or `retire`.
    fn set_state(&self, name: &str, state: &str, reason: &str) -> zbus::Result<()>;
    /// A JSON list of skills.
    fn declare_skills(&self, name: &str, skills: &str) -> zbus::Result<()>;
    /// Argument: [`KeyRotation`](crate::document::request::KeyRotation).
    fn rotate_key(&self, rotation: &str) -> zbus::Result<()>;
    /// Takes the line of an OpenSSH certificate by which the owner lets the agent's key sign. Answer:
    /// [`AgentView`](crate::view::AgentView).
    fn certify(&self, name: &str, certificate: &str) -> zbus::Result<String>;
    /// The key is not valid from now on.
    fn revoke_key(&self, name: &str, reason: &str) -> zbus::Result<()>;
    /// Newest first: a list of [`HistoryRow`](crate::view::HistoryRow); `before` 0 begins at the newest.
    fn history(&self, name: &str, before: u64, limit: u32) -> zbus::Result<String>;
    /// Argument: [`ModelBinding`](crate::document::ModelBinding) as JSON, or empty for none. Answers with the epoch.
    fn set_model(&self, name: &str, binding: &str, reason: &str) -> zbus::Result<u32>;
    /// Oldest first: a list of [`EpochView`](crate::view::EpochView).
    fn model_history(&self, name: &str) -> zbus::Result<String>;
}

/// Schedules.
#[zbus::proxy(interface = "org.agentd1.Schedules", default_service = "org.agentd1", default_path = "/org/agentd1")]
pub trait Schedules {
    /// Argument: [`ScheduleDocument`](crate::document::ScheduleDocument). Answer: [`ScheduleView`](crate::view::ScheduleView).
    fn add(&self, document: &str, key: &str) -> zbus::Result<String>;
    /// As `add`, for a schedule that the file of this name declares: `schedules.d/nightly.toml`.
    fn declare(&self, document: &str, file: &str, key: &str) -> zbus::Result<String>;
    /// Whether a [`ScheduleDocument`](crate::document::ScheduleDocument) would be taken. Nothing is written.
    fn check(&self, document: &str) -> zbus::Result<()>;
    /// A list of [`ScheduleView`](crate::view::ScheduleView).
    fn list(&self) -> zbus::Result<String>;
    /// The next ticks as a list of RFC 3339 times; `schedule` is a name or an id.
    fn next(&self, schedule: &str, count: u32) -> zbus::Result<String>;
    /// Skips ticks until resumed.
    fn pause(&self, schedule: &str, reason: &str) -> zbus::Result<()>;
    /// Goes on.
    fn resume(&self, schedule: &str) -> zbus::Result<()>;
    /// Removes it; its works stay.
    fn remove(&self, schedule: &str) -> zbus::Result<()>;
}

/// Service-level objectives.
#[zbus::proxy(interface = "org.agentd1.Objectives", default_service = "org.agentd1", default_path = "/org/agentd1")]
pub trait Objectives {
    /// Argument: [`ObjectiveDocument`](crate::document::ObjectiveDocument).
    fn set(&self, document: &str) -> zbus::Result<()>;
    /// A list of [`ObjectiveView`](crate::view::ObjectiveView).
    fn list(&self) -> zbus::Result<String>;
    /// Removes it.
    fn remove(&self, name: &str) -> zbus::Result<()>;
}

/// The ledger.
#[zbus::proxy(interface = "org.agentd1.Ledger", default_service = "org.agentd1", default_path = "/org/agentd1")]
pub trait Ledger {
    /// [`HeadView`](crate::view::HeadView). The checkpoint is kept for ever.
    fn head(&self) -> zbus::Result<String>;
    /// Argument: [`EventFilter`](crate::document::request::EventFilter). Answer: [`PageOfEvents`](crate::view::PageOfEvents).
    fn events(&self, filter: &str) -> zbus::Result<String>;
    /// Events from a log index on, for clients that follow: [`PageOfEvents`](crate::view::PageOfEvents).
    fn events_since(&self, since: u64, limit: u32) -> zbus::Result<String>;
    /// Proof of one event in `c2sp.org/tlog-proof@v1` form.
    fn prove(&self, event: u64) -> zbus::Result<String>;
    /// Writes an export into the descriptor: all of it, or with `mine` the caller's own events with proofs. `content`
    /// adds the blobs that the caller may read. Answers with the number of events.
    fn export(&self, into: zbus::Fd<'_>, mine: bool, content: bool) -> zbus::Result<u64>;
    /// Writes a consistent copy of the database into the descriptor. Answers with the number of events.
    fn backup(&self, into: zbus::Fd<'_>) -> zbus::Result<u64>;
    /// Erases content: one slot of one event.
    fn redact(&self, event: u64, slot: u8, reason: &str) -> zbus::Result<()>;
    /// Keeps the content of a work from redaction and retention, or no longer.
    fn hold(&self, work: &str, held: bool, reason: &str) -> zbus::Result<()>;
    /// Asks for the `appended` signal on this connection.
    fn subscribe(&self) -> zbus::Result<()>;
    /// A hint: the log has at least this many events; read them with `events_since`.
    #[zbus(signal)]
    fn appended(&self, size: u64) -> zbus::Result<()>;
}
