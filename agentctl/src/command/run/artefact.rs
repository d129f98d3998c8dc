//! `agentctl run artefact`

use agentd_schemas::event::ArtefactRef;
use agentd_schemas::http::run::MAX_ARTEFACT_BYTES;
use hyper::body::Bytes;

use super::own::OwnRun;
use crate::context::Context;
use crate::error::Failure;
use crate::input;
use crate::output::plain;

/// Hand in a file as an artefact; the same name again replaces it, until the result is handed in
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  agentctl run artefact report.pdf\n  agentctl run artefact build/log.txt --name logs/build.txt"
)]
pub(crate) struct Args {
    /// The file
    #[arg(value_name = "FILE")]
    file: String,
    /// The name that it has with the work; that of the file, where this is not given
    #[arg(long = "name", value_name = "NAME")]
    called: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let own = std::path::Path::new(&self.file).file_name().and_then(std::ffi::OsStr::to_str);
        let name = self.called.as_deref().or(own).ok_or_else(|| {
            Failure::usage(format!("{} has no name for an artefact", self.file)).hint("give it one with --name")
        })?;
        let run = OwnRun::here()?;
        let bytes = Bytes::from(input::read(&self.file, usize::try_from(MAX_ARTEFACT_BYTES).unwrap_or(usize::MAX))?);
        let kept: ArtefactRef = run.send(&format!("/v1/run/artefact?name={}", escaped(name)), &bytes).await?;
        context.out.show(&kept, std::slice::from_ref(&kept.sha256), |out| {
            out.line(format!("{}: {} bytes, sha256 {}", plain(&kept.name), kept.bytes, kept.sha256))
        })
    }
}

/// A name as a query of a path has it.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_goes_through_a_query_whole() {
        assert_eq!(escaped("logs/a-b_c.txt"), "logs/a-b_c.txt");
        assert_eq!(escaped("a b&name=c%+é"), "a%20b%26name%3Dc%25%2B%C3%A9");
    }
}
