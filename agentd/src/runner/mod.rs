//! One run, step by step: what is to be started for it, and what came of it.
//!
//! The daemon never runs git and never reads what a run wrote but by the rules of this room: without following links,
//! bounded, as the words of somebody else. Everything that touches foreign content is a *step*, one [`LaunchSpec`] with a
//! record and a sandbox of its own: unpacking the workspace, its setup, the program, collecting what it changed, judging
//! it, sealing it. The room knows no ledger and decides nothing; it blocks, and is called from threads that may wait.
//!
//! The folders of a run, below `runs/<run>/`:
//!
//! ```text
//! <step>.json   the LaunchSpec as the daemon wrote it      workspace/  where the program works
//! <step>/       the record of the step                     home/       its home
//! agent/        the files of the agent, read-only          base/       what it began with; out of its reach to change
//! task/         the task as files, read-only               result/     what was collected
//! door/         the socket of the run                      judge-<step>/, home-<step>/   a checkout that is judged
//! run.json      what the daemon notes for itself           tmp/        temporary files below level strict
//! ```

mod asks;
mod collected;
mod commit;
pub mod content;
mod files;
mod folder;
pub mod garbage;
mod host;
mod inside;
mod judge;
pub mod keep;
mod launcher;
mod lay_out;
mod look;
mod lost;
mod places;
mod result;
mod room;
mod spec;
mod start;
mod template;

pub use asks::Asks;
pub use collected::{
    Change, Collected, LeftOut, ObjectFormat, Overlay, Prepared, Unusable, collected, prepared, sealed,
};
pub use commit::{Commit, CommitDraft, Identity, commit};
pub use content::{Stored, artefact};
pub use files::free_share;
pub use folder::{Folder, Step, run_socket};
#[cfg(test)]
pub(crate) use host::trial_host;
pub use host::{Context, Host, Job, Profile, Refused, RunDefaults, UidRange};
pub use judge::{Judged, judge_artefact, judge_changes, judge_files};
pub use launcher::Launcher;
pub use lay_out::{lay_out, try_out};
pub use look::{
    Look, Output, began, command_output_end, control, forestall, look, output, output_end, output_size,
    put_record_aside, started,
};
pub use lost::{Lost, lost};
pub use result::{NoResult, result, session};
pub use room::taken;
pub use spec::{NoSpec, level_begun, spec, spec_digest, spec_sha256};
pub use start::{Launched, Silence, asked_by_another, how_it_failed, start, unit, write_spec};
