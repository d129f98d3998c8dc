//! Start: open the ledger, begin its log or go on with it, put memory back, start the writer. The same code runs after
//! a crash and after a clean stop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::duration::in_words;
use agentd_schemas::unit::time::WallMs;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use tokio::sync::{Notify, watch};

use super::current::Current;
use super::live::LiveRuns;
use super::operations::sessions::KnownAgents;
use super::put_back::{self, Now};
use super::readers::Readers;
use super::{Engine, Host, Inner, denials, message_ids, operations, waiters, world};
use crate::domain::command::RunRef;
use crate::domain::{Command, Defaults};
use crate::identity::keystore::{self, KeystoreError};
use crate::identity::{AgentKeys, Challenges, Decoys, HostKeys, Keks, KeyFiles, Tokens, trust_domain};
use crate::ledger::append::{AppendError, Appender};
use crate::ledger::checkpoint::{Moment, head};
use crate::ledger::incarnation::{self, LogError, Opened};
use crate::ledger::load::{self, LoadError};
use crate::ledger::open::{OpenError, empty_wal, open_writer};
use crate::ledger::sqlite::SqliteStore;
use crate::ledger::store::{Answer, Request};
use crate::ledger::writer;
use crate::policy::{self, Caller};
use crate::sys::clock::{BootId, Clock, WALL_JUMP_LIMIT_MS};

/// Why the engine does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log does not hold together, or is signed with another key.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The host's keys cannot be had.
    #[error(transparent)]
    Keys(#[from] KeystoreError),
    /// The first event cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What memory needs cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The system refused something.
    #[error("{0}")]
    System(String),
    /// The events of a start find no room.
    #[error(
        "{reason}; a start is recorded and needs some room: free a few megabytes on the disk of the state directory and \
         start again (du -sh {runs}/*: the folder of a run that is over may be removed); until then agentd verify reads \
         the ledger, and a copy of the whole state directory is a backup"
    )]
    Full {
        /// As the disk said it.
        reason: String,
        /// The folder of the runs.
        runs: String,
    },
    /// The configured trust domain is unusable.
    #[error("{0}")]
    TrustDomain(Problem),
}

/// What the engine is started with.
pub struct Settings {
    /// `private`, `session` or `system`.
    pub mode: &'static str,
    /// State directory; its lock is held.
    pub state: std::path::PathBuf,
    /// Socket of the agents' door.
    pub agents_socket: std::path::PathBuf,
    /// Configured trust domain; counts at the first start alone.
    pub trust_domain: Option<String>,
    /// The host's zone.
    pub zone: TimeZone,
    /// SHA-256 (hex) of the configuration in force, for the record.
    pub configuration: Option<String>,
    /// Configured defaults and bounds.
    pub defaults: Arc<Defaults>,
    /// The folder of the host's policies; none where it can have none.
    pub policies: Option<std::path::PathBuf>,
    /// What its secret files are encrypted under.
    pub keks: Arc<Keks>,
    /// Whether the daemon's own log goes to the journal.
    pub journal: bool,
    /// How runs are started; none where the daemon starts none.
    pub runs: Option<super::supervise::Runs>,
}

/// Starts the engine. The writer's thread ends with the process: whatever was answered is durable.
pub async fn start(settings: Settings) -> Result<Engine, StartError> {
    let system = |error: &dyn std::fmt::Display| StartError::System(error.to_string());
    let clock = Clock::system();
    let boot = clock.boot_id().map_err(|error| system(&error))?;
    let database = database(&settings.state);
    begin(&settings.state, &database)?;
    let files = key_files(&settings)?;
    let mut conn = open_writer(&database)?;
    // Before anything is committed: the next commit makes the present moment the one that counts.
    let jumped = wall_jump(&conn, clock, boot)?;
    let (appender, trust_domain) = open_log(&mut conn, &settings, &files, clock, boot)?;
    let known = KnownAgents::new(Decoys::new(&HostKeys::open(&files, false)?));
    let (recovered, held) = (last_event_is_no_stop(&conn)?, load::host::clock_held(&conn)?);
    let log_key = incarnation::current(&conn)?.map(|announced| announced.log_key.to_string()).unwrap_or_default();
    let host = Host {
        mode: settings.mode,
        state: settings.state.clone(),
        agents_socket: settings.agents_socket.clone(),
        trust_domain,
        origin: appender.origin().to_owned(),
        incarnation: appender.incarnation(),
        log_key,
        time_zone: settings.zone.iana_name().unwrap_or("UTC").to_owned(),
        since: WallMs::saturating(clock.wall_ms()),
        journal: settings.journal,
        kek: settings.keks.current().map(|kek| kek.id().to_string()),
    };
    let now = Now { boot: boot.to_string(), boot_ms: clock.boot_ms(), slept_ms: clock.suspended_ms() };
    let voided = put_back::put_back(&conn, &now, appender.incarnation())?;
    let defaults = Arc::new(Current::new(settings.defaults));
    let inner = Arc::new(Inner {
        readers: Readers::open(&database)?,
        host,
        defaults: defaults.clone(),
        policies: super::policies::Policies::at_start(settings.policies),
        zone: settings.zone.clone(),
        clock,
        boot,
        request_key: incarnation::request_key(&conn)?,
        mailbox: OnceLock::new(),
        live: LiveRuns::default(),
        known,
        waiters: waiters::Waiters::default(),
        challenges: Mutex::new(Challenges::default()),
        tokens: Mutex::new(Tokens::default()),
        denials: denials::Denials::default(),
        reads: super::reads::Reads::default(),
        parked: operations::parked::ParkedCache::default(),
        judges: operations::judge::Judges::default(),
        supervisor: settings.runs.map(|runs| Arc::new(super::supervise::Supervisor::new(runs, AgentKeys::of(files)))),
        timer: Notify::new(),
        size: watch::Sender::new(appender.size()),
        clock_held: AtomicBool::new(held),
        limits_changed: AtomicBool::new(false),
        agents_changed: AtomicU64::new(1),
        doors: super::doors::Doors::default(),
        complaints: super::health::Complaints::default(),
        heart: super::heart::Heart::default(),
        meters: super::meters::Meters::default(),
    });
    for run in voided.living {
        inner.live.insert(run);
    }
    let world = world::reader(clock, settings.zone, defaults);
    let store = Box::new(SqliteStore::new(conn, appender));
    let _ = inner.mailbox.set(writer::start(store, world, inner.clone()).map_err(|error| system(&error))?);
    let engine = Engine(inner);
    engine.first_commands(settings.configuration, recovered, voided.lost, jumped).await?;
    Ok(engine)
}

/// A state directory without a ledger gets its keys, before the database is opened: SQLite throws the WAL of an empty file
/// away, and it may be all that is left.
fn begin(state: &Path, database: &Path) -> Result<(), StartError> {
    let is_new = std::fs::metadata(database).map_or(true, |meta| meta.len() == 0);
    if is_new { Ok(keystore::begin(state, database)?) } else { Ok(()) }
}

/// The secret files, all of them under the key-encryption key where there is one.
fn key_files(settings: &Settings) -> Result<KeyFiles, StartError> {
    let files = KeyFiles::of(&settings.state, settings.keks.clone());
    let anew = files.adopt().map_err(KeystoreError::from)?;
    if let Some(kek) = settings.keks.current() {
        let id = kek.id();
        tracing::info!(
            MESSAGE_ID = message_ids::KEYS_ENCRYPTED,
            "keys are encrypted under key-encryption key {id}; {anew} of them were not"
        );
    }
    Ok(files)
}

fn open_log(
    conn: &mut Connection,
    settings: &Settings,
    files: &KeyFiles,
    clock: Clock,
    boot: BootId,
) -> Result<(Appender, String), StartError> {
    let known = trust_domain_of(conn)?;
    let restored = incarnation::is_restored(conn)?;
    if known.is_none() {
        keystore::begin(&settings.state, &database(&settings.state))?;
    }
    let keys = HostKeys::open(files, restored || known.is_none())?;
    let log = open_or_begin(conn, settings, &keys, known, clock, boot)?;
    keystore::begun(&settings.state)?;
    Ok(log)
}

/// Goes on with the log, or writes its first event, or that of its new incarnation.
fn open_or_begin(
    conn: &mut Connection,
    settings: &Settings,
    keys: &HostKeys,
    known: Option<String>,
    clock: Clock,
    boot: BootId,
) -> Result<(Appender, String), StartError> {
    let moment = clock.moment();
    let moment = Moment { wall: WallMs::saturating(moment.wall_ms), boot_ms: moment.boot_ms };
    let announce = |trust_domain: &str| incarnation::HostKeys {
        authority_key: keys.authority.public_key().to_string(),
        issuer_key: keys.issuer.public_key().to_string(),
        key_certificates: keys.certificates(trust_domain),
        agentd: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let boot = boot.to_string();
    match Appender::open(conn, keys.log.signing_key(), &boot)? {
        Opened::Running(appender) => {
            let trust_domain = known.unwrap_or_default();
            if settings.trust_domain.as_ref().is_some_and(|configured| *configured != trust_domain) {
                tracing::warn!("the configured trust domain is ignored: the ledger began with {trust_domain}");
            }
            Ok((appender, trust_domain))
        }
        Opened::Empty => {
            let trust_domain = if let Some(configured) = &settings.trust_domain {
                trust_domain::check(configured).map_err(StartError::TrustDomain)?;
                configured.clone()
            } else {
                let random = crate::sys::random::bytes::<16>();
                trust_domain::generate(random.map_err(|error| StartError::System(error.to_string()))?)
            };
            let tx = conn.transaction()?;
            let started =
                Appender::start(&tx, &trust_domain, announce(&trust_domain), keys.log.signing_key(), &boot, moment)?;
            tx.commit()?;
            Ok((started.0, trust_domain))
        }
        Opened::Restored(restored) => {
            let trust_domain = known.unwrap_or_default();
            let tx = conn.transaction()?;
            let (appender, _) = restored.start(&tx, announce(&trust_domain), moment)?;
            tx.commit()?;
            Ok((appender, trust_domain))
        }
    }
}

fn trust_domain_of(conn: &Connection) -> rusqlite::Result<Option<String>> {
    use rusqlite::OptionalExtension as _;
    conn.query_row("SELECT value FROM meta WHERE key = 'trust_domain'", [], |row| row.get(0)).optional()
}

fn last_event_is_no_stop(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT coalesce((SELECT json_extract(body, '$.type') FROM events ORDER BY idx DESC LIMIT 1), '')";
    let last: String = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(!matches!(last.as_str(), "DaemonStopped" | "LogStarted" | "IncarnationStarted"))
}

/// How far the wall clock moved against what the last commit knew, when that is more than a clock does by itself.
fn wall_jump(conn: &Connection, clock: Clock, boot: BootId) -> rusqlite::Result<Option<i64>> {
    let Some(head) = head(conn)? else { return Ok(None) };
    let limit = i64::try_from(WALL_JUMP_LIMIT_MS).unwrap_or(i64::MAX);
    let now = clock.moment();
    let wall_moved = now.wall_ms - head.moment.wall.as_ms();
    if head.boot != boot.to_string() {
        // Over a reboot only the way back shows.
        return Ok((wall_moved < -limit).then_some(wall_moved));
    }
    let boot_moved = i64::try_from(now.boot_ms).unwrap_or(i64::MAX) - i64::try_from(head.moment.boot_ms).unwrap_or(0);
    let jumped = wall_moved - boot_moved;
    Ok((jumped.abs() > limit).then_some(jumped))
}

impl Engine {
    async fn first_commands(
        &self,
        configuration: Option<String>,
        recovered: bool,
        lost: Vec<(RunRef, &'static str)>,
        jumped: Option<i64>,
    ) -> Result<(), StartError> {
        let host = Caller::host();
        let failed = |problem: Problem| match problem.code {
            Code::DiskFull => StartError::Full {
                reason: problem.to_string(),
                runs: self.host().state.join("runs").display().to_string(),
            },
            _ => StartError::System(problem.to_string()),
        };
        // The jump goes first: after any other commit the ledger would know the new time, and the next start no jump.
        if let Some(by_ms) = jumped {
            tracing::error!(
                MESSAGE_ID = message_ids::CLOCK_JUMPED,
                "the wall clock moved {} by {} against the ledger: schedules and deadlines are held; \
                 agentctl clock accept --reason '…'",
                if by_ms < 0 { "back" } else { "ahead" },
                in_words(by_ms.unsigned_abs()),
            );
            self.execute(&host, Command::NoticeClock { by_ms }, None).await.map_err(failed)?;
        }
        let agentd = env!("CARGO_PKG_VERSION").to_owned();
        self.execute(&host, Command::RecordStart { agentd, recovered, configuration }, None).await.map_err(failed)?;
        for (run, because) in lost {
            self.execute(&host, Command::VoidLease { run, because }, None).await.map_err(failed)?;
        }
        self.record_first_policies().await
    }

    /// Writes a record of the daemon's own, with somebody else as the actor: what was refused to whom.
    pub(super) async fn record(&self, caller: &Caller, command: Command) -> Result<(), Problem> {
        let decided = policy::by_host().clone();
        let request = Request { caller: caller.clone(), command, decided, resource: None, key: None };
        match self.0.mailbox()?.send(request).await? {
            Answer::Refused(problem) => Err(problem),
            _ => Ok(()),
        }
    }

    /// The last event before the daemon ends.
    pub async fn stop(&self, reason: &str) {
        let stopped = self.execute(&Caller::host(), Command::RecordStop { reason: reason.to_owned() }, None).await;
        if let Err(problem) = stopped {
            tracing::error!("the stop could not be recorded: {problem}");
        }
        let path = database(&self.host().state);
        // So that a ledger at rest is one file, and damage to what SQLite takes for the end of a WAL loses nothing.
        let folded = move || open_writer(&path).ok().and_then(|conn| empty_wal(&conn).ok()).unwrap_or(false);
        if !tokio::task::spawn_blocking(folded).await.unwrap_or(false) {
            tracing::debug!("the WAL stays beside the ledger: somebody reads it");
        }
    }
}

/// The path of the database in a state directory.
pub fn database(state: &Path) -> std::path::PathBuf {
    state.join("ledger.db")
}
