//! Message ids: what the lines of the journal are known by that an operator looks for (`journalctl MESSAGE_ID=…`). The
//! catalog, which `journalctl -x` shows, has a text for each. An id stays with its meaning for ever.

macro_rules! message_ids {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        $($(#[$doc])* pub const $name: &str = $id;)*

        /// Every id, with its name.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $id)),*];
    };
}

message_ids! {
    /// agentd serves.
    DAEMON_STARTED = "89b45b0779dc426895caceb44deb87f2",
    /// agentd stops.
    DAEMON_STOPPING = "aac3c0d2f331492aa4bfbc1358cdf68e",
    /// agentd has read its configuration anew.
    DAEMON_RELOADED = "e873cf79812b4bd3a29f9a2b761e4064",
    /// Keys are encrypted under a key-encryption key.
    KEYS_ENCRYPTED = "f8846e7c6cfc41f48b7d2c18b224a3bb",
    /// agentd lost the bus.
    BUS_LOST = "6870c02baaa742fabadcdee798eab5f5",
    /// agentd is on the bus again.
    BUS_BACK = "e9064dc4b11a45f1b89f662d8ca67193",
    /// Too little disk is free for runs.
    DISK_LOW = "7b4b6fefc0914a7c8db58f855474a1d2",
    /// The wall clock jumped.
    CLOCK_JUMPED = "d091ec060137424ca407072a98d0ee92",
    /// No run can be started on this host.
    RUNS_IMPOSSIBLE = "f52123b5705a415a92ad11877290ca3d",
    /// Works of agent … wait for the host.
    RUN_REFUSED = "bfef971fa8e0438ea68eb3e4536fe041",
    /// The program of run … began.
    RUN_STARTED = "5c0ad8c2f2b84c0e9a7b0e8a2cf0d6f1",
    /// The program of run … ended.
    RUN_ENDED = "e2d1c64aa6a1476fb6c04c3e5b2b4f9d",
    /// Nobody saw how run … ended.
    RUN_LOST = "5e2749facb44492c91e1bd709ca31d87",
    /// The lease of run … is void.
    LEASE_VOIDED = "0d46d5d55bd7496c9938b66e71218bbf",
    /// Run … waits.
    RUN_WAITING = "b34f43adfe854e3c8a46b4a3d6d14726",
    /// An attempt at work … failed.
    ATTEMPT_FAILED = "13f92e3e9eb54e7789674f5ffe4cfe9a",
    /// Work … failed.
    WORK_FAILED = "19a351152c7e445c8d4ecf2394a45a42",
    /// Work … missed its deadline.
    WORK_EXPIRED = "9d624d41cc8145d8b09af0bb7f147170",
    /// Work … is later than its service level.
    SERVICE_LEVEL_BREACHED = "c382f010cb37410aa3abe5b5c281f677",
    /// Agent … was enrolled.
    AGENT_ENROLLED = "5850708ca84b467a95ee7ee3d1b3da14",
    /// Agent … is paused.
    AGENT_PAUSED = "f568343161b1454d86e5927cd97d16cb",
    /// Agent … gets work again.
    AGENT_RESUMED = "cdc9ab27be5243ecb9451ca8f8e7a67e",
    /// Agent … is suspended.
    AGENT_SUSPENDED = "affca59b179341fdb0b17ad65fb7eb66",
    /// Agent … is retired.
    AGENT_RETIRED = "b87252c10a0f44b1b37ea9b32914e0ee",
    /// Agent … has another key.
    KEY_ROTATED = "c0afcf81e0d6438384b7d88de028b27d",
    /// The key of agent … is revoked.
    KEY_REVOKED = "ac7c991430f743f293c7d3bbfad8b76c",
    /// The key of agent … has a certificate of its owner.
    KEY_CERTIFIED = "5ef805c0d6e94e1e861643b25fc33ec9",
    /// Agent … is bound to another model.
    MODEL_BOUND = "e56066283161434eaadc4e4f187eca7b",
    /// Agent … used a model that it is not bound to.
    MODEL_MISMATCHED = "58dee53d7d2c433d8a142dc84e796bfe",
    /// Something was frozen.
    FROZEN = "b4726cd2fada461784bcc54e224a825e",
    /// Something was thawed.
    THAWED = "e12901d4a31b4b49ac8e95718d19dd20",
    /// Content of … was erased.
    CONTENT_REDACTED = "d2dbbbed869c44588adeeb11dc781a12",
}

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::BTreeSet;

    const CATALOG: &str = include_str!("../../../systemd/usr/lib/systemd/catalog/agentd.catalog");

    #[test]
    fn table_and_catalog_agree() {
        let entries: Vec<(&str, &str)> = CATALOG
            .split("\n# ")
            .skip(1)
            .filter_map(|entry| entry.split_once("\n-- "))
            .map(|(name, rest)| (name, rest.lines().next().unwrap_or_default()))
            .collect();
        assert_eq!(entries, ALL);
    }

    #[test]
    fn an_id_is_128_bits_in_hex_and_stands_for_one_thing() {
        let distinct: BTreeSet<&str> = ALL.iter().map(|(_, id)| *id).collect();
        assert_eq!(distinct.len(), ALL.len());
        for (name, id) in ALL {
            let is_hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(id.len() == 32 && is_hex, "{name}: {id}");
        }
    }
}
