//! The command line, and where things are.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Works of the large ledger.
    pub(crate) large: usize,
    /// Times that each row is measured.
    pub(crate) repetitions: usize,
    /// Divides the sizes of the rows on a small ledger.
    pub(crate) shrink: usize,
    /// Stages to run; all when empty.
    pub(crate) only: Vec<String>,
    /// Directory of the binaries under test, and of the result.
    pub(crate) binaries: PathBuf,
    /// Directory of the ledgers: on a disk, not in memory.
    pub(crate) scratch: PathBuf,
    /// As it was written, for the record.
    pub(crate) words: String,
}

const USAGE: &str = "usage: bench [--quick] [--works N] [--repetitions N] [--only submits,lives,runs,units,policies,governance,large,postgres,pueue]";

impl Options {
    /// Reads the command line.
    pub(crate) fn parse(args: &[OsString]) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the place of the benchmark")?;
        let binaries = program.parent().context("the directory of the benchmark")?.to_owned();
        let target = binaries.parent().unwrap_or(&binaries).to_owned();
        let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let mut options = Self {
            large: 1_000_000,
            repetitions: 3,
            shrink: 1,
            only: Vec::new(),
            binaries,
            scratch: target.join(format!("bench-{}", std::process::id())),
            words: words.join(" "),
        };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--quick" => (options.large, options.shrink) = (100_000, 4),
                "--works" => options.large = number(words.next())?,
                "--repetitions" => options.repetitions = number(words.next())?,
                "--only" => options.only = words.next().context(USAGE)?.split(',').map(str::to_owned).collect(),
                other => bail!("{other:?} is not known; {USAGE}"),
            }
        }
        Ok(options)
    }

    /// Whether a stage was asked for.
    pub(crate) fn wants(&self, stage: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|each| each == stage)
    }

    /// A size of a row on a small ledger.
    pub(crate) fn size(&self, full: usize) -> usize {
        (full / self.shrink).max(1)
    }

    /// Where the result goes.
    pub(crate) fn result(&self) -> PathBuf {
        self.binaries.parent().unwrap_or(&self.binaries).join("bench.json")
    }
}

fn number(word: Option<&str>) -> anyhow::Result<usize> {
    let word = word.context(USAGE)?;
    word.parse().ok().filter(|n| *n > 0).with_context(|| format!("{word:?} is not a positive number; {USAGE}"))
}
