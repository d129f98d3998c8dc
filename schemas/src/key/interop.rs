//! Both directions of every OpenSSH format against the `ssh-keygen` of the machine (openssh-client must be installed).

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::{
    openssh::{ArmorError, KeyError, PrivateKey, PublicKey},
    possession::{Possession, PossessionKind, PossessionSignature},
    sshsig::{MessageHash, SshSignature, SshsigError},
};

/// A directory of its own for each test, removed when the test passes.
struct Desk(PathBuf);

impl Desk {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("agentd-key-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        use std::io::Write;
        let path = self.path(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(contents.as_ref()).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn generate(&self, name: &str, arguments: &[&str]) {
        let path = self.path(name);
        let output = keygen(&[&["-q", "-C", "made elsewhere", "-f", text(&path)], arguments].concat(), None);
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn keygen(arguments: &[&str], input: Option<&Path>) -> Output {
    let stdin = input.map_or_else(Stdio::null, |path| fs::File::open(path).unwrap().into());
    Command::new("ssh-keygen").args(arguments).stdin(stdin).output().expect("ssh-keygen runs")
}

fn printed(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    str::from_utf8(&output.stdout).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[42; 32])
}

#[test]
fn ssh_keygen_reads_our_private_key_and_agrees_on_line_and_fingerprint() {
    let desk = Desk::new("private");
    for (name, comment) in [("bare", ""), ("named", "alice@host")] {
        let path = desk.write(name, key().to_openssh(comment).unwrap().as_bytes());
        let line = key().public_key().to_line(comment).unwrap();
        assert_eq!(printed(&keygen(&["-y", "-f", text(&path)], None)).trim_end(), line);

        let public = desk.write(&format!("{name}.pub"), format!("{line}\n"));
        let shown = keygen(&["-l", "-f", text(&public)], None);
        let fingerprint = printed(&shown).split(' ').nth(1).unwrap();
        assert_eq!(fingerprint, key().public_key().fingerprint());
    }
}

#[test]
fn we_read_the_keys_that_ssh_keygen_makes() {
    let desk = Desk::new("generated");
    desk.generate("id", &["-t", "ed25519", "-N", ""]);
    let private = PrivateKey::from_openssh(&desk.read("id")).unwrap();
    let line = desk.read("id.pub");
    let (public, comment) = PublicKey::parse_with_comment(&line).unwrap();
    assert_eq!((private.public_key(), comment), (public, "made elsewhere"));
    assert_eq!(public.to_line(comment).unwrap(), line.trim_end());
}

#[test]
fn encrypted_keys_and_other_algorithms_are_refused_with_their_reason() {
    let desk = Desk::new("refused");
    desk.generate("locked", &["-t", "ed25519", "-N", "passphrase"]);
    desk.generate("ecdsa", &["-t", "ecdsa", "-N", ""]);
    desk.generate("pem", &["-t", "ecdsa", "-m", "PEM", "-N", ""]);
    desk.generate("rsa", &["-t", "rsa", "-b", "1024", "-N", ""]);
    let refusal = |name| PrivateKey::from_openssh(&desk.read(name)).unwrap_err();
    let unsupported = |found: &str| KeyError::UnsupportedType { found: found.to_owned() };
    assert_eq!(refusal("locked"), KeyError::Encrypted);
    assert_eq!(refusal("ecdsa"), unsupported("ecdsa-sha2-nistp256"));
    assert_eq!(refusal("pem"), KeyError::PrivateKeyArmor(ArmorError::Begin { label: "OPENSSH PRIVATE KEY" }));
    assert_eq!(refusal("rsa"), unsupported("ssh-rsa"));
    assert_eq!(desk.read("rsa.pub").parse::<PublicKey>(), Err(unsupported("ssh-rsa")));
    assert_eq!(desk.read("locked.pub").parse::<PublicKey>().map(|_| ()), Ok(()));
}

#[test]
fn ssh_keygen_accepts_our_signatures_and_refuses_forged_ones() {
    let desk = Desk::new("verify");
    let message = desk.write("message", b"what was signed\n");
    let changed = desk.write("changed", b"what was not signed\n");
    let signature = SshSignature::sign(&key(), "agentd-test", b"what was signed\n").unwrap();
    let signature = desk.write("message.sig", signature.to_string());
    let allowed = desk.write("allowed", format!("agent@host {}\n", key().public_key()));
    let other = PrivateKey::from_seed(&[43; 32]).public_key();
    let not_allowed = desk.write("not-allowed", format!("agent@host {other}\n"));

    let novalidate = ["-Y", "check-novalidate", "-n", "agentd-test", "-s", text(&signature)];
    assert!(printed(&keygen(&novalidate, Some(&message))).contains(&key().public_key().fingerprint()));

    let accepts = |allowed: &Path, namespace: &str, message: &Path| {
        let arguments =
            ["-Y", "verify", "-I", "agent@host", "-n", namespace, "-s", text(&signature), "-f", text(allowed)];
        keygen(&arguments, Some(message)).status.success()
    };
    assert!(accepts(&allowed, "agentd-test", &message));
    assert!(!accepts(&allowed, "agentd-test", &changed));
    assert!(!accepts(&allowed, "git", &message));
    assert!(!accepts(&not_allowed, "agentd-test", &message));
}

#[test]
fn we_accept_the_signatures_of_ssh_keygen_and_write_the_same_text() {
    let desk = Desk::new("sign");
    let private = desk.write("id", key().to_openssh("").unwrap().as_bytes());
    for (name, option, hash) in [
        ("default", &[][..], MessageHash::Sha512),
        ("sha512", &["-O", "hashalg=sha512"], MessageHash::Sha512),
        ("sha256", &["-O", "hashalg=sha256"], MessageHash::Sha256),
    ] {
        let message = desk.write(name, b"what was signed\n");
        let arguments = [&["-Y", "sign", "-q", "-n", "agentd-test", "-f", text(&private)], option, &[text(&message)]];
        assert!(keygen(&arguments.concat(), None).status.success());
        let theirs = desk.read(&format!("{name}.sig"));
        let signature: SshSignature = theirs.parse().unwrap();
        assert_eq!(signature.hash(), hash);
        assert_eq!(signature.verify(&key().public_key(), "agentd-test", b"what was signed\n"), Ok(()), "{name}");
        assert!(signature.verify(&key().public_key(), "agentd-test", b"what was signed").is_err(), "{name}");
        assert_eq!(signature.to_string(), theirs, "{name}");
        // Ed25519 leaves the signer no choice.
        if hash == MessageHash::Sha512 {
            let ours = SshSignature::sign(&key(), "agentd-test", b"what was signed\n").unwrap();
            assert_eq!(ours.to_string(), theirs, "{name}");
        }
    }
}

#[test]
fn a_signature_by_another_algorithm_is_refused() {
    let desk = Desk::new("algorithm");
    desk.generate("ecdsa", &["-t", "ecdsa", "-N", ""]);
    let message = desk.write("message", b"what was signed\n");
    let private = desk.path("ecdsa");
    let arguments = ["-Y", "sign", "-q", "-n", "agentd-test", "-f", text(&private), text(&message)];
    assert!(keygen(&arguments, None).status.success());
    let error = desk.read("message.sig").parse::<SshSignature>().unwrap_err();
    let found = "ecdsa-sha2-nistp256".to_owned();
    assert_eq!(error, SshsigError::Key(KeyError::UnsupportedType { found }));
}

#[test]
fn a_shell_script_proves_possession() {
    let desk = Desk::new("possession");
    let private = desk.write("id", key().to_openssh("reviewer").unwrap().as_bytes());
    let script = r#"
        { echo agentd-possession-v1; echo "kind: $2"; echo "trust-domain: h-00.agentd.internal"
          echo "name: reviewer"; echo "nonce: n0nce"
          echo "public-key: $(ssh-keygen -y -f "$1" | cut -d' ' -f1,2)"
        } | ssh-keygen -Y sign -q -n "agentd-$2" -f "$1"
    "#;
    let public_key = &key().public_key();
    for kind in PossessionKind::ALL {
        let output = Command::new("sh").args(["-c", script, "sh", text(&private), kind.as_str()]).output().unwrap();
        let signature: PossessionSignature = printed(&output).parse().unwrap();
        let possession =
            Possession { kind, trust_domain: "h-00.agentd.internal", name: "reviewer", nonce: "n0nce", public_key };
        assert_eq!(possession.verify(&signature), Ok(()));
        assert!(Possession { nonce: "other", ..possession }.verify(&signature).is_err());
    }
}
