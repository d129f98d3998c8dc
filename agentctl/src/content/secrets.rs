//! What must not leave by mistake: files that look like secrets are refused by name, unless somebody says otherwise.
//!
//! This is a net for slips and no proof: a password in the middle of a source file is not found, nor is what an earlier
//! commit holds.

use std::collections::BTreeMap;

use super::base::{Entry, names, tree};
use crate::error::Failure;
use crate::git::{Git, shown};
use crate::output::{count, shell_word};

/// The line that begins a private key of any kind.
const KEY_LINE: &str = "^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----";
/// The line that begins a pointer of Git LFS.
const POINTER_LINE: &str = "^version https://git-lfs\\.github\\.com/spec/v";
/// Bytes of a file that is looked into for a token, or for a key behind other text.
pub(super) const LOOKED_INTO_BYTES: u64 = 1 << 20;

/// Files for which the hint writes the flag out.
const FLAGS: usize = 5;

/// Files that go along although they look like secrets: paths, or folders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed(pub(crate) Vec<String>);

impl Allowed {
    fn has(&self, path: &str) -> bool {
        self.0
            .iter()
            .map(|allowed| allowed.trim_start_matches("./").trim_end_matches('/'))
            .any(|allowed| path == allowed || path.strip_prefix(allowed).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Refuses these secrets, but for those that are allowed.
    pub(crate) fn refuse(&self, found: &BTreeMap<String, &'static str>) -> Result<(), Failure> {
        let refused: Vec<(&String, &&str)> = found.iter().filter(|(path, _)| !self.has(path)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = refused.iter().map(|(path, why)| format!("{path} ({why})")).collect();
        let files = count(refused.len() as u64, "file");
        let look = if refused.len() == 1 { "looks like a secret" } else { "look like secrets" };
        let paths: Vec<String> = refused.iter().map(|(path, _)| (*path).clone()).collect();
        let allowed: Vec<String> =
            refused.iter().take(FLAGS).map(|(path, _)| format!("--allow-secret {}", shell_word(path))).collect();
        let more = if refused.len() > FLAGS { " …" } else { "" };
        let them = if refused.len() == 1 { "it" } else { "them" };
        let allow = format!("{}{more} hands {them} in all the same", allowed.join(" "));
        Err(Failure::local(format!("{files} {look}: {}", names(&told)))
            .hint("keep it out: put it into .gitignore, and git rm --cached it where it is committed")
            .hint_too(&allow)
            .detail("secrets", paths))
    }
}

/// What a name alone says: a secret, perhaps one by its content, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// A secret, of this kind.
    Secret(&'static str),
    /// A secret of this kind, where one of the words stands in it.
    Perhaps(&'static str, &'static [&'static str]),
    /// Nothing.
    Plain,
}

/// What the path of a file says.
pub(crate) fn name(path: &str) -> Name {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let lower = file.to_ascii_lowercase();
    let is = |name: &str| folder == name || folder.strip_suffix(name).is_some_and(|above| above.ends_with('/'));
    let harmless = ["example", "sample", "template", "dist", "defaults", "schema"];
    match lower.as_str() {
        ".env" => Name::Secret("environment with secrets"),
        env if env.strip_prefix(".env.").is_some_and(|rest| !harmless.iter().any(|word| rest.ends_with(word))) => {
            Name::Secret("environment with secrets")
        }
        "id_rsa" | "id_ed25519" | "id_ecdsa" | "id_dsa" => Name::Secret("private key"),
        ".netrc" | "_netrc" | ".pgpass" | ".git-credentials" | "credentials.json" => Name::Secret("credentials"),
        "credentials" if is(".aws") => Name::Secret("credentials"),
        "config" if is(".kube") => Name::Secret("credentials"),
        "credentials" | "credentials.toml" if is(".cargo") => Name::Secret("credentials"),
        // Without these words it names registries alone.
        "config.json" if is(".docker") => Name::Perhaps("credentials", &["\"auth\"", "\"identitytoken\""]),
        ".npmrc" | ".yarnrc" | ".yarnrc.yml" => {
            Name::Perhaps("token", &["_authToken", "_auth=", "_password", "npmAuthToken"])
        }
        ".pypirc" => Name::Perhaps("token", &["password"]),
        _ => match lower.rsplit_once('.') {
            Some((_, "kdbx")) => Name::Secret("password store"),
            Some((_, "p12" | "pfx" | "jks" | "keystore")) => Name::Secret("key store"),
            Some((_, "pem")) => Name::Perhaps("private key", &["PRIVATE KEY-----"]),
            _ => Name::Plain,
        },
    }
}

/// Whether a file begins as a private key does.
pub(crate) fn begins_as_key(bytes: &[u8]) -> bool {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"-----BEGIN ") && first.windows(16).any(|window| window == b"PRIVATE KEY-----")
}

/// Looks through a commit: refuses secrets, and says what a run will not have of it.
pub(super) fn look(git: &Git, commit: &str, allowed: &Allowed) -> Result<Vec<String>, Failure> {
    let entries = tree(git, commit)?;
    let lines = begins(git, commit)?;
    let mut found = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.mode.starts_with("100") && entry.size != Some(0)) {
        let path = shown(&entry.path);
        match name(&path) {
            Name::Secret(why) => drop(found.insert(path, why)),
            Name::Perhaps(why, words) => {
                if holds(git, entry, words)? {
                    found.insert(path, why);
                }
            }
            Name::Plain => {}
        }
    }
    for (path, _) in lines.iter().filter(|(_, line)| line.starts_with("-----BEGIN")) {
        found.entry(path.clone()).or_insert("private key");
    }
    allowed.refuse(&found)?;
    Ok(notes(&entries, &lines))
}

fn notes(entries: &[Entry], lines: &[(String, String)]) -> Vec<String> {
    let mut notes = Vec::new();
    for entry in entries.iter().filter(|entry| entry.mode == "160000") {
        notes.push(format!("submodule {} is not included", shown(&entry.path)));
    }
    let pointers = lines.iter().filter(|(_, line)| line.starts_with("version ")).count() as u64;
    if pointers > 0 {
        let are = if pointers == 1 { "is a Git LFS pointer" } else { "are Git LFS pointers" };
        let them = if pointers == 1 { "its content is" } else { "their contents are" };
        notes.push(format!("{} {are}; {them} not included", count(pointers, "file")));
    }
    notes
}

fn holds(git: &Git, entry: &Entry, words: &[&str]) -> Result<bool, Failure> {
    if entry.size.is_none_or(|size| size > LOOKED_INTO_BYTES) {
        return Ok(false);
    }
    let content = git.bytes(["cat-file", "blob", &entry.object])?;
    let text = String::from_utf8_lossy(&content);
    Ok(words.iter().any(|word| text.contains(word)))
}

/// Files whose first line is one that says what they are.
fn begins(git: &Git, commit: &str) -> Result<Vec<(String, String)>, Failure> {
    let arguments = ["grep", "-I", "-n", "-z", "-E", "--no-color", "--full-name", "-e", KEY_LINE, "-e", POINTER_LINE];
    let ran = git.ran(arguments.into_iter().chain([commit, "--"]), b"")?;
    match ran.code {
        Some(0) => {}
        Some(1) => return Ok(Vec::new()),
        _ => return Err(crate::git::complaint(&arguments, &ran.stderr)),
    }
    let mut found = Vec::new();
    for line in ran.stdout.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(3, |byte| *byte == 0);
        let (Some(path), Some(number), Some(text)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let path = shown(path);
        if number == b"1"
            && let Some((_, path)) = path.split_once(':')
        {
            found.push((path.to_owned(), shown(text)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_secret_are_known() {
        for (path, secret) in [
            (".env", true),
            ("api/.env.production", true),
            (".env.example", false),
            ("keys/id_ed25519", true),
            ("keys/id_ed25519.pub", false),
            ("credentials.json", true),
            (".aws/credentials", true),
            ("home/.aws/credentials", true),
            ("docs/credentials", false),
            ("x.aws/credentials", false),
            (".cargo/credentials.toml", true),
            ("home/.cargo/credentials", true),
            (".cargo/config.toml", false),
            (".kube/config", true),
            (".git/config", false),
            ("db/.pgpass", true),
            (".netrc", true),
            ("release.jks", true),
            ("debug.keystore", true),
            ("tls/Server.P12", true),
            ("a.pfx", true),
            ("all.KDBX", true),
            ("environment.rs", false),
        ] {
            assert_eq!(matches!(name(path), Name::Secret(_)), secret, "{path}");
        }
        for path in ["a/.npmrc", ".pypirc", "ca.pem", ".docker/config.json"] {
            assert!(matches!(name(path), Name::Perhaps(..)), "{path}");
        }
        assert_eq!(name("docker/config.json"), Name::Plain);
    }

    #[test]
    fn a_secret_is_allowed_by_its_path_or_by_its_folder() {
        let allowed = Allowed(vec!["tests/keys/".to_owned(), "./a.pem".to_owned()]);
        for (path, has) in [("tests/keys/a", true), ("tests/keys2/a", false), ("a.pem", true), ("b/a.pem", false)] {
            assert_eq!(allowed.has(path), has, "{path}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_first_line() {
        assert!(begins_as_key(b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"));
        assert!(begins_as_key(b"-----BEGIN PRIVATE KEY-----\n"));
        assert!(!begins_as_key(b"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"));
    }
}
