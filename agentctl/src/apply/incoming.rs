//! A result that comes in: its bundle is unpacked beside the person's repository, never into it, and its commit must be
//! the one that the ledger names, on the base that it names, signed by the agent.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use agentd_schemas::key::openssh::PublicKey;
use agentd_schemas::key::sshsig::SshSignature;

use crate::error::Failure;
use crate::git::repository::Repository;
use crate::git::scratch::{self, Scratch};
use crate::git::{Git, complaint};

/// Bytes of a bundle's head, at most.
const MAX_HEAD: u64 = 64 << 10;
/// The purpose that git signs commits for.
const NAMESPACE: &str = "git";

/// What the ledger says of a result.
#[derive(Debug, Clone)]
pub(crate) struct Named<'a> {
    /// The commit.
    pub(crate) commit: &'a str,
    /// The commit that it stands on.
    pub(crate) base: &'a str,
    /// Keys that the agent has had.
    pub(crate) keys: &'a [PublicKey],
    /// For people: `w-7kq, attempt 1`.
    pub(crate) of: &'a str,
}

/// A result beside the person's repository.
pub(crate) struct Incoming {
    /// Git that sees the person's objects and those that came in, and writes among those that came in.
    pub(crate) git: Git,
    /// Where those that came in are.
    pub(crate) objects: std::path::PathBuf,
    /// The commit object.
    pub(crate) commit: Commit,
    /// Whether the base is a commit of ours, with files that are not committed or without a history.
    pub(crate) own_base: bool,
    _scratch: Scratch,
}

/// A commit object, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its parents.
    pub(crate) parents: Vec<String>,
    /// Who wrote it: `NAME <MAIL> TIME ZONE`.
    pub(crate) author: String,
    /// What it says.
    pub(crate) message: String,
    signature: Option<String>,
    signed: Vec<u8>,
}

impl Incoming {
    /// Unpacks and verifies a bundle.
    pub(crate) fn receive(
        repository: &Repository,
        bundle: &File,
        named: &Named<'_>,
        bases: Option<&Path>,
    ) -> Result<Self, Failure> {
        let scratch = Scratch::new()?;
        let git = scratch::repository(&repository.git, &scratch, &repository.format, &[&repository.objects])?;
        let kept = bases.and_then(|folder| crate::content::keep::kept(folder, named.base));
        let is_here = has(&repository.git, named.base)?;
        let own_base = !is_here || kept.is_some();
        if !is_here {
            let kept = kept.ok_or_else(|| no_base(repository, named))?;
            let file = File::open(&kept).map_err(|error| Failure::file(&kept, "open", &error))?;
            unpack(&git, file, &[])?;
        }
        let pack = past_head(bundle, named)?;
        unpack(&git, pack, &["--fix-thin", "--strict"])?;
        let raw = git.bytes(["cat-file", "commit", named.commit])?;
        let commit = Commit::parse(&raw).ok_or_else(|| bad(named, "its commit cannot be read"))?;
        commit.verify(named)?;
        let objects = scratch.path().join("repository/objects");
        Ok(Self { git, objects, commit, own_base, _scratch: scratch })
    }
}

/// Whether a repository has a commit.
pub(super) fn has(git: &Git, commit: &str) -> Result<bool, Failure> {
    let name = format!("{commit}^{{commit}}");
    Ok(git.ran(["cat-file", "-e", &name], b"")?.code == Some(0))
}

fn bad(named: &Named<'_>, why: &str) -> Failure {
    Failure::local(format!("the result of {} is not taken: {why}", named.of))
        .hint("nothing was touched; agentctl ledger verify --deep")
}

fn no_base(repository: &Repository, named: &Named<'_>) -> Failure {
    let place = repository.top.display();
    let short = named.base.get(..12).unwrap_or(named.base);
    Failure::local(format!("the commit that {} began from, {short}, is not in {place}", named.of)).hint(
        "--repo PATH names the repository; agentctl work diff prints the changes, which git apply takes without their base",
    )
}

/// Reads the head of a bundle, which must hold the named commit; gives the file at its pack.
fn past_head(bundle: &File, named: &Named<'_>) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::file("bundle", "read", &error);
    let mut file = bundle.try_clone().map_err(failed)?;
    file.rewind().map_err(failed)?;
    let mut head = Vec::new();
    (&mut file).take(MAX_HEAD).read_to_end(&mut head).map_err(failed)?;
    let end = head.windows(2).position(|two| two == b"\n\n").ok_or_else(|| bad(named, "it is no git bundle"))?;
    let text = str::from_utf8(&head[..end]).map_err(|_| bad(named, "it is no git bundle"))?;
    let mut lines = text.lines();
    if !matches!(lines.next(), Some("# v2 git bundle" | "# v3 git bundle")) {
        return Err(bad(named, "it is no git bundle"));
    }
    let lines: Vec<&str> = lines.collect();
    if lines.iter().any(|line| line.starts_with('@') && !line.starts_with("@object-format=")) {
        return Err(bad(named, "its bundle leaves objects out"));
    }
    if !lines.iter().any(|line| line.split(' ').next() == Some(named.commit)) {
        return Err(bad(named, "its bundle does not hold the commit that the ledger names"));
    }
    file.seek(SeekFrom::Start(end as u64 + 2)).map_err(failed)?;
    Ok(file)
}

pub(super) fn unpack(git: &Git, pack: File, options: &[&str]) -> Result<(), Failure> {
    let arguments: Vec<&str> = ["index-pack", "--stdin"].into_iter().chain(options.iter().copied()).collect();
    let mut command = git.command(&arguments);
    let output = command.stdin(Stdio::from(pack)).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| Failure::local(format!("cannot start git: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(complaint(&arguments, &String::from_utf8_lossy(&output.stderr)))
}

impl Commit {
    fn parse(raw: &[u8]) -> Option<Self> {
        let end = raw.windows(2).position(|two| two == b"\n\n")?;
        let head = str::from_utf8(&raw[..=end]).ok()?;
        let (mut parents, mut author, mut signature) = (Vec::new(), None, None::<String>);
        let mut signed = String::with_capacity(head.len());
        let mut within = false;
        for line in head.lines() {
            if let Some(more) = line.strip_prefix(' ').filter(|_| within) {
                signature.as_mut()?.push_str(more);
                signature.as_mut()?.push('\n');
                continue;
            }
            let (key, value) = line.split_once(' ')?;
            within = matches!(key, "gpgsig" | "gpgsig-sha256");
            if within {
                // Two signatures could be read in two ways.
                if signature.replace(format!("{value}\n")).is_some() {
                    return None;
                }
                continue;
            }
            match key {
                "parent" => parents.push(value.to_owned()),
                "author" => author = Some(value.to_owned()),
                _ => {}
            }
            signed.push_str(line);
            signed.push('\n');
        }
        let mut signed = signed.into_bytes();
        signed.extend_from_slice(&raw[end + 1..]);
        let message = String::from_utf8_lossy(&raw[end + 2..]).into_owned();
        Some(Self { parents, author: author?, message, signature, signed })
    }

    fn verify(&self, named: &Named<'_>) -> Result<(), Failure> {
        if self.parents != [named.base] {
            return Err(bad(named, "its commit does not stand on the commit that the work began from"));
        }
        let Some(signature) = &self.signature else { return Err(bad(named, "its commit is not signed")) };
        let signature: SshSignature = signature
            .parse()
            .map_err(|error| bad(named, &format!("its commit's signature cannot be read: {error}")))?;
        let key = named.keys.iter().find(|key| *key == signature.claimed_key());
        let key = key.ok_or_else(|| {
            bad(
                named,
                &format!("its commit is signed by {}, no key of its agent", signature.claimed_key().fingerprint()),
            )
        })?;
        let verified = signature.verify(key, NAMESPACE, &self.signed);
        verified.map_err(|error| bad(named, &format!("the signature of its commit does not hold: {error}")))
    }
}
