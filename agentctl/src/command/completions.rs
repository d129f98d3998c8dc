//! `agentctl completions`

use clap_complete::Shell;

use super::complete::Kind;
use crate::context::Context;
use crate::error::Failure;

/// Write completions for a shell
///
/// Those for bash and fish also complete ids of works and names of agents, schedules and fields, as agentd knows them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  agentctl completions bash > ~/.local/share/bash-completion/completions/agentctl")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Runs the command.
    #[allow(clippy::unused_async, reason = "every command has this form")]
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut text = Vec::new();
        let mut definition = crate::cli::definition();
        clap_complete::generate(self.shell, &mut definition, "agentctl", &mut text);
        context.out.raw(&text)?;
        match self.shell {
            Shell::Bash => context.out.line(bash(&places(&definition))),
            Shell::Fish => context.out.line(fish(&places(&definition))),
            _ => Ok(()),
        }
    }
}

/// Commands whose first argument is a name, as `work show`, and the kind of that name.
fn places(definition: &clap::Command) -> Vec<(String, Kind)> {
    let mut places = Vec::new();
    let mut open: Vec<(String, &clap::Command)> = vec![(String::new(), definition)];
    while let Some((path, command)) = open.pop() {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            open.push((format!("{path} {}", sub.get_name()).trim().to_owned(), sub));
        }
        if let Some(kind) = command.get_positionals().next().and_then(|first| kind(&path, first.get_id().as_str())) {
            places.push((path, kind));
        }
    }
    places.sort_by(|a, b| a.0.cmp(&b.0));
    places
}

/// What the argument called `name` of a command is.
fn kind(path: &str, name: &str) -> Option<Kind> {
    let verb = path.rsplit(' ').next().unwrap_or_default();
    match name {
        "work" | "works"
            if matches!(verb, "log" | "show" | "why" | "note" | "hold" | "diff" | "apply" | "artifacts" | "output") =>
        {
            Some(Kind::Works)
        }
        "work" | "works" if verb == "retry" => Some(Kind::Past),
        "work" | "works" => Some(Kind::Open),
        "target" => Some(Kind::Targets),
        "schedule" => Some(Kind::Schedules),
        "field" => Some(Kind::Fields),
        "account" => Some(Kind::Accounts),
        "name" if matches!(path, "agent enroll" | "schedule add" | "slo set") => None,
        "name" if path.starts_with("slo ") => Some(Kind::Objectives),
        "name" => Some(Kind::Agents),
        "names" if verb == "signers" => Some(Kind::Agents),
        _ => None,
    }
}

fn word(kind: Kind) -> String {
    use clap::ValueEnum;
    kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A function around the generated one: where a name stands, the names that there are take the place of its words.
fn bash(places: &[(String, Kind)]) -> String {
    let mut cases = String::new();
    for (path, kind) in places {
        cases.push_str(&format!("            \"{path}\") kind={} ;;\n", word(*kind)));
    }
    format!(
        r#"
_agentctl_names() {{
    _agentctl "$@"
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" kind="" words=() word
    case "$cur" in -*) return 0 ;; esac
    case "$prev" in
        --agent) kind=agents ;;
        --after|--parent) kind=open ;;
        --json|-q|--quiet|--no-color|-f|--follow|[!-]*)
            for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
                case "$word" in -*) ;; *) words+=("$word") ;; esac
            done
            case "${{words[*]}}" in
{cases}            esac ;;
    esac
    if [ -n "$kind" ]; then
        COMPREPLY=($(compgen -W "$(agentctl __complete "$kind" 2>/dev/null)" -- "$cur"))
    fi
}}
complete -F _agentctl_names -o bashdefault -o default agentctl"#
    )
}

/// One line for each command.
fn fish(places: &[(String, Kind)]) -> String {
    let line = |(path, kind): &(String, Kind)| {
        let seen: Vec<String> = path.split(' ').map(|step| format!("__fish_seen_subcommand_from {step}")).collect();
        let (seen, kind) = (seen.join("; and "), word(*kind));
        format!("complete -c agentctl -n '{seen}' -f -a '(agentctl __complete {kind} 2>/dev/null)'\n")
    };
    let options = "complete -c agentctl -l agent -x -a '(agentctl __complete agents 2>/dev/null)'";
    places.iter().map(line).collect::<String>() + options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_take_a_name_complete_it_and_those_that_make_one_do_not() {
        let places = places(&crate::cli::definition());
        for (path, kind) in [
            ("why", Some(Kind::Works)),
            ("work cancel", Some(Kind::Open)),
            ("work apply", Some(Kind::Works)),
            ("retry", Some(Kind::Past)),
            ("history", Some(Kind::Agents)),
            ("agent show", Some(Kind::Agents)),
            ("agent signers", Some(Kind::Agents)),
            ("agent enroll", None),
            ("schedule pause", Some(Kind::Schedules)),
            ("schedule add", None),
            ("slo remove", Some(Kind::Objectives)),
            ("budget set", Some(Kind::Accounts)),
            ("freeze", Some(Kind::Targets)),
            ("explain", Some(Kind::Fields)),
            ("submit", None),
        ] {
            let found = places.iter().find(|(place, _)| place == path).map(|(_, kind)| *kind);
            assert_eq!(found, kind, "{path}");
        }
    }
}
