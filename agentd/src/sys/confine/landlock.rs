//! Landlock: which files, ports, signals and abstract sockets remain (kernel `Documentation/userspace-api/landlock`).

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use super::{ConfineError, Namespaces, Reach, refused};

/// The newest version that is asked for.
const NEWEST: ABI = ABI::V6;

/// Restricts this process and gives the version that is enforced, 0 where the kernel has none.
pub(super) fn restrict(reach: &Reach) -> Result<u32, ConfineError> {
    let step = "restrict files and network";
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| match reach.namespaces {
            Namespaces::Host if !reach.network => ruleset.handle_access(AccessNet::from_all(NEWEST)),
            Namespaces::Host | Namespaces::Own => Ok(ruleset),
        })
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(refused(step))?;
    let status = ruleset
        .add_rules(path_beneath_rules(&reach.read, AccessFs::from_read(NEWEST)))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(&reach.write, AccessFs::from_all(NEWEST))))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(refused(step))?;
    Ok(if status.ruleset == RulesetStatus::NotEnforced { 0 } else { kernel_abi().min(NEWEST as u32) })
}

/// The version that the kernel speaks; 0 where it has none.
#[allow(unsafe_code)]
pub fn kernel_abi() -> u32 {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel takes no attributes (a null pointer of size 0) and only answers a number.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION) };
    u32::try_from(answer).unwrap_or(0)
}
