//! What a run asks of the host, held against what the host and its launcher give, before anything of it begins.

use agentd_schemas::document::workspace::Egress;
use agentd_schemas::document::{Acceptance, Runtime, WorkspaceDocument};
use agentd_schemas::launch::{Allowed, Network, RunLimits};
use agentd_schemas::unit::duration::Span;
use agentd_schemas::unit::size::Size;

use super::host::{Host, Refused};

/// Memory of a step that uses git, at least.
const GIT_MEMORY: u64 = 2 << 30;

/// What a work asks for, beside what its program does.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'a> {
    /// How long the program may run.
    pub timeout_ms: u64,
    /// What its workspace is made from, where it has one.
    pub workspace: Option<&'a WorkspaceDocument>,
    /// The criteria that look at what was made.
    pub checks: &'a [Option<Acceptance>],
}

impl Asks<'_> {
    fn setup_egress(&self) -> Network {
        let of_host =
            |workspace: &&WorkspaceDocument| workspace.setup.is_some() && workspace.setup_egress == Egress::Host;
        if self.workspace.as_ref().is_some_and(of_host) { Network::Host } else { Network::None }
    }
}

impl Host {
    /// The limits of a step of agentd's own in a run of this program.
    pub(super) fn limits(&self, runtime: &Runtime) -> RunLimits {
        let (asked, defaults) = (&runtime.resources, &self.defaults);
        RunLimits {
            wall_ms: defaults.step_ms,
            grace_ms: defaults.grace_ms,
            output_bytes: asked.output_max.map_or(defaults.output_bytes, Size::as_bytes),
            memory_bytes: asked.memory_max.map_or(defaults.memory_bytes, Size::as_bytes),
            file_bytes: asked.workspace_max.map_or(defaults.workspace_bytes, Size::as_bytes),
            tasks: asked.tasks_max.map_or(defaults.tasks, u64::from),
            open_files: defaults.open_files,
            cpu_percent: asked.cpu_quota.or(defaults.cpu_percent),
        }
    }

    /// The same of one that uses git.
    pub(super) fn git_limits(&self, limits: RunLimits) -> RunLimits {
        RunLimits {
            memory_bytes: limits.memory_bytes.max(GIT_MEMORY),
            tasks: limits.tasks.max(self.defaults.tasks),
            ..limits
        }
    }

    /// Whether the launcher gives a program what it asks for, whatever the work.
    pub fn allows(&self, allowed: &Allowed, runtime: &Runtime) -> Result<(), Refused> {
        if let Some(path) = self.readable_by(runtime)?.iter().find(|path| !allowed.shows(path)) {
            return Err(Refused(Allowed::not_shown(path).words));
        }
        within(allowed, "the program", Network::None, &RunLimits { wall_ms: 0, ..self.limits(runtime) })
    }

    /// Whether it gives a work what it asks for with this program. The network the host's configuration has to give, too.
    pub fn allows_work(&self, allowed: Option<&Allowed>, runtime: &Runtime, asks: Asks<'_>) -> Result<(), Refused> {
        let network = asks.setup_egress();
        if network == Network::Host && !self.defaults.setup_egress {
            return Err(Refused::new("the setup asks for the host's network, which this host gives to no setup"));
        }
        let Some(allowed) = allowed else { return Ok(()) };
        let limits = self.limits(runtime);
        let lasts = |wall_ms: u64| RunLimits { wall_ms, ..limits };
        within(allowed, "the program", Network::None, &lasts(asks.timeout_ms))?;
        let Some(workspace) = asks.workspace else { return Ok(()) };
        within(allowed, "making the workspace", Network::None, &self.git_limits(limits))?;
        if workspace.setup.is_some() {
            let wall_ms = workspace.setup_timeout.map_or(self.defaults.setup_ms, Span::as_ms);
            within(allowed, "the setup", network, &lasts(wall_ms))?;
        }
        for check in asks.checks.iter().flatten() {
            if let Acceptance::Command(command) = check {
                let wall_ms = command.timeout.map_or(self.defaults.judge_ms, Span::as_ms);
                within(allowed, "a criterion", Network::None, &lasts(wall_ms))?;
            }
        }
        Ok(())
    }
}

fn within(allowed: &Allowed, what: &str, network: Network, limits: &RunLimits) -> Result<(), Refused> {
    match allowed.beyond(network, limits) {
        Some(beyond) => Err(Refused(format!("{what} ({}): {}", beyond.field, beyond.words))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::trial_host;
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn allowed() -> Allowed {
        Allowed {
            network: Network::None,
            read_only: vec!["/opt".into()],
            except: Vec::new(),
            memory_bytes: 4 << 30,
            tasks: 1000,
            wall_ms: HOUR_MS,
        }
    }

    fn runtime(resources: &str, paths: &str) -> Runtime {
        let text = format!(r#"{{"command":["x"],"resources":{resources},"sandbox":{{"read_only_paths":{paths}}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_program_that_asks_for_more_than_the_launcher_gives_is_told_the_word_that_allows_it() {
        let host = trial_host();
        host.allows(&allowed(), &runtime("{}", r#"["/opt/tools"]"#)).unwrap();
        for (resources, paths, word) in [
            (r#"{"memory_max":"5G"}"#, "[]", "--max-memory"),
            (r#"{"tasks_max":2000}"#, "[]", "--max-tasks"),
            ("{}", r#"["/srv/x"]"#, "--read-only"),
        ] {
            let said = host.allows(&allowed(), &runtime(resources, paths)).unwrap_err().to_string();
            assert!(said.contains(word) && said.contains("agentd-launch.service"), "{said}");
        }
    }

    #[test]
    fn a_work_that_asks_for_more_than_the_launcher_gives_is_told_the_word_that_allows_it() {
        let mut host = trial_host();
        host.defaults.setup_egress = true;
        let program = runtime("{}", "[]");
        let said = |timeout_ms, workspace: &str, checks: &str| {
            let workspace: Option<WorkspaceDocument> = serde_json::from_str(workspace).unwrap();
            let checks: Vec<Option<Acceptance>> = serde_json::from_str(checks).unwrap();
            let asks = Asks { timeout_ms, workspace: workspace.as_ref(), checks: &checks };
            host.allows_work(Some(&allowed()), &program, asks).map_err(|refused| refused.to_string())
        };
        said(HOUR_MS, r#"{"setup":"true"}"#, r#"[null,{"command":"true"}]"#).unwrap();
        said(HOUR_MS, "null", "[]").unwrap();
        for (timeout_ms, workspace, checks, word) in [
            (HOUR_MS + 1, "null", "[]", "--max-wall"),
            (1, r#"{"setup":"true","setup_timeout":"2h"}"#, "[]", "--max-wall"),
            (1, "{}", r#"[{"command":"true","timeout":"2h"}]"#, "--max-wall"),
            (1, r#"{"setup":"true","setup_egress":"host"}"#, "[]", "--network host"),
        ] {
            let said = said(timeout_ms, workspace, checks).unwrap_err();
            assert!(said.contains(word) && said.contains("agentd-launch.service"), "{said}");
        }
    }
}
