//! What is refused of a file, with its place.

use super::*;

const FINE: &str = "@id(\"team.nights\")\nforbid (principal is Agentd::Agent, action, resource);\n";

fn refused(text: impl Into<Vec<u8>>) -> Rejected {
    let source = Source { name: "local.cedar".to_owned(), bytes: text.into() };
    Set::build(&Sources { policies: vec![source], requests: Vec::new() }).unwrap_err()
}

#[test]
fn what_is_no_policy_is_refused_with_its_place_and_the_way_out() {
    let deep = format!(
        "@id(\"a\") permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(300),
        ")".repeat(300)
    );
    let many = format!("@id(\"a\") permit (principal, action, resource) when {{ {}true }};", "true && ".repeat(600));
    let cases: &[(&str, &str, &str)] = &[
        ("@id(\"a\")\npermit (principal, action, resource)\n", "local.cedar:2:37", "unexpected end of input"),
        ("@id(\"a\")\nforbid (principal is Agentd::Robot, action, resource);", "local.cedar:2:22", "Agentd::Robot"),
        (
            "@id(\"a\")\nforbid (principal is Agentd::User, action, resource)\n  when { principal.age > 3 };",
            "local.cedar:3:10",
            "age",
        ),
        (
            "@id(\"a\")\nforbid (principal, action == Agentd::Action::\"work.reed\", resource);",
            "local.cedar:2:30",
            "work.reed",
        ),
        (
            "@id(\"a\")\nforbid (principal in Agentd::Group::\"admins\", action, resource);",
            "local.cedar:2:22",
            "admins",
        ),
        ("permit (principal, action, resource);", "local.cedar:1:1", "has no id"),
        ("@id(\"A b\") permit (principal, action, resource);", "local.cedar:1:1", "is no id of a policy"),
        ("@id(\"no_rule\") permit (principal, action, resource);", "local.cedar:1:1", "another policy's"),
        ("@id(\"agent.never_governs\") permit (principal, action, resource);", "local.cedar:1:1", "another policy's"),
        ("@id(\"owner.manages_its_own\") permit (principal, action, resource);", "local.cedar:1:1", "another policy's"),
        ("@id(\"a\") @decision(\"ask\") forbid (principal, action, resource);", "local.cedar:1:1", "asks nobody"),
        ("@id(\"a\") @note(\"x\") forbid (principal, action, resource);", "local.cedar:1:1", "@note"),
        ("@id(\"a\") permit (principal == ?principal, action, resource);", "local.cedar:1:1", "template"),
        (&deep, "local.cedar:1:", "brackets within brackets"),
        (&many, "local.cedar:1:", "operators"),
        (
            "@id(\"a\") permit (principal == Agentd::Agent::\"fіxer\", action, resource);",
            "local.cedar:1:48",
            "ASCII in an id",
        ),
        (
            "@id(\"a\") permit (principal == Agentd::Agent::\"f\\u{456}xer\", action, resource);",
            "local.cedar:1:",
            "by its number",
        ),
        ("// \u{202e}x\n", "local.cedar:1:4", "U+202E"),
        ("@id(\"a\") permіt (principal, action, resource);", "local.cedar:1:14", "outside of ASCII"),
        ("@id(\"a", "local.cedar:1:5", "does not end"),
    ];
    for (text, place, reason) in cases {
        let rejected = refused(*text);
        assert!(rejected.place().starts_with(place), "{place}: {rejected}");
        assert!(rejected.reason.contains(reason) && !rejected.reason.contains('\n'), "{reason}: {rejected}");
    }
    let twice = refused(format!("{FINE}{FINE}"));
    assert_eq!(
        (twice.place().as_str(), twice.reason.contains("another policy's")),
        ("local.cedar:3:1", true),
        "{twice}"
    );
}

#[test]
fn a_file_that_is_too_large_or_no_text_is_refused_before_it_is_parsed() {
    assert!(refused(vec![b' '; 10 << 20]).reason.contains("larger than 262144 bytes"));
    assert_eq!(refused(*b"// a\n// \xff").place(), "local.cedar:2:4");
    let ifs = format!(
        "@id(\"a\") permit (principal, action, resource) when {{ {}true }};",
        "if true then true else ".repeat(33)
    );
    assert!(refused(ifs).reason.contains("\"if\""));
    let many: String = (0..1100).map(|n| FINE.replace("nights", &n.to_string())).collect();
    assert!(refused(many).reason.contains("more than 1024 policies"));
}

#[test]
fn words_for_people_and_comments_may_be_of_any_language() {
    let text =
        "// für die Nacht\n@id(\"a\") @says(\"nachts ruht alles, größtenteils\") forbid (principal, action, resource);";
    let source = Source { name: "local.cedar".to_owned(), bytes: text.into() };
    let set = Set::build(&Sources { policies: vec![source], requests: Vec::new() }).unwrap();
    assert_eq!(set.says("a"), Some("nachts ruht alles, größtenteils"));
}

#[test]
fn a_folder_is_read_by_name_and_what_others_can_write_is_refused() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let scratch = std::env::temp_dir().join(format!("agentd-policies-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&scratch);
    assert_eq!(folder::read(&scratch).unwrap(), Sources::default(), "no folder is no policy");
    std::fs::create_dir(&scratch).unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&scratch, 0o755);
    for name in ["b.cedar", "a.cedar", "a.requests.toml", "README", ".hidden.cedar"] {
        std::fs::write(scratch.join(name), "").unwrap();
        mode(&scratch.join(name), 0o644);
    }
    let found = folder::read(&scratch).unwrap();
    let names = |sources: &[Source]| sources.iter().map(|source| source.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&found.policies), names(&found.requests)),
        (vec!["a.cedar".into(), "b.cedar".into()], vec!["a.requests.toml".into()])
    );
    for bits in [0o666, 0o664, 0o646] {
        mode(&scratch.join("b.cedar"), bits);
        let rejected = folder::read(&scratch).unwrap_err();
        assert!(rejected.file == "b.cedar" && rejected.reason.contains("written by others"), "{rejected}");
        assert!(rejected.hint.unwrap().starts_with("chmod go-w /"));
    }
    mode(&scratch.join("b.cedar"), 0o644);
    mode(&scratch, 0o777);
    assert!(folder::read(&scratch).unwrap_err().reason.contains("written by others"));
    mode(&scratch, 0o755);
    symlink("b.cedar", scratch.join("c.cedar")).unwrap();
    assert!(folder::read(&scratch).unwrap_err().reason.contains("is a link"));
    std::fs::remove_file(scratch.join("c.cedar")).unwrap();
    std::fs::create_dir(scratch.join("d.cedar")).unwrap();
    assert!(folder::read(&scratch).unwrap_err().reason.contains("no regular file"));
    std::fs::remove_dir(scratch.join("d.cedar")).unwrap();
    std::fs::write(scratch.join("ä.cedar"), "").unwrap();
    assert!(folder::read(&scratch).unwrap_err().reason.contains("read in two ways"));
    std::fs::remove_dir_all(&scratch).unwrap();
}
