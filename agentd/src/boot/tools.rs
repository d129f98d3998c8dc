//! What the binary does besides serving: verify, rebuild, restore, print the configuration.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use agentd_schemas::log::note::SignedNote;
use anyhow::{Context as _, bail};

use super::args::{Args, Restore, Verify};
use super::paths;
use crate::engine::database;
use crate::identity::{HostKeys, Keks, KeyFiles};
use crate::ledger::incarnation::Announced;
use crate::ledger::open::open_writer;
use crate::ledger::verify::deep::{DeepReport, verify_deep};
use crate::ledger::verify::export::{is_database, verify_export_deep};
use crate::ledger::verify::{self, Report};
use crate::ledger::{rebuild, restore};
use crate::sys::directory::{Directory, Visibility};
use crate::sys::lock::DirectoryLock;
use crate::sys::process;

/// What nothing in a database proves: no event speaks of it.
const NOT_COVERED: [&str; 2] = ["checkpoints given out within a minute", "the mark of a restore"];
/// Events between two lines of progress.
const STEP: u64 = 250_000;
/// Bytes of a checkpoint file, at most.
const MAX_CHECKPOINT: u64 = 64 << 10;

fn progress() -> impl Fn(u64) + Sync {
    let shown = std::io::stderr().is_terminal();
    let seen = AtomicU64::new(0);
    move |more| {
        let before = seen.fetch_add(more, Ordering::Relaxed);
        if shown && before / STEP != (before + more) / STEP {
            eprintln!("{} events read", before + more);
        }
    }
}

fn checkpoint(path: &std::path::PathBuf) -> anyhow::Result<SignedNote> {
    let what = || format!("checkpoint {}", path.display());
    let size = std::fs::metadata(path).with_context(what)?.len();
    if size > MAX_CHECKPOINT {
        bail!("checkpoint {} has {size} bytes, at most {MAX_CHECKPOINT} are allowed", path.display());
    }
    SignedNote::parse(&std::fs::read_to_string(path).with_context(what)?).with_context(what)
}

/// Verifies the ledger of the state directory, or a backup.
pub(super) fn verify(args: &Args, verify: &Verify) -> anyhow::Result<()> {
    let path = match &verify.database {
        Some(path) => path.clone(),
        None => database(&paths::state(args)?),
    };
    let exists = path.try_exists().with_context(|| format!("the ledger at {} cannot be reached", path.display()))?;
    if !exists {
        bail!("there is no ledger at {}: name the state directory with --state DIR", path.display());
    }
    let given: Vec<SignedNote> = verify.checkpoints.iter().map(checkpoint).collect::<anyhow::Result<_>>()?;
    if !is_database(&path).with_context(|| format!("file {}", path.display()))? {
        if verify.database.is_none() {
            bail!(
                "{} does not begin as a ledger does: it is damaged; keep a copy of it, and restore a backup into another \
                 directory (agentd --state DIR restore BACKUP)",
                path.display()
            );
        }
        return export(&path, verify, &given);
    }
    if !verify.keys.is_empty() {
        bail!("--key is for an export: a database announces its keys, and they are printed");
    }
    let threads = usize::from(verify.threads);
    let began = crate::sys::clock::Clock::system().monotonic_ms();
    let (report, deep) = if verify.deep {
        let deep = verify_deep(&path, &given, threads, &progress())?;
        (deep.report.clone(), Some(deep))
    } else {
        (verify::verify(&path, &given, threads, &progress())?, None)
    };
    let took = crate::sys::clock::Clock::system().monotonic_ms() - began;
    if verify.json {
        println!("{}", json(&path, &report, deep.as_ref(), took));
        return Ok(());
    }
    print(&path, &report, deep.as_ref(), took)
}

/// Verifies an export in depth; everything else about exports agentctl does itself.
fn export(path: &Path, verify: &Verify, given: &[SignedNote]) -> anyhow::Result<()> {
    if !verify.deep {
        bail!(
            "{} is no database: an export is verified with agentctl ledger verify FILE, and a ledger that begins so is damaged",
            path.display()
        );
    }
    let deep = verify_export_deep(path, verify.keys.clone(), given)?;
    let report = &deep.report;
    if verify.json {
        let document = serde_json::json!({
            "export": path.display().to_string(), "verified": true, "events": report.events,
            "subjects": report.subjects, "origin": report.header.origin, "log_key": report.header.log_key.to_string(),
            "checkpoints_given": report.given, "not_covered": ["exported_at"],
            "authority": report.announced.as_ref().map(|announced| announced.authority.fingerprint()),
            "authority_since": report.authority_since,
            "deep": {"blobs": report.blobs, "erased": report.erased, "withheld": report.withheld,
                "statements": deep.statements, "possessions": deep.possessions,
                "certificates": deep.certificates, "custody": deep.custody},
        });
        println!("{document}");
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} verifies: {} events, {} subjects", path.display(), report.events, report.subjects)?;
    writeln!(out, "log key      {}", report.header.log_key)?;
    if let Some(announced) = &report.announced {
        writeln!(out, "authority    {}", authority(announced, report.authority_since))?;
    }
    writeln!(out, "checkpoints  {} in it, {} given from outside", report.checkpoints, report.given)?;
    let (blobs, erased, withheld) = (report.blobs, report.erased, report.withheld);
    writeln!(out, "content      {blobs} blobs fit their commitments, {erased} erased by events, {withheld} withheld")?;
    print_signed(&mut out, deep.statements, (deep.possessions, deep.certificates), &deep.custody)?;
    writeln!(out, "not covered  when it was exported")?;
    if verify.keys.is_empty() {
        writeln!(out, "note: held against the key that the export names itself; --key holds it against one you know")?;
    }
    Ok(())
}

/// The authority, and since when it is another one than the first.
fn authority(announced: &Announced, since: u32) -> String {
    let fingerprint = announced.authority.fingerprint();
    if since > 1 { format!("{fingerprint}, another one since incarnation {since}") } else { fingerprint }
}

fn print_signed(
    out: &mut impl std::io::Write,
    statements: u64,
    (possessions, certificates): (u64, u64),
    custody: &BTreeMap<String, u64>,
) -> std::io::Result<()> {
    writeln!(out, "signatures   {statements} completions signed by their agents' keys of the time")?;
    let held: Vec<String> = custody.iter().map(|(who, agents)| format!("{agents} {who}")).collect();
    let held = if held.is_empty() { "no agent".to_owned() } else { held.join(", ") };
    writeln!(out, "keys         {possessions} proofs of possession, held by: {held}")?;
    match certificates {
        0 => Ok(()),
        _ => writeln!(out, "certificates {certificates} of owners, each held when it was given to agentd"),
    }
}

fn print(path: &Path, report: &Report, deep: Option<&DeepReport>, took_ms: u64) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} verifies: {} events, {} subjects, {took_ms} ms", path.display(), report.size, report.subjects)?;
    writeln!(out, "root         {}", data_encoding::BASE64.encode(&report.root.0))?;
    for announced in &report.incarnations {
        writeln!(out, "incarnation  {} from event {}, {}", announced.incarnation, announced.index, announced.origin)?;
        writeln!(out, "log key      {}", announced.log_key)?;
        writeln!(out, "authority    {}, which certified it", announced.authority.fingerprint())?;
    }
    if let Some((number, reason)) = &report.awaited {
        writeln!(out, "restored     waits for incarnation {number}: {}", reason.escape_debug())?;
    }
    writeln!(out, "checkpoints  {} kept, {} given from outside", report.kept, report.given)?;
    if let Some(deep) = deep {
        writeln!(out, "projections  rebuilt from the log, equal in all {} rows", deep.rows)?;
        writeln!(
            out,
            "content      {} blobs fit their commitments, {} were erased by events",
            deep.blobs, deep.erased
        )?;
        print_signed(&mut out, deep.statements, (deep.possessions, deep.certificates), &deep.custody)?;
        writeln!(out, "not covered  {}", NOT_COVERED.join("; "))?;
    }
    for pair in report.incarnations.windows(2).filter(|pair| pair[0].authority != pair[1].authority) {
        let number = pair[1].incarnation;
        writeln!(
            out,
            "note: incarnation {number} has another authority: only whoever restored it can say that it is theirs"
        )?;
    }
    if report.awaited.is_some() {
        writeln!(out, "note: no event says that this was restored: if nobody did, take another copy")?;
    }
    if report.given == 0 {
        writeln!(out, "note: without a checkpoint kept elsewhere, who is root here could have rewritten all of it")?;
    }
    Ok(())
}

fn json(path: &Path, report: &Report, deep: Option<&DeepReport>, took_ms: u64) -> serde_json::Value {
    let incarnations: Vec<serde_json::Value> = report
        .incarnations
        .iter()
        .map(|each| {
            serde_json::json!({"incarnation": each.incarnation, "from": each.index, "origin": each.origin,
                "log_key": each.log_key.to_string(), "authority": each.authority.fingerprint()})
        })
        .collect();
    let mut document = serde_json::json!({
        "database": path.display().to_string(),
        "verified": true,
        "events": report.size,
        "subjects": report.subjects,
        "root": data_encoding::BASE64.encode(&report.root.0),
        "incarnations": incarnations,
        "checkpoints_kept": report.kept,
        "checkpoints_given": report.given,
        "took_ms": took_ms,
    });
    if let Some((incarnation, reason)) = &report.awaited {
        document["awaits"] = serde_json::json!({"incarnation": incarnation, "reason": reason});
    }
    if let Some(deep) = deep {
        document["not_covered"] = serde_json::json!(NOT_COVERED);
        document["deep"] = serde_json::json!({"rows": deep.rows, "blobs": deep.blobs, "erased": deep.erased,
            "statements": deep.statements, "possessions": deep.possessions,
                "certificates": deep.certificates, "custody": deep.custody});
    }
    document
}

/// Writes the projections anew.
pub(super) fn rebuild(args: &Args) -> anyhow::Result<()> {
    let state = paths::state(args)?;
    let _lock = DirectoryLock::acquire(&state)?;
    let mut conn = open_writer(&database(&state))?;
    let events = rebuild::rebuild(&mut conn, &progress())?;
    println!("rebuilt the projections of {} events in {}", events, state.display());
    Ok(())
}

/// Makes a state directory from a backup. What was there must be moved away first: nothing is overwritten.
pub(super) fn restore(args: &Args, wanted: &Restore) -> anyhow::Result<()> {
    process::set_private_umask();
    let state = paths::state(args)?;
    Directory::ensure(&state, Visibility::Private)?;
    let _lock = DirectoryLock::acquire(&state)?;
    let target = database(&state);
    if target.exists() {
        bail!("{} exists: move the state directory away, or name another with --state DIR", target.display());
    }
    let files = KeyFiles::of(&state, Keks::handed_over()?.into());
    // Before anything is restored: keys that do not open are no keys for it.
    files.adopt()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let restored =
        restore::restore(&wanted.backup, &target, wanted.last_incarnation, &wanted.reason, threads, &progress())?;
    HostKeys::open(&files, true)?;
    println!(
        "restored {} events into {}; incarnation {} begins with the next start, as {}",
        restored.report.size,
        state.display(),
        restored.incarnation,
        restored.origin
    );
    Ok(())
}
