//! `agentctl submit`

pub(crate) mod flags;
mod workspace;

use agentd_schemas::dbus::{MAX_KEY_BYTES, WorksProxy};
use agentd_schemas::document::WorkDocument;
use agentd_schemas::document::work::{MAX_BULK_BYTES, MAX_BULK_ITEMS, MAX_INSTRUCTIONS_BYTES};
use agentd_schemas::view::{SubmittedView, WhyView};

use crate::command::schedule::show;
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::{Cell, Output, Table, count, plain};
use crate::{ambient, connect, input, latest, wait};

/// Submit work: a text, flags, or a file with one work or many
///
/// One file in TOML or JSON is one work; a JSON list or JSON Lines are many, submitted all or none. A submit is never
/// done twice: a key is minted for it, and when the connection breaks it is tried once more under the same key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    agentctl submit 'Fix tests/retry.rs; keep every assertion' --skill rust --max-cost 2usd\n  \
    agentctl submit 'Make the tests pass' --repo . --skill python --accept 'python3 -m unittest' --wait\n  \
    agentctl submit --file work.toml --wait > result.json\n  \
    agentctl submit 'Write the release notes' --after w-7kq --accept-by-person\n  \
    agentctl submit --file - --dry-run < works.jsonl")]
pub(crate) struct Args {
    /// What the agent is asked to do; - reads it from stdin
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// Read the work or works from this file, - for stdin: TOML, JSON or JSON Lines
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["WorkFlags", "WorkspaceFlags"])]
    file: Option<String>,
    #[command(flatten)]
    work: flags::WorkFlags,
    #[command(flatten)]
    workspace: workspace::WorkspaceFlags,
    #[command(flatten)]
    taking: workspace::TakingFlags,
    /// Idempotency key: the same key with the same works submits nothing new
    #[arg(long)]
    key: Option<String>,
    /// Say what would happen and submit nothing
    #[arg(long, conflicts_with_all = ["wait", "key"])]
    dry_run: bool,
    /// Wait until it is over and print the result; exit 7 when it failed. Ctrl-C detaches and cancels nothing
    #[arg(long, short)]
    wait: bool,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let key = match self.key {
            Some(key) if key.is_empty() || key.len() > MAX_KEY_BYTES => {
                return Err(Failure::usage(format!("a key has 1 to {MAX_KEY_BYTES} bytes")));
            }
            Some(key) => key,
            None => data_encoding::HEXLOWER.encode(&ambient::random::<16>()?),
        };
        // As of other commands that take a text or a file.
        let text = match self.text.as_deref() {
            Some("-") => Some(input::text("-", MAX_INSTRUCTIONS_BYTES)?),
            _ => self.text,
        };
        let mut documents = match &self.file {
            Some(file) => input::documents(file, MAX_BULK_BYTES, MAX_BULK_ITEMS)?,
            None => {
                if let Some(text) = text.as_deref().filter(|text| is_document(text)) {
                    context
                        .out
                        .note(format!("the text is the name of a file; what it holds is read with --file {text}"));
                }
                let mut document = self.work.document(context, text).await?;
                self.workspace.write(&mut document);
                vec![document]
            }
        };
        self.taking.hand_in(context, &mut documents, self.file.as_deref()).await?;
        if self.dry_run {
            let answer = context.works().await?.check(&document(&documents)?).await?;
            return would(context, &documents, &read(&answer)?);
        }
        let submitted = submit(context, &documents, &key).await.map_err(|failure| match &self.file {
            Some(file) if failure.message().starts_with("the work says nothing") => failure.unfit_about(file),
            _ => failure,
        })?;
        if let Some(work) = submitted.works.last()
            && let Err(failure) = latest::remember(context, work.id).await
        {
            context.out.note(format!("@ will not know this work: {}", failure.message()));
        }
        if self.wait {
            return wait_for(context, &submitted).await;
        }
        done(context, &documents, &submitted).await
    }
}

/// Whether a text names a file that could be a work.
fn is_document(text: &str) -> bool {
    let path = std::path::Path::new(text);
    let extension = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    ["toml", "json", "jsonl", "ndjson"].contains(&extension) && path.is_file()
}

/// Submits, and once more under the same key when the connection breaks in the middle.
async fn submit(context: &Context, documents: &[WorkDocument], key: &str) -> Result<SubmittedView, Failure> {
    let answer = match call(&context.works().await?, documents, key).await {
        Err(failure) if failure.is_broken() => {
            context.out.note(format!("{}; trying once more under the same key", failure.message()));
            let again = context.anew(Some(connect::CALL)).await?;
            let hint = format!("whether it was submitted is not known; the same command with --key {key} finds out");
            let works = WorksProxy::new(&again.connection).await?;
            call(&works, documents, key).await.map_err(
                |failure| {
                    if failure.is_broken() { failure.hint(hint) } else { failure }
                },
            )
        }
        other => other,
    };
    read(&answer?)
}

async fn call(works: &WorksProxy<'_>, documents: &[WorkDocument], key: &str) -> Result<String, Failure> {
    Ok(match documents {
        [one] => works.submit(&document(one)?, key).await?,
        many => works.submit_many(&document(&many)?, key).await?,
    })
}

async fn done(context: &Context, documents: &[WorkDocument], submitted: &SubmittedView) -> Result<(), Failure> {
    let out = &context.out;
    let ids: Vec<String> = submitted.works.iter().map(|work| work.id.to_string()).collect();
    out.show(submitted, &ids, |out| lines(out, submitted))?;
    notes(out, submitted);
    if let ([document], [work], true) = (documents, submitted.works.as_slice(), out.is_human()) {
        out.flush()?;
        // What will happen is said by the rules themselves; without an answer the submit stands all the same.
        if let Ok(why) = context.works().await?.why(&work.id.to_string()).await
            && let Ok(why) = read::<WhyView>(&why)
        {
            // Of a parked work the notes above have said what it lacks, and the times are said below.
            if submitted.notes.is_empty() && !(why.state == "scheduled" && document.not_before.is_some()) {
                out.note(why.summary);
            }
        }
        out.note(bounds(out, document));
        out.hint(format!("agentctl watch {}", work.short));
    }
    Ok(())
}

fn lines(out: &Output, submitted: &SubmittedView) -> Result<(), Failure> {
    submitted.works.iter().try_for_each(|work| out.line(format!("{}  {}", work.id, out.state(&plain(&work.state)))))
}

fn notes(out: &Output, submitted: &SubmittedView) {
    if submitted.repeated {
        out.note("submitted before under this key; nothing new was submitted");
    }
    for note in &submitted.notes {
        out.note(note.strip_prefix("note: ").unwrap_or(note));
    }
}

/// Times, limits and judges of one work, in words.
fn bounds(out: &Output, document: &WorkDocument) -> String {
    let limits = &document.limits;
    let mut parts = Vec::new();
    parts.extend(document.not_before.map(|at| format!("not before {}", out.time(at))));
    parts.extend(document.deadline.map(|at| format!("deadline {}", out.time(at))));
    let times = parts.len();
    parts.extend(limits.max_attempts.map(|attempts| format!("at most {}", count(u64::from(attempts), "attempt"))));
    parts.extend(limits.timeout.map(|timeout| format!("{timeout} each")));
    parts.extend(limits.max_cost.map(|cost| format!("{cost} in all, then it waits for a raise")));
    parts.extend(limits.max_tokens.map(|tokens| format!("{tokens} tokens in all, then it waits for a raise")));
    if parts.len() == times {
        parts.push("limits are the host's own".to_owned());
    }
    let judges = match document.acceptance.len() {
        0 => "any result completes it".to_owned(),
        judges => {
            let kinds: Vec<&str> = document.acceptance.iter().map(show::kind).collect();
            let criteria = if judges == 1 { "criterion" } else { "criteria" };
            format!("judged by {judges} {criteria} ({})", kinds.join(", "))
        }
    };
    format!("{}; {judges}", parts.join(", "))
}

fn would(context: &Context, documents: &[WorkDocument], checked: &SubmittedView) -> Result<(), Failure> {
    // Nothing was submitted, so there are no ids to print.
    context.out.show(checked, &[], |out| {
        let mut table = Table::new([">WORK", "STATE AT FIRST", "~WILL HOLD"]);
        for (at, (work, document)) in checked.works.iter().zip(documents).enumerate() {
            table.row([(at + 1).into(), Cell::state(&work.state), Cell::new(bounds(out, document))]);
        }
        out.table(&table)
    })?;
    notes(&context.out, checked);
    context.out.note("nothing was submitted (--dry-run)");
    Ok(())
}

async fn wait_for(context: &Context, submitted: &SubmittedView) -> Result<(), Failure> {
    let out = &context.out;
    notes(out, submitted);
    let ids: Vec<_> = submitted.works.iter().map(|work| work.id).collect();
    if out.is_quiet() {
        ids.iter().try_for_each(|id| out.line(id))?;
        out.flush()?;
    } else {
        for work in &submitted.works {
            out.note(format!("submitted {}", work.id));
        }
    }
    let views = wait::until_over(context, &ids).await?;
    wait::finish(context, &views).await
}
