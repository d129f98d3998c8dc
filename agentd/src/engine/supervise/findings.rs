//! What the daemon found out about its host, for who asks what is wrong with it.

use std::sync::PoisonError;

use agentd_schemas::launch::{Level, Probe, RUN_UIDS};
use agentd_schemas::problem::Problem;
use agentd_schemas::view::{HostFindings, LauncherFinding};

use super::Supervisor;
use crate::engine::Engine;
use crate::policy::{Action, Caller, Resource};
use crate::runner::Launcher;

impl Supervisor {
    /// Keeps what was found when the host was tried.
    pub(super) fn keep(&self, probe: Probe) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe);
    }

    fn launcher_finding(launcher: &Launcher) -> LauncherFinding {
        let away = launcher.has_socket().err().map(|error| error.to_string());
        LauncherFinding { socket: launcher.socket().to_owned(), away }
    }
}

impl Engine {
    /// What the daemon found out about its host. Of polkit the doors know more.
    pub fn examine(&self, caller: &Caller) -> Result<HostFindings, Problem> {
        self.permit(caller, Action::HostExamine, &Resource::host())?;
        let host = self.host();
        let mut findings = HostFindings {
            probe: None,
            no_runs: None,
            least_level: Level::Strict,
            run_uids: None,
            launcher: None,
            journal: host.journal,
            polkit: None,
            kek: host.kek.clone(),
        };
        if let Some(supervisor) = &self.0.supervisor {
            findings.probe.clone_from(&supervisor.probe.lock().unwrap_or_else(PoisonError::into_inner));
            findings.no_runs = supervisor.level().and_then(Result::err).map(|unable| unable.reason);
            findings.least_level = supervisor.bounds.get().least_level;
            findings.run_uids = supervisor.runs.host.uids.map(|_| (*RUN_UIDS.start(), *RUN_UIDS.end()));
            findings.launcher = supervisor.runs.host.launcher.as_ref().map(Supervisor::launcher_finding);
        }
        Ok(findings)
    }
}

#[cfg(test)]
mod tests {
    use agentd_schemas::problem::Code;

    use super::*;
    use crate::engine::trial;

    #[tokio::test]
    async fn who_is_in_no_group_of_a_host_that_serves_all_sees_no_finding() {
        let (engine, _state) = trial::engine().await;
        assert!(!engine.examine(&Caller::person(1000, false, false)).unwrap().journal);
        let outside = |auditor| Caller::person(1001, false, auditor).outside_of("agentd".into());
        let refused = engine.examine(&outside(false)).unwrap_err();
        assert_eq!(refused.code, Code::Denied);
        assert!(refused.hint.as_deref().unwrap().contains("usermod -aG agentd"), "{refused:?}");
        assert_eq!(trial::recorded(&engine), ["host.examine on host (person.is_in_a_group)"]);
        engine.examine(&outside(true)).unwrap();
    }
}
