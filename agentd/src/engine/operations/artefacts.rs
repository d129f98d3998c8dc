//! What a run hands in over its own socket: artefacts, and its result. Each is on disk before it is acknowledged.
//!
//! Artefacts are kept by their digest for all runs together; the list of a run, and its result, are files in the run's
//! folder, written by the daemon alone. Both name the fence, so that what an attempt of another incarnation left is
//! nobody's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentd_schemas::event::ArtefactRef;
use agentd_schemas::http::MAX_RESULT_BYTES;
use agentd_schemas::http::run::{
    MAX_ARTEFACT_BYTES, MAX_ARTEFACT_NAME_BYTES, MAX_ARTEFACTS, MAX_ARTEFACTS_BYTES, OWN_ARTEFACTS, RunFinished,
};
use agentd_schemas::id::Fence;
use agentd_schemas::problem::{Code, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::runs::name;
use crate::domain::command::RunRef;
use crate::engine::Engine;
use crate::engine::doors::RunDoor;
use crate::policy::Caller;
use crate::runner;
use crate::runner::keep::Keeping;
use crate::sys::deposit;

/// Where artefacts are, in the state directory.
pub const ARTEFACTS_FOLDER: &str = "artefacts";
/// The list of what a run handed in, in its folder.
const LIST_FILE: &str = "artefacts.json";
/// Its result.
const FINISH_FILE: &str = "finish.json";
/// Bytes of each of these files, at most: a result as JSON has up to six for one of its own.
const FILE_LIMIT_BYTES: u64 = 32 << 20;

/// What a run handed in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedIn {
    /// Its result, exactly as it was sent.
    pub result: Option<String>,
    /// Its artefacts, in the order in which their names came.
    pub artefacts: Vec<ArtefactRef>,
    /// What was under one of the names before. It counts like the rest, and nobody needs its bytes.
    pub replaced: Vec<ArtefactRef>,
    /// Bytes and places that are promised to artefacts on their way.
    coming: (u64, usize),
}

/// `artefacts.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    fence: Fence,
    artefacts: Vec<ArtefactRef>,
    replaced: Vec<ArtefactRef>,
}

/// `finish.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    fence: Fence,
    result: String,
}

impl HandedIn {
    /// What the folder of a run has of it.
    pub(crate) fn read(folder: &Path, run: &RunRef) -> io::Result<Self> {
        let finish = document::<Finish>(&folder.join(FINISH_FILE))?.filter(|finish| finish.fence == run.fence);
        let list = document::<List>(&folder.join(LIST_FILE))?.filter(|list| list.fence == run.fence);
        let (artefacts, replaced) = list.map_or_else(Default::default, |list| (list.artefacts, list.replaced));
        Ok(Self { result: finish.map(|finish| finish.result), artefacts, replaced, coming: (0, 0) })
    }

    fn all(&self) -> impl Iterator<Item = &ArtefactRef> {
        self.artefacts.iter().chain(&self.replaced)
    }

    /// Finds room for one more artefact on its way. One that is there may come again, as when an answer was lost, but not
    /// many at a time.
    fn promise(&mut self, name: &str, bytes: u64) -> Result<(), Problem> {
        let again = self.artefacts.iter().any(|held| held.name == name && held.bytes == bytes);
        if !again || self.coming.1 > 0 {
            self.check_room(bytes)?;
        }
        self.coming.0 += bytes;
        self.coming.1 += 1;
        Ok(())
    }

    /// Whether there is room for one more.
    fn check_room(&self, bytes: u64) -> Result<(), Problem> {
        if self.all().count() + self.coming.1 >= MAX_ARTEFACTS {
            return Err(Problem::new(Code::OutOfBounds, format!("a run hands in at most {MAX_ARTEFACTS} artefacts"))
                .hint("pack them into one; what was replaced counts too"));
        }
        let sum = self.all().map(|artefact| artefact.bytes).sum::<u64>() + self.coming.0 + bytes;
        if sum > MAX_ARTEFACTS_BYTES {
            return Err(Problem::new(
                Code::TooLarge,
                format!("with {bytes} more, the artefacts of this run would have {sum} bytes"),
            )
            .hint(format!("a run hands in at most {MAX_ARTEFACTS_BYTES} bytes; what was replaced counts too")));
        }
        Ok(())
    }

    /// The list with one more artefact; `None` where that changes nothing.
    fn with(&self, artefact: &ArtefactRef) -> Result<Option<Self>, Problem> {
        let at = self.artefacts.iter().position(|held| held.name == artefact.name);
        if at.is_some_and(|at| self.artefacts[at].sha256 == artefact.sha256) {
            return Ok(None);
        }
        if self.result.is_some() {
            return Err(finished().hint("hand in artefacts before the result"));
        }
        let mut next = Self { coming: (0, 0), ..self.clone() };
        // What came as the same once more and is another has no room promised.
        next.check_room(artefact.bytes)?;
        next.coming = self.coming;
        match at {
            Some(at) => next.replaced.push(std::mem::replace(&mut next.artefacts[at], artefact.clone())),
            None => next.artefacts.push(artefact.clone()),
        }
        Ok(Some(next))
    }
}

fn finished() -> Problem {
    Problem::new(Code::WrongState, "the run handed in its result already")
}

/// Reads a document that the daemon wrote; `None` where there is none.
fn document<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match deposit::read(path, FILE_LIMIT_BYTES) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Holds the name of an artefact of a run against what names may be: a plain relative path.
pub fn check_name(name: &str) -> Result<(), Problem> {
    let refused = |why: String| {
        Err(Problem::new(Code::InvalidDocument, format!("{name:?} cannot be the name of an artefact: {why}"))
            .hint("name it with a plain relative path, such as report.txt or logs/build.txt"))
    };
    if name.is_empty() || name.len() > MAX_ARTEFACT_NAME_BYTES {
        let short: String = name.chars().take(32).collect();
        return Err(Problem::new(Code::InvalidDocument, format!("{short:?} cannot be the name of an artefact"))
            .hint(format!("it has 1 to {MAX_ARTEFACT_NAME_BYTES} bytes")));
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return refused("it has a control character or a backslash".to_owned());
    }
    if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return refused("it is no plain relative path".to_owned());
    }
    if name.starts_with(OWN_ARTEFACTS) {
        return refused(format!("names below {OWN_ARTEFACTS} are for what agentd makes"));
    }
    Ok(())
}

/// An artefact on its way. Dropped before its end, nothing of it is left.
pub struct Incoming {
    engine: Engine,
    caller: Caller,
    door: Arc<RunDoor>,
    name: String,
    announced: u64,
    written: u64,
    file: Option<Keeping>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut handed = self.door.handed();
        handed.coming.0 -= self.announced;
        handed.coming.1 -= 1;
    }
}

impl Incoming {
    /// Takes the next bytes. It waits for the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.written += bytes.len() as u64;
        if self.written > self.announced {
            return Err(Problem::new(Code::InvalidDocument, "the body is longer than its content-length"));
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(bytes).map_err(|error| disk(&error)))
    }

    /// Keeps it under its digest, and its name with the run. It waits for the disk.
    pub fn finish(mut self) -> Result<ArtefactRef, Problem> {
        if self.written != self.announced {
            let (written, announced) = (self.written, self.announced);
            return Err(Problem::new(
                Code::InvalidDocument,
                format!("the body ended after {written} of {announced} bytes"),
            ));
        }
        let file = self.file.take().ok_or_else(|| Problem::internal("an artefact that did not begin ends"))?;
        let artefact = ArtefactRef { name: self.name.clone(), sha256: file.stored().sha256, bytes: self.written };
        // It may have taken minutes: the lease may be over.
        self.engine.stands(&self.caller, &self.door.what.run)?;
        let door = self.door.clone();
        let mut handed = door.handed();
        let Some(next) = handed.with(&artefact)? else { return Ok(artefact) };
        file.finish().map_err(|error| disk(&error))?;
        let list =
            List { fence: door.what.run.fence, artefacts: next.artefacts.clone(), replaced: next.replaced.clone() };
        write(&door, LIST_FILE, &list)?;
        *handed = next;
        Ok(artefact)
    }
}

fn write(door: &RunDoor, name: &str, document: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_vec(document).map_err(Problem::internal)?;
    deposit::put(&door.what.folder, name, &text).map_err(|error| disk(&error))
}

fn disk(error: &io::Error) -> Problem {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem => Code::ReadOnly,
        _ => return Problem::internal(error),
    };
    Problem::new(code, format!("what the run hands in cannot be written: {error}"))
        .hint("an operator can free some room: agentctl gc")
}

impl Engine {
    /// Where artefacts are; each has its digest as its name.
    pub fn artefacts_folder(&self) -> PathBuf {
        self.host().state.join(ARTEFACTS_FOLDER)
    }

    /// Makes the folder of artefacts, and removes what a crash left unfinished there.
    pub fn ready_artefacts(&self) -> io::Result<()> {
        deposit::ready(&self.artefacts_folder())
    }

    /// Holds that a run lives and its lease holds, and that the caller may speak for it.
    pub(super) fn stands(&self, caller: &Caller, run: &RunRef) -> Result<(), Problem> {
        self.own(caller, name(caller)?, run)?;
        let now = self.0.clock.boot_ms();
        let live = self.0.live.get(run.work);
        if live.is_some_and(|live| live.run == *run && live.holds(now)) { Ok(()) } else { Err(self.why_stale(run)?) }
    }

    /// Begins to take an artefact of this many bytes.
    pub fn take_artefact(
        &self,
        caller: &Caller,
        door: &Arc<RunDoor>,
        name: &str,
        bytes: u64,
    ) -> Result<Incoming, Problem> {
        check_name(name)?;
        if bytes > MAX_ARTEFACT_BYTES {
            return Err(Problem::new(Code::TooLarge, format!("the artefact has {bytes} bytes"))
                .hint(format!("at most {MAX_ARTEFACT_BYTES} bytes are taken; split it into parts")));
        }
        self.stands(caller, &door.what.run)?;
        door.handed().promise(name, bytes)?;
        // From here on it is counted, and given back when it is dropped.
        let mut incoming = Incoming {
            engine: self.clone(),
            caller: caller.clone(),
            door: door.clone(),
            name: name.to_owned(),
            announced: bytes,
            written: 0,
            file: None,
        };
        let runs = self.0.supervisor.as_ref().map(|supervisor| supervisor.runs.host.defaults);
        let bounds = runner::content::artefact_bounds(runs.unwrap_or_default().min_free_percent, bytes);
        incoming.file = Some(Keeping::begin(&self.artefacts_folder(), bounds).map_err(|error| disk(&error))?);
        Ok(incoming)
    }

    /// What a run handed in so far.
    pub fn artefacts_of(&self, caller: &Caller, door: &RunDoor) -> Result<Vec<ArtefactRef>, Problem> {
        self.stands(caller, &door.what.run)?;
        Ok(door.handed().artefacts.clone())
    }

    /// Takes the result of a run. It is judged when the program has ended. It waits for the disk.
    pub fn finish(&self, caller: &Caller, door: &RunDoor, result: String) -> Result<RunFinished, Problem> {
        if result.len() > MAX_RESULT_BYTES {
            return Err(Problem::new(
                Code::TooLarge,
                format!("the result has {} bytes, at most {MAX_RESULT_BYTES} are allowed", result.len()),
            )
            .hint("hand in a summary, and the rest as artefacts"));
        }
        self.stands(caller, &door.what.run)?;
        let finished_as = RunFinished {
            sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(result.as_bytes())),
            bytes: result.len() as u64,
        };
        let mut handed = door.handed();
        match &handed.result {
            Some(before) if *before == result => return Ok(finished_as),
            Some(_) => return Err(finished().hint("a result is handed in once; the program may end now")),
            None => {}
        }
        let finish = Finish { fence: door.what.run.fence, result };
        write(door, FINISH_FILE, &finish)?;
        handed.result = Some(finish.result);
        Ok(finished_as)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_relative_path_and_never_one_of_agentds_own() {
        for name in ["a", "report.txt", "logs/build.txt", "..a", "ä b", "agentd.txt", "x/agentd/y"] {
            check_name(name).unwrap();
        }
        let long = "x".repeat(MAX_ARTEFACT_NAME_BYTES + 1);
        for name in
            ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\0b", "a\nb", "a\\b", "agentd/x", &long]
        {
            assert_eq!(check_name(name).unwrap_err().code, Code::InvalidDocument, "{name:?}");
        }
    }

    #[test]
    fn what_is_on_its_way_and_what_was_replaced_count() {
        let artefact =
            |name: &str, sha256: &str, bytes| ArtefactRef { name: name.into(), sha256: sha256.into(), bytes };
        let mut handed = HandedIn::default();
        for at in 0..4 {
            handed.promise("same", MAX_ARTEFACT_BYTES).unwrap();
            handed.coming = (0, 0);
            handed = handed.with(&artefact("same", &at.to_string(), MAX_ARTEFACT_BYTES)).unwrap().unwrap();
        }
        assert_eq!((handed.artefacts.len(), handed.replaced.len()), (1, 3));
        assert!(handed.with(&artefact("same", "3", MAX_ARTEFACT_BYTES)).unwrap().is_none());
        assert_eq!(handed.promise("other", 1).unwrap_err().code, Code::TooLarge);
        handed.promise("same", MAX_ARTEFACT_BYTES).unwrap();
        assert_eq!(handed.promise("same", MAX_ARTEFACT_BYTES).unwrap_err().code, Code::TooLarge, "one at a time");
        assert_eq!(handed.with(&artefact("same", "9", MAX_ARTEFACT_BYTES)).unwrap_err().code, Code::TooLarge);
        let mut handed = HandedIn::default();
        for _ in 0..MAX_ARTEFACTS {
            handed.promise("a", 0).unwrap();
        }
        assert_eq!(handed.promise("a", 0).unwrap_err().code, Code::OutOfBounds);
    }
}
