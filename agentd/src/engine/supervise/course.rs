//! One run, from its claim to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use agentd_schemas::event::{FailureReason, RunConfinement};
use agentd_schemas::http::Claim;
use agentd_schemas::id::RunId;
use agentd_schemas::launch::{LaunchSpec, Outcome, Started};
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::Slug;
use tokio::sync::{oneshot, watch};

use super::conclusion::{Conclusion, ended_badly, lost_program};
use super::finish::{Left, Tally};
use super::job::Told;
use super::judged;
use super::living::Living;
use super::places::Place;
use super::step::{StepEnd, Steps};
use super::{Phase, Supervisor, room};
use crate::domain::Command;
use crate::domain::command::RunRef;
use crate::engine::doors::OpenDoor;
use crate::engine::{Engine, LiveRun};
use crate::ledger::load;
use crate::policy::Caller;
use crate::runner::{self, Context, Folder, Look, NoSpec, Step};
use crate::sys::children::Held;
use crate::sys::process::effective_uid;

/// How often a program is started again in one run, because it ended while it waited.
const MAX_STARTS: u32 = 64;

/// A program that ended by itself.
pub(super) struct Ended {
    /// Which start of it that was.
    pub(super) start: u32,
    pub(super) outcome: Outcome,
}

/// A run under way.
pub(super) struct Course {
    pub(super) engine: Engine,
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) place: Place,
    pub(super) agent: Slug,
    /// Who answers for the agent.
    pub(super) owner: u32,
    pub(super) run: RunRef,
    /// The shim whose processes may speak for the run.
    shim: watch::Sender<Option<Arc<Held>>>,
}

/// Takes a claimed run through all of its steps. One that was under way before goes on where it is.
pub(super) async fn run(engine: Engine, place: Place, agent: Slug, owner: u32, claim: Claim) {
    let Some(supervisor) = engine.0.supervisor.clone() else { return };
    let run = RunRef { work: claim.work, attempt: claim.run.attempt, fence: claim.fence };
    let id = claim.run;
    let course = Course::new(engine, supervisor, place, agent, owner, run);
    if let Err(problem) = course.go(claim).await {
        // Whatever failed here is the host's: the run must not hang for it, and nothing of it runs on unwatched.
        tracing::error!(run = %id, "the run cannot go on: {problem}");
        course.abandon(&problem).await;
    }
    // Whatever it ended as, nothing of it goes on that would have to hear so.
    course.engine.0.live.heard(&course.run);
}

impl Course {
    /// A run of which nothing was looked at yet.
    pub(super) fn new(
        engine: Engine,
        supervisor: Arc<Supervisor>,
        place: Place,
        agent: Slug,
        owner: u32,
        run: RunRef,
    ) -> Self {
        Self { engine, supervisor, place, agent, owner, run, shim: watch::Sender::new(None) }
    }

    /// Where its things are.
    pub(super) fn folder(&self) -> Folder {
        Folder::of(&self.supervisor.runs.host, RunId { work: self.run.work, attempt: self.run.attempt })
    }

    async fn go(&self, claim: Claim) -> Result<(), Problem> {
        if runner::garbage::steps(&self.folder()).is_empty() {
            // One that lives on keeps the level that it began with; for this one it has to be known.
            self.engine.host_was_tried().await;
        }
        let told = self.engine.job(&self.supervisor, &self.agent, claim)?;
        let (host, job) = (self.supervisor.runs.host.clone(), told.job.clone());
        let folder = match blocking(move || runner::lay_out(&host, &job)).await? {
            Ok(folder) => folder,
            Err(error) => return self.not_laid_out(error).await,
        };
        self.engine.0.live.keep_time(&self.run, told.job.timeout_ms);
        let mut tally = Tally::default();
        let steps = self.steps(&told, &folder);
        let conclusion = Box::pin(self.all_steps(&told, &steps, &mut tally)).await;
        self.engine.close_door(told.job.run);
        self.conclude(&told, &folder, tally, conclusion?).await
    }

    /// A run whose folder cannot be made. Where the host is to blame and nothing of it began, that is no attempt.
    async fn not_laid_out(&self, error: std::io::Error) -> Result<(), Problem> {
        let (supervisor, folder) = (self.supervisor.clone(), self.folder());
        let look = move || {
            let began = !runner::garbage::steps(&folder).is_empty();
            (!began && supervisor.is_of_the_host(&error), error)
        };
        let (is_of_the_host, error) = blocking(look).await?;
        let problem = Problem::new(Code::WrongState, format!("the folder of the run cannot be made: {error}"));
        if !is_of_the_host {
            return Err(problem);
        }
        self.supervisor.runs_cannot_be_written(&error, self.engine.0.clock.boot_ms());
        self.give_back("runs_unwritable", &problem.message).await;
        Ok(())
    }

    pub(super) fn steps<'a>(&'a self, told: &Told, folder: &'a Folder) -> Steps<'a> {
        let lease_ms =
            self.engine.0.live.get(self.run.work).map_or(self.engine.0.defaults.get().lease_ms, |run| run.lease_ms);
        Steps {
            engine: &self.engine,
            host: &self.supervisor.runs.host,
            folder,
            run: self.run,
            agent: self.agent.clone(),
            place: &self.place,
            lease_ms,
            most: told.job.room(&self.supervisor.runs.host),
            living: Living::default(),
            beside_ends: AtomicBool::new(false),
        }
    }

    async fn all_steps(&self, told: &Told, steps: &Steps<'_>, tally: &mut Tally) -> Result<Conclusion, Problem> {
        let mut context = Context::default();
        self.on_the_clock(false);
        self.place.phase(Phase::Preparing);
        if let Some(failed) = self.prepare(told, steps, &mut context, tally).await? {
            return Ok(failed);
        }
        let mut beside = Tally::default();
        let course = self.program_and_judge(told, steps, context.clone(), tally);
        let conclusion = Box::pin(self.beside_base(told, steps, &context, &mut beside, course)).await;
        tally.merge(&beside);
        conclusion
    }

    /// The program, and what it made. Its time is what it takes itself.
    async fn program_and_judge(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: Context,
        tally: &mut Tally,
    ) -> Result<Conclusion, Problem> {
        self.place.phase(Phase::Running);
        self.on_the_clock(true);
        let program = self.program(told, steps, &mut context.clone(), tally).await;
        self.on_the_clock(false);
        let ended = match program? {
            Ok(ended) => ended,
            Err(conclusion) => return Ok(conclusion),
        };
        self.place.phase(Phase::Judging);
        self.judge(told, steps, context, &ended, tally).await
    }

    /// Running time counts while the program runs, and not while it is prepared or judged.
    fn on_the_clock(&self, runs: bool) {
        self.engine.0.live.on_the_clock(&self.run, self.engine.0.clock.boot_ms(), runs);
    }

    /// The spec of a step, as [`Steps::run`] takes it.
    pub(super) fn spec<'a>(
        &'a self,
        told: &'a Told,
        step: Step,
        context: &'a Context,
    ) -> impl FnOnce() -> Result<LaunchSpec, NoSpec> + 'a {
        move || runner::spec(&self.supervisor.runs.host, &told.job, step, context)
    }

    /// The program, started again where it ended while it waited, and had not handed in its result.
    async fn program(
        &self,
        told: &Told,
        steps: &Steps<'_>,
        context: &mut Context,
        tally: &mut Tally,
    ) -> Result<Result<Ended, Conclusion>, Problem> {
        if let Err(problem) = self.open_door(told, steps.folder) {
            return Ok(Err(Conclusion::not_started(problem.to_string())));
        }
        for start in 1..=MAX_STARTS {
            let step = Step::Program(start);
            let spec = self.spec(told, step, context);
            let (tell, told_once) = oneshot::channel();
            let mut tell = Some(tell);
            let end = steps.run(step, spec, None, move |started| {
                // Nobody listens any more: the run is over.
                let _ = tell.take().map(|tell| tell.send(started.clone()));
            });
            let began = async {
                if let Ok(started) = told_once.await {
                    self.began(told, steps, step, &started).await;
                }
            };
            let (end, ()) = tokio::join!(end, began);
            let outcome = match end? {
                StepEnd::Ended(outcome) => *outcome,
                StepEnd::Over(outcome) => {
                    if let Some(outcome) = outcome {
                        tally.program(step, &outcome);
                    }
                    return Ok(Err(Conclusion::Over));
                }
                StepEnd::Refused(reason) => return Ok(Err(Conclusion::not_started(reason))),
                StepEnd::Away(fault) => return Ok(Err(Conclusion::Away(fault))),
                StepEnd::Lost(lost) => {
                    tally.lost(&lost);
                    return Ok(Err(lost_program(&lost)));
                }
            };
            tally.program(step, &outcome);
            let over = room::ended(&told.job, &self.supervisor.runs.host, &outcome);
            if let Some(conclusion) = over.or_else(|| ended_badly(&outcome)) {
                return Ok(Err(conclusion));
            }
            let handed_in = self.engine.handed_in(&self.run, steps.folder.folder())?.result.is_some();
            if !self.waits() && (handed_in || !self.waited_when(&outcome)?) {
                return Ok(Ok(Ended { start, outcome }));
            }
            self.exited(start, &outcome.ending, handed_in).await;
            let ended = Ended { start, outcome };
            match judged::session(told, steps, &ended).await? {
                Ok(found) => context.session = found.or_else(|| context.session.take()),
                // Nothing more is started of it where its result is here.
                Err(_) if handed_in => {}
                Err(why) => return Ok(Err(Conclusion::Failed(FailureReason::ProgramFailed, why))),
            }
            if !self.until_it_goes_on(steps).await {
                return Ok(Err(Conclusion::Over));
            }
            // It was waited for somebody, and nothing is left to be done by it.
            if handed_in {
                return Ok(Ok(ended));
            }
        }
        let why = format!("its program ended {MAX_STARTS} times while it waited");
        Ok(Err(Conclusion::Failed(FailureReason::ProgramFailed, why)))
    }

    /// Whether the run waits for a person or a limit.
    fn waits(&self) -> bool {
        let live = self.engine.0.live.get(self.run.work).filter(|live| live.run == self.run);
        live.is_some_and(|live| live.waiting.is_some())
    }

    /// Whether it waited when its program ended. It may have been told to go on before anybody looked, and its program may
    /// have been started again since.
    fn waited_when(&self, ended: &Outcome) -> Result<bool, Problem> {
        self.engine.0.readers.with(|conn| {
            let waited = load::pauses::waited_at(conn, self.run.work, self.run.fence.n, ended.at);
            waited.map_err(Problem::internal)
        })
    }

    /// Waits until the run may go on; `false` when it is over instead.
    async fn until_it_goes_on(&self, steps: &Steps<'_>) -> bool {
        let mut told = self.place.listen();
        loop {
            let Some(live) = self.engine.0.live.get(self.run.work).filter(|live| live.run == self.run) else {
                return false;
            };
            if live.waiting.is_none() {
                return true;
            }
            self.beat(&live, &mut told, steps.living.all_still()).await;
        }
    }

    /// Waits until something happened that the run may care about, or some time has passed; its lease goes on. The error
    /// says why it is over instead.
    pub(super) async fn until_told(&self, told: &mut watch::Receiver<()>) -> Result<(), Problem> {
        match self.engine.0.live.get(self.run.work).filter(|live| live.run == self.run) {
            Some(live) => self.beat(&live, told, true).await,
            None => return Err(self.engine.why_stale(&self.run)?),
        }
        Ok(())
    }

    async fn beat(&self, live: &LiveRun, told: &mut watch::Receiver<()>, still: bool) {
        let now = self.engine.0.clock.boot_ms();
        let _ = self.engine.0.live.heartbeat(&self.run, now, self.engine.now(), None, still);
        let beat = std::time::Duration::from_millis((live.lease_ms / 3).clamp(1000, 20_000));
        let _ = tokio::time::timeout(beat, told.changed()).await;
    }

    /// Its program runs: the ledger learns what holds it, and its socket opens.
    async fn began(&self, told: &Told, steps: &Steps<'_>, step: Step, started: &Started) {
        self.shim.send_replace(held(steps, step, started).await);
        let spec_sha256 = runner::spec_digest(steps.folder, step).unwrap_or_default();
        let held = &started.confinement;
        let confinement = RunConfinement {
            level: held.level,
            uid: held.uid,
            landlock_abi: held.landlock_abi,
            control_group: !held.control_groups.is_empty(),
            lacking: held.lacking.clone(),
            spec_sha256,
        };
        let command = Command::StartRun { run: self.run, confinement: Some(Box::new(confinement)) };
        if let Err(problem) = self.record(&self.caller(), command, Left::Needed).await {
            tracing::debug!(run = %told.job.run, "the start of the run was refused: {problem}");
        }
    }

    /// Opens the socket of the run. Nobody is let in before the program runs.
    fn open_door(&self, told: &Told, folder: &Folder) -> Result<(), Problem> {
        self.engine.open_door(OpenDoor {
            run: self.run,
            agent: self.agent.clone(),
            owner: self.owner,
            uid: told.job.run_as.map_or_else(effective_uid, |user| user.uid),
            folder: folder.folder().to_owned(),
            shim: self.shim.subscribe(),
        })
    }

    /// The agent, as it acts in its run.
    pub(super) fn caller(&self) -> Caller {
        Caller::agent(self.agent.clone(), self.owner)
    }
}

/// The shim of a program that began; none where it is gone already.
async fn held(steps: &Steps<'_>, step: Step, started: &Started) -> Option<Arc<Held>> {
    let pid = i32::try_from(started.shim).ok().and_then(rustix::process::Pid::from_raw)?;
    let held = Held::open(pid).ok()?;
    // Its number may be another's once it is gone: who still holds the record had it all the time.
    matches!(steps.look(step).await, Ok(Look::Running(now)) if now.shim == started.shim).then(|| Arc::new(held))
}

/// Runs what may wait for a disk away from the threads that serve. Where the daemon ends meanwhile there is no answer: the
/// next one goes on with the run, and this one says nothing of it any more.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) if error.is_cancelled() => std::future::pending().await,
        Err(error) => Err(Problem::internal(error)),
    }
}
