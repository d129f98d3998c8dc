//! Judging results by machine, away from the threads that serve: each judgement has a thread of its own, few run at a
//! time, and each uid has one. Compiled schemas are kept, because most works of a class share theirs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use agentd_schemas::event::{Criterion, Verdict};
use agentd_schemas::http::MAX_RESULT_BYTES;
use agentd_schemas::id::RunId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::strict::{Limits, json};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

use crate::domain::work::judge::blank_verdicts;
use crate::domain::work::schema::{Validator, compile};

/// Compiled schemas that are kept, at most.
const MAX_VALIDATORS: usize = 256;
/// Bytes that they take together, about.
const MAX_VALIDATOR_BYTES: usize = 64 << 20;
/// Judgements (and checks of schemas) that run at a time.
const JUDGES: usize = 2;
/// Judgements of one uid that run or wait.
const MAX_WAITING: usize = 1024;
/// Stack of a judgement: a schema may go 64 subschemas deep at each of 32 levels of a result.
const STACK_BYTES: usize = 64 << 20;
/// Bytes of a result that is read where it arrives when no schema is to judge it.
const SMALL_BYTES: usize = 64 << 10;
/// Keys in one object of a result.
const MAX_RESULT_KEYS: usize = 65_536;

/// Compiled schemas by the digest of their criterion.
#[derive(Default)]
struct Validators {
    compiled: HashMap<String, Arc<Validator>>,
    bytes: usize,
}

impl Validators {
    fn keep(&mut self, digest: &str, validator: &Arc<Validator>) {
        let bytes = validator.weight();
        if self.compiled.len() >= MAX_VALIDATORS || self.bytes.saturating_add(bytes) > MAX_VALIDATOR_BYTES {
            (self.compiled, self.bytes) = (HashMap::new(), 0);
        }
        if self.compiled.insert(digest.to_owned(), validator.clone()).is_none() {
            self.bytes += bytes;
        }
    }
}

/// How many judgements of each uid run or wait, and its turn.
type Turns = Mutex<HashMap<u32, (usize, Arc<Semaphore>)>>;

/// A run whose result is being judged; no other result of it is taken meanwhile.
pub(super) struct Judged<'a> {
    judges: &'a Judges,
    run: RunId,
}

impl Drop for Judged<'_> {
    fn drop(&mut self) {
        self.judges.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

/// What judges.
pub(crate) struct Judges {
    kept: Arc<Mutex<Validators>>,
    runs: Mutex<HashSet<RunId>>,
    turns: Arc<Turns>,
    places: Arc<Semaphore>,
}

impl Default for Judges {
    fn default() -> Self {
        Self {
            kept: Arc::default(),
            runs: Mutex::default(),
            turns: Arc::default(),
            places: Arc::new(Semaphore::new(JUDGES)),
        }
    }
}

/// A judgement that runs or waits; counted out when it is dropped.
struct Turn {
    uid: u32,
    turns: Arc<Turns>,
    queue: Arc<Semaphore>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        match turns.get_mut(&self.uid) {
            Some((count, _)) if *count > 1 => *count -= 1,
            _ => drop(turns.remove(&self.uid)),
        }
    }
}

impl Judges {
    /// Takes the run for the judgement of one result: many of one run at a time would only fill memory, for the first
    /// ends it.
    pub(super) fn only(&self, run: RunId) -> Result<Judged<'_>, Problem> {
        let is_first = self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        if is_first {
            return Ok(Judged { judges: self, run });
        }
        Err(Problem::new(Code::Busy, format!("a result of run {run} is being judged"))
            .hint("wait for the answer to that one, or ask again later"))
    }

    fn turn(&self, uid: u32) -> Result<Turn, Problem> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, queue) = turns.entry(uid).or_insert_with(|| (0, Arc::new(Semaphore::new(1))));
        if *count >= MAX_WAITING {
            let message = format!("{MAX_WAITING} results and submits of uid {uid} wait to be checked");
            return Err(Problem::new(Code::Busy, message).hint("try again later"));
        }
        *count += 1;
        Ok(Turn { uid, turns: self.turns.clone(), queue: queue.clone() })
    }

    /// Runs what may take long for a uid on a thread of its own, when it is its turn. Who asked may go away meanwhile:
    /// the turn ends with the thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        uid: u32,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.turn(uid)?;
        let own = turn.queue.clone().acquire_owned().await.map_err(Problem::internal)?;
        let place = self.places.clone().acquire_owned().await.map_err(Problem::internal)?;
        let (answer, answered) = oneshot::channel();
        let thread = std::thread::Builder::new().name("judge".to_owned()).stack_size(STACK_BYTES);
        let judged = thread.spawn(move || {
            let done = work();
            drop((place, own, turn));
            // Nobody waits any more: nothing to tell.
            let _ = answer.send(done);
        });
        judged.map_err(Problem::internal)?;
        answered.await.map_err(|_| Problem::internal("a judgement ended without an answer"))?
    }

    /// What the machine criteria say of a result; persons stay undecided.
    pub(crate) async fn judge(
        &self,
        uid: u32,
        criteria: Vec<Criterion>,
        schemas: Vec<Option<Value>>,
        result: String,
    ) -> Result<Judgement, Problem> {
        let kept = self.kept.clone();
        let asked = criteria.iter().any(|criterion| matches!(criterion, Criterion::JsonSchema { .. }));
        let large = result.len() > SMALL_BYTES;
        let judge = move || judge(&kept, &criteria, &schemas, result);
        if asked || large { self.run(uid, judge).await } else { judge() }
    }
}

fn validator(kept: &Mutex<Validators>, digest: &str, schema: &Value) -> Result<Arc<Validator>, Problem> {
    let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    let found = lock().compiled.get(digest).cloned();
    if let Some(validator) = found {
        return Ok(validator);
    }
    let validator = Arc::new(compile(schema).map_err(Problem::internal)?);
    lock().keep(digest, &validator);
    Ok(validator)
}

fn judge(
    kept: &Mutex<Validators>,
    criteria: &[Criterion],
    schemas: &[Option<Value>],
    result: String,
) -> Result<Judgement, Problem> {
    let mut verdicts = blank_verdicts(criteria);
    let mut messages = Vec::new();
    let json = read(&result)?;
    for (place, criterion) in criteria.iter().enumerate() {
        let Criterion::JsonSchema { sha256 } = criterion else { continue };
        let schema = schemas.get(place).and_then(Option::as_ref);
        let schema = schema.ok_or_else(|| {
            Problem::new(Code::Redacted, "the criteria of this work were erased: it cannot be judged")
                .hint("a person can cancel the work and submit it anew")
        })?;
        let said = match &json {
            Some(json) => validator(kept, sha256, schema)?.complaints(json),
            None => Some("/: the result is not JSON".to_owned()),
        };
        verdicts[place].met = Some(said.is_none());
        messages.extend(said.map(|said| format!("criterion {}: {said}", place + 1)));
    }
    let message = (!messages.is_empty()).then(|| messages.join("\n"));
    Ok(Judgement { verdicts, message, json: json.is_some(), result })
}

/// A result as JSON, if it is. What only some readers take for JSON, or read in more than one way, is refused: who
/// judges it and who works with it must see the same.
fn read(result: &str) -> Result<Option<Value>, Problem> {
    if serde_json::from_str::<IgnoredAny>(result).is_err() {
        return Ok(None);
    }
    let limits = Limits { max_bytes: MAX_RESULT_BYTES, max_keys: MAX_RESULT_KEYS, ..Limits::DEFAULT };
    json::from_slice(result.as_bytes(), &limits).map(Some).map_err(|error| {
        let mut problem = Problem::new(Code::InvalidDocument, format!("the result: {}", error.message()))
            .hint(error.hint().unwrap_or("hand in JSON that every reader reads in one way, or text").to_owned());
        if let (Some(line), Some(column)) = (error.line(), error.column()) {
            problem = problem.detail("line", line).detail("column", column);
        }
        problem
    })
}

/// What the machine criteria said.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// One per criterion.
    pub(crate) verdicts: Vec<Verdict>,
    /// What they complained about.
    pub(crate) message: Option<String>,
    /// Whether the result is JSON.
    pub(crate) json: bool,
    /// The result, as it came.
    pub(crate) result: String,
}

#[cfg(test)]
mod tests;
