//! `-H user@host`: the same command there.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

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
            "-H" | "--host" => {
                skip = true;
                continue;
            }
            // The value stands in the same word.
            _ if text.starts_with("--host=") || (text.starts_with("-H") && text.len() > 2) => continue,
            _ => {}
        }
        words.push(shell_word(text));
    }
    Ok(words)
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
            (&["-Hbox", "agent", "serve", "a", "--", "ssh", "-H", "x"], "agentctl agent serve a -- ssh -H x"),
        ] {
            assert_eq!(there(words), text);
        }
    }
}
