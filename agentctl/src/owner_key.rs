//! The key of an owner, used by `ssh-keygen` alone: it may be under a passphrase, in an ssh-agent or on a token, and is
//! never read here.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use agentd_schemas::dbus::{AgentsProxy, HostProxy};
use agentd_schemas::key::certificate::{Expected, MAX_CERTIFICATE_BYTES};
use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::possession::PossessionKind;
use agentd_schemas::unit::name::Slug;

use crate::error::Failure;
use crate::git::scratch::Scratch;
use crate::output::shell_word;
use crate::{agent_key, input};

/// A key of the owner, and the proof that its holder is here.
pub(crate) struct Proven {
    /// Its public half.
    pub(crate) key: PublicKey,
    /// The nonce that the daemon gave out.
    pub(crate) nonce: String,
    /// The armored signature.
    pub(crate) signature: String,
}

/// Proves that the owner holds the key whose public half is in `file`, for a new agent.
pub(crate) async fn prove(
    agents: &AgentsProxy<'_>,
    host: &HostProxy<'_>,
    name: &Slug,
    file: &str,
) -> Result<Proven, Failure> {
    let key = agent_key::load_public(file)?;
    let kind = PossessionKind::Authority;
    let challenge = agent_key::challenge(agents, host, kind, name, &key).await?;
    let arguments = ["-q", "-Y", "sign", "-n", kind.namespace(), "-f", file];
    let signature = keygen(&arguments, &challenge.message).map_err(|failure| {
        failure.hint(format!("its private half is {} without .pub, or in your ssh-agent: ssh-add -l", shell_word(file)))
    })?;
    Ok(Proven { key, nonce: challenge.nonce, signature: signature.trim().to_owned() })
}

/// The arguments by which ssh-keygen certifies an agent's key for so many seconds, but for the files.
pub(crate) fn certifying(expected: &Expected<'_>, seconds: u64) -> Vec<String> {
    let validity =
        if seconds.is_multiple_of(86_400) { format!("+{}d", seconds / 86_400) } else { format!("+{seconds}s") };
    let (id, principal) = (expected.key_id(), expected.principal());
    ["-I", &id, "-n", &principal, "-V", &validity, "-O", "clear"].map(str::to_owned).into()
}

/// Has ssh-keygen certify a key with the owner's in `with`. Gives the line of the certificate.
pub(crate) fn certify(with: &str, line: &str, arguments: &[String]) -> Result<String, Failure> {
    let scratch = Scratch::new()?;
    let public = scratch.path().join("agent.pub");
    std::fs::write(&public, format!("{line}\n")).map_err(|error| Failure::file(&public, "write", &error))?;
    let public = public.display().to_string();
    let mut all = vec!["-q", "-s", with];
    if Path::new(with).extension().is_some_and(|extension| extension == "pub") {
        // The private half is in an ssh-agent.
        all.push("-U");
    }
    all.extend(arguments.iter().map(String::as_str));
    all.push(&public);
    keygen(&all, &[])?;
    let made = scratch.path().join("agent-cert.pub");
    input::text(&made.display().to_string(), MAX_CERTIFICATE_BYTES)
}

/// Runs ssh-keygen, which may ask for a passphrase at the terminal. Gives what it wrote.
fn keygen(arguments: &[&str], stdin: &[u8]) -> Result<String, Failure> {
    let unusable = |error: std::io::Error| {
        Failure::local(format!("ssh-keygen cannot be run: {}", crate::error::said(&error)))
            .hint("it comes with the client of OpenSSH")
    };
    let mut command = Command::new("ssh-keygen");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(unusable)?;
    if let Some(mut input) = child.stdin.take() {
        // A few hundred bytes: they fit the pipe. Who does not read them says why itself.
        let _ = input.write_all(stdin);
    }
    let output = child.wait_with_output().map_err(unusable)?;
    if !output.status.success() {
        return Err(Failure::local("ssh-keygen could not use the owner's key"));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::local("ssh-keygen did not write text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_those_of_the_manual() {
        let key = agent_key::generate().unwrap().public_key();
        let expected = Expected { key: &key, authority: &key, name: "fixer", trust_domain: "h-1.agentd.internal" };
        let line = certifying(&expected, 30 * 86_400).join(" ");
        assert_eq!(line, "-I agentd:fixer -n fixer@h-1.agentd.internal -V +30d -O clear");
        assert!(certifying(&expected, 90).join(" ").contains("-V +90s"));
    }
}
