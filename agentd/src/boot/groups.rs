//! The groups of the host that decide who may do what.

use std::sync::Arc;

use agentd_schemas::unit::owner::Owner;
use anyhow::Context as _;

use super::config::{Config, Mode};
use crate::api::{Callers, Users};
use crate::engine::Engine;
use crate::engine::health::About;
use crate::policy::Caller;
use crate::sys::{groups, process};

/// Looks the configured groups up. One that is missing makes nobody more than a user; that the one is missing whose members
/// are users at all, is a complaint.
pub(super) fn callers(config: &Config, engine: &Engine) -> anyhow::Result<Callers> {
    let of_users = match config.mode {
        Mode::System => Some(Users {
            gid: groups::gid_of_group(&config.groups.users)?,
            group: Arc::from(config.groups.users.as_str()),
        }),
        Mode::Private | Mode::Session => None,
    };
    let callers = Callers {
        operator_gid: groups::gid_of_group(&config.groups.operators)?,
        operators: (config.mode == Mode::System).then(|| Arc::from(config.groups.operators.as_str())),
        auditor_gid: groups::gid_of_group(&config.groups.auditors)?,
        users: of_users,
        own_uid: process::effective_uid(),
        asks_polkit: config.mode == Mode::System,
        automation: automation(&config.automation_users)?,
    };
    match &callers.users {
        Some(Users { gid: None, group }) => engine.complain(
            About::Groups,
            format!("there is no group {group}, so only root and operators may use agentd (groupadd --system {group})"),
        ),
        _ => engine.is_well(About::Groups),
    }
    Ok(callers)
}

/// Who a uid is, by the groups that the host has it in.
pub(super) fn person(callers: &Callers, uid: u32) -> Result<Caller, String> {
    match groups::groups_of_uid(uid) {
        Ok(found) => Ok(callers.of_groups(uid, &found.unwrap_or_default())),
        Err(error) => Err(error.to_string()),
    }
}

/// The uids of automations. One that the host does not know is no automation's, so it is a mistake.
fn automation(users: &[Owner]) -> anyhow::Result<Arc<[u32]>> {
    let uid = |user: &Owner| match user {
        Owner::Uid(uid) => Ok(*uid),
        Owner::Name(name) => groups::uid_of_user(name)?
            .with_context(|| format!("automation_users: the host has no user {name:?}; see: getent passwd")),
    };
    users.iter().map(uid).collect()
}
