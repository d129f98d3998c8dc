//! `agentctl agent signers`

use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::time::WallMs;
use agentd_schemas::view::{AgentRow, AgentView};
use serde::Serialize;

use crate::agent_keys::{self, Had};
use crate::context::{Context, read};
use crate::error::Failure;

/// Print the keys of agents as an allowed_signers file, for git and ssh-keygen
///
/// A line for each key that an agent has had, with the time that it was valid: a commit is verified by the key of its own
/// time. Without names, for all agents that you may see. The keys are those that the ledger names; who verifies elsewhere
/// takes this file there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl agent signers > ~/.config/git/agentd-signers\n  \
    git config gpg.ssh.allowedSignersFile ~/.config/git/agentd-signers\n  \
    git log --show-signature -1")]
pub(crate) struct Args {
    /// Agents; all without
    #[arg(value_name = "NAME")]
    names: Vec<Slug>,
}

/// One line of the file.
#[derive(Debug, Serialize)]
struct Signer {
    agent: Slug,
    principal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_after: Option<WallMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_before: Option<WallMs>,
    public_key: String,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let agents = context.agents().await?;
        let names = if self.names.is_empty() {
            let rows: Vec<AgentRow> = read(&agents.list().await?)?;
            rows.into_iter().map(|row| row.name).collect()
        } else {
            self.names
        };
        let mut signers = Vec::new();
        for name in &names {
            let view: AgentView = read(&agents.show(name.as_str()).await?)?;
            let keys = agent_keys::of(context, &view).await?;
            signers.extend(keys.iter().map(|had| signer(&view, had)));
        }
        let lines: Vec<String> = signers.iter().map(line).collect();
        context.out.show(&signers, &lines, |out| lines.iter().try_for_each(|line| out.line(line)))
    }
}

fn signer(view: &AgentView, had: &Had) -> Signer {
    // As in the author of its commits.
    let rest = view.agent_id.strip_prefix("spiffe://").unwrap_or(&view.agent_id);
    let trust_domain = rest.split('/').next().unwrap_or(rest);
    Signer {
        agent: view.row.name.clone(),
        principal: format!("{}@{trust_domain}", view.row.name),
        valid_after: had.from,
        valid_before: had.until,
        public_key: had.key.to_string(),
    }
}

fn line(signer: &Signer) -> String {
    let mut options = "namespaces=\"git\"".to_owned();
    for (name, at) in [("valid-after", signer.valid_after), ("valid-before", signer.valid_before)] {
        if let Some(at) = at {
            options.push_str(&format!(",{name}=\"{}\"", moment(at)));
        }
    }
    format!("{} {options} {}", signer.principal, signer.public_key)
}

/// `YYYYMMDDHHMMSSZ`, as ssh-keygen reads it.
fn moment(at: WallMs) -> String {
    let digits: String = at.rfc3339().as_str().chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{digits}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_valid_in_its_time_alone() {
        let mut signer = Signer {
            agent: "fixer".parse().unwrap(),
            principal: "fixer@host".to_owned(),
            valid_after: Some(WallMs::new(1_700_000_000_999).unwrap()),
            valid_before: None,
            public_key: "ssh-ed25519 AAAA".to_owned(),
        };
        let expected = "fixer@host namespaces=\"git\",valid-after=\"20231114221320Z\" ssh-ed25519 AAAA";
        assert_eq!(line(&signer), expected);
        signer.valid_before = signer.valid_after.take();
        assert!(line(&signer).contains("\"git\",valid-before=\"20231114221320Z\" "));
    }
}
