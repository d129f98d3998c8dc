//! The one loop of the shim: from the start of the program to its outcome on disk.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use agentd_schemas::launch::{
    CONTROL_SOCKET, Ending, LAUNCH_VERSION, LaunchSpec, OUTCOME_FILE, Outcome, STARTED_FILE, STDERR_FILE, STDOUT_FILE,
    Started, StopCause, Stream,
};
use agentd_schemas::unit::time::WallMs;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitStatus};

use super::account;
use super::control::{Control, Request};
use super::deadline::millis;
use super::journal::Journal;
use super::output::Capture;
use super::record::Record;
use super::start::{self, Running};
use super::tree::{Reaped, Tree};
use super::{ShimError, say, system};
use crate::sys::cgroup::Groups;
use crate::sys::children;
use crate::sys::clock::Clock;
use crate::sys::failpoint;
use crate::sys::signals::Signals;

/// Between two kills of what does not end.
const KILL_AGAIN_MS: u64 = 100;
/// How often the outcome is written where that fails.
const OUTCOME_TRIES: u32 = 30;
/// Between two of these.
const OUTCOME_PAUSE: Duration = Duration::from_secs(1);

/// Runs the program of a record from its start to its outcome.
pub(super) fn run(folder: &Path, mut groups: Groups, mut journal: Journal) -> Result<(), ShimError> {
    let signals = Signals::new(&[Signal::CHILD, Signal::TERM, Signal::INT, Signal::HUP]);
    let signals = signals.map_err(system("take signals"))?;
    children::become_subreaper().map_err(system("become the parent of orphans"))?;
    let record = Record::hold(folder)?;
    let spec = record.spec()?;
    // Without room nothing begins: what follows is a start.
    record.make_room(OUTCOME_FILE)?;
    // Whoever made these files has started the run: nothing runs twice.
    let (stdout, stderr) = (record.create(STDOUT_FILE)?, record.create(STDERR_FILE)?);
    let clock = Clock::system();
    let (began, before) = (clock.monotonic_ms(), children::children_usage().unwrap_or_default());
    let outcome = |groups: &Groups, ending| Outcome {
        version: LAUNCH_VERSION,
        run: spec.run,
        ending,
        stopped: None,
        at: now(clock),
        usage: account::usage(before, groups, clock.monotonic_ms() - began),
        oom_killed: groups.usage().oom_killed,
        stdout: Stream::default(),
        stderr: Stream::default(),
    };
    failpoint::hit("shim.start");
    let started = Control::listen(&record.path(CONTROL_SOCKET))
        .and_then(|control| Ok((control, start::start(&spec, &record, &mut groups)?)));
    let (control, running) = match started {
        Ok(started) => started,
        Err(error) => {
            let written = write_outcome(&record, &outcome(&groups, Ending::NotStarted(error.to_string())));
            groups.remove();
            return written;
        }
    };
    failpoint::hit("shim.begun");
    let shim = std::process::id();
    let Running { child, held, confinement, stdout: stdout_pipe, stderr: stderr_pipe } = running;
    let started = Started { version: LAUNCH_VERSION, run: spec.run, shim, at: now(clock), confinement };
    let mut watch = Watch::new(&spec, child, Tree::new(held, &groups), &clock, began);
    let capture = |place, pipe, file| Capture::new(place, pipe, file, spec.limits.output_bytes);
    let mut captures = [capture(0, stdout_pipe, stdout), capture(1, stderr_pipe, stderr)];
    let seen = record.write_durably(STARTED_FILE, &started);
    let ending = match seen.and_then(|()| watch.until_gone(&signals, &control, &mut captures, &mut journal)) {
        Ok(status) => ending(status),
        Err(error) => {
            watch.tree.end();
            Ending::Lost(format!("the shim failed: {error}"))
        }
    };
    let mut chunk = Vec::new();
    for capture in &mut captures {
        capture.drain(&mut chunk, &mut journal);
    }
    journal.finish();
    let [(stdout, lost), (stderr, lost_too)] = captures.map(Capture::finish);
    if let Some(error) = lost.or(lost_too) {
        say(format_args!("warning: output of {} was lost: {error}", spec.run));
    }
    let outcome = Outcome { stopped: watch.stopped, stdout, stderr, ..outcome(&groups, ending) };
    groups.remove();
    failpoint::hit("shim.ended");
    write_outcome(&record, &outcome)?;
    failpoint::hit("shim.told");
    Ok(())
}

/// Writes the outcome, again for a while where that fails: a full disk may get room, and nobody else knows the end.
fn write_outcome(record: &Record, outcome: &Outcome) -> Result<(), ShimError> {
    for _ in 1..OUTCOME_TRIES {
        match record.write_durably(OUTCOME_FILE, outcome) {
            Ok(()) => return Ok(()),
            Err(error) => say(format_args!("warning: {error}; trying again")),
        }
        std::thread::sleep(OUTCOME_PAUSE);
    }
    record.write_durably(OUTCOME_FILE, outcome)
}

fn now(clock: Clock) -> WallMs {
    WallMs::saturating(clock.wall_ms())
}

fn ending(status: WaitStatus) -> Ending {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or(0)),
    }
}

/// A program that runs, and what is to become of it.
struct Watch<'a> {
    clock: &'a Clock,
    child: Pid,
    tree: Tree<'a>,
    grace_ms: u64,
    /// When its running time is over, on the monotonic clock: the sleep of the machine is no running time.
    deadline: u64,
    /// Whether it stands still.
    frozen: bool,
    /// Whether its time does, while it goes on.
    paused: bool,
    /// Since when its running time does not count, for either reason.
    off: Option<u64>,
    stopped: Option<StopCause>,
    /// When it is killed, for the first time or again.
    kill_at: Option<u64>,
    status: Option<WaitStatus>,
    /// Whether more may have ended than were waited for.
    more: bool,
}

impl<'a> Watch<'a> {
    fn new(spec: &LaunchSpec, child: Pid, tree: Tree<'a>, clock: &'a Clock, began: u64) -> Self {
        Self {
            clock,
            child,
            tree,
            grace_ms: spec.limits.grace_ms,
            deadline: began.saturating_add(spec.limits.wall_ms),
            frozen: false,
            paused: false,
            off: None,
            stopped: None,
            kill_at: None,
            status: None,
            more: false,
        }
    }

    /// Goes on until no process of the run is left, and gives how the program ended.
    fn until_gone(
        &mut self,
        signals: &Signals,
        control: &Control,
        captures: &mut [Capture; 2],
        journal: &mut Journal,
    ) -> Result<WaitStatus, ShimError> {
        let mut chunk = Vec::new();
        loop {
            failpoint::check("shim.watch").map_err(system("go on"))?;
            let ready = self.wait(signals, control, captures)?;
            if ready.signals {
                self.take_signals(signals)?;
            }
            for (capture, ready) in captures.iter_mut().zip(ready.captures) {
                if ready {
                    capture.read(&mut chunk, journal);
                }
            }
            // Before each caller: those who keep coming cannot put it off.
            self.look_at_the_clock();
            if ready.control
                && let Err(error) = control.serve(|request| self.act(request))
            {
                say(format_args!("warning: a caller at the control socket went away: {error}"));
            }
            if let Some(status) = self.gone()? {
                return Ok(status);
            }
        }
    }

    fn wait(&self, signals: &Signals, control: &Control, captures: &[Capture; 2]) -> Result<Ready, ShimError> {
        let mut polled =
            vec![PollFd::new(signals, PollFlags::IN), PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
        let pipes = captures.each_ref().map(Capture::pipe);
        let places = pipes.map(|pipe| {
            pipe.map(|pipe| {
                polled.push(PollFd::from_borrowed_fd(pipe, PollFlags::IN));
                polled.len() - 1
            })
        });
        let timeout = self.next_moment().map(|moment| millis(moment.saturating_sub(self.clock.monotonic_ms())));
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(system("wait")(errno)),
        }
        let is_ready = |place: usize| !polled[place].revents().is_empty();
        let captures = places.map(|place| place.is_some_and(is_ready));
        Ok(Ready { signals: is_ready(0), control: is_ready(1), captures })
    }

    fn next_moment(&self) -> Option<u64> {
        let deadline = (self.off.is_none() && self.stopped.is_none()).then_some(self.deadline);
        let at_once = self.more.then_some(0);
        [deadline, self.kill_at, at_once].into_iter().flatten().min()
    }

    fn take_signals(&mut self, signals: &Signals) -> Result<(), ShimError> {
        while let Some(signal) = signals.next().map_err(system("read a signal"))? {
            if signal != Signal::CHILD {
                self.stop(StopCause::Shutdown);
            }
        }
        Ok(())
    }

    fn act(&mut self, request: Request) -> Result<String, String> {
        match request {
            Request::Stop(cause) => {
                self.stop(cause);
                Ok("ending".to_owned())
            }
            Request::Freeze if self.stopped.is_some() => Err("the run is ending".to_owned()),
            Request::Freeze => {
                let count = self.tree.freeze().map_err(|error| error.to_string())?;
                self.frozen = true;
                self.keep_time();
                Ok(format!("{count} processes stand still"))
            }
            Request::Thaw => {
                self.thaw().map_err(|error| error.to_string())?;
                Ok("going on".to_owned())
            }
            Request::Pause | Request::Resume => {
                self.paused = request == Request::Pause;
                self.keep_time();
                Ok(if self.paused { "its time stands still" } else { "its time goes on" }.to_owned())
            }
        }
    }

    /// Running time counts while the program runs and waits for nobody.
    fn keep_time(&mut self) {
        let now = self.clock.monotonic_ms();
        if self.frozen || self.paused {
            self.off.get_or_insert(now);
        } else if let Some(since) = self.off.take() {
            self.deadline = self.deadline.saturating_add(now.saturating_sub(since));
        }
    }

    fn thaw(&mut self) -> std::io::Result<()> {
        self.frozen = false;
        self.keep_time();
        self.tree.thaw()
    }

    /// Asks the program to end; the first cause is the one that is told.
    fn stop(&mut self, cause: StopCause) {
        if self.stopped.is_some() {
            return;
        }
        self.stopped = Some(cause);
        self.kill_at = Some(self.clock.monotonic_ms().saturating_add(self.grace_ms));
        // Who stands still hears of it when it goes on. Whatever fails here, the kill comes.
        let _ = self.tree.signal(Signal::TERM);
        let _ = self.thaw();
    }

    fn look_at_the_clock(&mut self) {
        let now = self.clock.monotonic_ms();
        if self.off.is_none() && self.stopped.is_none() && now >= self.deadline {
            self.stop(StopCause::Timeout);
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill();
        }
    }

    /// Kills what is left, and has that done again until nothing is. A kill that fails is no end of the watch.
    fn kill(&mut self) {
        if let Err(error) = self.tree.kill() {
            say(format_args!("warning: cannot kill the run, and try again: {error}"));
        }
        self.kill_at = Some(self.clock.monotonic_ms() + KILL_AGAIN_MS);
    }

    /// Waits for who ended. Once the program did, whoever it left behind is killed.
    fn gone(&mut self) -> Result<Option<WaitStatus>, ShimError> {
        let (child, mut ended) = (self.child, None);
        let reaped = self.tree.reap(|pid, status| {
            // Its id may come again, so only the first that bears it is the program.
            if pid == child {
                ended.get_or_insert(status);
            }
        });
        if self.status.is_none() && ended.is_some() {
            self.status = ended;
            self.kill();
        }
        self.more = false;
        match reaped.map_err(system("wait for the run"))? {
            Reaped::All => match self.status {
                Some(status) => Ok(Some(status)),
                None => Err(system("learn how the program ended")(std::io::Error::from(std::io::ErrorKind::NotFound))),
            },
            Reaped::Waiting => Ok(None),
            Reaped::More => {
                self.more = true;
                Ok(None)
            }
        }
    }
}

/// What there is to do.
struct Ready {
    signals: bool,
    control: bool,
    captures: [bool; 2],
}
