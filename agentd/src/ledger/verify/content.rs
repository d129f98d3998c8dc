//! Content against the commitments of its event.

use std::collections::BTreeSet;

use agentd_schemas::content::DSSE_ENVELOPE;
use agentd_schemas::event::{BlobRef, Event, EventData};
use agentd_schemas::log::commitment::Salt;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest as _, Sha256};

use super::fault::{BlobFault, VerifyError};
use super::signed::Carried;
use crate::ledger::blobs::{self, SLOTS};

/// What was found of content so far.
pub(super) struct Content<'c> {
    connection: &'c Connection,
    events: u64,
    blobs: u64,
    /// Rows without content.
    erased: BTreeSet<u64>,
    /// Rows that an event says were erased.
    redacted: BTreeSet<u64>,
}

impl<'c> Content<'c> {
    /// Nothing so far.
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, events: 0, blobs: 0, erased: BTreeSet::new(), redacted: BTreeSet::new() }
    }

    /// Compares the blobs of the next event with its commitments. Gives what it carries of a result.
    pub(super) fn check(&mut self, event: &Event) -> Result<Carried, VerifyError> {
        let index = event.envelope.index;
        self.events = index + 1;
        let sql = "SELECT id, salt, data FROM main.blobs WHERE id >= ?1 AND id < ?2 ORDER BY id";
        let mut query = self.connection.prepare_cached(sql)?;
        let mut rows = query.query(params![blobs::id(index, 0), blobs::id(index + 1, 0)])?;
        let mut carried = Carried::default();
        for expected in &event.envelope.blobs {
            let fault = |fault| VerifyError::Blob { event: index, slot: expected.slot.into(), fault };
            let id = blobs::id(index, expected.slot);
            let row = rows.next()?.ok_or_else(|| fault(BlobFault::Missing))?;
            match row.get::<_, u64>(0)? {
                found if found > id => return Err(fault(BlobFault::Missing)),
                found if found < id => return Err(located(found, BlobFault::Extra)),
                _ => {}
            }
            let signed = expected.slot == 0 && expected.media_type == DSSE_ENVELOPE;
            carried.signed |= signed;
            match content(row, expected).map_err(fault)? {
                Some(data) => {
                    self.blobs += 1;
                    if signed {
                        carried.envelope = Some(data.to_vec());
                    } else if expected.slot == 1 && carried.signed {
                        carried.result = Some(Sha256::digest(data).into());
                    }
                }
                None => drop(self.erased.insert(id)),
            }
        }
        if let Some(row) = rows.next()? {
            return Err(located(row.get(0)?, BlobFault::Extra));
        }
        if let EventData::ContentRedacted(data) = &event.data
            && data.slot < SLOTS
        {
            self.redacted.insert(blobs::id(data.event, data.slot));
        }
        Ok(carried)
    }

    /// Compares what was erased with what events say was. Gives the numbers of blobs that are here and that are not.
    pub(super) fn finish(self) -> Result<(u64, u64), VerifyError> {
        let sql = "SELECT id FROM main.blobs WHERE id < 0 OR id >= ?1 ORDER BY id LIMIT 1";
        let beyond: Option<i64> =
            self.connection.query_row(sql, [blobs::id(self.events, 0)], |row| row.get(0)).optional()?;
        if let Some(id) = beyond {
            return Err(located(u64::try_from(id).unwrap_or(0), BlobFault::Extra));
        }
        if let Some(id) = self.erased.difference(&self.redacted).next() {
            return Err(located(*id, BlobFault::Erased));
        }
        for id in self.redacted.difference(&self.erased) {
            let here = self.connection.prepare_cached("SELECT 1 FROM main.blobs WHERE id = ?1")?.exists([id])?;
            if here {
                return Err(located(*id, BlobFault::NotErased));
            }
        }
        Ok((self.blobs, self.erased.len() as u64))
    }
}

fn located(id: u64, fault: BlobFault) -> VerifyError {
    VerifyError::Blob { event: id / u64::from(SLOTS), slot: id % u64::from(SLOTS), fault }
}

/// The content of a row, which must be what the event commits to; `None` when it was erased.
fn content<'r>(row: &'r Row<'_>, expected: &BlobRef) -> Result<Option<&'r [u8]>, BlobFault> {
    let (salt, data) = match (row.get_ref(1), row.get_ref(2)) {
        (Ok(ValueRef::Null), Ok(ValueRef::Null)) => return Ok(None),
        (Ok(ValueRef::Blob(salt)), Ok(ValueRef::Blob(data))) => (salt, data),
        _ => return Err(BlobFault::Commitment),
    };
    let salt = Salt(salt.try_into().map_err(|_| BlobFault::Commitment)?);
    let holds = data.len() as u64 == expected.size && expected.commitment.check(&salt, data);
    if holds { Ok(Some(data)) } else { Err(BlobFault::Commitment) }
}
