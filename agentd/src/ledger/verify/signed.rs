//! What was signed: a completion against the run, the terms and the result that it speaks of, and a new key against the
//! proof that somebody held it. The connection has the tables as they were before the event.

use agentd_schemas::event::{Authority, Custody, Event, EventData, KeyCertified, Subject};
use agentd_schemas::id::RunId;
use agentd_schemas::key::certificate::{Certificate, Expected};
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::{Possession, PossessionKind, PossessionSignature};
use agentd_schemas::key::statement::{Artefact, Completion, PAYLOAD_TYPE, Sha256Digest};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::{EventFault, VerifyError};
use crate::domain::work::judge::acceptance_digest;
use crate::ledger::project::works::VERIFYING;

/// A run as the tables have it when its result comes.
struct Run {
    fence: u64,
    epoch: u64,
    outcome: i64,
    has_result: bool,
    agent: i64,
    agent_id: String,
    submitted: String,
}

/// What an event carries of a result: the envelope in slot 0 and the digest of slot 1, unless they were erased.
#[derive(Default)]
pub(super) struct Carried {
    /// The event commits to an envelope.
    pub(super) signed: bool,
    /// The envelope.
    pub(super) envelope: Option<Vec<u8>>,
    /// SHA-256 of the result.
    pub(super) result: Option<[u8; 32]>,
}

/// Checks the signed statement of a result: made with the key that the run's agent had at this event, about this run,
/// what it was to be judged by, and this very result. Whether there was one to check.
pub(super) fn check_result(connection: &Connection, event: &Event, carried: &Carried) -> Result<bool, VerifyError> {
    let fault = |why: String| VerifyError::Event { index: event.envelope.index, fault: EventFault::Statement(why) };
    let must = match &event.data {
        EventData::ResultJudged(_) | EventData::WorkCompleted(_) => true,
        _ if !carried.signed => return Ok(false),
        _ => false,
    };
    let named = event.envelope.run.ok_or_else(|| fault("the event names no run".to_owned()))?;
    let run = run(connection, named)?.ok_or_else(|| fault(format!("{named} is not the work's run")))?;
    if must && !carried.signed {
        // A person took a result that was handed in, and signed, before.
        let before = matches!(event.data, EventData::WorkCompleted(_)) && run.outcome == VERIFYING && run.has_result;
        return if before { Ok(false) } else { Err(fault("it is missing".to_owned())) };
    }
    let Some(envelope) = &carried.envelope else { return Ok(false) };
    covered(connection, event, run.agent)?.map_err(fault)?;
    let said = opened(connection, event.envelope.index, &run, envelope).map_err(fault)?;
    let artefacts = artefacts(event, carried, &said).map_err(fault)?;
    let expected = expected(connection, named, &run, artefacts).map_err(fault)?;
    said.check(&expected).map(|()| true).map_err(|error| fault(error.to_string()))
}

fn run(connection: &Connection, named: RunId) -> rusqlite::Result<Option<Run>> {
    let sql = "SELECT r.key, r.epoch, r.outcome, r.result_by IS NOT NULL, a.key, a.agent_id, e.body
               FROM works w JOIN runs r ON r.key = w.run JOIN agents a ON a.key = r.agent
               JOIN main.events e ON e.idx = w.key WHERE w.id = ?1 AND r.attempt = ?2";
    let read = |row: &Row<'_>| {
        Ok(Run {
            fence: row.get(0)?,
            epoch: row.get(1)?,
            outcome: row.get(2)?,
            has_result: row.get(3)?,
            agent: row.get(4)?,
            agent_id: row.get(5)?,
            submitted: row.get(6)?,
        })
    };
    connection.prepare_cached(sql)?.query_row(params![named.work.as_bytes(), named.attempt], read).optional()
}

/// The statement in an envelope that the agent's key of the time has signed.
fn opened(connection: &Connection, index: u64, run: &Run, envelope: &[u8]) -> Result<Completion, String> {
    let sql = "SELECT public_key FROM agent_keys
               WHERE agent = ?1 AND valid_from <= ?2 AND (valid_until IS NULL OR valid_until > ?2)";
    let key: Option<String> = connection
        .prepare_cached(sql)
        .and_then(|mut found| found.query_row(params![run.agent, index], |row| row.get(0)).optional())
        .map_err(|error| error.to_string())?;
    let key = key.ok_or_else(|| format!("{} had no valid key", run.agent_id))?;
    let key: PublicKey = key.parse().map_err(|error| format!("{error}"))?;
    let envelope = Envelope::parse(envelope).map_err(|error| error.to_string())?;
    let payload = envelope.verify(&key, PAYLOAD_TYPE).map_err(|error| error.to_string())?;
    Completion::parse(payload).map_err(|error| error.to_string())
}

/// What the statement must be about: the result, and all that the event says the run made. Of an erased result nothing is
/// known any more, so what the statement says of it is taken.
fn artefacts(event: &Event, carried: &Carried, said: &Completion) -> Result<Vec<Artefact>, String> {
    let made = match &event.data {
        EventData::ResultJudged(data) => data.artefacts.as_slice(),
        EventData::WorkCompleted(data) => data.artefacts.as_slice(),
        EventData::AttemptFailed(data) => data.artefacts.as_slice(),
        _ => &[],
    };
    let told = said.artefacts.iter().find(|artefact| artefact.name == "result").map(|artefact| artefact.sha256);
    let result = carried.result.map(Sha256Digest).or(told).ok_or("it names no result")?;
    let mut artefacts = vec![Artefact { name: "result".to_owned(), sha256: result }];
    for each in made {
        let sha256 = each.sha256.parse().map_err(|error| format!("{error}"))?;
        artefacts.push(Artefact { name: each.name.clone(), sha256 });
    }
    Ok(artefacts)
}

/// What the statement must say.
fn expected(connection: &Connection, named: RunId, run: &Run, artefacts: Vec<Artefact>) -> Result<Completion, String> {
    let event = Event::from_bytes(run.submitted.as_bytes()).map_err(|error| error.to_string())?;
    let EventData::WorkSubmitted(spec) = event.data else {
        return Err("the work does not begin with its submit".to_owned());
    };
    Ok(Completion {
        artefacts,
        origin: meta(connection, "origin").map_err(|error| error.to_string())?,
        work: named.work.to_string(),
        run: named.to_string(),
        fence: run.fence,
        agent: run.agent_id.clone(),
        epoch: run.epoch,
        acceptance: acceptance_digest(&spec.acceptance).parse().map_err(|error| format!("{error}"))?,
        finished_at: None,
    })
}

/// Where an owner has to certify the agent's key, a certificate must have held at the event.
fn covered(connection: &Connection, event: &Event, agent: i64) -> rusqlite::Result<Result<(), String>> {
    let sql = "SELECT custody, certified_from <= ?2 AND ?2 < certified_until FROM agents WHERE key = ?1";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<bool>>(1)?));
    let time = event.envelope.time.as_ms();
    let (custody, holds) = connection.prepare_cached(sql)?.query_row(params![agent, time], read)?;
    let uncovered = custody == "owner" && holds != Some(true);
    Ok(if uncovered { Err("no certificate of the owner held then".to_owned()) } else { Ok(()) })
}

/// Checks the certificate that an event has: of this agent's key of the time, by the key that was announced when the agent
/// was enrolled, and held then. Whether the event has one.
pub(super) fn check_certificate(connection: &Connection, event: &Event) -> Result<bool, VerifyError> {
    let EventData::KeyCertified(data) = &event.data else { return Ok(false) };
    let fault = |why: String| VerifyError::Event { index: event.envelope.index, fault: EventFault::Certificate(why) };
    let Subject::Agent(name) = &event.envelope.subject else {
        return Err(fault("the event is about no agent".to_owned()));
    };
    let sql = "SELECT public_key, authority FROM agents WHERE name = ?1";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
    let found = connection.prepare_cached(sql)?.query_row([name.as_str()], read).optional()?;
    let Some((key, Some(authority))) = found else {
        return Err(fault("no agent in an owner's custody has this name".to_owned()));
    };
    let trust_domain = meta(connection, "trust_domain")?;
    let key: PublicKey = key.parse().map_err(|error| fault(format!("{error}")))?;
    let authority: PublicKey = authority.parse().map_err(|error| fault(format!("{error}")))?;
    let expected = Expected { key: &key, authority: &authority, name: name.as_str(), trust_domain: &trust_domain };
    let certificate: Certificate = data.certificate.parse().map_err(|error| fault(format!("{error}")))?;
    certificate.check(&expected, event.envelope.time).map_err(|error| fault(error.to_string()))?;
    if KeyCertified::of(&certificate) == *data {
        Ok(true)
    } else {
        Err(fault("the event says something else than its certificate".to_owned()))
    }
}

/// Checks that a new key came with a proof of possession, and a new agent in an owner's custody with one of the owner's
/// key. How many the event has.
pub(super) fn check_possession(connection: &Connection, event: &Event) -> Result<u64, VerifyError> {
    match &event.data {
        EventData::AgentEnrolled(data) => {
            possessed(connection, event, PossessionKind::Enroll, &data.public_key, &data.nonce, &data.signature)?;
            if let Some(Authority { public_key, nonce, signature }) = &data.authority {
                possessed(connection, event, PossessionKind::Authority, public_key, nonce, signature)?;
            }
            if (data.custody == Custody::Owner) != data.authority.is_some() {
                let why = "custody and the owner's key do not go together".to_owned();
                return Err(VerifyError::Event { index: event.envelope.index, fault: EventFault::Possession(why) });
            }
            Ok(1 + u64::from(data.authority.is_some()))
        }
        EventData::KeyRotated(data) => {
            possessed(connection, event, PossessionKind::Rotate, &data.to, &data.nonce, &data.signature).map(|()| 1)
        }
        _ => Ok(0),
    }
}

fn possessed(
    connection: &Connection,
    event: &Event,
    kind: PossessionKind,
    key: &str,
    nonce: &str,
    signature: &str,
) -> Result<(), VerifyError> {
    let fault = |why: String| VerifyError::Event { index: event.envelope.index, fault: EventFault::Possession(why) };
    let Subject::Agent(name) = &event.envelope.subject else {
        return Err(fault("the event is about no agent".to_owned()));
    };
    let trust_domain = meta(connection, "trust_domain")?;
    let public_key: PublicKey = key.parse().map_err(|error| fault(format!("{error}")))?;
    let signature: PossessionSignature = signature.parse().map_err(|error| fault(format!("{error}")))?;
    let possession =
        Possession { kind, trust_domain: &trust_domain, name: name.as_str(), nonce, public_key: &public_key };
    possession.verify(&signature).map_err(|error| fault(error.to_string()))
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<String> {
    connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0))
}
