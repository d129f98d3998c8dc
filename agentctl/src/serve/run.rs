//! One claim from beginning to end: start, heartbeats, directives, result.

use std::process::ExitStatus;
use std::time::Duration;

use agentd_schemas::http::{Claim, Complete, Completed, Directive, Fail, Fenced, Heartbeat, MAX_NOTE_BYTES, RunStatus};
use agentd_schemas::key::dsse::Envelope;
use agentd_schemas::key::statement::{Artefact, Completion, PAYLOAD_TYPE, Sha256Digest};
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, MissedTickBehavior};

use super::child::{Child, Ended};
use super::door::Trouble;
use super::session::{Session, whole};
use super::stop::Stop;
use super::{Plan, log};
use crate::story;

/// Between two heartbeats that only say what the command is doing now.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What there is to tell the daemon in the end.
enum Outcome {
    /// The exact result.
    Done(String),
    /// Why not.
    Gave(String),
    /// The run is not ours any more; there is nothing to tell.
    Lost,
}

/// One claim, and what the daemon said last about it.
struct Run<'a> {
    session: &'a Session,
    claim: &'a Claim,
    lease: Duration,
    still: bool,
    away: bool,
    told: Option<String>,
    beat: Instant,
}

/// Works on one claim and tells the daemon what came of it.
pub(super) async fn perform(session: &Session, plan: &Plan, stop: &Stop, claim: Claim) {
    log(&format!("{} claimed: {} (attempt {} of {})", claim.run, claim.title, claim.attempt, claim.max_attempts));
    let lease = Duration::from_secs(u64::from(claim.lease_s.max(1)));
    let (still, away, told, beat) = (false, false, None, Instant::now());
    let mut run = Run { session, claim: &claim, lease, still, away, told, beat };
    let outcome = match run.begin(stop).await {
        Ok(()) => run.work(plan, stop).await,
        Err(outcome) => outcome,
    };
    run.tell(outcome).await;
}

impl Run<'_> {
    fn path(&self, verb: &str) -> String {
        format!("/v1/runs/{}/{verb}", self.claim.run)
    }

    fn patience(&self) -> Duration {
        (self.lease / 3).clamp(Duration::from_secs(2), Duration::from_secs(15))
    }

    /// Says that it begins, and waits until it may.
    async fn begin(&mut self, stop: &Stop) -> Result<(), Outcome> {
        let fence = self.claim.fence;
        let path = self.path("start");
        let status = self.persist::<_, RunStatus>(&path, &Fenced { fence }).await;
        let mut directive = match status.and_then(whole) {
            Ok(status) => self.heed(&status),
            Err(trouble) => {
                log(&format!("{} could not be started: {trouble}", self.claim.run));
                return Err(Outcome::Lost);
            }
        };
        while directive != Directive::Continue {
            self.still = true;
            tokio::select! {
                () = stop.urged() => return Err(Outcome::Gave("the agent was stopped".to_owned())),
                () = tokio::time::sleep(self.lease / 3) => {}
            }
            directive = match self.heartbeat(None).await {
                Ok(Some(directive)) => directive,
                Ok(None) => directive,
                Err(()) => return Err(Outcome::Lost),
            };
        }
        self.still = false;
        Ok(())
    }

    /// Runs the command and keeps the lease.
    async fn work(&mut self, plan: &Plan, stop: &Stop) -> Outcome {
        let child = match self.start(plan) {
            Ok(child) => child,
            Err(error) => {
                let program = plan.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
                return Outcome::Gave(format!("cannot start {program}: {}", crate::error::said(&error)));
            }
        };
        let mut tick = tokio::time::interval(Duration::from_secs(1).min(self.lease / 3));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = child.ended() => return outcome(child.finish().await),
                () = child.overflowed() => {
                    let _ = child.stop().await;
                    return Outcome::Gave("the command wrote more than 4 MiB".to_owned());
                }
                () = stop.urged() => {
                    let _ = child.stop().await;
                    return Outcome::Gave("the agent was stopped".to_owned());
                }
                _ = tick.tick() => {
                    if self.mind(&child).await.is_err() {
                        let _ = child.stop().await;
                        return Outcome::Lost;
                    }
                }
            }
        }
    }

    fn start(&self, plan: &Plan) -> std::io::Result<Child> {
        let claim = self.claim;
        let variables = [
            ("AGENTD_WORK", claim.work.to_string()),
            ("AGENTD_RUN", claim.run.to_string()),
            ("AGENTD_ATTEMPT", claim.attempt.to_string()),
        ];
        let mut task = serde_json::to_vec(claim)?;
        task.push(b'\n');
        Child::start(&plan.command, &variables, task)
    }

    /// Sends a heartbeat when one is due, and does what it is answered. An error when the run is lost.
    async fn mind(&mut self, child: &Child) -> Result<(), ()> {
        let progress = child.progress().filter(|progress| self.told.as_ref() != Some(progress));
        let due = if progress.is_some() { PROGRESS_EVERY.min(self.lease / 3) } else { self.lease / 3 };
        if self.beat.elapsed() < due {
            return Ok(());
        }
        let Some(directive) = self.heartbeat(progress).await? else {
            return Ok(());
        };
        let still = directive != Directive::Continue;
        if still == self.still {
            return Ok(());
        }
        child.signal(if still { Signal::STOP } else { Signal::CONT });
        self.still = still;
        // Said at once: somebody waits to hear that it stands still.
        self.heartbeat(None).await.map(drop)
    }

    /// One heartbeat; `None` where nobody answered, an error when the run is lost.
    async fn heartbeat(&mut self, progress: Option<String>) -> Result<Option<Directive>, ()> {
        self.beat = Instant::now();
        let beat = Heartbeat { fence: self.claim.fence, progress: progress.clone(), frozen: self.still };
        let path = self.path("heartbeat");
        let answer = self.session.call::<_, RunStatus>(&path, &beat, self.patience()).await.and_then(whole);
        match answer {
            Ok(status) => {
                if std::mem::take(&mut self.away) {
                    log(&format!("{} agentd is back", self.claim.run));
                }
                self.told = progress.or_else(|| self.told.take());
                Ok(Some(self.heed(&status)))
            }
            Err(trouble) if trouble.is_lost() => {
                log(&format!("{} is not ours any more: {trouble}", self.claim.run));
                Err(())
            }
            Err(trouble) => {
                if !std::mem::replace(&mut self.away, true) {
                    log(&format!("{} goes on without agentd: {trouble}", self.claim.run));
                }
                Ok(None)
            }
        }
    }

    /// Logs what the daemon wants; gives the directive.
    fn heed(&self, status: &RunStatus) -> Directive {
        let run = self.claim.run;
        for note in &status.notes {
            // What a note says can be erased from the ledger, and could not be from a journal.
            log(&format!("{run} has a note of {} bytes: agentctl work show {}", note.len(), run.work));
        }
        let why = status.reason.as_deref().unwrap_or("no reason given");
        match status.directive {
            Directive::Continue if self.still => log(&format!("{run} goes on")),
            Directive::Freeze if !self.still => log(&format!("{run} stands still: {why}")),
            Directive::Wait if !self.still => log(&format!("{run} waits: {why}")),
            _ => {}
        }
        status.directive
    }

    /// Hands in what came of it.
    async fn tell(&mut self, outcome: Outcome) {
        let (run, fence) = (self.claim.run, self.claim.fence);
        let told = match outcome {
            Outcome::Lost => return,
            Outcome::Gave(why) => {
                log(&format!("{run} gave up: {why}"));
                let message = cut(why, MAX_NOTE_BYTES);
                let path = self.path("fail");
                self.persist::<_, serde_json::Value>(&path, &Fail { fence, message, key: None }).await.map(drop)
            }
            Outcome::Done(result) => self.complete(result).await,
        };
        if let Err(trouble) = told {
            log(&format!("{run} could not be handed in: {trouble}"));
        }
    }

    async fn complete(&mut self, result: String) -> Result<(), Trouble> {
        let (run, fence) = (self.claim.run, self.claim.fence);
        let statement = self.statement(&result).await?;
        let path = self.path("complete");
        let answer = self.persist::<_, Completed>(&path, &Complete { fence, result, statement }).await;
        let completed = answer.and_then(whole)?;
        let verdicts: Vec<String> = completed.verdicts.iter().map(story::verdict).collect();
        let verdicts = if verdicts.is_empty() { String::new() } else { format!(" ({})", verdicts.join(", ")) };
        let said = completed.message.map_or_else(String::new, |message| format!(": {message}"));
        log(&format!("{run} handed in, the work is {}{verdicts}{said}", completed.state.as_str()));
        Ok(())
    }

    /// The agent's signature over the result and what it belongs to.
    async fn statement(&self, result: &str) -> Result<Envelope, Trouble> {
        let unfit = |error: String| Trouble::Away(format!("no statement can be made: {error}"));
        let claim = self.claim;
        let token = self.session.token().await?;
        let sha256 = Sha256Digest(Sha256::digest(result.as_bytes()).into());
        let completion = Completion {
            artefacts: vec![Artefact { name: "result".to_owned(), sha256 }],
            origin: token.origin.clone(),
            work: claim.work.to_string(),
            run: claim.run.to_string(),
            fence: claim.fence.n,
            agent: token.agent_id.clone(),
            epoch: u64::from(claim.epoch),
            acceptance: claim.acceptance.parse().map_err(|error| unfit(format!("{error}")))?,
            finished_at: Some(crate::ambient::now().timestamp()),
        };
        let payload = completion.to_json().map_err(|error| unfit(error.to_string()))?;
        Envelope::sign(&self.session.key(), PAYLOAD_TYPE, &payload).map_err(|error| unfit(error.to_string()))
    }

    /// Posts until somebody answers, for as long as the lease may live.
    async fn persist<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
        &mut self,
        path: &str,
        question: &Q,
    ) -> Result<Option<A>, Trouble> {
        let deadline = Instant::now() + self.lease;
        let mut pause = Duration::from_millis(250);
        loop {
            let answer = self.session.call(path, question, self.patience().max(Duration::from_secs(10))).await;
            match answer {
                Err(trouble) if !trouble.is_lost() && Instant::now() + pause < deadline => {
                    log(&format!("{} tries again: {trouble}", self.claim.run));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                other => return other,
            }
        }
    }
}

/// What there is to tell of a command that ended.
fn outcome(ended: std::io::Result<Ended>) -> Outcome {
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return Outcome::Gave(format!("the command was lost: {}", crate::error::said(&error))),
    };
    // Such a command is cut off from its reader, and its status only says so.
    if ended.output.is_none() {
        return Outcome::Gave("the command wrote more than 4 MiB".to_owned());
    }
    if !ended.status.success() {
        let errors = if ended.errors.is_empty() { String::new() } else { format!("\n{}", ended.errors) };
        return Outcome::Gave(format!("the command {}{errors}", manner(ended.status)));
    }
    match ended.output.map(String::from_utf8) {
        Some(Ok(result)) => Outcome::Done(result),
        _ => Outcome::Gave("the command wrote something that is not UTF-8".to_owned()),
    }
}

/// `exited with status 2`, `was killed by signal 9`.
fn manner(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// At most `limit` bytes, cut between characters.
fn cut(mut text: String, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn ended(status: i32, output: Option<&[u8]>, errors: &str) -> Ended {
        let output = output.map(<[u8]>::to_vec);
        Ended { status: ExitStatus::from_raw(status), output, errors: errors.to_owned() }
    }

    fn gave(ended: Ended) -> String {
        match outcome(Ok(ended)) {
            Outcome::Gave(why) => why,
            Outcome::Done(result) => panic!("done: {result}"),
            Outcome::Lost => panic!("lost"),
        }
    }

    #[test]
    fn only_success_with_text_is_a_result() {
        assert!(matches!(outcome(Ok(ended(0, Some(b"ok\n"), "noise"))), Outcome::Done(result) if result == "ok\n"));
        assert_eq!(
            gave(ended(2 << 8, Some(b"half"), "no such file")),
            "the command exited with status 2\nno such file"
        );
        assert_eq!(gave(ended(9, Some(b""), "")), "the command was killed by signal 9");
        assert_eq!(gave(ended(0, Some(b"\xff"), "")), "the command wrote something that is not UTF-8");
        assert_eq!(gave(ended(0, None, "")), "the command wrote more than 4 MiB");
        assert_eq!(gave(ended(141 << 8, None, "")), "the command wrote more than 4 MiB");
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(cut("aé".to_owned(), 2), "a");
        assert_eq!(cut("aé".to_owned(), 3), "aé");
    }
}
