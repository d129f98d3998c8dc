//! The host's users and groups, by whatever its name service is set up to ask.
//!
//! A name or id that the host does not know is `None`; an error means that the host could not tell. Lookups may reach
//! over the network (LDAP), so they belong to set-up and to calls that can wait.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr;

/// Memory for one entry at first.
const BUFFER_BYTES: usize = 1024;
/// Most memory for one entry: a group entry lists all its members.
const BUFFER_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// Groups of one user asked for at first.
const GROUPS_GUESS: usize = 32;
/// The kernel's own limit (`NGROUPS_MAX`).
const GROUPS_LIMIT: usize = 65_536;

/// Why the host could not tell.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name holds a NUL byte.
    #[error("{name:?} is not a name of a user or group: it holds a NUL")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// The host's own name for the user is not UTF-8.
    #[error("the name of uid {uid} is not valid UTF-8")]
    NotUtf8 {
        /// Whose name.
        uid: u32,
    },
    /// The entry is larger than any that makes sense.
    #[error("the host's entry for {subject} is too large")]
    TooLarge {
        /// The user or group.
        subject: String,
    },
    /// The name service failed.
    #[error("cannot look up {subject}")]
    Io {
        /// The user or group.
        subject: String,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// The gid of a group.
#[allow(unsafe_code)]
pub fn gid_of_group(name: &str) -> Result<Option<u32>, AccountError> {
    let c_name = c_name(name)?;
    look_up(
        &format!("group {name:?}"),
        // SAFETY: `c_name` is NUL-terminated and outlives the call; the rest is as `look_up` promises.
        |entry, buffer, size, found| unsafe { libc::getgrnam_r(c_name.as_ptr(), entry, buffer, size, found) },
        |entry: &libc::group| entry.gr_gid,
    )
}

/// The uid of a user.
#[allow(unsafe_code)]
pub fn uid_of_user(name: &str) -> Result<Option<u32>, AccountError> {
    let c_name = c_name(name)?;
    look_up(
        &format!("user {name:?}"),
        // SAFETY: `c_name` is NUL-terminated and outlives the call; the rest is as `look_up` promises.
        |entry, buffer, size, found| unsafe { libc::getpwnam_r(c_name.as_ptr(), entry, buffer, size, found) },
        |entry: &libc::passwd| entry.pw_uid,
    )
}

/// The name of a user.
pub fn user_of_uid(uid: u32) -> Result<Option<String>, AccountError> {
    let Some((name, _)) = user_entry(uid)? else {
        return Ok(None);
    };
    name.into_string().map(Some).map_err(|_| AccountError::NotUtf8 { uid })
}

/// All groups of a user, its own first group included: ascending, without repeats.
///
/// This is what the host would give the user at the next login, not what a running process has.
pub fn groups_of_uid(uid: u32) -> Result<Option<Vec<u32>>, AccountError> {
    let Some((name, gid)) = user_entry(uid)? else {
        return Ok(None);
    };
    let mut groups = group_list(&name, gid).ok_or_else(|| AccountError::TooLarge { subject: subject_of(uid) })?;
    groups.sort_unstable();
    groups.dedup();
    Ok(Some(groups))
}

/// uids that systemd gives to units with `DynamicUser=`; nobody else hands them out.
const DYNAMIC_UIDS: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// Where systemd keeps which of them has which name: a folder that only root writes to, read by its own NSS module too.
const DYNAMIC_USERS: &str = "/run/systemd/dynamic-uid";

/// The name of the user that systemd made for a running unit, and for no longer than it runs. No name service is asked.
pub fn dynamic_user(uid: u32) -> Option<String> {
    dynamic_user_in(Path::new(DYNAMIC_USERS), uid)
}

fn dynamic_user_in(folder: &Path, uid: u32) -> Option<String> {
    let link = DYNAMIC_UIDS.contains(&uid).then(|| folder.join(format!("direct:{uid}")))?;
    std::fs::read_link(link).ok()?.into_os_string().into_string().ok()
}

fn subject_of(uid: u32) -> String {
    format!("uid {uid}")
}

/// Name and first group of a user.
#[allow(unsafe_code)]
fn user_entry(uid: u32) -> Result<Option<(CString, u32)>, AccountError> {
    look_up(
        &subject_of(uid),
        // SAFETY: the arguments are as `look_up` promises.
        |entry, buffer, size, found| unsafe { libc::getpwuid_r(uid, entry, buffer, size, found) },
        |entry: &libc::passwd| {
            // SAFETY: in an entry that was found, the name is a NUL-terminated string in the buffer.
            let name = unsafe { CStr::from_ptr(entry.pw_name) };
            (name.to_owned(), entry.pw_gid)
        },
    )
}

/// Runs one of the `get…_r` functions with a buffer that grows while it asks for more.
///
/// `call` receives a writable entry, a writable buffer of that many bytes, and where to put the pointer to the entry;
/// `take` sees a found entry while the buffer still lives.
#[allow(unsafe_code)]
fn look_up<Entry, T>(
    subject: &str,
    call: impl Fn(*mut Entry, *mut libc::c_char, usize, *mut *mut Entry) -> libc::c_int,
    take: impl Fn(&Entry) -> T,
) -> Result<Option<T>, AccountError> {
    let mut size = BUFFER_BYTES;
    while size <= BUFFER_LIMIT_BYTES {
        let mut buffer = vec![0; size];
        let mut entry = MaybeUninit::<Entry>::uninit();
        let mut found = ptr::null_mut();
        match call(entry.as_mut_ptr(), buffer.as_mut_ptr(), size, &raw mut found) {
            // SAFETY: a found pointer leads to `entry`, now filled; entry and buffer live to the end of this block.
            0 => return Ok(unsafe { found.as_ref() }.map(&take)),
            // The manual allows these two as other words for "not found".
            libc::ENOENT | libc::ESRCH => return Ok(None),
            libc::ERANGE => size *= 2,
            code => {
                let source = io::Error::from_raw_os_error(code);
                return Err(AccountError::Io { subject: subject.to_owned(), source });
            }
        }
    }
    Err(AccountError::TooLarge { subject: subject.to_owned() })
}

/// The groups that the host lists for a user and `gid`, or `None` beyond [`GROUPS_LIMIT`].
#[allow(unsafe_code)]
fn group_list(name: &CStr, gid: u32) -> Option<Vec<u32>> {
    let mut size = GROUPS_GUESS;
    while size <= GROUPS_LIMIT {
        let mut groups = vec![0; size];
        let mut count = libc::c_int::try_from(size).ok()?;
        // SAFETY: `name` is NUL-terminated, `groups` is writable for `count` entries, `count` outlives the call.
        let code = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).ok()?;
        if code >= 0 {
            groups.truncate(count);
            return Some(groups);
        }
        // The C library says how many there are; doubling as well ends the loop whatever it says.
        size = count.max(size.saturating_mul(2));
    }
    None
}

fn c_name(name: &str) -> Result<CString, AccountError> {
    CString::new(name).map_err(|_| AccountError::InvalidName { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn output(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn only_what_systemd_hands_out_is_a_dynamic_user() {
        let scratch = super::super::scratch::Scratch::new();
        let named = |uid: u32| {
            std::os::unix::fs::symlink("agent-fixer", scratch.join(&format!("direct:{uid}"))).unwrap();
            dynamic_user_in(&scratch.join(""), uid)
        };
        assert_eq!(named(61_184).as_deref(), Some("agent-fixer"));
        assert_eq!((named(1000), named(61_183), named(65_520)), (None, None, None));
        assert_eq!(dynamic_user_in(&scratch.join(""), 61_185), None, "it does not run");
    }

    #[test]
    fn root_has_uid_0_both_ways() {
        assert_eq!(uid_of_user("root").unwrap(), Some(0));
        assert_eq!(user_of_uid(0).unwrap().as_deref(), Some("root"));
        assert_eq!(gid_of_group("root").unwrap(), Some(0));
    }

    #[test]
    fn every_local_account_agrees_with_another_program() {
        for line in std::fs::read_to_string("/etc/passwd").unwrap().lines().take(20) {
            let name = line.split(':').next().unwrap();
            let uid = output("id", &["-u", name]).parse().unwrap();
            assert_eq!(uid_of_user(name).unwrap(), Some(uid), "{name}");
            // Two names may share a uid, and then the host picks one.
            let user = user_of_uid(uid).unwrap().unwrap();
            let listed = output("id", &["-G", &user]);
            let mut theirs: Vec<u32> = listed.split(' ').map(|gid| gid.parse().unwrap()).collect();
            theirs.sort_unstable();
            theirs.dedup();
            assert_eq!(groups_of_uid(uid).unwrap(), Some(theirs), "{user}");
        }
    }

    #[test]
    fn every_local_group_has_the_gid_of_its_line() {
        for line in std::fs::read_to_string("/etc/group").unwrap().lines() {
            let fields: Vec<&str> = line.split(':').collect();
            assert_eq!(gid_of_group(fields[0]).unwrap(), Some(fields[2].parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn what_the_host_does_not_know_is_none() {
        assert_eq!(gid_of_group("agentd-no-such-group").unwrap(), None);
        assert_eq!(gid_of_group("").unwrap(), None);
        assert_eq!(uid_of_user("agentd-no-such-user").unwrap(), None);
        assert_eq!(user_of_uid(3_999_999_999).unwrap(), None);
        assert_eq!(groups_of_uid(3_999_999_999).unwrap(), None);
    }

    #[test]
    fn a_nul_in_a_name_is_an_error_that_shows_it() {
        let error = gid_of_group("adm\0in").unwrap_err();
        assert!(error.to_string().contains(r#""adm\0in""#), "{error}");
        assert!(matches!(uid_of_user("\0"), Err(AccountError::InvalidName { .. })));
    }

    #[test]
    fn a_name_service_that_always_wants_more_is_given_up() {
        let greedy = look_up("user \"x\"", |_: *mut libc::passwd, _, _, _| libc::ERANGE, |_| ());
        assert!(matches!(greedy, Err(AccountError::TooLarge { subject }) if subject == "user \"x\""));
    }

    #[test]
    fn the_buffer_grows_until_the_entry_fits() {
        let fits_at = 10 * BUFFER_BYTES;
        let found = look_up(
            "group",
            |entry: *mut libc::group, _, size, found: *mut *mut libc::group| {
                if size < fits_at {
                    return libc::ERANGE;
                }
                fill_group(entry, found);
                0
            },
            |entry| entry.gr_gid,
        );
        assert_eq!(found.unwrap(), Some(77));
    }

    #[allow(unsafe_code)]
    fn fill_group(entry: *mut libc::group, found: *mut *mut libc::group) {
        let group =
            libc::group { gr_name: ptr::null_mut(), gr_passwd: ptr::null_mut(), gr_gid: 77, gr_mem: ptr::null_mut() };
        // SAFETY: `look_up` hands out a writable entry and a writable place for its pointer.
        unsafe {
            entry.write(group);
            found.write(entry);
        }
    }

    #[test]
    fn a_failing_name_service_is_told_from_an_unknown_name() {
        let failing = look_up("uid 5", |_: *mut libc::passwd, _, _, _| libc::EIO, |_| ());
        assert!(matches!(failing, Err(AccountError::Io { subject, .. }) if subject == "uid 5"));
        let unknown = look_up("uid 5", |_: *mut libc::passwd, _, _, _| libc::ESRCH, |_| ());
        assert!(matches!(unknown, Ok(None)));
    }
}
