//! `agentctl work artifacts`

use std::io::{Read, Write};
use std::path::PathBuf;

use agentd_schemas::id::RunId;
use agentd_schemas::view::ArtefactView;

use crate::artefact;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::new_file::NewFile;
use crate::output::{Cell, Table, bytes, plain};

/// List what the runs of a work made, or take one of them
///
/// Artefacts are kept by their digest, which is part of the agent's signed statement; what is taken is compared with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl work artifacts @\n  \
    agentctl work artifacts @ --get report.html --out report.html\n  \
    agentctl work artifacts @ --get agentd/result.bundle --out result.bundle")]
pub(crate) struct Args {
    /// The work: an id, a unique prefix of one, or @
    work: String,
    /// Take the one of this name: to stdout, unless --out names a file
    #[arg(long, value_name = "NAME")]
    get: Option<String>,
    /// The file to make
    #[arg(long, value_name = "FILE", requires = "get")]
    out: Option<PathBuf>,
    /// Replace the file
    #[arg(long, requires = "out")]
    force: bool,
    /// Of this attempt; without, of all, or the newest that has it
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let view = artefact::work(context, &self.work).await?;
        if let Some(name) = &self.get {
            let (run, found) = artefact::run(&view, self.attempt, name)?;
            let file = artefact::fetch(context, run, found).await?;
            return self.take(context, name, &run.id, file);
        }
        let artefacts = context.works().await?.artefacts(&view.row.id.to_string()).await?;
        let mut artefacts: Vec<ArtefactView> = read(&artefacts)?;
        artefacts.retain(|artefact| self.attempt.is_none_or(|attempt| artefact.run.attempt == attempt));
        let names: Vec<String> = artefacts.iter().map(|artefact| artefact.artefact.name.clone()).collect();
        let out = &context.out;
        out.show(&artefacts, &names, |out| {
            let mut table = Table::new([">TRY", "~NAME", ">SIZE", "KEPT", "SHA-256"]);
            for ArtefactView { run, artefact, kept } in &artefacts {
                table.row([
                    run.attempt.into(),
                    Cell::new(&artefact.name),
                    Cell::new(bytes(artefact.bytes)),
                    Cell::new(if *kept { "yes" } else { "no" }),
                    Cell::new(&artefact.sha256),
                ]);
            }
            if table.is_empty() {
                out.note("no artefacts");
                return Ok(());
            }
            out.table(&table)
        })
    }

    fn take(&self, context: &Context, name: &str, run: &RunId, mut file: std::fs::File) -> Result<(), Failure> {
        let out = &context.out;
        let failed = |error: std::io::Error| Failure::file("artefact", "read", &error);
        let mut buffer = vec![0; 256 << 10];
        let mut into = self.out.as_ref().map(|path| NewFile::create(path, self.force)).transpose()?;
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            match (&mut into, read) {
                (_, 0) => break,
                (Some(into), _) => into.write(&buffer[..read])?,
                (None, _) => out.raw(&buffer[..read])?,
            }
        }
        let (Some(into), Some(path)) = (into, &self.out) else {
            return Ok(std::io::stderr().flush()?);
        };
        let size = into.keep()?;
        let path = path.display().to_string();
        let told = serde_json::json!({ "run": run, "name": name, "file": path, "bytes": size });
        out.show(&told, std::slice::from_ref(&path), |out| {
            out.line(plain(&format!("{path}: {name} of {run}, {}", bytes(size))))
        })
    }
}
