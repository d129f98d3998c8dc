//! `agentctl ledger verify`

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use agentd_schemas::log::export::{ExportLine, ExportReport, Header, MAX_LINE_BYTES, ReadError, verify_export};
use agentd_schemas::log::note::VerifierKey;

use crate::ambient;
use crate::context::Context;
use crate::daemon_program;
use crate::error::Failure;
use crate::output::{Details, Output, count};
use crate::trust;

/// How a SQLite database begins.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Verify the ledger of this host, an export, or a copy of the database
///
/// An export is verified by agentctl itself, on any machine, with no daemon. The ledger of this host, copies of its
/// database, and exports in depth are verified by `agentd verify`, which only reads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl ledger verify --deep\n  \
    agentctl ledger verify ledger.jsonl --key log.vkey --checkpoint kept-elsewhere.txt\n  \
    agentctl ledger verify agentd-backup.db")]
pub(crate) struct Args {
    /// An export, or a copy of the database; the ledger of this host without
    file: Option<PathBuf>,
    /// The log's key, or a file that holds it; an export is else held against the key that it names itself. Once more
    /// for each earlier incarnation of which a checkpoint is given
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// A checkpoint that was kept elsewhere; shows whether the log was cut back or written anew
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<String>,
    /// State directory of the ledger; the one of the daemon by default
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    state: Option<PathBuf>,
    /// Also replay every event, compare what is derived from the log, and check content and signatures
    #[arg(long)]
    deep: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Some(file) = &self.file else {
            let state = self.state_directory(context).await?;
            readable(&state.join("ledger.db"))?;
            return Err(self.by_the_daemon(context, vec!["--state".into(), state.into()]));
        };
        let failed = |error: std::io::Error| Failure::file(file, "read", &error);
        let mut reader = BufReader::with_capacity(1 << 20, File::open(file).map_err(failed)?);
        if reader.fill_buf().map_err(failed)?.starts_with(DATABASE) {
            return Err(self.by_the_daemon(context, vec![file.into()]));
        }
        if self.deep {
            return Err(self.in_depth(context, file));
        }
        let keys = if self.keys.is_empty() {
            vec![own_key(&mut reader, file)?]
        } else {
            self.keys.iter().map(|key| trust::key(key)).collect::<Result<Vec<_>, _>>()?
        };
        let given = self.checkpoints.iter().map(|file| trust::checkpoint(file)).collect::<Result<Vec<_>, _>>()?;
        let report = verify_export(reader, keys, &given).map_err(|error| refused(file, &error))?;
        if self.keys.is_empty() {
            context
                .out
                .note("held against the key that the export names itself; --key holds it against one that you know");
        }
        context.out.show(&view(&report), &[], |out| words(out, &report))
    }

    async fn state_directory(&self, context: &Context) -> Result<PathBuf, Failure> {
        // A daemon that was named knows its own directory; the environment only helps where none was.
        let around = || ambient::var("AGENTD_STATE").map(PathBuf::from).filter(|_| !context.has_address());
        if let Some(state) = self.state.clone().or_else(around) {
            return Ok(state);
        }
        let host = context.host().await.map_err(|failure| failure.hint("name the ledger: --state DIR"))?;
        Ok(host.state_directory().await?.into())
    }

    /// Has `agentd verify` replay an export.
    fn in_depth(&self, context: &Context, file: &Path) -> Failure {
        let keys = self.keys.iter().map(|key| trust::key(key)).collect::<Result<Vec<_>, _>>();
        let keys = match keys {
            Ok(keys) => keys,
            Err(failure) => return failure,
        };
        let mut what: Vec<OsString> = vec![file.into()];
        what.extend(keys.into_iter().flat_map(|key| ["--key".into(), key.to_string().into()]));
        self.become_verify(context, what)
    }

    /// Has `agentd verify` read a database.
    fn by_the_daemon(&self, context: &Context, what: Vec<OsString>) -> Failure {
        if !self.keys.is_empty() {
            return Failure::usage("--key is for an export: a database announces its keys, and they are printed")
                .hint("compare the last log key with the one that you know, or give --checkpoint");
        }
        self.become_verify(context, what)
    }

    /// Becomes `agentd verify`; comes back only with a failure.
    fn become_verify(&self, context: &Context, what: Vec<OsString>) -> Failure {
        let mut arguments = vec![OsString::from("verify")];
        arguments.extend(what);
        if self.deep {
            arguments.push("--deep".into());
        }
        if context.out.is_json() {
            arguments.push("--json".into());
        }
        for file in &self.checkpoints {
            arguments.extend(["--checkpoint".into(), file.into()]);
        }
        daemon_program::become_it(&arguments)
    }
}

/// Says what else there is to whom the ledger itself is closed: mostly all but the daemon's user.
fn readable(ledger: &Path) -> Result<(), Failure> {
    match File::open(ledger) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Failure::file(ledger, "read", &error)
                .hint("an export verifies without the database: agentctl ledger export ledger.jsonl, then agentctl ledger verify ledger.jsonl")
                .hint_too("root and the daemon's own user may read it: sudo agentctl ledger verify"))
        }
        // Whatever else there is to say of it, agentd says.
        _ => Ok(()),
    }
}

/// The key in the header, without moving on in the file.
fn own_key(reader: &mut BufReader<File>, file: &std::path::Path) -> Result<VerifierKey, Failure> {
    let head = reader.buffer();
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < head.len() && line.len() < MAX_LINE_BYTES;
    let key = match serde_json::from_slice::<ExportLine<'_>>(line) {
        Ok(ExportLine::Header(header)) if is_whole => Some(header.log_key),
        _ => None,
    };
    key.ok_or_else(|| {
        Failure::local(format!("{} is neither an export nor a database of agentd", file.display()))
            .hint("agentctl ledger export makes an export")
    })
}

fn refused(file: &std::path::Path, error: &ReadError) -> Failure {
    match error {
        ReadError::Refused(error) => {
            let failure =
                Failure::local(format!("{} does not verify: {error}", file.display())).detail("line", error.line);
            match &error.events {
                Some(events) => failure.detail("first_event", *events.start()).detail("last_event", *events.end()),
                None => failure,
            }
        }
        ReadError::Given(error) => Failure::usage(format!("a checkpoint is refused: {error}"))
            .hint("give the key that signed it with --key, and that of the export with another --key"),
        ReadError::Io(error) => Failure::file(file, "read", error),
    }
}

fn view(report: &ExportReport) -> serde_json::Value {
    let header = &report.header;
    serde_json::json!({
        "verified": true, "whole": header.whole, "origin": header.origin, "incarnation": header.incarnation,
        "previous": header.previous.as_ref().map(|previous| previous.origin.clone()),
        "authority": report.announced.as_ref().map(|announced| announced.authority.fingerprint()),
        "authority_since": report.announced.as_ref().map(|_| report.authority_since),
        "not_covered": not_covered(report), "exported_at": header.exported_at, "size": header.tree.size, "root": root(header),
        "events": report.events, "subjects": report.subjects, "blobs": report.blobs, "erased": report.erased,
        "withheld": report.withheld, "checkpoints": report.checkpoints, "given_checkpoints": report.given,
    })
}

/// The root as checkpoints and `agentd verify` write it.
fn root(header: &Header) -> String {
    data_encoding::BASE64.encode(&header.tree.root.0)
}

fn words(out: &Output, report: &ExportReport) -> Result<(), Failure> {
    let header = &report.header;
    let kind = if header.whole { "the whole log" } else { "a part of the log, with proofs" };
    out.line(format!("verified: {kind}, {} of {}", count(report.events, "event"), header.tree.size))?;
    let mut details = Details::new();
    details.add("origin", &header.origin).add("incarnation", header.incarnation);
    details.add("key", header.log_key.to_string()).add("root", root(header));
    if let Some(announced) = &report.announced {
        let fingerprint = announced.authority.fingerprint();
        let since = report.authority_since;
        let since = if since > 1 { format!(", another one since incarnation {since}") } else { String::new() };
        details.add("authority", format!("{fingerprint}{since}"));
    }
    if let Some(previous) = header.previous.as_ref().filter(|_| header.whole) {
        details.add("goes on from", format!("{} at {}", previous.origin, count(previous.size, "event")));
    }
    details.add("subjects", report.subjects);
    details.add("content", format!("{} here, {} withheld, {} erased", report.blobs, report.withheld, report.erased));
    details.add("checkpoints", format!("{} in the export, {} from elsewhere", report.checkpoints, report.given));
    details.add("itself says", format!("exported {}", header.exported_at));
    details.add("not covered", not_covered(report).join(", "));
    details.write(out)
}

/// What neither a signature nor an event of the export says.
fn not_covered(report: &ExportReport) -> Vec<&'static str> {
    let mut not_covered = vec!["when it was exported", "what agents signed and their certificates (--deep)"];
    if report.erased + report.withheld > 0 {
        not_covered.push("whether absent content was erased");
    }
    if !report.header.whole {
        not_covered.extend(["the incarnation before", "the authority of the host", "whether events were left out"]);
    }
    not_covered
}
