//! The package: what is in it, that Debian's own tool finds no fault, and that its configuration says what is so.
//!
//! What becomes of an installed one is in `tests/tests/installed.rs`.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test: what is missing is the failure, and what is left out is said"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentd_tests::harness::{binary, can_package, make_deb};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A scratch folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("package-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files of a deb with their modes, as `tar` lists them.
fn files_of(deb: &Path) -> BTreeMap<String, String> {
    let list = succeed(Command::new("dpkg-deb").arg("-c").arg(deb));
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (mode, owner) = (words.next()?.to_owned(), words.next()?);
        assert_eq!(owner, "root/root", "{line}");
        Some((words.next_back()?.strip_prefix('.')?.to_owned(), mode))
    };
    list.lines().filter_map(entry).filter(|(_, mode)| mode.starts_with('-')).collect()
}

fn files_below(folder: &Path) -> Vec<String> {
    let list = succeed(Command::new("find").arg(folder).args(["-type", "f", "-printf", "/%P\n"]));
    list.lines().map(str::to_owned).collect()
}

#[test]
fn the_package_has_what_it_installs_and_lintian_finds_no_fault() {
    if !can_package(&["lintian"]) {
        return;
    }
    let folder = Folder::new("deb");
    let deb = make_deb(&folder.0, "gzip");
    let files = files_of(&deb);
    let programs = [
        "/usr/bin/agentd",
        "/usr/bin/agentctl",
        "/usr/libexec/agentd/agentd-launch",
        "/usr/libexec/agentd/agentd-shim",
    ];
    for (path, mode) in &files {
        let expected = if programs.contains(&path.as_str()) { "-rwxr-xr-x" } else { "-rw-r--r--" };
        assert_eq!(mode, expected, "{path}");
    }
    let others = [
        "/etc/agentd/agentd.toml",
        "/usr/share/man/man1/agentctl.1.gz",
        "/usr/share/man/man1/agentctl-submit.1.gz",
        "/usr/share/man/man8/agentd.8.gz",
        "/usr/share/man/man8/agentd-launch.8.gz",
        "/usr/share/man/man8/agentd-shim.8.gz",
        "/usr/share/bash-completion/completions/agentctl",
        "/usr/share/zsh/vendor-completions/_agentctl",
        "/usr/share/fish/vendor_completions.d/agentctl.fish",
        "/usr/share/doc/agentd/changelog.Debian.gz",
        "/usr/share/doc/agentd/copyright",
        "/usr/share/doc/agentd/operations.md",
    ];
    let mirrored = files_below(&workspace().join("systemd"));
    assert!(mirrored.len() >= 10, "{mirrored:?}");
    for path in programs.iter().chain(&others).copied().chain(mirrored.iter().map(String::as_str)) {
        assert!(files.contains_key(path), "{path} is not in the package");
    }
    // A file in /etc that dpkg does not know as configuration would be overwritten by the next version.
    let conffiles = succeed(Command::new("dpkg-deb").arg("-I").arg(&deb).arg("conffiles"));
    let in_etc: Vec<&str> = files.keys().map(String::as_str).filter(|path| path.starts_with("/etc/")).collect();
    assert_eq!(conffiles.lines().collect::<Vec<_>>(), in_etc);

    let version = succeed(Command::new("dpkg-deb").arg("-f").arg(&deb).arg("Version"));
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
    let mut lintian = Command::new("lintian");
    succeed(lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(&deb));

    every_link_of_a_page_leads_to_something(&deb, &folder.0);

    let again = Folder::new("again");
    assert!(
        fs::read(make_deb(&again.0, "gzip")).expect("a deb") == fs::read(&deb).expect("a deb"),
        "not the same bytes"
    );
}

/// Pages that are installed refer to what is installed beside them.
fn every_link_of_a_page_leads_to_something(deb: &Path, folder: &Path) {
    let unpack = "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" ./usr/share";
    succeed(Command::new("sh").args(["-c", unpack, "sh"]).arg(deb).arg(folder));
    let pages: Vec<String> = files_below(folder)
        .into_iter()
        .filter(|path| Path::new(path).extension().is_some_and(|extension| extension == "md"))
        .collect();
    let mut links = 0;
    for page in &pages {
        let path = folder.join(&page[1..]);
        let text = fs::read_to_string(&path).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let to = link.strip_prefix('/').map_or_else(|| path.with_file_name(link), |below| folder.join(below));
            assert!(to.exists(), "{page} refers to {link}, which is not installed");
            links += 1;
        }
    }
    assert!(pages.len() > 40 && links > 40, "{links} links in {} pages", pages.len());
}

/// The options in force, without where each comes from.
fn config(file: &Path) -> String {
    let said = succeed(Command::new(binary("agentd")).arg("--config").arg(file).arg("config"));
    let own = |line: &&str| ["trust_domain", "time_zone", "policies", "#"].iter().all(|begin| !line.starts_with(begin));
    let values = said.lines().filter(own).map(|line| line.split("  #").next().unwrap_or_default().trim_end());
    values.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_configuration_shows_the_defaults_and_changes_none() {
    let shipped = workspace().join("packaging/etc/agentd.toml");
    let folder = Folder::new("config");
    let (empty, shown) = (folder.0.join("empty.toml"), folder.0.join("shown.toml"));
    fs::write(&empty, "").expect("a file");
    assert_eq!(config(&shipped), config(&empty), "it changes what is so without it");

    // A line of "#" and a key is an option; a line of "# " is a comment.
    let is_option = |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    let text = fs::read_to_string(&shipped).expect("the configuration");
    let options = text.lines().filter(|line| is_option(line)).count();
    assert!(options >= 10, "{options}");
    let lines: Vec<&str> = text.lines().map(|line| if is_option(line) { &line[1..] } else { line }).collect();
    fs::write(&shown, lines.join("\n")).expect("a file");
    assert_eq!(config(&shown), config(&empty), "what it shows is not the default");
}

/// The words of an assignment of a script, or of the loop over units that begins with a socket.
fn words_of(script: &str, begin: &str, end: char) -> Vec<String> {
    let path = workspace().join("packaging").join(script);
    let text = fs::read_to_string(&path).expect("a script");
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{script} has no {begin}"));
    let words = rest.split(end).next().unwrap_or_default().split_whitespace();
    words.filter(|word| *word != "\\").map(str::to_owned).collect()
}

#[test]
fn package_and_tarball_know_the_same_units() {
    let sockets = words_of("install.sh", "\nsockets=\"", '"');
    assert_eq!(words_of("deb/postinst", "\nsockets=\"", '"'), sockets);
    let mut purged = words_of("deb/postrm", "\nunits=\"", '"');
    assert_eq!(purged.remove(0), "agentd.service");
    assert_eq!(purged, sockets);
    assert_eq!(words_of("deb/prerm", "for unit in ", ';'), words_of("install.sh", "\nstopped=\"", '"'));
    let mut shipped: Vec<String> = files_below(&workspace().join("systemd/usr/lib/systemd/system"))
        .iter()
        .filter_map(|path| path.strip_prefix('/').filter(|name| name.ends_with(".socket")).map(str::to_owned))
        .collect();
    shipped.sort();
    let mut known = sockets;
    known.sort();
    assert_eq!(known, shipped);
}
