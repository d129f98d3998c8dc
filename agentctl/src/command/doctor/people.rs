//! What people need around agentd: polkit, where operators prove that they are there, and lingering, where agentd is a
//! person's own.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::{Check, install};
use crate::ambient;

/// How long polkit gets to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// What the actions of agentd begin with.
const ACTIONS: &str = "org.agentd1.";
/// Where logind has a file for each user that lingers.
const LINGERING: &str = "/var/lib/systemd/linger";

/// One action as polkit describes it; only its id matters here.
type Described = (String, String, String, String, String, String, u32, u32, u32, HashMap<String, String>);

/// Whether operators can prove that they are there.
pub(super) async fn polkit() -> Check {
    let asked = tokio::time::timeout(ANSWER, actions()).await;
    let said = asked.unwrap_or_else(|_| Err(format!("it did not answer within {} seconds", ANSWER.as_secs())));
    match said {
        Ok(actions) if actions.iter().any(|action| action.0.starts_with(ACTIONS)) => {
            Check::ok("polkit", "asks operators whether they are there")
        }
        Ok(_) => Check::fail(
            "polkit",
            "does not know the actions of agentd: only root may do what is for operators",
            "install /usr/share/polkit-1/actions/org.agentd1.policy of agentd",
        ),
        Err(why) => Check::fail(
            "polkit",
            format!("cannot be asked, so only root may do what is for operators: {why}"),
            if Path::new("/usr/share/polkit-1").exists() {
                "systemctl status polkit".to_owned()
            } else {
                install("polkitd")
            },
        ),
    }
}

async fn actions() -> Result<Vec<Described>, String> {
    let ask = async {
        let connection = zbus::Connection::system().await?;
        let (name, path) = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority");
        let interface = Some("org.freedesktop.PolicyKit1.Authority");
        let reply = connection.call_method(Some(name), path, interface, "EnumerateActions", &("",)).await?;
        reply.body().deserialize()
    };
    ask.await.map_err(|error: zbus::Error| error.to_string())
}

/// Whether the runs of a person's own agentd outlive the person's sessions; `None` where logind does not decide.
pub(super) fn lingering(mode: &str) -> Option<Check> {
    let user = ambient::text("USER").or_else(|| ambient::text("LOGNAME"))?;
    let ends = mode == "session" && Path::new("/run/systemd/system").exists();
    ends.then(|| lingers(&user, Path::new(LINGERING).join(&user).exists()))
}

fn lingers(user: &str, lingers: bool) -> Check {
    if lingers {
        return Check::ok("lingering", format!("agentd of {user} and its runs go on after the last logout"));
    }
    Check::warn(
        "lingering",
        format!("agentd of {user} and its runs end with the last logout, and begin with the next login"),
        "loginctl enable-linger",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn who_does_not_linger_is_told_when_runs_end_and_how_to_go_on() {
        let check = lingers("alice", false);
        assert_eq!((check.verdict, check.fix.as_deref()), (Verdict::Warn, Some("loginctl enable-linger")));
        assert!(check.detail.contains("last logout"), "{check:?}");
        assert_eq!(lingers("alice", true).verdict, Verdict::Ok);
    }
}
