//! The `SQLite` store: one connection, one transaction a batch.

use std::sync::Arc;

use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::time::WallMs;
use rusqlite::{Connection, ErrorCode};

use super::append::{AppendError, Appender, Writing};
use super::checkpoint::{self, Moment};
use super::commit::{Refusal, decide};
use super::load::repeated::Repeated;
use super::load::{self, LoadError};
use super::store::{Answer, Request, Store, StoreError, World};
use crate::domain::{Env, Ids};
use crate::sys::{failpoint, random};

/// The write connection and the head of the log.
pub struct SqliteStore {
    conn: Connection,
    appender: Appender,
    salts: Salts,
}

/// Random bytes in bulk: a system call for each salt would cost more than the salt.
struct Salts {
    bytes: Box<[u8; 4096]>,
    used: usize,
}

impl Salts {
    fn next(&mut self) -> Result<[u8; 32], random::RandomError> {
        if self.used + 32 > self.bytes.len() {
            random::fill(&mut self.bytes[..])?;
            self.used = 0;
        }
        let mut salt = [0; 32];
        let taken = &mut self.bytes[self.used..self.used + 32];
        salt.copy_from_slice(taken);
        taken.fill(0);
        self.used += 32;
        Ok(salt)
    }
}

/// What ends a command, or its whole batch, early.
#[derive(thiserror::Error, Debug)]
enum Failure {
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("{0}")]
    Append(#[from] AppendError),
    /// A step outside SQLite.
    #[error("{0}")]
    Step(std::io::Error),
    #[error("{0}")]
    Random(String),
}

impl Failure {
    fn sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::Sqlite(error)
            | Self::Load(LoadError::Sqlite(error))
            | Self::Append(AppendError::Sqlite(error) | AppendError::Project { source: error, .. }) => Some(error),
            _ => None,
        }
    }

    /// Whether the failure is of one command and its neighbours may go on: a value that no table takes, a row that is
    /// not there. What concerns the whole database (full, read-only, damaged, unreadable) is everybody's.
    fn is_of_one(&self) -> bool {
        if let Some(error) = self.sqlite() {
            use ErrorCode::{ConstraintViolation, TooBig, TypeMismatch, Unknown};
            let code = error.sqlite_error_code();
            return code.is_none_or(|code| matches!(code, ConstraintViolation | TooBig | TypeMismatch | Unknown));
        }
        matches!(self, Self::Load(_) | Self::Append(AppendError::Slot { .. }))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        if let Failure::Step(error) = &failure
            && error.kind() == std::io::ErrorKind::StorageFull
        {
            return Self::DiskFull;
        }
        match failure.sqlite().and_then(rusqlite::Error::sqlite_error_code) {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly(failure.to_string())
            }
            _ => Self::Failed(failure.to_string()),
        }
    }
}

/// How a batch is gone through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// The first failure ends it.
    Straight,
    /// Each command that writes has a savepoint of its own: when it fails, it fails alone.
    Guarded,
}

impl SqliteStore {
    /// A store on an open ledger.
    pub fn new(conn: Connection, appender: Appender) -> Self {
        Self { conn, appender, salts: Salts { bytes: Box::new([0; 4096]), used: 4096 } }
    }

    /// The head of the log.
    pub const fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Hardly any command fails, and a savepoint copies every page that its command touches: so the batch goes without
    /// first, and again with them when a command failed that is alone to blame.
    fn decided(&mut self, batch: &[Request], world: &World) -> Result<(Vec<Answer>, bool), Failure> {
        let mark = self.appender.mark();
        match self.batch(batch, world, Pass::Straight) {
            Err(failure) if failure.is_of_one() => {
                self.undo(mark);
                self.batch(batch, world, Pass::Guarded)
            }
            done => done,
        }
    }

    fn batch(&mut self, batch: &[Request], world: &World, pass: Pass) -> Result<(Vec<Answer>, bool), Failure> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        failpoint::check("commit.begin").map_err(Failure::Step)?;
        let mut answers = Vec::with_capacity(batch.len());
        let mut wrote = false;
        for request in batch {
            let answer = match self.one(request, world, pass) {
                Err(failure) if pass == Pass::Guarded && failure.is_of_one() && !self.conn.is_autocommit() => {
                    tracing::error!("a command by {} was refused: {failure}", request.caller.actor);
                    Answer::Refused(Problem::internal(failure))
                }
                answer => answer?,
            };
            wrote |= matches!(&answer, Answer::Committed(events) if !events.is_empty());
            answers.push(answer);
        }
        if wrote {
            self.appender.checkpoint(&self.conn, moment(world))?;
        }
        Ok((answers, wrote))
    }

    fn one(&mut self, request: &Request, world: &World, pass: Pass) -> Result<Answer, Failure> {
        if let Some(answer) = repeated(&self.conn, request)? {
            return Ok(answer);
        }
        if let Some(resource) = &request.resource {
            let now = load::resource::of(&self.conn, &request.command)?;
            if now.as_ref() != Some(resource) {
                return Ok(Answer::Stale);
            }
        }
        let env = self.env(world)?;
        let drafts = match decide(&self.conn, &request.command, request.caller.operator, &env) {
            Ok(drafts) => drafts,
            Err(Refusal::Rejected(problem)) => return Ok(Answer::Refused(problem)),
            Err(Refusal::Load(error)) => return Err(error.into()),
        };
        if drafts.is_empty() {
            return Ok(Answer::Committed(Arc::from([])));
        }
        match pass {
            Pass::Straight => self.append(request, drafts, world),
            Pass::Guarded => self.append_guarded(request, drafts, world),
        }
    }

    fn env(&self, world: &World) -> Result<Env, Failure> {
        let seed = random::bytes::<32>().map_err(|error| Failure::Random(error.to_string()))?;
        Ok(Env {
            wall: WallMs::saturating(world.wall_ms),
            boot_ms: world.boot_ms,
            clock_held: load::host::clock_held(&self.conn)?,
            incarnation: self.appender.incarnation(),
            next_index: self.appender.size(),
            day: world.day.clone(),
            month: world.month.clone(),
            ids: Ids::new(seed),
            defaults: world.defaults.clone(),
        })
    }

    fn append(
        &mut self,
        request: &Request,
        drafts: Vec<crate::domain::Draft>,
        world: &World,
    ) -> Result<Answer, Failure> {
        let writing = Writing {
            caller: &request.caller,
            decided: Some(&request.decided),
            request: request.key.as_ref().map(|(key, digest)| (key.as_str(), digest.as_str())),
            moment: moment(world),
        };
        let mut dry = None;
        let salts = &mut self.salts;
        let appended = self.appender.append(&self.conn, drafts, &writing, &mut || {
            salts.next().unwrap_or_else(|error| {
                dry = Some(error.to_string());
                [0; 32]
            })
        });
        if let Some(error) = dry {
            return Err(Failure::Random(error));
        }
        match appended {
            Ok(events) => Ok(Answer::Committed(events.into())),
            // Nothing of the command was written: its neighbours go on.
            Err(error @ (AppendError::Event { .. } | AppendError::BlobTooLarge { .. })) => {
                let problem = Problem::new(Code::TooLarge, error.to_string());
                Ok(Answer::Refused(problem.hint("put long lists into the inputs, or split the work")))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Appends under a savepoint, so that nothing is left of a command that fails half-way.
    fn append_guarded(
        &mut self,
        request: &Request,
        drafts: Vec<crate::domain::Draft>,
        world: &World,
    ) -> Result<Answer, Failure> {
        let mark = self.appender.mark();
        self.conn.prepare_cached("SAVEPOINT command")?.execute([])?;
        let answer = self.append(request, drafts, world);
        if answer.is_err() {
            self.appender.rollback(mark);
            // The transaction may be gone already, and the savepoint with it.
            if self.conn.is_autocommit() {
                return answer;
            }
            self.conn.prepare_cached("ROLLBACK TO command")?.execute([])?;
        }
        self.conn.prepare_cached("RELEASE command")?.execute([])?;
        answer
    }

    fn undo(&mut self, mark: super::append::Mark) {
        // The transaction may be gone already: SQLite rolls back by itself when the disk is full.
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.appender.rollback(mark);
    }
}

fn moment(world: &World) -> Moment {
    Moment { wall: WallMs::saturating(world.wall_ms), boot_ms: world.boot_ms }
}

/// The answer to a repeated idempotency key.
fn repeated(conn: &Connection, request: &Request) -> Result<Option<Answer>, Failure> {
    let Some(key) = &request.key else { return Ok(None) };
    Ok(load::repeated::repeated(conn, &request.caller.actor, key)?.map(|before| match before {
        Repeated::Same(events) => Answer::Repeated(events),
        Repeated::Other(problem) => Answer::Refused(problem),
    }))
}

impl Store for SqliteStore {
    fn commit(&mut self, batch: &[Request], world: &World) -> Result<Vec<Answer>, StoreError> {
        let mark = self.appender.mark();
        let (answers, wrote) = match self.decided(batch, world) {
            Ok(done) => done,
            Err(failure) => {
                self.undo(mark);
                return Err(failure.into());
            }
        };
        if !wrote {
            self.undo(mark);
            return Ok(answers);
        }
        if let Err(error) = failpoint::check("commit.before") {
            self.undo(mark);
            return Err(Failure::Step(error).into());
        }
        let committed = self.conn.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = committed {
            // Still inside the transaction: SQLite says that nothing was made durable. Out of room, it has left the
            // transaction, but a frame of it could not be written: without its commit frame it counts for nobody,
            // recovery included. A failed sync has another code.
            let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
            if full || !self.conn.is_autocommit() {
                self.undo(mark);
                return Err(Failure::Sqlite(error).into());
            }
            return Err(StoreError::UnknownOutcome(error.to_string()));
        }
        failpoint::hit("commit.after");
        Ok(answers)
    }

    fn size(&self) -> u64 {
        self.appender.size()
    }

    fn incarnation(&self) -> u32 {
        self.appender.incarnation()
    }

    fn keep_checkpoint(&mut self) -> Result<(), StoreError> {
        checkpoint::keep(&self.conn).map_err(|error| Failure::Sqlite(error).into())
    }
}
