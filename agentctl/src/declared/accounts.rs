//! Accounts as the caller sees them, and which it does not see.

use std::collections::BTreeMap;

use agentd_schemas::document::request::Period;
use agentd_schemas::view::{AccountView, AgentRow};

/// What there is of accounts, and of whom they are.
pub(super) struct Accounts {
    pub(super) shown: Vec<AccountView>,
    /// Owners of the agents that are seen.
    owners: BTreeMap<String, u32>,
    uid: u32,
}

impl Accounts {
    pub(super) fn of(shown: Vec<AccountView>, agents: &[AgentRow], uid: u32) -> Self {
        let owners = agents.iter().map(|row| (row.name.to_string(), row.owner)).collect();
        Self { shown, owners, uid }
    }

    pub(super) fn find(&self, account: &str, period: Period) -> Option<&AccountView> {
        self.shown.iter().find(|view| view.account == account && view.period == period)
    }

    /// Whether limits of an account would not be shown if there were some. Who sees the host's account, which is always
    /// there, sees all.
    pub(super) fn are_hidden(&self, account: &str) -> bool {
        if self.find("host", Period::Day).is_some() {
            return false;
        }
        match account.split_once(':') {
            Some(("owner", uid)) => uid.parse() != Ok(self.uid),
            Some(("agent", name)) => self.owners.get(name).is_some_and(|owner| *owner != self.uid),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_others_are_hidden_but_from_who_sees_the_hosts() {
        let owners = BTreeMap::from([("own".to_owned(), 1000), ("shared".to_owned(), 7)]);
        let mut accounts = Accounts { shown: Vec::new(), owners, uid: 1000 };
        let all =
            [("host", true), ("owner:7", true), ("agent:shared", true), ("owner:1000", false), ("agent:own", false)];
        for (account, hidden) in all {
            assert_eq!(accounts.are_hidden(account), hidden, "{account}");
        }
        let host = serde_json::json!({
            "account": "host", "period": "day", "name": "2026-11-22", "spent": "0 USD", "reserved": "0 USD", "tokens": 0,
            "reserved_tokens": 0, "limit_source": "none",
        });
        accounts.shown.push(serde_json::from_value(host).unwrap());
        for (account, _) in all {
            assert!(!accounts.are_hidden(account), "{account}");
        }
    }
}
