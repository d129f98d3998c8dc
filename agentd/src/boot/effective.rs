//! `agentd config`: what is in force, and where each of it comes from. What is printed is a configuration again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use toml::{Table, Value};

use super::args::Args;
use super::paths;
use crate::engine::database;
use crate::ledger::open::open_reader;
use crate::ledger::query;

/// Sources that the file does not overrule.
const SETTLED: [&str; 2] = ["the ledger", "--system"];

/// Prints the configuration in force.
pub(super) fn print(args: &Args) -> anyhow::Result<()> {
    let file = paths::config_file(args)?;
    let given = paths::config(args)?;
    let paths = paths::paths(args, &given)?;
    let mut config = given.clone();
    config.policies = paths::policies(args, &given)?;
    config.sockets.control = Some(paths.control);
    config.sockets.agents = Some(paths.agents);
    config.runs.launch_socket = config.runs.launch_socket.or(paths.launch);
    config.sockets.metrics = paths.metrics;
    let system_zone = || jiff::tz::TimeZone::system().iana_name().map(str::to_owned);
    config.time_zone = given.time_zone.clone().or_else(system_zone);
    // The ledger has the last word: the option counts at the first start alone.
    let known = trust_domain(&database(&paths.state));
    let from_ledger = known.is_some();
    config.trust_domain = known.or(given.trust_domain.clone());
    let written = match &file {
        Some(path) => std::fs::read_to_string(path)?.parse::<Table>()?,
        None => Table::new(),
    };
    let mut elsewhere = BTreeMap::from([
        ("sockets.control", "in the runtime directory"),
        ("sockets.agents", "in the runtime directory"),
        ("runs.launch_socket", "in the runtime directory"),
        ("sockets.metrics", "in the runtime directory"),
        ("time_zone", "the system's"),
        ("policies", "beside the configuration file"),
    ]);
    if args.system {
        elsewhere.insert("mode", "--system");
    }
    if from_ledger {
        elsewhere.insert("trust_domain", "the ledger");
    }
    let mut out = std::io::stdout().lock();
    let name = file.as_deref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    writeln!(out, "# configuration file: {name}")?;
    writeln!(out, "# state directory: {}", paths.state.display())?;
    writeln!(out, "# runtime directory: {}", paths.runtime.display())?;
    if config.trust_domain.is_none() {
        writeln!(out, "# trust_domain: made at the first start")?;
    }
    Ok(out.write_all(lines(&Table::try_from(&config)?, &written, &elsewhere).as_bytes())?)
}

/// The trust domain of a ledger that is there and can be read.
fn trust_domain(database: &Path) -> Option<String> {
    let conn = database.exists().then(|| open_reader(database).ok())??;
    query::ledger::identity(&conn).ok().map(|identity| identity.trust_domain)
}

/// Every option on a line, with its source: the file, what `elsewhere` says, or the default.
fn lines(config: &Table, written: &Table, elsewhere: &BTreeMap<&str, &str>) -> String {
    let source = |path: &str, is_written: bool| match elsewhere.get(path) {
        Some(source) if !is_written || SETTLED.contains(source) => (*source).to_owned(),
        _ if is_written => "the file".to_owned(),
        _ => "default".to_owned(),
    };
    let (mut tops, mut sections) = (Vec::new(), Vec::new());
    for (key, value) in config {
        match value {
            Value::Table(section) => {
                let given = written.get(key).and_then(Value::as_table);
                let of = |(name, value): (&String, &Value)| {
                    let is_written = given.is_some_and(|given| given.contains_key(name));
                    (format!("{name} = {value}"), source(&format!("{key}.{name}"), is_written))
                };
                sections.push((key, section.iter().map(of).collect::<Vec<_>>()));
            }
            value => tops.push((format!("{key} = {value}"), source(key, written.contains_key(key)))),
        }
    }
    let mut text = beside(&tops);
    for (key, options) in sections {
        text.push_str(&format!("\n[{key}]\n{}", beside(&options)));
    }
    text
}

/// Options with their sources under each other.
fn beside(options: &[(String, String)]) -> String {
    let width = options.iter().map(|(option, _)| option.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (option, source) in options {
        text.push_str(&format!("{option:<width$}  # {source}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::config::Config;

    #[test]
    fn what_is_printed_is_the_configuration_again_and_names_sources() {
        let mut config = Config::default();
        config.sockets.control = Some("/run/x/control.sock".into());
        config.trust_domain = Some("example.internal".to_owned());
        config.limits.max_attempts = 7;
        let written = "trust_domain = \"other\"\n[limits]\nmax_attempts = 7".parse().unwrap();
        let elsewhere =
            BTreeMap::from([("sockets.control", "in the runtime directory"), ("trust_domain", "the ledger")]);
        let text = lines(&Table::try_from(&config).unwrap(), &written, &elsewhere);
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        for (option, source) in [
            ("trust_domain = ", "the ledger"),
            ("max_attempts = 7", "the file"),
            ("max_agents = 10000", "default"),
            ("control = ", "in the runtime directory"),
        ] {
            let line = text.lines().find(|line| line.starts_with(option)).unwrap();
            assert!(line.ends_with(&format!("# {source}")), "{line}");
        }
    }
}
