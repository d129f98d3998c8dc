//! The checked-in introspection documents, the server and the proxies say the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agentd_schemas::dbus::OBJECT_PATH;
use zbus::fdo::IntrospectableProxy;

use super::serve;

const INTERFACES: [&str; 6] = ["Host", "Works", "Agents", "Schedules", "Objectives", "Ledger"];
const HEAD: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
    \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n";

fn checked_in(interface: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../schemas/dbus/org.agentd1.{interface}.xml"))
}

/// One interface of the object, from its opening to its closing line.
fn cut<'a>(document: &'a str, interface: &str) -> &'a str {
    let begin = document.find(&format!("  <interface name=\"org.agentd1.{interface}\">")).unwrap();
    let end = begin + document[begin..].find("  </interface>\n").unwrap() + "  </interface>\n".len();
    &document[begin..end]
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the developer asks for new documents with UPDATE=1")]
async fn the_introspection_documents_are_those_of_the_server() {
    let served = serve().await;
    let proxy = IntrospectableProxy::builder(&served.client).destination("org.agentd1").path(OBJECT_PATH);
    let document = proxy.build().await.unwrap().introspect().await.unwrap();
    for interface in INTERFACES {
        let found = format!("{HEAD}{}</node>\n", cut(&document, interface));
        let path = checked_in(interface);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{} differs from the server: run this test with UPDATE=1", path.display());
    }
}

/// The members of an introspection document: `Submit(document s, key s) -> s`, `appended` and properties alike.
fn members_of_document(document: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut member: Option<(String, Vec<String>, String)> = None;
    for line in document.lines().map(str::trim) {
        let attribute = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        if line.starts_with("<method ") || line.starts_with("<signal ") {
            member = Some((attribute("name").unwrap(), Vec::new(), String::new()));
        } else if line.starts_with("<property ") {
            members.push(format!("{}() -> {}", attribute("name").unwrap(), attribute("type").unwrap()));
        } else if line.starts_with("<arg ") {
            let member = member.as_mut().unwrap();
            let kind = attribute("type").unwrap();
            if attribute("direction").as_deref() == Some("out") {
                member.2 = kind;
            } else {
                member.1.push(format!("{} {kind}", attribute("name").unwrap()));
            }
        }
        if (line.ends_with("/>") && line.starts_with("<method ")) || line == "</method>" || line == "</signal>" {
            let (name, arguments, answer) = member.take().unwrap();
            members.push(format!("{name}({}) -> {answer}", arguments.join(", ")));
        }
    }
    members.sort();
    members
}

/// The members of a proxy, from its source.
fn members_of_proxy(source: &str, interface: &str) -> Vec<String> {
    let begin = source.find(&format!("pub trait {interface} {{")).unwrap();
    let body = &source[begin..begin + source[begin..].find("\n}").unwrap()];
    let mut members: Vec<String> = body.lines().filter_map(|line| member_of_proxy(line.trim())).collect();
    members.sort();
    members
}

fn member_of_proxy(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("fn ")?.split_once("(&self")?;
    let (arguments, answer) = rest.split_once(") -> zbus::Result<")?;
    let arguments = arguments.trim_start_matches(", ").split(", ").filter(|text| !text.is_empty());
    let mut text = String::new();
    for (n, argument) in arguments.enumerate() {
        let (name, kind) = argument.split_once(": ").unwrap();
        write!(text, "{}{name} {}", if n > 0 { ", " } else { "" }, signature(kind)).unwrap();
    }
    let name: String = name.split('_').map(capitalised).collect();
    let answer = answer.strip_suffix(">;").unwrap();
    // A signal is declared in a proxy as a method without an answer.
    Some(format!("{name}({text}) -> {}", signature(answer)))
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

fn signature(kind: &str) -> &'static str {
    match kind {
        "&str" | "String" => "s",
        "u8" => "y",
        "bool" => "b",
        "u32" => "u",
        "u64" => "t",
        "i64" => "x",
        "Vec<u8>" => "ay",
        "zbus::Fd<'_>" => "h",
        "()" => "",
        other => panic!("{other} is not known here"),
    }
}

#[test]
fn the_proxies_have_the_members_of_the_documents() {
    let source = include_str!("../../../../../schemas/src/dbus.rs");
    for interface in INTERFACES {
        let document = std::fs::read_to_string(checked_in(interface)).unwrap();
        let members = members_of_document(&document);
        assert!(members.len() > 2, "{interface}: {members:?}");
        assert_eq!(members_of_proxy(source, interface), members, "{interface}");
    }
}
