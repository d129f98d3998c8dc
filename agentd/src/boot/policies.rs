//! `agentd policy check` and `test`: a host's policies, without a daemon that loads them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::args::{Args, PolicyAction, PolicyFiles};
use super::paths;
use crate::policy::requests::{POLICIES, REQUESTS, Tried, try_all, try_defaults};
use crate::policy::{Action, Caller, Rejected, Resource, Set, Source, Sources, folder};
use crate::sys::clock::monotonic_us;

/// Runs the command.
pub(super) fn run(args: &Args, action: &PolicyAction) -> anyhow::Result<()> {
    match action {
        PolicyAction::Check(files) => check(args, files),
        PolicyAction::Test(files) => test(args, files),
        PolicyAction::Measure(files) => measure(args, files),
    }
}

/// The files that were named; without any those of the configuration.
fn sources(args: &Args, files: &PolicyFiles) -> anyhow::Result<Sources> {
    if files.paths.is_empty() {
        let config = paths::config(args)?;
        return Ok(match paths::policies(args, &config)? {
            Some(folder) => folder::read(&folder)?,
            None => Sources::default(),
        });
    }
    let mut sources = Sources::default();
    for path in &files.paths {
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            let found = folder::read(path)?;
            sources.policies.extend(found.policies);
            sources.requests.extend(found.requests);
        } else {
            let source = draft(path)?;
            let is_requests = source.name.ends_with(REQUESTS);
            if is_requests { &mut sources.requests } else { &mut sources.policies }.push(source);
            sources.requests.extend(beside(path, &files.paths)?);
        }
    }
    Ok(sources)
}

/// A file that somebody writes on: who may change it counts once it lies in the folder.
fn draft(path: &Path) -> anyhow::Result<Source> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !(name.ends_with(POLICIES) || name.ends_with(REQUESTS)) {
        bail!("{} is named neither NAME.cedar nor NAME.requests.toml", path.display());
    }
    let bytes = folder::draft(&name, path)?;
    Ok(Source { name, bytes })
}

/// The example requests beside a file of policies, unless they are named as well.
fn beside(path: &Path, named: &[PathBuf]) -> anyhow::Result<Option<Source>> {
    let Some(stem) = path.to_str().and_then(|path| path.strip_suffix(".cedar")) else { return Ok(None) };
    let requests = PathBuf::from(format!("{stem}.requests.toml"));
    let is_there = requests.try_exists().with_context(|| format!("cannot reach {}", requests.display()))?;
    if is_there && !named.contains(&requests) { draft(&requests).map(Some) } else { Ok(None) }
}

fn check(args: &Args, files: &PolicyFiles) -> anyhow::Result<()> {
    let sources = sources(args, files)?;
    let set = Set::build(&sources)?;
    let requests = try_all(&set, &sources)?.len();
    let own = set.policies().iter().filter(|known| sources.policies.iter().any(|source| source.name == *known.file));
    let (own, file_count) = (own.count(), sources.policies.len());
    let mut out = std::io::stdout().lock();
    if files.json {
        let names: Vec<&str> = sources.policies.iter().map(|source| source.name.as_str()).collect();
        let document = serde_json::json!({
            "valid": true, "set": set.digest(), "files": names, "policies": own, "requests": requests,
        });
        return Ok(writeln!(out, "{document}")?);
    }
    let policies = if own == 1 { "1 policy".to_owned() } else { format!("{own} policies") };
    let named = if file_count == 1 { "1 file".to_owned() } else { format!("{file_count} files") };
    let held =
        if requests == 1 { "1 example request holds".to_owned() } else { format!("{requests} example requests hold") };
    Ok(writeln!(out, "{policies} in {named}: valid, {held}\nset {}", set.digest())?)
}

fn test(args: &Args, files: &PolicyFiles) -> anyhow::Result<()> {
    let sources = sources(args, files)?;
    let set = Set::compiled(&sources.policies)?;
    let mut tried = try_defaults()?;
    tried.extend(try_all(&set, &sources)?);
    let failed = tried.iter().filter(|tried| !tried.holds).count();
    let mut out = std::io::stdout().lock();
    if files.json {
        let rows: Vec<_> = tried.iter().map(row).collect();
        writeln!(out, "{}", serde_json::json!(rows))?;
    } else {
        table(&mut out, &tried)?;
    }
    out.flush()?;
    if failed > 0 {
        let all = tried.len();
        return Err(Rejected::counted(failed, all).into());
    }
    Ok(())
}

/// Times in microseconds, the middle one of many: a decision, the same once more, and reading and checking the files.
fn measure(args: &Args, files: &PolicyFiles) -> anyhow::Result<()> {
    let set = Set::build(&sources(args, files)?)?;
    let work = |uid: u32| Resource::owned(format!("work w-{uid}"), uid);
    let times = |act: &dyn Fn(u32)| {
        let timed = (1000..3000).map(|uid| {
            let begun = monotonic_us();
            act(uid);
            monotonic_us() - begun
        });
        middle(timed.collect())
    };
    let decision = times(&|uid| drop(set.explain(&Caller::person(uid, false, false), Action::WorkManage, &work(uid))));
    // A clock that counts microseconds cannot tell one of these.
    let (caller, on) = (Caller::person(1000, false, false), work(1000));
    let batch = || (0..100).for_each(|_| drop(set.authorize(&caller, Action::WorkManage, &on)));
    let repeated = times(&|_| batch());
    let load = middle(
        (0..20)
            .map(|_| timed(|| Set::build(&sources(args, files)?).map(drop).map_err(Into::into)))
            .collect::<anyhow::Result<_>>()?,
    );
    let document = serde_json::json!({"decision_us": decision, "hundred_repeated_us": repeated, "load_us": load});
    Ok(writeln!(std::io::stdout(), "{document}")?)
}

fn timed(act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let begun = monotonic_us();
    act()?;
    Ok(monotonic_us() - begun)
}

fn middle(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn row(tried: &Tried) -> serde_json::Value {
    serde_json::json!({
        "file": tried.file, "number": tried.number, "says": tried.says, "expected": tried.expected,
        "answered": tried.answered, "holds": tried.holds,
    })
}

/// One request on a line; what was expected besides where it did not come.
fn table(out: &mut impl std::io::Write, tried: &[Tried]) -> std::io::Result<()> {
    let place = |each: &Tried| format!("{}#{}", each.file, each.number);
    let width = |of: &dyn Fn(&Tried) -> usize, least: usize| tried.iter().map(of).max().unwrap_or(0).max(least);
    let first = width(&|each| place(each).len(), "REQUEST".len());
    let second = width(&|each| each.answered.chars().count(), "ANSWER".len());
    writeln!(out, "{:<first$}  {:<6}  {:<second$}  SAYS", "REQUEST", "", "ANSWER")?;
    for each in tried {
        let verdict = if each.holds { "ok" } else { "FAILED" };
        writeln!(out, "{:<first$}  {verdict:<6}  {:<second$}  {}", place(each), each.answered, printable(&each.says))?;
        if !each.holds {
            writeln!(out, "{:<first$}  {:<6}  expected {}", "", "", each.expected)?;
        }
    }
    Ok(())
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
