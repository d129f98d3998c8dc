//! `agentctl agent program`, and what goes with an agent that agentd starts.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use agentd_schemas::dbus::MAX_MESSAGE_BYTES;
use agentd_schemas::document::AgentDocument;
use agentd_schemas::document::program::{MAX_AGENT_FILE_BYTES, MAX_AGENT_FILES};
use agentd_schemas::document::request::{FileContent, ProgramEnrolment};
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::AgentView;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{enroll, show};
use crate::context::{Context, document, read};
use crate::error::Failure;
use crate::output::{bytes, shell_word};
use crate::owner_key::Proven;
use crate::presence::govern;
use crate::{ambient, command, input};

/// Give an agent that agentd starts another program
///
/// Command, files, program, sandbox and resources of the document count, for runs from now on; all else stays as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl agent program fixer --file fixer.toml --reason 'reads the verdicts now'")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// Read the program from this agent's document (TOML or JSON), - for stdin
    #[arg(long, short, value_name = "FILE")]
    file: String,
    /// Why; kept with the agent
    #[arg(long, short, value_name = "TEXT", value_parser = command::reason)]
    reason: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let agent: AgentDocument = input::document(&self.file, enroll::MAX_DOCUMENT_BYTES)?;
        if agent.name != self.name {
            let told = format!("{} describes the agent {}, not {}", self.file, agent.name, self.name);
            return Err(Failure::usage(told).hint("an agent is never renamed"));
        }
        if agent.command.is_empty() {
            return Err(Failure::usage(format!("{} has no command", self.file))
                .hint("command = [\"./program\", \"{{ task_file }}\"]"));
        }
        let missing = missing(&agent);
        let enrolment = enrolment(agent, Some(&self.file), None, None)?;
        let view: AgentView = read(
            &govern::<_, String>(context.agents().await?.inner(), "SetProgram", &(&enrolment, &self.reason)).await?,
        )?;
        context.out.show(&view, &[view.row.name.to_string()], |out| show::words(out, &view))?;
        if let Some(missing) = missing {
            context.out.note(missing);
        }
        Ok(())
    }
}

/// The document of an agent that agentd starts, with its files; these are beside `file`, or in the current folder.
pub(crate) fn enrolment(
    mut agent: AgentDocument,
    file: Option<&str>,
    owner: Option<Proven>,
    declared: Option<String>,
) -> Result<String, Failure> {
    let beside = file.filter(|file| *file != "-").and_then(|file| Path::new(file).parent());
    let beside = beside.filter(|beside| !beside.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let contents = contents(&agent, beside)?;
    write_out_home(&mut agent)?;
    let (owner_key, (nonce, signature)) = match owner {
        Some(Proven { key, nonce, signature }) => (Some(key.to_string()), (Some(nonce), Some(signature))),
        None => (None, (None, None)),
    };
    let enrolment = document(&ProgramEnrolment { agent, contents, owner_key, nonce, signature, declared })?;
    if enrolment.len() + 1024 > MAX_MESSAGE_BYTES {
        let size = bytes(enrolment.len() as u64);
        return Err(Failure::usage(format!("the program and its files are too large together: {size}"))
            .hint("sandbox.read_only_paths shows it what is installed on the host"));
    }
    Ok(enrolment)
}

/// A word about a program that is not on this machine; a run may find it all the same, where its sandbox shows more.
pub(crate) fn missing(agent: &AgentDocument) -> Option<String> {
    let program = agent.command.first().filter(|word| word.starts_with('/'))?;
    let is_gone = std::fs::metadata(program).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    is_gone.then(|| format!("there is no {}: unless it is there when a run begins, the run fails", shell_word(program)))
}

/// Paths below `~/` are those of who hands the document in.
pub(crate) fn write_out_home(agent: &mut AgentDocument) -> Result<(), Failure> {
    for path in &mut agent.sandbox.read_only_paths {
        if let Some(rest) = path.strip_prefix("~/") {
            let home = ambient::text("HOME").ok_or_else(|| Failure::local("HOME is not set").hint("set HOME"))?;
            *path = format!("{}/{rest}", home.trim_end_matches('/'));
        }
    }
    Ok(())
}

/// The files that a document names: the program, where it begins with `./`, and what it needs.
pub(crate) fn contents(agent: &AgentDocument, beside: &Path) -> Result<Vec<FileContent>, Failure> {
    let program = agent.command.first().filter(|word| word.starts_with("./"));
    let mut names: Vec<&str> = program.into_iter().chain(&agent.files).map(|name| plain_name(name)).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    if names.len() > MAX_AGENT_FILES {
        let told = format!("the agent comes with {} files, at most {MAX_AGENT_FILES} are allowed", names.len());
        return Err(Failure::usage(told).hint("sandbox.read_only_paths shows it what is installed on the host"));
    }
    names.into_iter().map(|name| content(name, beside, program.is_some_and(|word| plain_name(word) == name))).collect()
}

fn plain_name(name: &str) -> &str {
    name.trim_start_matches("./")
}

fn content(name: &str, beside: &Path, program: bool) -> Result<FileContent, Failure> {
    let path: PathBuf = beside.join(name);
    let shown = path.display();
    let is_plain = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain {
        return Err(Failure::usage(format!("{name} is no file beside the agent's document"))
            .hint("files are named below the folder of the document, without `..`"));
    }
    let file = open(beside, name).map_err(|error| match error {
        rustix::io::Errno::XDEV | rustix::io::Errno::LOOP => {
            Failure::usage(format!("{shown} leads out of the folder of the agent's document"))
                .hint("copy the file there")
        }
        other => Failure::file(&path, "read", &other.into()),
    })?;
    let failed = |error: std::io::Error| Failure::file(&path, "read", &error);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::usage(format!("{shown} is no file")));
    }
    let mut content = Vec::new();
    file.take(MAX_AGENT_FILE_BYTES as u64 + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() > MAX_AGENT_FILE_BYTES {
        return Err(Failure::usage(format!("{shown} is larger than {}", bytes(MAX_AGENT_FILE_BYTES as u64)))
            .hint("sandbox.read_only_paths shows it what is installed on the host"));
    }
    let executable = metadata.permissions().mode() & 0o100 != 0;
    if program && !executable {
        return Err(Failure::usage(format!("{shown} is not executable"))
            .hint(format!("chmod +x {}", shell_word(&path.display().to_string()))));
    }
    let base64 = data_encoding::BASE64.encode(&content);
    Ok(FileContent { name: name.to_owned(), executable, base64 })
}

/// Opens a file that is inside of a folder, whatever symlinks say; a FIFO is waited for by nobody.
fn open(beside: &Path, name: &str) -> Result<File, rustix::io::Errno> {
    let folder = rustix::fs::open(beside, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(&folder, name, flags, Mode::empty(), inside).map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::scratch::Scratch;

    fn agent(toml: &str) -> AgentDocument {
        let text = format!("name = \"fixer\"\n{toml}");
        agentd_schemas::strict::toml::from_slice(text.as_bytes(), &agentd_schemas::strict::Limits::DEFAULT).unwrap()
    }

    #[test]
    fn the_program_and_its_files_go_along_and_nothing_from_elsewhere() {
        let scratch = Scratch::new().unwrap();
        let at = |name: &str| scratch.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("folder/fixer.py"), "print()\n").unwrap();
        std::fs::set_permissions(at("folder/fixer.py"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(at("folder/lib")).unwrap();
        std::fs::write(at("folder/lib/a.txt"), "a").unwrap();
        std::fs::write(at("outside"), "o").unwrap();
        std::os::unix::fs::symlink("../outside", at("folder/link")).unwrap();
        std::os::unix::fs::symlink("lib/a.txt", at("folder/inner")).unwrap();
        std::fs::write(at("folder/large"), vec![0; MAX_AGENT_FILE_BYTES + 1]).unwrap();

        let document =
            agent("command = [\"./fixer.py\", \"./task\"]\nfiles = [\"lib/a.txt\", \"./inner\", \"fixer.py\"]\n");
        let found = contents(&document, &at("folder")).unwrap();
        let told: Vec<String> = found.iter().map(|f| format!("{} {} {}", f.name, f.executable, f.base64)).collect();
        assert_eq!(told, ["fixer.py true cHJpbnQoKQo=", "lib/a.txt false YQ==", "inner false YQ=="]);
        for (files, words) in [
            ("\"../outside\"", "is no file beside"),
            ("\"/etc/hostname\"", "is no file beside"),
            ("\"link\"", "leads out of the folder"),
            ("\"lib\"", "is no file"),
            ("\"missing\"", "no such file"),
            ("\"large\"", "larger than"),
        ] {
            let failure = contents(&agent(&format!("files = [{files}]\n")), &at("folder")).unwrap_err();
            assert!(failure.message().contains(words), "{files}: {failure:?}");
        }
        let failure = contents(&agent("command = [\"./lib/a.txt\"]\n"), &at("folder")).unwrap_err();
        assert!(failure.message().contains("is not executable"), "{failure:?}");
        assert!(contents(&agent("command = [\"/usr/bin/env\", \"./x\"]\n"), &at("folder")).unwrap().is_empty());
    }

    #[test]
    fn a_place_in_the_home_is_written_out() {
        let text = enrolment(
            agent("command = [\"/bin/true\"]\n[sandbox]\nread_only_paths = [\"~/.rustup\", \"/opt\"]\n"),
            None,
            None,
            None,
        );
        let told: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        let paths = &told["agent"]["sandbox"]["read_only_paths"];
        assert!(paths[0].as_str().unwrap().ends_with("/.rustup") && !paths[0].as_str().unwrap().starts_with('~'));
        assert_eq!(paths[1], "/opt");
    }
}
