//! `-H user@host`: the same command there.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::error::{Failure, said};
use crate::output::shell_word;

/// Exit code with which `ssh` says that it did not get there.
const SSH_FAILED: i32 = 255;

/// Runs this command line with `ssh` and ends as it ended there.
pub(crate) fn run(host: &str, arguments: &[OsString]) -> Failure {
    let words = match there(arguments) {
        Ok(words) => words,
        Err(failure) => return failure,
    };
    let mut ssh = std::process::Command::new("ssh");
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        ssh.arg("-t");
    }
    // After `--` a host that begins with a dash is a host and no option.
    match ssh.arg("--").arg(host).args(words).status() {
        Ok(status) => ended(host, status),
        Err(error) => Failure::local(format!("cannot start ssh: {}", said(&error))).hint("install the OpenSSH client"),
    }
}

/// What the end of `ssh` means: it has said itself what went wrong on the way.
fn ended(host: &str, status: ExitStatus) -> Failure {
    match status.code() {
        Some(SSH_FAILED) => {
            Failure::unreachable(format!("cannot reach {host} with ssh")).hint(format!("ssh {}", shell_word(host)))
        }
        Some(code) => Failure::silent(u8::try_from(code).unwrap_or(1)),
        None => Failure::silent(u8::try_from(128 + status.signal().unwrap_or(0)).unwrap_or(1)),
    }
}

/// The command line without `-H`, quoted for the shell there.
fn there(arguments: &[OsString]) -> Result<Vec<String>, Failure> {
    let mut words = vec!["agentctl".to_owned()];
    let valued = valued(&Cli::command());
    let mut skip = false;
    let mut verbatim = false;
    for argument in arguments.iter().skip(1) {
        let text = argument.to_str().ok_or_else(|| Failure::usage("an argument is not UTF-8"))?;
        if std::mem::take(&mut skip) {
            continue;
        }
        match text {
            _ if verbatim => {}
            "--" => verbatim = true,
            "--host" => {
                skip = true;
                continue;
            }
            // The value stands in the same word.
            _ if text.starts_with("--host=") => continue,
            _ => {
                if let Some((before, value)) = clustered(text, &valued) {
                    skip = value.is_empty();
                    if before.len() > 1 {
                        words.push(shell_word(before));
                    }
                    continue;
                }
            }
        }
        words.push(shell_word(text));
    }
    Ok(words)
}

/// The short options that take a value, of any command: what follows one in its word is the value.
fn valued(command: &clap::Command) -> BTreeSet<char> {
    let own = command.get_arguments().filter(|argument| argument.get_action().takes_values());
    let own = own.filter_map(clap::Arg::get_short);
    own.chain(command.get_subcommands().flat_map(valued)).collect()
}

/// A word of short options with `-H` among them: what stands before it, with the dash, and its value where that is not the next word.
fn clustered<'a>(word: &'a str, valued: &BTreeSet<char>) -> Option<(&'a str, &'a str)> {
    let options = word.strip_prefix('-').filter(|options| !options.starts_with('-'))?;
    let (at, option) = options.char_indices().find(|(_, option)| valued.contains(option))?;
    (option == 'H').then(|| (&word[..=at], &options[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_ssh_cannot_reach_is_unreachable() {
        let exit = |status: i32| ended("box", ExitStatus::from_raw(status)).exit();
        assert_eq!((exit(255 << 8), exit(0), exit(6 << 8), exit(2)), (4, 0, 6, 130));
    }

    #[test]
    fn the_command_there_is_the_same_without_the_host() {
        let there = |words: &[&str]| {
            let words: Vec<OsString> = std::iter::once(&"agentctl").chain(words).map(OsString::from).collect();
            super::there(&words).unwrap().join(" ")
        };
        for (words, text) in [
            (&["-H", "me@box", "work", "list"][..], "agentctl work list"),
            (&["submit", "it's; rm", "--host=me@box"], "agentctl submit 'it'\\''s; rm'"),
            (&["-qH", "box", "status"], "agentctl -q status"),
            (&["-qHbox", "status"], "agentctl -q status"),
            (&["status", "-qH=box"], "agentctl status -q"),
            (&["cancel", "w-a", "-qrHeat", "-H", "box"], "agentctl cancel w-a -qrHeat"),
            (&["log", "-n5", "-", "-H", "box"], "agentctl log -n5 -"),
            (&["-Hbox", "agent", "serve", "a", "--", "ssh", "-H", "x"], "agentctl agent serve a -- ssh -H x"),
        ] {
            assert_eq!(there(words), text);
        }
    }
}
