//! `agentctl policy explain`

use agentd_schemas::unit::name::Slug;
use agentd_schemas::unit::owner::Owner;
use agentd_schemas::view::{PolicyAnswer, PolicyQuestion};

use super::rows;
use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Colour, Details, Output, plain};
use crate::owner;

/// Say whether somebody may do something, and which policies decide
///
/// The daemon that runs is asked, with the policies in force. Nothing is done, and nothing is recorded as denied.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl policy explain work.submit\n  \
    agentctl policy explain work.manage --as alice --on work:w-7kq\n  \
    agentctl policy explain work.claim --agent fixer")]
pub(crate) struct Args {
    /// What for: work.submit, agent.enrol, host.manage; agentctl policy show lists all
    #[arg(value_name = "ACTION")]
    action: String,
    /// Who, by name or uid; yourself without. Others are for operators and auditors
    #[arg(long = "as", value_name = "USER", value_parser = Owner::parse, conflicts_with = "agent")]
    user: Option<Owner>,
    /// An agent in place of a person
    #[arg(long, value_name = "NAME")]
    agent: Option<Slug>,
    /// On what: work:ID, agent:NAME, schedule:NAME, host, or own for a thing of their own
    #[arg(long, value_name = "THING")]
    on: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let principal = match (&self.user, &self.agent) {
            (Some(user), _) => Some(format!("user:{}", owner::uid(user)?)),
            (None, Some(agent)) => Some(format!("agent:{agent}")),
            (None, None) => None,
        };
        let question = PolicyQuestion { action: self.action, principal, on: self.on };
        let question = serde_json::to_string(&question).map_err(|error| Failure::local(error.to_string()))?;
        let answer: PolicyAnswer = read(&context.host().await?.explain_policy(&question).await?)?;
        context.out.show(&answer, std::slice::from_ref(&answer.rule), |out| words(out, &answer))
    }
}

fn words(out: &Output, answer: &PolicyAnswer) -> Result<(), Failure> {
    let (word, colour) = if answer.allowed { ("allowed", Colour::Green) } else { ("denied", Colour::Red) };
    let (principal, on) = (plain(&answer.principal), plain(&answer.on));
    out.line(format!("{}: {principal} {} on {on}", out.paint(colour, word), answer.action))?;
    let mut details = Details::new();
    details.add("rule", &answer.rule).maybe("says", answer.says.as_deref().map(plain));
    details.maybe("besides", answer.proves.as_deref().map(|action| format!("polkit asks for {action}")));
    details.list("errors", answer.errors.iter().map(|error| plain(error)));
    details.add("set", &answer.set);
    details.write(out)?;
    if !answer.policies.is_empty() {
        out.line("")?;
        rows(out, &answer.policies)?;
    }
    Ok(())
}
