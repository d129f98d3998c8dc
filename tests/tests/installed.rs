//! agentd as people install it: its package, its tarball, and the operator's part of the README, on a systemd that boots.
//!
//! The scenes are scripts in `tests/boot/scenes`; the deb and the tarball are made of the binaries under test.
#![allow(clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::path::Path;

use agentd_tests::harness::{Booted, Cgroup, Root, can_package, packages};

/// Where a scene is played.
mod hosts {
    use super::{Cgroup, Root};

    pub(super) const fn hybrid() -> (Root, Cgroup) {
        (Root::Machine, Cgroup::Hybrid)
    }

    pub(super) const fn unified() -> (Root, Cgroup) {
        (Root::Machine, Cgroup::Unified)
    }

    pub(super) const fn unified_in_the_tree() -> (Root, Cgroup) {
        (Root::Tree, Cgroup::Unified)
    }
}

/// One test for each scene and host.
macro_rules! installed {
    ($($(#[$doc:meta])* $name:ident = $file:literal on $($host:ident)+;)*) => {$(
        $(#[$doc])*
        mod $name {
            $(
                #[test]
                fn $host() {
                    super::run(super::hosts::$host(), $file);
                }
            )+
        }
    )*};
}

fn run((root, cgroup): (Root, Cgroup), scene: &str) {
    let Some(booted) = Booted::of(root, cgroup) else { return };
    if !can_package(&[]) {
        return;
    }
    let made = packages();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md").canonicalize().expect("the README");
    booted.scene_with(scene, &[(made.path(), "made"), (&readme, "README.md")]);
}

installed! {
    /// The package is installed, upgraded under load and on a full disk, removed and purged.
    package = "package" on hybrid unified unified_in_the_tree;
    /// The tarball is, too; and for one user.
    tarball = "tarball" on unified unified_in_the_tree;
    /// What the README tells an operator to type works as it stands there.
    readme = "readme" on hybrid unified_in_the_tree;
}
