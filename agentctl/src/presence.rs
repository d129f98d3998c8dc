//! Commands that an operator has to be there for: the daemon may want polkit to ask the person.
//!
//! A command is called without a question first, so that nobody is asked where nothing is owed. Where the daemon says that a
//! question would help and there is a terminal, it is called once more with leave to ask, and for that time a program that
//! can ask at the terminal is registered with polkit, as systemctl does it.

use std::io::IsTerminal;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use zbus::proxy::MethodFlags;

use crate::error::Failure;

/// polkit's way to ask at a terminal.
const TEXT_AGENT: &str = "pkttyagent";
/// How long it gets to register.
const REGISTERED: Duration = Duration::from_secs(5);

/// Calls a method that changes something, and proves that the person is there where that is asked for.
pub(crate) async fn govern<A, R>(proxy: &zbus::Proxy<'_>, method: &'static str, arguments: &A) -> Result<R, Failure>
where
    A: Serialize + zbus::DynamicType,
    R: for<'d> zbus::wire::DynamicDeserialize<'d>,
{
    let refused = match proxy.call(method, arguments).await {
        Ok(answer) => return Ok(answer),
        Err(error) => Failure::from(error),
    };
    if !refused.has_detail("polkit", "challenge") || !person_is_there() {
        return Err(refused);
    }
    // Where it is not installed, a graphical session may have its own.
    let agent = text_agent().await;
    let asked = proxy.call_with_flags(method, MethodFlags::ALLOW_INTERACTIVE_AUTH, arguments).await;
    if let Some(agent) = agent {
        ended(agent).await;
    }
    // A call that expects no answer would have none.
    asked?.ok_or(refused)
}

fn person_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Starts the text agent for this process and waits until it is registered.
async fn text_agent() -> Option<Child> {
    let mut command = Command::new(TEXT_AGENT);
    // It closes the descriptor once it is registered, and speaks with the terminal itself. Not as the fallback that systemctl
    // starts: polkit looks for one in sessions alone, and a terminal of su or of a container has none.
    command.args(["--notify-fd", "1"]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let mut registered = child.stdout.take()?;
    let _ = tokio::time::timeout(REGISTERED, registered.read_to_end(&mut Vec::new())).await;
    Some(child)
}

/// Ends the agent politely: it may have to put the terminal back.
async fn ended(mut agent: Child) {
    let pid = agent.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = tokio::time::timeout(REGISTERED, agent.wait()).await;
}
