//! What a run takes of the disk, looked at from outside while its programs write.

use std::io;

use agentd_schemas::launch::{Answer, Request};

use super::folder::{Folder, Step};
use crate::sys::room::{self, Room};

/// Names of the folders that the programs of a step write to without a bound of their own.
fn written_by(folder: &Folder, step: Step) -> Vec<std::path::PathBuf> {
    match step {
        Step::Setup | Step::Program(_) => vec![folder.workspace(), folder.home(), folder.tmp()],
        Step::Base(_) | Step::Check(_) => vec![folder.judge(step), folder.judge_home(step)],
        Step::Prepare | Step::Collect | Step::Seal => Vec::new(),
    }
}

/// What the programs of a step have written, counted no further than beyond `most`; `None` for one that has a bound of its
/// own. Where the daemon may not look, the launcher does.
pub fn taken(folder: &Folder, step: Step, most: Room) -> io::Result<Option<Room>> {
    let folders = written_by(folder, step);
    if folders.is_empty() {
        return Ok(None);
    }
    let Some(launcher) = folder.launcher() else { return Ok(Some(room::taken(&folders, most))) };
    let names = folders.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    let request = Request::Measure { run: folder.run(), folders: names, bytes: most.bytes, files: most.files };
    match launcher.ask_until_answered(&request)? {
        (Answer::Measured { bytes, files }, _) => Ok(Some(Room { bytes, files })),
        (answer, _) => Err(launcher.unexpected(answer)),
    }
}
