//! Against certificates that the `ssh-keygen` of the machine makes.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

const NAME: &str = "fixer@h-00.agentd.internal";
const AS_ASKED: &[&str] = &["-I", "agentd:fixer", "-n", NAME, "-V", "+30d", "-O", "clear"];

/// A folder with the keys `agent` and `owner`, removed when the test passes.
struct Desk(PathBuf);

impl Desk {
    fn new() -> Self {
        static DESKS: AtomicU32 = AtomicU32::new(0);
        let place = DESKS.fetch_add(1, Ordering::Relaxed);
        let desk = Self(std::env::temp_dir().join(format!("agentd-certificate-{}-{place}", std::process::id())));
        let _ = fs::remove_dir_all(&desk.0);
        fs::create_dir(&desk.0).unwrap();
        desk.key("agent", &["-t", "ed25519"]);
        desk.key("owner", &["-t", "ed25519"]);
        desk
    }

    fn keygen(&self, arguments: &[&str]) {
        let output = Command::new("ssh-keygen").current_dir(&self.0).arg("-q").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn key(&self, name: &str, kind: &[&str]) {
        self.keygen(&[kind, &["-N", "", "-C", name, "-f", name]].concat());
    }

    fn public(&self, name: &str) -> PublicKey {
        fs::read_to_string(self.0.join(format!("{name}.pub"))).unwrap().parse().unwrap()
    }

    /// The line of a certificate by one key over another.
    fn line(&self, by: &str, over: &str, arguments: &[&str]) -> String {
        let public = format!("{over}.pub");
        self.keygen(&[&["-s", by], arguments, &[&public]].concat());
        fs::read_to_string(self.0.join(format!("{over}-cert.pub"))).unwrap()
    }

    /// What becomes of a certificate of the owner over the agent's key, at a time.
    fn verdict_at(&self, arguments: &[&str], now: WallMs) -> Result<(), CertificateError> {
        self.line("owner", "agent", arguments).parse::<Certificate>()?.check(&self.expected(), now)
    }

    fn verdict(&self, arguments: &[&str]) -> Result<(), CertificateError> {
        self.verdict_at(arguments, now())
    }

    fn expected(&self) -> Expected<'static> {
        let leaked = |name| &*Box::leak(Box::new(self.public(name)));
        Expected {
            key: leaked("agent"),
            authority: leaked("owner"),
            name: "fixer",
            trust_domain: "h-00.agentd.internal",
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn now() -> WallMs {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    WallMs::saturating(i64::try_from(since.as_millis()).unwrap())
}

fn in_days(days: i64) -> WallMs {
    WallMs::saturating(now().as_ms() + days * 24 * 3600 * 1000)
}

#[test]
fn what_is_asked_for_is_taken_for_as_long_as_it_holds_and_survives_its_text() {
    let desk = Desk::new();
    let line = desk.line("owner", "agent", &[AS_ASKED, &["-z", "7"]].concat());
    let certificate: Certificate = line.parse().unwrap();
    assert_eq!(certificate.check(&desk.expected(), now()), Ok(()));
    assert_eq!((certificate.key(), certificate.authority()), (&desk.public("agent"), &desk.public("owner")));
    assert_eq!(certificate.serial(), 7);
    assert_eq!(certificate.to_string().parse::<Certificate>(), Ok(certificate.clone()));
    assert!(line.starts_with(&certificate.to_string()), "{certificate}");
    for (now, refused) in [
        (in_days(31), CertificateError::Lapsed { before: certificate.valid_before() }),
        (certificate.valid_before(), CertificateError::Lapsed { before: certificate.valid_before() }),
        (in_days(-1), CertificateError::NotYet { after: certificate.valid_after() }),
    ] {
        assert_eq!(certificate.check(&desk.expected(), now), Err(refused));
    }
}

#[test]
fn every_time_but_a_month_that_has_begun_is_refused() {
    let desk = Desk::new();
    let window = |validity| {
        let given = ["-I", "agentd:fixer", "-n", NAME, "-O", "clear", "-V", validity];
        desk.verdict(&given)
    };
    assert_eq!(window("+1m"), Ok(()));
    assert_eq!(window("-1d:+1d"), Ok(()));
    assert!(matches!(window("-2d:-1d"), Err(CertificateError::Lapsed { .. })));
    assert!(matches!(window("+1d:+2d"), Err(CertificateError::NotYet { .. })));
    assert!(matches!(window("+31d"), Err(CertificateError::TooLong { .. })));
    assert!(matches!(window("-20d:+20d"), Err(CertificateError::TooLong { .. })));
    assert!(matches!(window("always:forever"), Err(CertificateError::TooLong { .. })));
    let forever = desk.verdict(&["-I", "agentd:fixer", "-n", NAME, "-O", "clear"]).unwrap_err();
    assert!(matches!(forever, CertificateError::TooLong { .. }), "without -V it never ends");
}

#[test]
fn a_certificate_of_another_owner_or_over_another_key_is_refused() {
    let desk = Desk::new();
    desk.key("other", &["-t", "ed25519"]);
    let check = |line: String| line.parse::<Certificate>().unwrap().check(&desk.expected(), now());
    let by_other = check(desk.line("other", "agent", AS_ASKED));
    assert!(matches!(by_other, Err(CertificateError::OtherAuthority { .. })), "{by_other:?}");
    let over_other = check(desk.line("owner", "other", AS_ASKED));
    assert!(matches!(over_other, Err(CertificateError::OtherKey { .. })), "{over_other:?}");
}

#[test]
fn every_certificate_that_says_more_or_something_else_is_refused() {
    let desk = Desk::new();
    let month = ["-V", "+30d"];
    let cases: [(&[&str], &str); 8] = [
        (&["-I", "agentd:fixer", "-n", "fixer@h-00.agentd.internal,root", "-O", "clear"], "it names 2 principals"),
        (&["-I", "agentd:fixer", "-O", "clear"], "it names 0 principals"),
        (&["-I", "agentd:fixer", "-n", "root", "-O", "clear"], "its principal is `root`, not `fixer@h-00"),
        (&["-I", "x", "-n", NAME, "-O", "clear"], "its key id is `x`, not `agentd:fixer`"),
        (&["-I", "agentd:fixer", "-n", NAME], "it has extensions"),
        (&["-I", "agentd:fixer", "-n", NAME, "-O", "clear", "-O", "force-command=sh"], "it has critical options"),
        (&["-h", "-I", "agentd:fixer", "-n", NAME], "it is a host certificate"),
        (&["-I", "agentd:fixer", "-n", NAME, "-O", "clear", "-z", "9007199254740992"], "its serial number is above"),
    ];
    for (arguments, says) in cases {
        let refused = desk.verdict(&[&month, arguments].concat()).unwrap_err().to_string();
        assert!(refused.starts_with(says), "{refused}");
    }
}

#[test]
fn keys_of_other_types_are_refused_on_both_sides() {
    let desk = Desk::new();
    desk.key("curve", &["-t", "ecdsa"]);
    let over = desk.line("owner", "curve", AS_ASKED).parse::<Certificate>().unwrap_err();
    assert!(matches!(over, CertificateError::Type { .. }), "{over}");
    let by = desk.line("curve", "agent", AS_ASKED).parse::<Certificate>().unwrap_err();
    assert!(matches!(by, CertificateError::Authority(_)), "{by}");
    let plain = fs::read_to_string(desk.0.join("agent.pub")).unwrap().parse::<Certificate>().unwrap_err();
    assert!(plain.to_string().contains("its type is `ssh-ed25519`"), "{plain}");
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let desk = Desk::new();
    let certificate: Certificate = desk.line("owner", "agent", AS_ASKED).parse().unwrap();
    let blob = BASE64.decode(certificate.to_string().split(' ').nth(1).unwrap().as_bytes()).unwrap();
    for place in 0..blob.len() {
        let mut changed = blob.clone();
        changed[place] ^= 1;
        Certificate::read(&changed).unwrap_err();
        Certificate::read(&blob[..place]).unwrap_err();
    }
    let longer = [&blob[..], &[0]].concat();
    assert_eq!(Certificate::read(&longer), Err(CertificateError::Malformed("bytes follow its signature")));
    for line in ["", "x", CERTIFICATE_TYPE, "ssh-ed25519-cert-v01@openssh.com ä"] {
        line.parse::<Certificate>().unwrap_err();
    }
}
