//! Seccomp: which system calls remain.
//!
//! What no agent's program needs and what has let programs out of sandboxes is refused with `EPERM`; the rest stays,
//! so that compilers, interpreters and browsers work. `clone3` hides its flags from filters and answers `ENOSYS`, so that
//! libc falls back to `clone`.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::{ConfineError, Namespaces, refused};

/// Refused whatever the arguments are.
const REFUSED: &[libc::c_long] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Namespaces of others, and their processes.
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Large surfaces of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_vmsplice,
    // The machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Memory, semaphores and queues that have names: refused where the names are the host's. An id is enough to use what is
/// there, so not only those that look for names are in it.
const NAMED: &[libc::c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Modes, owners, attributes and times of files by their paths, which Landlock does not hold: refused where the host's
/// paths are there to be named. By descriptor they stay, for Landlock holds what is opened.
const BY_PATH: &[libc::c_long] = &[
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];
/// Of asm-generic/unistd.h, as are the two below: the same number on every machine, and not in libc yet.
const SETXATTRAT: libc::c_long = 463;
/// `__NR_removexattrat`.
const REMOVEXATTRAT: libc::c_long = 466;
/// `__NR_file_setattr`.
const FILE_SETATTR: libc::c_long = 469;

/// Calls that change how a process runs, and the argument that is its id: where processes of the host are in reach, only
/// 0 is allowed, which is the caller.
const OF_A_PROCESS: &[(libc::c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
];

/// Namespaces that a program could make for itself.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// `ioctl` requests that type at terminals for others.
const TERMINAL_REQUESTS: &[u64] = &[libc::TIOCSTI, libc::TIOCLINUX];

/// `CLONE_NEWTIME` of linux/sched.h. As a flag of `clone` the bit is part of the exit signal; `unshare` knows it.
const NEW_TIME: u64 = 0x80;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filters on this process.
pub(super) fn filter(namespaces: Namespaces, network: bool) -> Result<(), ConfineError> {
    let step = "filter system calls";
    let hidden = Rules::from([(libc::SYS_clone3, Vec::new())]);
    install(hidden, libc::ENOSYS).map_err(refused(step))?;
    let rules = rules(namespaces, network).map_err(refused(step))?;
    install(rules, libc::EPERM).map_err(refused(step))?;
    #[cfg(target_arch = "x86_64")]
    apply_filter(&only_numbers_of_this_interface()).map_err(refused(step))?;
    Ok(())
}

/// Refuses the calls of x32, which have numbers of their own that the rules do not know. Those of 32-bit programs are
/// another architecture: the other filters end whoever makes one.
#[cfg(target_arch = "x86_64")]
fn only_numbers_of_this_interface() -> BpfProgram {
    /// `__X32_SYSCALL_BIT` of asm/unistd.h.
    const X32: u32 = 0x4000_0000;
    /// `BPF_LD | BPF_W | BPF_ABS` of linux/bpf_common.h.
    const LOAD: u16 = 0x20;
    /// `BPF_JMP | BPF_JGE | BPF_K`.
    const IS_AT_LEAST: u16 = 0x35;
    /// `BPF_RET | BPF_K`.
    const RETURN: u16 = 0x06;
    // `seccomp_data` begins with the number of the call (seccomp(2)).
    let step = |code, jump_false, k| seccompiler::sock_filter { code, jt: 0, jf: jump_false, k };
    vec![
        step(LOAD, 0, 0),
        step(IS_AT_LEAST, 1, X32),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn install(rules: Rules, errno: libc::c_int) -> Result<(), seccompiler::Error> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    let denial = SeccompAction::Errno(errno.unsigned_abs());
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, denial, architecture)?.try_into()?;
    apply_filter(&program)
}

fn rules(namespaces: Namespaces, network: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let flags = NAMESPACES.iter().map(|flag| u64::from(flag.unsigned_abs()));
    let new: Vec<u64> = flags.collect();
    rules.insert(libc::SYS_clone, any_bit(0, new.iter().copied())?);
    rules.insert(libc::SYS_unshare, any_bit(0, new.into_iter().chain([NEW_TIME]))?);
    rules.insert(libc::SYS_ioctl, equals(1, TERMINAL_REQUESTS.iter().copied())?);
    if namespaces == Namespaces::Host {
        rules.extend(NAMED.iter().chain(BY_PATH).map(|call| (*call, Vec::new())));
        // Without a path it is the form for descriptors.
        let with_path = rule(1, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
        rules.insert(libc::SYS_utimensat, vec![with_path]);
        for (call, argument) in OF_A_PROCESS {
            let others = rule(*argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
            rules.entry(*call).or_default().push(others);
        }
    }
    // Who may connect where a socket has a path is held by mounts and Landlock.
    let families: &[libc::c_int] = if network || namespaces == Namespaces::Own {
        &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6]
    } else {
        &[libc::AF_UNIX]
    };
    rules.insert(libc::SYS_socket, vec![none_of(0, families)?]);
    let devices = [libc::S_IFCHR, libc::S_IFBLK];
    let mask = SeccompCmpOp::MaskedEq(u64::from(libc::S_IFMT));
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_mknod, devices.iter().map(|kind| masked(1, &mask, *kind)).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_mknodat, devices.iter().map(|kind| masked(2, &mask, *kind)).collect::<Result<_, _>>()?);
    Ok(rules)
}

fn any_bit(argument: u8, bits: impl Iterator<Item = u64>) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    bits.map(|bit| rule(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bit), bit)).collect()
}

fn equals(argument: u8, values: impl Iterator<Item = u64>) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values.map(|value| rule(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)).collect()
}

fn none_of(argument: u8, values: &[libc::c_int]) -> Result<SeccompRule, seccompiler::BackendError> {
    let differs = |value: &libc::c_int| {
        let value = u64::from(value.unsigned_abs());
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
    };
    SeccompRule::new(values.iter().map(differs).collect::<Result<_, _>>()?)
}

fn masked(argument: u8, op: &SeccompCmpOp, value: u32) -> Result<SeccompRule, seccompiler::BackendError> {
    rule(argument, SeccompCmpArgLen::Dword, op.clone(), u64::from(value))
}

fn rule(
    argument: u8,
    length: SeccompCmpArgLen,
    op: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, length, op, value)?])
}
