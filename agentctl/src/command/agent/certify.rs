//! `agentctl agent certify`

use agentd_schemas::event::Custody;
use agentd_schemas::key::certificate::{Expected, MAX_CERTIFICATE_BYTES};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::name::Slug;
use agentd_schemas::view::AgentView;

use crate::context::{Context, read};
use crate::error::Failure;
use crate::output::{Output, shell_word};
use crate::presence::govern;
use crate::{command, input, owner_key};

/// Certify the key of an agent that is in its owner's custody, for 30 days at most
///
/// Agentd makes and holds the key that signs; it counts while a certificate by the owner's own key holds, which agentd never
/// has. With --with, ssh-keygen makes the certificate here, and it is handed in. Without, the key is printed as a line,
/// with the command that makes the certificate wherever the owner's key is; --certificate hands it in.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  agentctl agent certify fixer --with ~/.ssh/id_ed25519\n  \
    agentctl agent certify fixer > fixer.pub\n  agentctl agent certify fixer --certificate fixer-cert.pub")]
pub(crate) struct Args {
    /// The agent
    name: Slug,
    /// Make the certificate with this private key of the owner; FILE.pub for one in your ssh-agent
    #[arg(long, value_name = "FILE", conflicts_with = "certificate")]
    with: Option<String>,
    /// For how long, 30 days at most
    #[arg(long = "for", value_name = "DURATION", default_value = "30d", value_parser = command::span)]
    span: Span,
    /// Hand in this certificate, - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "span")]
    certificate: Option<String>,
}

impl Args {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let agents = context.agents().await?;
        let view: AgentView = read(&agents.show(self.name.as_str()).await?)?;
        let Some(authority) = view.authority.as_deref().filter(|_| view.custody == Custody::Owner) else {
            return Err(Failure::usage(format!("agent {} is not in its owner's custody", self.name))
                .hint("its key signs without a certificate; custody is chosen when an agent is enrolled"));
        };
        let seconds = self.span.as_ms() / 1000;
        if !(1..=30 * 86_400).contains(&seconds) {
            return Err(Failure::usage(format!("a certificate cannot hold for {}", self.span))
                .hint("--for takes 1s at least and 30d at most"));
        }
        let trust_domain = context.host().await?.trust_domain().await?;
        let key: PublicKey = view.public_key.parse().map_err(|error| Failure::broken(format!("{error}")))?;
        let expected = Expected { key: &key, authority: &key, name: self.name.as_str(), trust_domain: &trust_domain };
        let arguments = owner_key::certifying(&expected, seconds);
        let certificate = match (&self.certificate, &self.with) {
            (Some(file), _) => input::text(file, MAX_CERTIFICATE_BYTES)?,
            (None, Some(with)) => owner_key::certify(with, &view.public_key, &arguments)?,
            (None, None) => return self.ask(context, &view.public_key, authority, &arguments),
        };
        let view: AgentView =
            read(&govern::<_, String>(agents.inner(), "Certify", &(self.name.as_str(), certificate.trim())).await?)?;
        let until = view.certified_until.map(|until| context.out.time(until)).unwrap_or_default();
        context.out.done("agent", self.name.as_str(), &format!("agent {} is certified until {until}", self.name))
    }

    /// Prints the key, and how it is certified where the owner's key is.
    fn ask(&self, context: &Context, line: &str, authority: &str, arguments: &[String]) -> Result<(), Failure> {
        let name = &self.name;
        let words: Vec<String> = arguments.iter().map(|word| shell_word(word)).collect();
        let command = format!("ssh-keygen -s OWNER_KEY {} {name}.pub", words.join(" "));
        let view = serde_json::json!({ "public_key": line, "authority": authority, "command": command });
        context.out.show(&view, &[line.to_owned()], |out: &Output| out.line(line))?;
        context.out.note(format!("this is the key of agent {name}; {authority} has to certify it"));
        context.out.hint(format!("agentctl agent certify {name} --with OWNER_KEY"));
        context.out.hint(format!("or where that key is, with the line above in {name}.pub: {command}"));
        context.out.hint(format!("and then: agentctl agent certify {name} --certificate {name}-cert.pub"));
        Ok(())
    }
}
