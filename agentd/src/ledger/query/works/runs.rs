//! The attempts at one work.

use agentd_schemas::event::{AmountSource, Event, EventData};
use agentd_schemas::id::{Fence, RunId, WorkId};
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{EndedView, RunView};
use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};

use super::Stored;
use crate::ledger::load::Loaded;
use crate::ledger::query::read;

/// Attempts that are shown, the newest ones.
const MAX_RUNS: i64 = 200;
/// Bytes of results and of messages that are shown, each; those of the newest attempts come first.
const MAX_CONTENT_BYTES: u64 = 4 << 20;

/// The number of a run that failed.
pub(in crate::ledger::query) const FAILED: i64 = 3;
/// The outcomes of a run, by their numbers.
const OUTCOMES: [&str; 6] = ["live", "verifying", "completed", "failed", "cancelled", "voided"];

/// The outcome as people read it.
pub(in crate::ledger::query) fn outcome(number: i64) -> String {
    let known = usize::try_from(number).ok().and_then(|place| OUTCOMES.get(place));
    known.map_or_else(|| number.to_string(), |known| (*known).to_owned())
}

/// What memory knows of a live run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Last reported progress.
    pub progress: Option<String>,
    /// When the last heartbeat came.
    pub heartbeat_at: WallMs,
}

/// Asks memory for a live run.
pub type IsLive<'a> = &'a dyn Fn(RunId) -> Option<Pulse>;

/// One row, before content and events are read for it.
struct Attempt {
    ended_by: Option<i64>,
    result_by: Option<i64>,
    started: Option<i64>,
    program_ended: Option<i64>,
    view: RunView,
}

/// The attempts, oldest first.
pub(super) fn runs(conn: &Connection, work: &Stored, live: IsLive<'_>) -> Loaded<Vec<RunView>> {
    let sql = "SELECT runs.key, incarnation, attempt, agents.name, runs.epoch, outcome, claimed_ms, ended_ms, ended_by,
                      result_by, spent, tokens, sources, programs.started, programs.ended
               FROM runs JOIN agents ON agents.key = runs.agent LEFT JOIN programs ON programs.run = runs.key
               WHERE work = ?1
               ORDER BY attempt DESC, runs.key DESC LIMIT ?2";
    let attempts = read::all(conn, sql, [work.key, MAX_RUNS], |row| attempt(row, work.id))?;
    let mut budget = Budget { results: MAX_CONTENT_BYTES, messages: MAX_CONTENT_BYTES };
    let mut runs = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let mut run = budget.complete(conn, attempt)?;
        if run.outcome == OUTCOMES[0]
            && let Some(pulse) = live(run.id)
        {
            run.progress = pulse.progress;
            run.heartbeat_at = Some(pulse.heartbeat_at);
        }
        runs.push(run);
    }
    runs.reverse();
    Ok(runs)
}

fn attempt(row: &Row<'_>, work: WorkId) -> rusqlite::Result<Attempt> {
    let view = RunView {
        id: RunId { work, attempt: row.get(2)? },
        agent: read::parsed(row, 3)?,
        epoch: row.get(4)?,
        fence: Fence { incarnation: row.get(1)?, n: read::unsigned(row, 0)? },
        claimed_at: read::wall(row, 6)?,
        ended_at: row.get::<_, Option<i64>>(7)?.map(WallMs::saturating),
        outcome: outcome(row.get(5)?),
        failure: None,
        verdicts: Vec::new(),
        result: None,
        result_sha256: None,
        message: None,
        spent: read::usd(row, 10)?,
        tokens: read::unsigned(row, 11)?,
        sources: sources(row.get(12)?),
        progress: None,
        heartbeat_at: None,
        confinement: None,
        program: None,
        artefacts: Vec::new(),
        commit: None,
    };
    Ok(Attempt {
        ended_by: row.get(8)?,
        result_by: row.get(9)?,
        started: row.get(13)?,
        program_ended: row.get(14)?,
        view,
    })
}

/// Amount sources by their bits.
pub(in crate::ledger::query) const SOURCES: [(i64, AmountSource); 3] =
    [(1, AmountSource::Metered), (2, AmountSource::Reported), (4, AmountSource::Estimated)];

fn sources(bits: i64) -> Vec<AmountSource> {
    SOURCES.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, source)| source).collect()
}

/// Bytes of content that may still be shown.
struct Budget {
    results: u64,
    messages: u64,
}

impl Budget {
    fn complete(&mut self, conn: &Connection, attempt: Attempt) -> Loaded<RunView> {
        let mut run = attempt.view;
        program(conn, &mut run, attempt.started, attempt.program_ended)?;
        let result = attempt.result_by.map(|index| read::event(conn, index)).transpose()?;
        if let Some(event) = &result {
            self.result(conn, &mut run, event)?;
            made(&mut run, &event.data);
        }
        let ended = match attempt.ended_by {
            Some(index) if attempt.result_by == Some(index) => result,
            Some(index) => Some(read::event(conn, index)?),
            None => result,
        };
        match ended.map(|event| event.data) {
            Some(EventData::AttemptFailed(failed)) => {
                run.failure = Some(failed.reason);
                run.verdicts = failed.verdicts;
            }
            Some(EventData::WorkCompleted(completed)) => run.verdicts = completed.verdicts,
            Some(EventData::ResultJudged(judged)) => run.verdicts = judged.verdicts,
            _ => {}
        }
        if let Some(index) = attempt.ended_by
            && take(&mut self.messages, read::blob_bytes(conn, index, 2)?)
        {
            run.message = read::text(conn, index, 2)?;
        }
        Ok(run)
    }

    fn result(&mut self, conn: &Connection, run: &mut RunView, event: &Event) -> Loaded<()> {
        let index = event.envelope.index.cast_signed();
        if !take(&mut self.results, read::blob_bytes(conn, index, 1)?) {
            return Ok(());
        }
        let Some(bytes) = read::blob(conn, index, 1)? else { return Ok(()) };
        let json = event.envelope.blobs.iter().any(|blob| blob.slot == 1 && blob.media_type == "application/json");
        run.result_sha256 = Some(data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes)));
        let parsed = json.then(|| serde_json::from_slice(&bytes).ok()).flatten();
        run.result = Some(parsed.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned().into()));
        Ok(())
    }
}

/// How the program of a run was held, how it ended, and what it used.
fn program(conn: &Connection, run: &mut RunView, started: Option<i64>, ended: Option<i64>) -> Loaded<()> {
    if let Some(index) = started
        && let EventData::RunStarted(data) = read::event(conn, index)?.data
    {
        run.confinement = data.confinement;
    }
    if let Some(index) = ended
        && let EventData::RunEnded(data) = read::event(conn, index)?.data
    {
        run.program = Some(EndedView {
            ending: data.ending,
            stopped: data.stopped,
            usage: data.usage,
            stdout_bytes: data.stdout_bytes,
            stderr_bytes: data.stderr_bytes,
        });
    }
    Ok(())
}

/// What the event with its result says that a run made.
fn made(run: &mut RunView, data: &EventData) {
    let (artefacts, commit) = match data {
        EventData::ResultJudged(data) => (&data.artefacts, &data.commit),
        EventData::WorkCompleted(data) => (&data.artefacts, &data.commit),
        EventData::AttemptFailed(data) => (&data.artefacts, &data.commit),
        _ => return,
    };
    run.artefacts.clone_from(artefacts);
    run.commit.clone_from(commit);
}

/// Takes bytes out of a budget; not when there are none, or too few left.
fn take(budget: &mut u64, bytes: Option<u64>) -> bool {
    match bytes.and_then(|bytes| budget.checked_sub(bytes)) {
        Some(left) => {
            *budget = left;
            true
        }
        None => false,
    }
}
