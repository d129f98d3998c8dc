//! The deb and the tarball, made of the binaries under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Scratch, binary, installed, skip};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// Whether these programs are here, and what makes a package too; it is said if not. Where nothing may be left out they are
/// (`AGENTD_TEST_ALL`).
pub fn can_package(more: &[&str]) -> bool {
    let tools = ["dpkg-deb", "dpkg-shlibdeps", "strip"];
    let missing: Vec<&str> = tools.iter().chain(more).copied().filter(|tool| !installed(tool)).collect();
    assert!(missing.is_empty() || std::env::var_os("AGENTD_TEST_ALL").is_none(), "missing: {missing:?}");
    if !missing.is_empty() {
        skip(&format!("a package is made and looked at with {missing:?}"));
    }
    missing.is_empty()
}

fn make(script: &str, out: &Path, how: &[(&str, &str)]) -> PathBuf {
    let bin = binary("agentd").parent().unwrap().to_owned();
    let mut command = Command::new(packaging().join(script));
    command.env("SOURCE_DATE_EPOCH", "1800000000").envs(how.iter().copied()).arg(bin).arg(out);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Makes a deb in this folder; the same input gives the same bytes.
pub fn make_deb(out: &Path, compress: &str) -> PathBuf {
    make("make-deb", out, &[("COMPRESS", compress), ("LEVEL", "1")])
}

/// A folder with the deb and the tarball. The tests of one process that need it at a time have the same one.
pub fn packages() -> Arc<Scratch> {
    static MADE: Mutex<Weak<Scratch>> = Mutex::new(Weak::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(there) = made.upgrade() {
        return there;
    }
    let folder = Arc::new(Scratch::new());
    make_deb(folder.path(), "none");
    make("make-tarball", folder.path(), &[("LEVEL", "1")]);
    *made = Arc::downgrade(&folder);
    folder
}
