//! The commit of a run, made and signed by the daemon: git only stores it.

use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::key::sshsig::{SshSignature, SshsigError};
use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::collected::ObjectFormat;

/// The namespace that git asks for.
const NAMESPACE: &str = "git";
/// Bytes of a subject line, at most.
const MAX_SUBJECT_CHARS: usize = 200;

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A name for people.
    pub name: String,
    /// An address, which is also the principal that a verifier looks up.
    pub email: String,
}

/// What a commit is made from.
#[derive(Debug, Clone)]
pub struct CommitDraft {
    /// How the repository names its objects.
    pub format: ObjectFormat,
    /// The tree (hex).
    pub tree: String,
    /// Commits (hex) that it follows.
    pub parents: Vec<String>,
    /// Author and committer.
    pub author: Identity,
    /// Seconds since 1970.
    pub seconds: u64,
    /// The first line.
    pub title: String,
    /// What follows it, as it is.
    pub body: String,
    /// Names and values at the end: `Agentd-Work`, `Agentd-Run`.
    pub trailers: Vec<(String, String)>,
}

/// A signed commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id (hex).
    pub id: String,
    /// The object, without git's own header.
    pub bytes: Vec<u8>,
}

/// Makes a commit and signs it. The same draft and key give the same bytes.
pub fn commit(draft: &CommitDraft, key: &PrivateKey) -> Result<Commit, SshsigError> {
    let head = head(draft);
    let message = message(draft);
    let signature = SshSignature::sign(key, NAMESPACE, format!("{head}\n{message}").as_bytes())?.to_string();
    let header = match draft.format {
        ObjectFormat::Sha1 => "gpgsig",
        ObjectFormat::Sha256 => "gpgsig-sha256",
    };
    let folded = signature.trim_end().replace('\n', "\n ");
    let bytes = format!("{head}{header} {folded}\n\n{message}").into_bytes();
    Ok(Commit { id: id(draft.format, "commit", &bytes), bytes })
}

fn head(draft: &CommitDraft) -> String {
    let mut head = format!("tree {}\n", draft.tree);
    for parent in &draft.parents {
        head.push_str(&format!("parent {parent}\n"));
    }
    let (name, email) = (plain(&draft.author.name), plain(&draft.author.email));
    for role in ["author", "committer"] {
        head.push_str(&format!("{role} {name} <{email}> {} +0000\n", draft.seconds));
    }
    head
}

/// A name as git takes it: no brackets, nothing unseen, no crumbs at the ends.
fn plain(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
    let kept = kept.trim_matches([' ', '.', ',', ':', ';', '"', '\\', '\'']);
    if kept.is_empty() { "agent".to_owned() } else { kept.to_owned() }
}

fn message(draft: &CommitDraft) -> String {
    let line = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let title: String = line(&draft.title).trim().chars().take(MAX_SUBJECT_CHARS).collect();
    let title = if title.is_empty() { "Work of an agent".to_owned() } else { title };
    let mut message = format!("{title}\n");
    let body = draft.body.replace('\0', "").replace("\r\n", "\n");
    if !body.trim().is_empty() {
        message.push_str(&format!("\n{}\n", body.trim_end()));
    }
    if !draft.trailers.is_empty() {
        message.push('\n');
    }
    for (name, value) in &draft.trailers {
        message.push_str(&format!("{name}: {}\n", line(value)));
    }
    message
}

/// The id that git gives an object.
pub(super) fn id(format: ObjectFormat, kind: &str, bytes: &[u8]) -> String {
    let head = format!("{kind} {}\0", bytes.len());
    match format {
        ObjectFormat::Sha1 => HEXLOWER.encode(&Sha1::new().chain_update(head).chain_update(bytes).finalize()),
        ObjectFormat::Sha256 => HEXLOWER.encode(&Sha256::new().chain_update(head).chain_update(bytes).finalize()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> CommitDraft {
        CommitDraft {
            format: ObjectFormat::Sha1,
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned(),
            parents: vec!["a".repeat(40)],
            author: Identity { name: "fixer\n<root>".to_owned(), email: "fixer@host>".to_owned() },
            seconds: 1_700_000_000,
            title: "Make it\npass".to_owned(),
            body: "Why.\0\n\n".to_owned(),
            trailers: vec![("Agentd-Run".to_owned(), "w-a.1\nparent x".to_owned())],
        }
    }

    #[test]
    fn an_object_has_gits_id() {
        assert_eq!(id(ObjectFormat::Sha1, "tree", b""), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        let empty = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";
        assert_eq!(id(ObjectFormat::Sha256, "tree", b""), empty);
    }

    #[test]
    fn no_text_reaches_out_of_its_line_and_the_signature_is_over_the_rest() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let made = commit(&draft(), &key).unwrap();
        assert_eq!(made, commit(&draft(), &key).unwrap());
        let text = String::from_utf8(made.bytes).unwrap();
        assert!(text.contains("\nauthor fixerroot <fixer@host> 1700000000 +0000\ncommitter fixerroot"), "{text}");
        assert!(text.ends_with("\n\nMake it pass\n\nWhy.\n\nAgentd-Run: w-a.1 parent x\n"), "{text}");
        let (head, rest) = text.split_once("gpgsig ").unwrap();
        let (folded, message) = rest.split_once("\n\n").unwrap();
        let signature: SshSignature = folded.replace("\n ", "\n").parse().unwrap();
        let signed = format!("{head}\n{message}");
        signature.verify(&key.public_key(), "git", signed.as_bytes()).unwrap();
    }
}
