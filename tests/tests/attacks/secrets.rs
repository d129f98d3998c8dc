//! What must be written nowhere.

use std::os::unix::fs::PermissionsExt;

use agentd_tests::harness::{Agent, Daemon, Settings};
use serde_json::{Value, json};

#[test]
fn no_secret_is_written_to_the_log_or_the_ledger() {
    let config = Some("[log]\nlevel = \"trace\"\n".to_owned());
    let mut daemon = Daemon::with(Settings { config, ..Settings::default() });
    let operator = daemon.operator();
    let agent = Agent::enrol(&daemon, &operator, "worker", &[]);
    let canary = "canary-5f1c0e";
    operator
        .submit(&json!({"title": canary, "instructions": format!("{canary} instructions"), "inputs": {"k": canary}}));
    let claim = agent.claim();
    agent.say(&claim, "note", json!({"text": format!("{canary} note")})).read::<Value>();
    agent.complete(&claim, &format!("{canary} result"));
    let token = agent.token.clone();
    let host_keys: Vec<Vec<u8>> = secrets(&daemon);
    assert!(!host_keys.is_empty(), "the host has keys");
    drop(operator);
    daemon.stop();
    let log = daemon.log();
    assert!(log.len() > 200, "there is a log: {log}");
    assert!(!log.contains(canary), "content in the log");
    let ledger: Vec<u8> = ["ledger.db", "ledger.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(daemon.state().join(name)).unwrap_or_default())
        .collect();
    assert!(holds(&ledger, canary.as_bytes()), "content is kept in the ledger, so the search can find something");
    for secret in host_keys.iter().map(Vec::as_slice).chain([token.as_bytes()]) {
        assert!(!holds(log.as_bytes(), secret) && !holds(&ledger, secret), "a secret was written");
    }
}

/// The middle of each private key file below the state directory.
fn secrets(daemon: &Daemon) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut directories = vec![daemon.state()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path)
                && text.contains("PRIVATE KEY")
            {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
                found.push(text.lines().nth(2).unwrap().as_bytes().to_vec());
            }
        }
    }
    found
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
