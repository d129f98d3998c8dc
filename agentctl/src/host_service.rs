//! Why the daemon of the host does not run: what systemd says of its service, to everybody who asks.

use std::time::Duration;

use zbus::connection::Builder;
use zbus::{Connection, OwnedVariant, Variant};

/// `agentd.service`, as systemd has it on the bus.
const UNIT: &str = "/org/freedesktop/systemd1/unit/agentd_2eservice";
/// For all of it: whoever does not answer knows nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How the status line of a daemon begins that said why it ended.
const ENDED: &str = "ended: ";

/// The way out, where the service failed or is about to be tried again: with its own words, where it left some.
pub(crate) async fn way_out(system_bus: &str) -> Option<String> {
    tokio::time::timeout(PATIENCE, asked(system_bus)).await.ok().flatten()
}

async fn asked(system_bus: &str) -> Option<String> {
    let connection = Builder::address(system_bus).build().await.ok()?;
    let state = property(&connection, "org.freedesktop.systemd1.Unit", "ActiveState").await?;
    let status = property(&connection, "org.freedesktop.systemd1.Service", "StatusText").await.unwrap_or_default();
    told(&state, &status)
}

fn told(state: &str, status: &str) -> Option<String> {
    if !matches!(state, "failed" | "activating") {
        return None;
    }
    let why = match status.strip_prefix(ENDED) {
        Some(why) => format!("agentd.service did not start: {why}"),
        None if state == "failed" => "agentd.service failed".to_owned(),
        None => return None,
    };
    Some(format!("{why}\njournalctl -u agentd -n 20 says more; once it is mended: systemctl restart agentd"))
}

async fn property(connection: &Connection, interface: &str, name: &str) -> Option<String> {
    let properties = Some("org.freedesktop.DBus.Properties");
    let asked = (interface, name);
    let answer =
        connection.call_method(Some("org.freedesktop.systemd1"), UNIT, properties, "Get", &asked).await.ok()?;
    match Variant::from(answer.body().deserialize::<OwnedVariant>().ok()?) {
        Variant::Str(text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_daemon_is_told_why_in_its_own_words() {
        let own = told("failed", "ended: /etc/agentd/agentd.toml:3:1: unknown field \"x\"").unwrap();
        assert!(own.starts_with("agentd.service did not start: /etc/agentd/agentd.toml:3:1: unknown field"), "{own}");
        assert!(own.contains("journalctl -u agentd") && own.contains("systemctl restart agentd"), "{own}");
        // A status of another time says nothing of its end.
        assert!(told("failed", "2 runs").unwrap().starts_with("agentd.service failed\n"));
        assert_eq!(told("activating", ""), None);
        assert!(told("activating", "ended: no").is_some());
        assert_eq!(told("inactive", "ended: before"), None);
    }
}
