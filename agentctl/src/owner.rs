//! Owners by name: the host is asked, as whoever it is set up to ask.

use std::process::{Command, Stdio};

use agentd_schemas::unit::owner::Owner;

use crate::error::Failure;

/// The owner as the kernel has it. `id` asks the host's name service, as a login does.
pub(crate) fn found(owner: &Owner) -> Result<Owner, Failure> {
    uid(owner).map(Owner::Uid)
}

/// The uid of an owner.
pub(crate) fn uid(owner: &Owner) -> Result<u32, Failure> {
    let name = match owner {
        Owner::Uid(uid) => return Ok(*uid),
        Owner::Name(name) => name,
    };
    let output = Command::new("id").args(["-u", "--", name]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::file("id", "start", &error))?;
    let uid = String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success());
    uid.ok_or_else(|| {
        Failure::usage(format!("this host has no user {name:?}")).hint(format!("see: getent passwd {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells_uids_and_refuses_who_is_not_there() {
        assert_eq!(uid(&Owner::Name("root".to_owned())).unwrap(), 0);
        assert_eq!(found(&Owner::Uid(7)).unwrap(), Owner::Uid(7));
        let failure = uid(&Owner::Name("agentd-no-such-user".to_owned())).unwrap_err();
        assert!(failure.message().contains("no user \"agentd-no-such-user\""), "{failure:?}");
    }
}
