//! How much of the ledger one run may fill: it is kept for ever, and all who share the host read it.

use agentd_schemas::problem::{Code, Problem};

use super::WorkFacts;
use crate::domain::Rejection;

/// Events of a work that one run may add to: notes, questions, reservations, costs.
pub const MAX_RUN_EVENTS: u64 = 10_000;
/// Notes and questions among them.
pub const MAX_RUN_NOTES: u64 = 1_000;
/// Bytes of their texts.
pub const MAX_RUN_NOTE_BYTES: u64 = 4 << 20;

/// What a run said so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Events of its work since it was claimed.
    pub events: u64,
    /// Notes among them.
    pub notes: u64,
    /// Bytes of their texts.
    pub note_bytes: u64,
}

/// Refuses a note or a question beyond what one run may say.
pub fn check_note(work: &WorkFacts, said: Said, text: &str) -> Result<(), Rejection> {
    check_event(work, said)?;
    let run = work.run_id();
    let hint = "put what is long into the result or into artefacts; costs are still taken";
    if said.notes >= MAX_RUN_NOTES {
        let message = format!("run {run} said {MAX_RUN_NOTES} notes and questions, which is all that one run may say");
        return Err(Problem::new(Code::OutOfBounds, message).hint(hint));
    }
    let bytes = said.note_bytes.saturating_add(text.len() as u64);
    if bytes > MAX_RUN_NOTE_BYTES {
        let message = format!(
            "with this, the notes of run {run} would have {bytes} bytes, at most {MAX_RUN_NOTE_BYTES} are taken"
        );
        return Err(Problem::new(Code::TooLarge, message).hint(hint));
    }
    Ok(())
}

/// Refuses whatever a run would add beyond its share.
pub fn check_event(work: &WorkFacts, said: Said) -> Result<(), Rejection> {
    if said.events < MAX_RUN_EVENTS {
        return Ok(());
    }
    let message =
        format!("run {} added {MAX_RUN_EVENTS} entries to the ledger, which is all that one run may", work.run_id());
    Err(Problem::new(Code::OutOfBounds, message)
        .hint("end the attempt with what there is; say costs as sums, and less often"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn a_run_says_no_more_than_its_share() {
        let work = fixture::work();
        let said = Said { events: MAX_RUN_EVENTS - 1, notes: MAX_RUN_NOTES - 1, note_bytes: MAX_RUN_NOTE_BYTES - 1 };
        check_note(&work, said, "x").unwrap();
        assert_eq!(check_note(&work, said, "xy").unwrap_err().code, Code::TooLarge);
        let full = Said { notes: MAX_RUN_NOTES, ..said };
        assert_eq!(check_note(&work, full, "x").unwrap_err().code, Code::OutOfBounds);
        check_event(&work, full).unwrap();
        let full = Said { events: MAX_RUN_EVENTS, ..Said::default() };
        let refused = check_event(&work, full).unwrap_err();
        assert!(refused.code == Code::OutOfBounds && refused.hint.is_some());
        assert_eq!(check_note(&work, full, "x").unwrap_err().code, Code::OutOfBounds);
    }
}
