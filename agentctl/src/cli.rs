//! From arguments to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::command::Command;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Output, Style};

/// Bytes of one argument that an error repeats.
const MAX_SHOWN_BYTES: usize = 120;

/// Speaks with agentd: agents, their work, and the ledger of all of it.
///
/// Ids may be any unique prefix, and `@` is the latest work submitted from this directory. Data goes to stdout, all
/// else to stderr.
#[derive(Debug, Parser)]
#[command(
    name = "agentctl",
    version,
    max_term_width = 110,
    infer_long_args = false,
    after_help = "Exit codes: 0 done, 1 refused, 2 wrong usage, 4 agentd unreachable, 5 denied, \
                  6 not found, 7 the work waited for failed, 130 detached by Ctrl-C, 255 a defect\n\
                  Of config diff, 1 is a difference; of status --check: 0 well, 1 warning, 2 critical, 3 unknown\n\n\
                  Example:\n  agentctl submit 'Summarise the open issues' --skill triage --wait"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// Answer with JSON: one document, or JSON Lines where the answer is a stream
    #[arg(long, global = true)]
    json: bool,
    /// Only these fields of the JSON form, as columns or (with --json) as keys
    #[arg(long, global = true, value_name = "A,B.C", value_delimiter = ',')]
    fields: Vec<String>,
    /// Print ids only, and no notes
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Where agentd is: unix:path=…, the path of a socket, system, or session
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = "Options of every command")]
    address: Option<String>,
    /// No colours (as with the environment variable NO_COLOR)
    #[arg(long = "no-color", global = true)]
    no_colour: bool,
    /// Run the command there, with ssh; files that it names are files there
    #[arg(long, short = 'H', global = true, value_name = "USER@HOST",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    host: Option<String>,
}

/// Reads the arguments, runs the command and tells what went wrong.
pub(crate) fn main() -> ExitCode {
    std::panic::set_hook(Box::new(defect));
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refused(&error, &arguments),
    };
    let json = cli.globals.json;
    match run(cli, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When stderr is gone the exit code still tells.
            let _ = std::io::stderr().write_all(failure.told(json).as_bytes());
            ExitCode::from(failure.exit())
        }
    }
}

fn run(cli: Cli, arguments: &[std::ffi::OsString]) -> Result<(), Failure> {
    let globals = cli.globals;
    if let Some(host) = &globals.host {
        return Err(crate::command::remote::run(host, arguments));
    }
    let style =
        Style { json: globals.json, fields: globals.fields, quiet: globals.quiet, no_colour: globals.no_colour };
    let mut context = Context::new(Output::stdout(style), globals.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::local(format!("cannot start: {error}")))?;
    let done = runtime.block_on(crate::once_more::run(cli.command, arguments, &mut context));
    done.and_then(|()| context.out.flush()).inspect_err(|_| {
        // What was found before the failure is still worth reading.
        let _ = context.out.flush();
    })
}

/// A question for help, or arguments that make no sense.
fn refused(error: &clap::Error, arguments: &[std::ffi::OsString]) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(Failure::from(error).exit()),
        };
    }
    let text = shortened(error.render().to_string(), arguments);
    // What stands behind -- is the argument of somebody else.
    if arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json") {
        let _ = std::io::stderr().write_all(misused(&text).told(true).as_bytes());
    } else if text.len() < error.render().to_string().len() {
        let _ = std::io::stderr().write_all(text.as_bytes());
    } else {
        let _ = error.print();
    }
    ExitCode::from(2)
}

/// An error in the arguments as other errors are: what is wrong stands in its first paragraph, and a tip may follow.
fn misused(text: &str) -> Failure {
    let mut paragraphs = text.split("\n\n");
    let mut lines = paragraphs.next().unwrap_or_default().lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    let between = if rest.is_empty() { "" } else { " " };
    let message = format!("{}{between}{}", first.strip_prefix("error: ").unwrap_or(first), rest.join(", "));
    let tip = paragraphs.flat_map(str::lines).find_map(|line| line.trim().strip_prefix("tip: "));
    Failure::usage(message).hint(tip.unwrap_or("agentctl help"))
}

/// The text of an error without the greater part of arguments that nobody wants to read again.
fn shortened(mut text: String, arguments: &[std::ffi::OsString]) -> String {
    for argument in arguments.iter().filter_map(|argument| argument.to_str()) {
        let values = [argument, argument.split_once('=').map_or(argument, |(_, value)| value)];
        for value in values.into_iter().filter(|value| value.len() > MAX_SHOWN_BYTES) {
            let end = (0..=MAX_SHOWN_BYTES).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
            text = text.replace(value, &format!("{}…", value.get(..end).unwrap_or_default()));
        }
    }
    text
}

/// A defect of agentctl: said in one line, exit code 255.
fn defect(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    let what = info.payload_as_str().unwrap_or("no message");
    let _ = writeln!(std::io::stderr(), "error: defect of agentctl{place}: {what}");
    std::process::exit(255);
}

/// The whole command line, for completions, manual pages and tests.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command with its path: `["work", "list"]`.
    fn commands(command: &clap::Command, path: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            commands(sub, &path, found);
            found.push((path, sub.clone()));
        }
    }

    fn all() -> Vec<(Vec<String>, clap::Command)> {
        let mut found = Vec::new();
        commands(&definition(), &[], &mut found);
        found
    }

    #[test]
    fn the_definition_of_the_command_line_holds_together() {
        definition().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        for (path, command) in all() {
            assert!(command.get_about().is_some(), "{path:?} says nothing");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let name = argument.get_id().as_str();
                assert!(argument.get_help().is_some() || name == "help", "{path:?} {name} says nothing");
            }
        }
    }

    #[test]
    fn what_a_command_says_at_length_is_in_its_help() {
        let all = all();
        for (words, says) in [
            (["doctor"].as_slice(), "agentd-launch tries it"),
            (&["submit"], "under the same key"),
            (&["config", "apply"], "A second apply does nothing"),
            (&["config", "diff"], "1 where something differs"),
        ] {
            let (_, command) = all.iter().find(|(path, _)| path == words).unwrap();
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(long.contains(says), "{words:?}: {long}");
        }
    }

    #[test]
    fn every_example_in_the_help_is_understood() {
        let mut examples = 0;
        for (path, command) in all() {
            let groups = command.has_subcommands();
            let Some(help) = command.get_after_help().map(ToString::to_string) else {
                assert!(groups, "{path:?} has no example");
                continue;
            };
            for line in help.lines().filter_map(|line| line.trim().strip_prefix("agentctl ")) {
                let words = words(line);
                let words = std::iter::once("agentctl".to_owned()).chain(words);
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{path:?}: {line}: {error}");
                }
                examples += 1;
            }
        }
        assert!(examples > 40, "{examples}");
    }

    #[test]
    fn what_is_frozen_is_asked_for_with_all_that_it_may_be() {
        for words in [["agentctl", "freeze", "--reason", "x"].as_slice(), &["agentctl", "thaw"]] {
            let error = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(error.matches("<WORK|AGENT|--all>").count() == 2, "{error}");
        }
        assert!(Cli::try_parse_from(["agentctl", "thaw", "--all", "fixer"]).is_err());
    }

    #[test]
    fn an_error_in_the_arguments_is_told_whole_to_programs_too() {
        for (words, message, hint) in [
            (
                &["cancel", "@"][..],
                "the following required arguments were not provided: --reason <TEXT>",
                "agentctl help",
            ),
            (
                &["submit", "x", "--skil", "y"],
                "unexpected argument '--skil' found",
                "a similar argument exists: '--skill'",
            ),
            (&["work", "diff"], "the following required arguments were not provided: <WORK>", "agentctl help"),
        ] {
            let error = Cli::try_parse_from(std::iter::once(&"agentctl").chain(words)).unwrap_err();
            let failure = misused(&error.render().to_string());
            assert_eq!((failure.exit(), failure.message(), failure.hinted()), (2, message, Some(hint)));
        }
    }

    #[test]
    fn an_error_repeats_the_beginning_of_a_long_argument() {
        let long = "é".repeat(30_000);
        for argument in [format!("--reason={long}"), long.clone()] {
            let arguments = ["agentctl", "cancel", "@", "--reason", &argument].map(std::ffi::OsString::from);
            let error = Cli::try_parse_from(&arguments[..4]).unwrap_err().to_string() + &argument;
            let text = shortened(error, &arguments);
            assert!(text.ends_with("é…") && text.len() < 1000, "{}", text.len());
        }
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_its_bounds() {
        for (flag, value, words) in [
            ("--max-cost", "-1usd", "cannot be negative"),
            ("--timeout", "-1s", "cannot be negative"),
            ("--not-before", "-2h", "cannot be negative"),
            ("--max-attempts", "-1", "a whole number from 1 to 100"),
            ("--max-attempts", "1.5", "a whole number from 1 to 100"),
            ("--max-tokens", "abc", "a whole number, 0 or more"),
            ("--protect", "[", "the [ at character 1 has no ]"),
            ("--accept-changes", "src/[z-a]", "the range z-a at character 6"),
        ] {
            let error = Cli::try_parse_from(["agentctl", "submit", "x", flag, value]).unwrap_err().to_string();
            assert!(error.contains(words), "{flag} {value}: {error}");
        }
    }

    /// A command line as a shell splits it, as far as examples need it: quotes, and an end at a pipe or redirection.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
        for character in line.chars() {
            match (quote, character) {
                (Some(open), close) if open == close => quote = None,
                (None, '\'' | '"') => (quote, begun) = (Some(character), true),
                (None, ' ') if begun => {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
                (None, ' ') => {}
                (None, '|' | '>' | '<' | '#') => break,
                _ => {
                    word.push(character);
                    begun = true;
                }
            }
        }
        if begun {
            words.push(word);
        }
        words
    }
}
