//! The one writer: a thread that owns the store. It takes what is queued, commits it together, and answers.
//!
//! There is no timer: a lone command is committed at once, and while one commit waits for the disk the next batch
//! gathers. Nothing is answered before it is durable; observers hear of events after the commit and before the answers,
//! so that who was answered finds what the commit made.

use std::sync::Arc;

use agentd_schemas::event::Event;
use agentd_schemas::problem::{Code, Problem};
use tokio::sync::{mpsc, oneshot};

use super::store::{Answer, Request, Store, StoreError, World};
use crate::sys::clock::monotonic_us;
use crate::sys::failpoint;

/// Commands that wait for the writer, at most.
pub const MAILBOX: usize = 1024;
/// Commands of one commit, at most.
pub const MAX_BATCH: usize = 128;

/// A command with the place for its answer.
pub struct Letter {
    /// The command.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// What the writer is asked.
pub enum Mail {
    /// A command.
    Command(Box<Letter>),
    /// Keep the newest checkpoint, because it is given out.
    Keep(oneshot::Sender<Result<(), Problem>>),
    /// Nothing: whether the writer comes round.
    Ping(oneshot::Sender<()>),
}

/// Hears of every durable batch, in order.
pub trait Observer: Send + Sync {
    /// Events that are durable now.
    fn committed(&self, events: &[Arc<[Event]>], size: u64);

    /// How long one commit took, and whether it was one.
    fn took(&self, _micros: u64, _committed: bool) {}
}

/// The queue into the writer.
#[derive(Clone)]
pub struct Mailbox(mpsc::Sender<Mail>);

impl Mailbox {
    /// Hands in a command and waits for its answer. Waits for room when the queue is full.
    pub async fn send(&self, request: Request) -> Result<Answer, Problem> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Mail::Command(Box::new(Letter { request, reply }))).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    /// Commands that wait, as near as can be said while they come and go.
    pub fn depth(&self) -> usize {
        MAILBOX.saturating_sub(self.0.capacity())
    }

    /// Keeps the newest checkpoint.
    pub async fn keep_checkpoint(&self) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Mail::Keep(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Goes to the writer and back, and does nothing there.
    pub async fn ping(&self) -> Result<(), Problem> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Mail::Ping(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

fn stopping() -> Problem {
    Problem::new(Code::Stopping, "agentd is stopping")
        .hint("try again when it runs: an idempotency key makes that safe")
}

/// Starts the writer's thread. It ends when every mailbox is gone and the queue is empty, or ends the process when the
/// outcome of a commit is unknown.
pub fn start(
    store: Box<dyn Store>,
    world: impl Fn() -> World + Send + 'static,
    observer: Arc<dyn Observer>,
) -> std::io::Result<Mailbox> {
    let (sender, receiver) = mpsc::channel(MAILBOX);
    std::thread::Builder::new()
        .name("ledger-writer".to_owned())
        .spawn(move || run(store, &world, &*observer, receiver))?;
    Ok(Mailbox(sender))
}

fn run(
    mut store: Box<dyn Store>,
    world: &dyn Fn() -> World,
    observer: &dyn Observer,
    mut receiver: mpsc::Receiver<Mail>,
) {
    let mut requests = Vec::with_capacity(MAX_BATCH);
    let mut replies = Vec::with_capacity(MAX_BATCH);
    let (mut keeps, mut pings) = (Vec::new(), Vec::new());
    let mut failing = Failing::default();
    while let Some(first) = receiver.blocking_recv() {
        let mut next = Some(first);
        while let Some(mail) = next {
            match mail {
                Mail::Keep(reply) => keeps.push(reply),
                Mail::Ping(reply) => pings.push(reply),
                Mail::Command(letter) => {
                    requests.push(letter.request);
                    replies.push(letter.reply);
                }
            }
            next = if requests.len() < MAX_BATCH { receiver.try_recv().ok() } else { None };
        }
        if !requests.is_empty() {
            let (world, began) = (world(), monotonic_us());
            let outcome = store.commit(&requests, &world);
            observer.took(monotonic_us().saturating_sub(began), outcome.is_ok());
            answer(outcome, &mut replies, observer, store.size(), &mut failing);
            requests.clear();
        }
        for keep in keeps.drain(..) {
            let kept = store.keep_checkpoint().map_err(|error| problem(&error));
            let _ = keep.send(kept);
        }
        for ping in pings.drain(..) {
            let _ = ping.send(());
        }
    }
}

/// Why commits fail, since the last one that did not.
#[derive(Default)]
struct Failing(Option<String>);

impl Failing {
    /// Whether this is news: what fails again for the same reason was said.
    fn is_news(&mut self, why: &str) -> bool {
        let news = self.0.as_deref() != Some(why);
        self.0 = Some(why.to_owned());
        news
    }
}

fn answer(
    outcome: Result<Vec<Answer>, StoreError>,
    replies: &mut Vec<oneshot::Sender<Answer>>,
    observer: &dyn Observer,
    size: u64,
    failing: &mut Failing,
) {
    match outcome {
        Ok(answers) => {
            let committed: Vec<Arc<[Event]>> = answers
                .iter()
                .filter_map(|answer| match answer {
                    Answer::Committed(events) if !events.is_empty() => Some(events.clone()),
                    _ => None,
                })
                .collect();
            if !committed.is_empty() {
                failing.0 = None;
                failpoint::hit("outbox.before");
                observer.committed(&committed, size);
            }
            for (reply, answer) in replies.drain(..).zip(answers) {
                // Who asked may have gone away; the commit stands all the same.
                let _ = reply.send(answer);
            }
        }
        Err(StoreError::UnknownOutcome(what)) => {
            tracing::error!("the outcome of a commit is unknown, only recovery can tell: {what}");
            std::process::abort();
        }
        Err(error) => {
            if failing.is_news(&error.to_string()) {
                tracing::error!("a batch of {} commands was undone: {error}", replies.len());
            }
            let problem = problem(&error);
            for reply in replies.drain(..) {
                let _ = reply.send(Answer::Refused(problem.clone()));
            }
        }
    }
}

/// The answer to whoever asked for something that finds no room in the state directory.
pub(crate) fn disk_full() -> Problem {
    Problem::new(Code::DiskFull, "the disk is full: nothing was written")
        .hint("free some space on the file system of the state directory, then repeat the command")
}

fn problem(error: &StoreError) -> Problem {
    match error {
        StoreError::DiskFull => disk_full(),
        StoreError::ReadOnly(what) => Problem::new(Code::ReadOnly, format!("the ledger cannot be written: {what}"))
            .hint("see the permissions of the state directory, and whether its file system is mounted read-only"),
        StoreError::Failed(what) | StoreError::UnknownOutcome(what) => Problem::internal(what),
    }
}

#[cfg(test)]
mod tests {
    use super::Failing;

    #[test]
    fn a_failure_that_repeats_is_news_once() {
        let mut failing = Failing::default();
        let said: Vec<bool> = ["full", "full", "read-only", "full", "full"].map(|why| failing.is_news(why)).to_vec();
        assert_eq!(said, [true, false, true, true, false]);
        failing.0 = None;
        assert!(failing.is_news("full"), "a commit in between makes it news");
    }
}
