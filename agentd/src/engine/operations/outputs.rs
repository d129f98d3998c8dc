//! What goes into workspaces, and what runs made and wrote.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use agentd_schemas::document::workspace::ContentKind;
use agentd_schemas::event::WorkSubmitted;
use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::view::{ArtefactView, OutputView, RunView, UploadedView};
use sha2::{Digest as _, Sha256};

use crate::engine::Engine;
use crate::engine::supervise::{Phase, Supervisor};
use crate::ledger::{load, query};
use crate::policy::{Action, Caller, Resource};
use crate::runner::{self, Folder, Output, Step};
use crate::sys::outlet::{Outlet, PIECE};

/// Bytes of one answer with what a program wrote.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// Starts of a program in one run whose output is looked for.
const MAX_STARTS: u32 = 64;

impl Engine {
    /// Takes content for workspaces. It is the caller's alone.
    pub async fn upload(&self, caller: &Caller, from: OwnedFd, kind: &str) -> Result<UploadedView, Problem> {
        self.permit(caller, Action::WorkSubmit, &Resource::owned("works of one's own", caller.uid))?;
        let kind = ContentKind::parse(kind).ok_or_else(|| {
            Problem::new(Code::InvalidDocument, format!("{kind:?} is no kind of content")).hint("git or tar")
        })?;
        let supervisor = self.starts_agents()?;
        let (host, most, uid) = (supervisor.runs.host.clone(), supervisor.bounds.get().max_upload_bytes, caller.uid);
        let place = self.0.readers.upload(uid)?;
        let stored = tokio::task::spawn_blocking(move || {
            let stored = runner::content::store(&host, uid, File::from(from), most);
            drop(place);
            stored
        });
        let stored = stored.await.map_err(Problem::internal)?.map_err(|refused| {
            Problem::new(Code::TooLarge, format!("the {} content was not taken: {refused}", kind.as_str()))
                .hint("hand in less, or ask an operator for runs.max_upload, runs.max_uploads and room on the disk")
        })?;
        Ok(UploadedView { sha256: stored.sha256, bytes: stored.bytes })
    }

    /// Whether what new works name for their workspaces is here, handed in by their owner.
    pub(super) fn check_content(&self, owner: u32, spec: &WorkSubmitted) -> Result<(), Problem> {
        let Some(sha256) = spec.workspace.as_ref().and_then(|workspace| workspace.sha256.as_ref()) else {
            return Ok(());
        };
        let supervisor = self.starts_agents()?;
        if runner::content::claim(&supervisor.runs.host, owner, sha256).map_err(Problem::internal)? {
            return Ok(());
        }
        let short = sha256.get(..12).unwrap_or(sha256);
        let message = format!("the content {short}… of the workspace was not handed in, or its time is over");
        Err(Problem::new(Code::NotFound, message)
            .hint("agentctl submit --repo PATH hands it in; by hand it is Upload of org.agentd1.Works"))
    }

    /// The same of a work that gets another attempt: what it begins with may be gone by now.
    pub(super) fn check_retry(&self, work: WorkId) -> Result<(), Problem> {
        use agentd_schemas::event::WorkState::{Cancelled, Expired, Failed};
        let facts = self.0.readers.with(|conn| load::works::work(conn, work, false).map_err(Problem::internal))?;
        let Some(facts) = facts.filter(|facts| matches!(facts.state, Cancelled | Expired | Failed)) else {
            return Ok(());
        };
        self.check_content(facts.spec.owner, &facts.spec).map_err(|problem| match problem.code {
            Code::NotFound => Problem::new(
                Code::WrongState,
                format!("cannot retry work {work}: what was handed in for its workspace is not here any more"),
            )
            .hint("submit the work anew: agentctl submit … hands it in again"),
            _ => problem,
        })
    }

    fn starts_agents(&self) -> Result<&Supervisor, Problem> {
        self.0.supervisor.as_deref().ok_or_else(|| {
            Problem::new(Code::WrongState, "this agentd starts no agents, and has no workspaces")
                .hint("agents can come by themselves: agentctl agent serve")
        })
    }

    /// What the runs of a work made, newest run first.
    pub fn artefacts(&self, caller: &Caller, work: &str) -> Result<Vec<ArtefactView>, Problem> {
        let view = self.work(caller, work)?;
        let is_erased = self.0.readers.with(|conn| {
            let key = query::resolve::work(conn, &caller.viewer(), work)?.key;
            load::erased::is_erased(conn, key).map_err(Problem::internal)
        })?;
        let kept = |sha256: &str| {
            let supervisor = self.0.supervisor.as_deref();
            supervisor.is_some_and(|all| matches!(runner::content::open_artefact(&all.runs.host, sha256), Ok(Some(_))))
        };
        let of_run = |run: &RunView| {
            let each = |artefact: &agentd_schemas::event::ArtefactRef| ArtefactView {
                run: run.id,
                kept: !is_erased && kept(&artefact.sha256),
                artefact: artefact.clone(),
            };
            run.artefacts.iter().map(each).collect::<Vec<_>>()
        };
        Ok(view.runs.iter().rev().flat_map(of_run).collect())
    }

    /// Writes an artefact into a file of the caller's; answers with its digest, which the bytes were held against.
    pub async fn artefact(
        &self,
        caller: &Caller,
        work: &str,
        attempt: u32,
        name: &str,
        into: OwnedFd,
    ) -> Result<String, Problem> {
        let all = self.artefacts(caller, work)?;
        let of_attempt = |view: &&ArtefactView| attempt == 0 || view.run.attempt == attempt;
        let found = all.iter().filter(of_attempt).find(|view| view.artefact.name == name).cloned();
        let found = found.ok_or_else(|| {
            Problem::new(Code::NotFound, format!("work {work} has no artefact {name:?}"))
                .hint(format!("see what there is: agentctl work artifacts {work}"))
        })?;
        let supervisor = self.starts_agents()?;
        let file = runner::content::open_artefact(&supervisor.runs.host, &found.artefact.sha256);
        let file = file.map_err(Problem::internal)?.filter(|_| found.kept).ok_or_else(|| {
            Problem::new(Code::NotFound, format!("artefact {name:?} of work {work} is not here any more"))
                .hint(format!("its time is over, or content of the work was erased: agentctl work artifacts {work} says what is kept"))
        })?;
        let outlet = super::ledger::outlet(into)?;
        let sha256 = found.artefact.sha256.clone();
        let copied = tokio::task::spawn_blocking(move || copy(file, outlet, &sha256));
        copied.await.map_err(Problem::internal)?.map_err(|error| {
            Problem::new(Code::NotFound, format!("artefact {name:?} of work {work} cannot be had: {error}"))
                .hint("give a file or a pipe that takes all of it, and try again")
        })?;
        Ok(found.artefact.sha256)
    }

    /// A stretch of what the program of a run wrote.
    pub async fn output(
        &self,
        caller: &Caller,
        work: &str,
        attempt: u32,
        stream: &str,
        offset: u64,
    ) -> Result<OutputView, Problem> {
        let stream = match stream {
            "stdout" => Output::Stdout,
            "stderr" => Output::Stderr,
            other => {
                return Err(
                    Problem::new(Code::InvalidDocument, format!("{other:?} is no stream")).hint("stdout or stderr")
                );
            }
        };
        let view = self.work(caller, work)?;
        let run = match attempt {
            0 => view.runs.last(),
            attempt => view.runs.iter().find(|run| run.id.attempt == attempt),
        };
        let run = run.ok_or_else(|| {
            Problem::new(Code::NotFound, format!("work {} has no such attempt", view.row.id))
                .hint(format!("see its attempts: agentctl work show {}", view.row.short))
        })?;
        let supervisor = self.starts_agents()?;
        let phase = supervisor.phase(run.id);
        let is_over = run.ended_at.is_some() && phase.is_none();
        let folder = Folder::of(&supervisor.runs.host, run.id);
        let live = tokio::task::spawn_blocking(move || live_output(&folder, stream, offset));
        let (mut bytes, next) = match live.await.map_err(Problem::internal)? {
            Some(found) => found,
            None => self.ledger_output(run, stream, offset)?,
        };
        let next = next - leave_cut_off(&mut bytes) as u64;
        // A daemon that has just started may not have taken it over yet.
        let idle = if is_over { "over" } else { Phase::Preparing.as_str() };
        let step = phase.map_or(idle, Phase::as_str);
        Ok(OutputView {
            run: run.id,
            ended: is_over && bytes.is_empty(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            next,
            step: step.to_owned(),
        })
    }

    /// From the ledger, where the run's folder is gone.
    fn ledger_output(&self, run: &RunView, stream: Output, offset: u64) -> Result<(Vec<u8>, u64), Problem> {
        let slot = u8::from(stream == Output::Stderr);
        let run: RunId = run.id;
        let data = self.0.readers.with(|conn| load::programs::output(conn, run, slot).map_err(Problem::internal))?;
        let data = data.unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let piece = data[from..data.len().min(from + MAX_OUTPUT_BYTES)].to_vec();
        let next = (from + piece.len()) as u64;
        Ok((piece, next))
    }
}

/// From the records of a run that are there: those of all starts of its program, one after the other.
fn live_output(folder: &Folder, stream: Output, offset: u64) -> Option<(Vec<u8>, u64)> {
    let mut before = 0;
    for start in 1..=MAX_STARTS {
        let step = Step::Program(start);
        let Ok(Some(size)) = runner::output_size(folder, step, stream) else {
            return (start > 1).then_some((Vec::new(), offset));
        };
        if offset < before + size {
            let (bytes, next) = runner::output(folder, step, stream, offset - before, MAX_OUTPUT_BYTES).ok()?;
            return Some((bytes, before + next));
        }
        before += size;
    }
    Some((Vec::new(), offset))
}

/// Leaves a character that is cut off at the end for the next answer; gives how many bytes it has. What is nothing but such
/// a beginning is given as it is: there may be no more of it.
fn leave_cut_off(bytes: &mut Vec<u8>) -> usize {
    let tail = bytes.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80);
    let Some(lead) = tail.map(|back| bytes.len() - 1 - back) else { return 0 };
    let whole = match bytes[lead] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let there = bytes.len() - lead;
    if there >= whole || lead == 0 {
        return 0;
    }
    bytes.truncate(lead);
    there
}

fn copy(mut from: File, mut into: Outlet, sha256: &str) -> std::io::Result<()> {
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            break;
        }
        digest.update(&piece[..length]);
        into.write_all(&piece[..length])?;
    }
    if data_encoding::HEXLOWER.encode(&digest.finalize()) != sha256 {
        return Err(std::io::Error::other("its bytes are not those that the ledger names"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_output_do_not_break_characters() {
        let text = "aé€😀b";
        for most in 4..=text.len() {
            let (mut told, mut offset) = (String::new(), 0);
            while offset < text.len() {
                let mut piece = text.as_bytes()[offset..text.len().min(offset + most)].to_vec();
                offset += piece.len();
                offset -= leave_cut_off(&mut piece);
                told.push_str(&String::from_utf8_lossy(&piece));
            }
            assert_eq!(told, text, "{most}");
        }
        for (bytes, left) in
            [(&b""[..], 0), (b"\xe2\x82", 0), (b"a\xe2\x82", 2), (b"a\x80\x80\x80\x80", 0), (b"a\xff", 0)]
        {
            assert_eq!(leave_cut_off(&mut bytes.to_vec()), left, "{bytes:?}");
        }
    }
}
