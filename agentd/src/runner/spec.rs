//! The launch spec of each step.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use agentd_schemas::document::program::Stdin;
use agentd_schemas::document::workspace::{ContentKind, Egress};
use agentd_schemas::launch::{Access, Input, LAUNCH_VERSION, LaunchSpec, Level, Network, RunLimits};
use agentd_schemas::unit::duration::Span;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::collected::{MAX_SAID_BYTES, ObjectFormat};
use super::folder::{Folder, Step};
use super::garbage::steps;
use super::host::{Context, Host, Job, Refused};
use super::inside::{Inside, STRICT_HOME, STRICT_TMP, base_environment, task, text};
use super::lay_out::lay_out_filled;
use super::places::Places;
use super::template::Values;

const PREPARE: &str = concat!(include_str!("steps/common.sh"), include_str!("steps/prepare.sh"));
const PROGRAM: &str = include_str!("steps/program.sh");
const COLLECT: &str = concat!(include_str!("steps/common.sh"), include_str!("steps/collect.sh"));
const CHECK: &str = concat!(include_str!("steps/common.sh"), include_str!("steps/check.sh"));
const SEAL: &str = concat!(include_str!("steps/common.sh"), include_str!("steps/seal.sh"));

/// What a file may be larger than the workspace where git packs it.
const GIT_FILE_SLACK: u64 = 64 << 20;
/// Bytes of all files in the home of a program, with what is filled in.
const MAX_FILLED_BYTES: usize = 16 << 20;

/// SHA-256 (hex) of a launch spec as it is written.
pub fn spec_sha256(spec: &LaunchSpec) -> String {
    HEXLOWER.encode(&Sha256::digest(spec_bytes(spec)))
}

/// The same of the spec that a step was started with.
pub fn spec_digest(folder: &Folder, step: Step) -> Option<String> {
    let bytes = std::fs::read(folder.spec(step)).ok()?;
    Some(HEXLOWER.encode(&Sha256::digest(&bytes)))
}

/// How confined the steps of a run were that began already; none where none did.
pub fn level_begun(folder: &Folder) -> Option<Level> {
    let level = |step: Step| {
        let spec: LaunchSpec = serde_json::from_slice(&std::fs::read(folder.spec(step)).ok()?).ok()?;
        Some(spec.level)
    };
    steps(folder).into_iter().find_map(level)
}

pub(super) fn spec_bytes(spec: &LaunchSpec) -> Vec<u8> {
    // Maps have text keys and paths are checked to be text: nothing in it cannot be written.
    serde_json::to_vec(spec).unwrap_or_default()
}

/// Why there is no launch spec of a step.
#[derive(Debug, thiserror::Error)]
pub enum NoSpec {
    /// The step is not started as it was asked for.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What goes with it cannot be written.
    #[error("program.files cannot be laid out: {0}")]
    Unwritten(io::Error),
}

/// The launch spec of a step.
pub fn spec(host: &Host, job: &Job, step: Step, context: &Context) -> Result<LaunchSpec, NoSpec> {
    let making = Making { host, job, folder: Folder::of(host, job.run), places: Places::new(job.level) };
    let spec = match step {
        Step::Prepare => making.prepare()?,
        Step::Setup => making.setup(context)?,
        Step::Program(start) => making.program(start, context)?,
        Step::Collect => making.collect(context)?,
        Step::Base(place) | Step::Check(place) => making.check(step, place, context)?,
        Step::Seal => making.seal(context)?,
    };
    spec.check().map_err(|error| Refused(error.to_string()))?;
    Ok(spec)
}

/// A spec that is being made.
pub(super) struct Making<'a> {
    pub(super) host: &'a Host,
    pub(super) job: &'a Job,
    pub(super) folder: Folder,
    pub(super) places: Places,
}

impl Making<'_> {
    fn prepare(mut self) -> Result<LaunchSpec, Refused> {
        let content = self.job.workspace.as_ref().and_then(|workspace| workspace.content.as_ref());
        // Without content it is an archive of nothing.
        let kind = content.map_or(ContentKind::Tar, |content| content.kind);
        let commit = match (kind, content.and_then(|content| content.base.as_ref())) {
            (ContentKind::Git, Some(base)) if ObjectFormat::of(base).is_some() => base.as_str(),
            (ContentKind::Git, _) => return Err(Refused::new("the workspace names no commit that it begins with")),
            (ContentKind::Tar, _) => "",
        };
        let workspace = self.places.own(self.folder.workspace(), "/workspace", Access::Write);
        let base = self.places.own(self.folder.base(), "/run/base", Access::Write);
        let words = [kind.as_str(), commit, &branch(self.job), self.job.agent.as_str()].map(str::to_owned);
        let mut arguments = vec![text(&workspace)?, text(&base)?];
        arguments.extend(words);
        arguments.extend(self.bounds());
        let environment = self.own_environment();
        Ok(self.git_step(PREPARE, "prepare", arguments, environment, Input::Inherited))
    }

    fn setup(mut self, context: &Context) -> Result<LaunchSpec, Refused> {
        let setup = self.job.setup().ok_or_else(|| Refused::new("the work has no setup"))?.to_owned();
        let workspace = self.job.workspace.as_ref();
        let network = match workspace.map(|workspace| workspace.setup_egress) {
            Some(Egress::Host) if self.host.defaults.setup_egress => Network::Host,
            Some(Egress::Host) => return Err(Refused::new("this host gives its network to no setup")),
            _ => Network::None,
        };
        let inside = self.for_the_program(context)?;
        let environment = self.environment(&inside)?;
        let asked = workspace.and_then(|workspace| workspace.setup_timeout).map(Span::as_ms);
        let mut limits = self.limits();
        limits.wall_ms = asked.unwrap_or(self.host.defaults.setup_ms);
        let program = vec!["/bin/sh".to_owned(), "-c".to_owned(), setup];
        Ok(LaunchSpec {
            network,
            ..self.step(program, environment, inside.workspace, Input::Text(String::new()), limits)
        })
    }

    fn program(mut self, start: u32, context: &Context) -> Result<LaunchSpec, NoSpec> {
        let runtime = &self.job.runtime;
        let inside = self.for_the_program(context)?;
        let values = self.values(&inside, context)?;
        let goes_on = start > 1 && !runtime.program.resume.is_empty();
        let (place, words) =
            if goes_on { ("program.resume", &runtime.program.resume) } else { ("command", &runtime.command) };
        let mut program = values.words(place, words)?;
        // `./x` is one of the files that came with the agent, wherever the program works.
        if let Some(own) = program.first().and_then(|word| word.strip_prefix("./")) {
            program[0] = text(&inside.program.join(own))?;
        }
        if !runtime.program.files.is_empty() {
            // Its home is its own, so its files are written by its own rights.
            let (folder, files) = self.filled(start, &inside, &values)?;
            let mut wrapped = ["/bin/sh", "-c", PROGRAM, "program"].map(str::to_owned).to_vec();
            wrapped.extend([text(&inside.home)?, text(&folder)?, runtime.program.files.len().to_string()]);
            wrapped.extend(files);
            wrapped.append(&mut program);
            program = wrapped;
        }
        let mut environment = self.environment(&inside)?;
        let own = environment.clone();
        for (name, value) in &runtime.program.environment {
            environment
                .insert(name.clone(), values.word(&format!("program.environment.{name}"), name.len() + 1, value)?);
        }
        // What agentd says of the run is not the agent's to change.
        environment.extend(own.into_iter().filter(|(name, _)| name.starts_with("AGENTD_")));
        let input = match runtime.program.stdin {
            Stdin::Task => Input::Text(task(self.job)? + "\n"),
            Stdin::Instructions => Input::Text(self.job.claim.instructions.clone()),
            Stdin::Nothing => Input::Text(String::new()),
        };
        let mut limits = self.limits();
        limits.wall_ms = self.job.timeout_ms.max(1);
        Ok(self.step(program, environment, inside.workspace, input, limits))
    }

    /// Lays out what goes into the files of the program's home: no command line could carry it. Where they lie inside, and
    /// for each its path and digest, so that the spec says what was given.
    fn filled(&self, start: u32, inside: &Inside, values: &Values) -> Result<(PathBuf, Vec<String>), NoSpec> {
        let (mut left, mut contents, mut words) = (MAX_FILLED_BYTES, Vec::new(), Vec::new());
        for (path, template) in &self.job.runtime.program.files {
            let content = values.fill(&format!("program.files.{path:?}"), left, template)?;
            left -= content.len();
            words.extend([path.clone(), HEXLOWER.encode(&Sha256::digest(content.as_bytes()))]);
            contents.push(content);
        }
        let name = lay_out_filled(self.job, &self.folder, start, &contents).map_err(NoSpec::Unwritten)?;
        Ok((inside.task.join(name), words))
    }

    fn collect(mut self, context: &Context) -> Result<LaunchSpec, Refused> {
        let commit = base_of(context)?;
        let workspace = self.places.own(self.folder.workspace(), "/workspace", Access::Read);
        let base = self.places.own(self.folder.base(), "/run/base", Access::Read);
        let result = self.places.own(self.folder.result(), "/run/result", Access::Write);
        // Not where git has its own home.
        let home = self.places.own(self.folder.home(), "/run/home", Access::Read);
        let mut arguments = vec![text(&workspace)?, text(&base)?, text(&result)?, text(&home)?, commit];
        arguments.extend(self.bounds());
        for (place, command) in self.job.commands() {
            if !command.protected_paths.is_empty() {
                arguments.extend([place.to_string(), command.protected_paths.len().to_string()]);
                arguments.extend(command.protected_paths.iter().cloned());
            }
        }
        let environment = self.own_environment();
        let spec = self.git_step(COLLECT, "collect", arguments, environment, Input::Text(String::new()));
        let limits = RunLimits { output_bytes: MAX_SAID_BYTES as u64, ..spec.limits };
        Ok(LaunchSpec { limits, ..spec })
    }

    fn check(mut self, step: Step, place: u32, context: &Context) -> Result<LaunchSpec, Refused> {
        let commit = base_of(context)?;
        let command = self.job.commands().find(|(of, _)| *of == place);
        let (_, command) = command.ok_or_else(|| Refused(format!("criterion {place} is no command")))?;
        let base = self.places.own(self.folder.base(), "/run/base", Access::Read);
        let (result, tree) = match step {
            Step::Base(_) => (String::new(), format!("{commit}^{{tree}}")),
            _ => {
                let tree = context.tree.clone().ok_or_else(|| Refused::new("no tree was collected"))?;
                (text(&self.places.own(self.folder.result(), "/run/result", Access::Read))?, tree)
            }
        };
        let judge = self.places.own(self.folder.judge(step), "/workspace", Access::Write);
        let home = self.places.own(self.folder.judge_home(step), STRICT_HOME, Access::Write);
        let mut environment = base_environment(&home, if self.strict() { Path::new(STRICT_TMP) } else { &home })?;
        for profile in self.job.profiles(self.host)? {
            for path in &profile.read_only_paths {
                self.places.host(path);
            }
            environment.extend(profile.environment.clone());
        }
        let words = [text(&base)?, result, text(&judge)?, text(&home)?, commit, tree, command.command.clone()];
        let mut program = ["/bin/sh", "-c", CHECK, "check"].map(str::to_owned).to_vec();
        program.extend(words);
        let mut limits = self.limits();
        limits.wall_ms = command.timeout.map_or(self.host.defaults.judge_ms, Span::as_ms);
        Ok(self.step(program, environment, judge, Input::Text(String::new()), limits))
    }

    fn seal(mut self, context: &Context) -> Result<LaunchSpec, Refused> {
        let commit = context.commit.as_ref().ok_or_else(|| Refused::new("no commit was made"))?;
        let bytes = String::from_utf8(commit.bytes.clone()).map_err(|_| Refused::new("the commit is no text"))?;
        // Without its history a tar's bundle would be of no use to anybody.
        let content = self.job.workspace.as_ref().and_then(|workspace| workspace.content.as_ref());
        let known = content.is_some_and(|content| content.kind == ContentKind::Git);
        let known = if known { base_of(context)? } else { String::new() };
        let base = self.places.own(self.folder.base(), "/run/base", Access::Read);
        let result = self.places.own(self.folder.result(), "/run/result", Access::Write);
        let arguments = vec![text(&base)?, text(&result)?, commit.id.clone(), branch(self.job), known];
        let environment = self.own_environment();
        Ok(self.git_step(SEAL, "seal", arguments, environment, Input::Text(bytes)))
    }

    /// Whether the run has a file system of its own.
    pub(super) fn strict(&self) -> bool {
        self.job.level >= Level::Strict
    }

    /// Bytes and files that a workspace may have.
    fn bounds(&self) -> [String; 2] {
        let room = self.job.room(self.host);
        [room.bytes.to_string(), room.files.to_string()]
    }

    fn limits(&self) -> RunLimits {
        self.host.limits(&self.job.runtime)
    }

    /// Home and temporary folder of steps that are agentd's own.
    fn own_environment(&mut self) -> BTreeMap<String, String> {
        let (home, tmp) = if self.strict() {
            (PathBuf::from(STRICT_HOME), PathBuf::from(STRICT_TMP))
        } else {
            let tmp = self.places.own(self.folder.tmp(), STRICT_TMP, Access::Write);
            (tmp.clone(), tmp)
        };
        base_environment(&home, &tmp).unwrap_or_default()
    }

    fn git_step(
        self,
        script: &str,
        name: &str,
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
        input: Input,
    ) -> LaunchSpec {
        let mut program = ["/bin/sh", "-c", script, name].map(str::to_owned).to_vec();
        program.extend(arguments);
        let limits = self.host.git_limits(self.limits());
        let limits = RunLimits { file_bytes: limits.file_bytes.saturating_add(GIT_FILE_SLACK), ..limits };
        // Not in the workspace: what lies there is nobody's configuration.
        self.step(program, environment, PathBuf::from("/usr"), input, limits)
    }

    fn step(
        self,
        program: Vec<String>,
        environment: BTreeMap<String, String>,
        directory: PathBuf,
        input: Input,
        limits: RunLimits,
    ) -> LaunchSpec {
        let mut keep_out = self.host.keep_out.clone();
        keep_out.extend([self.host.content.clone(), self.host.artefacts.clone()]);
        LaunchSpec {
            version: LAUNCH_VERSION,
            run: self.job.run,
            program,
            environment,
            directory,
            input,
            level: self.job.level,
            mounts: self.places.mounts,
            run_as: self.job.run_as,
            network: Network::None,
            folders: self.places.folders,
            keep_out,
            limits,
        }
    }
}

/// The branch that the commit of a run is on.
fn branch(job: &Job) -> String {
    format!("agentd/{}/{}", job.run.work, job.run.attempt)
}

fn base_of(context: &Context) -> Result<String, Refused> {
    context.base.clone().filter(|base| ObjectFormat::of(base).is_some()).ok_or_else(|| Refused::new("no base is known"))
}
