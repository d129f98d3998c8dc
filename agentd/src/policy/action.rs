//! Everything that can be asked.

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $words:literal;)*) => {
        /// One action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As written in events: `work.cancel`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The one with this name.
            pub fn of_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.as_str() == name)
            }

            /// As told to who may not: `uid:1000 may not …`.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

actions! {
    /// Submit works of one's own.
    WorkSubmit = "work.submit", "submit works";
    /// See a work.
    WorkRead = "work.read", "see works";
    /// Cancel, retry, raise, note.
    WorkManage = "work.manage", "manage works";
    /// Answer what a run asks.
    WorkAnswer = "work.answer", "answer what runs ask";
    /// Take or refuse a result.
    WorkJudge = "work.judge", "judge results";
    /// Take work from the ledger.
    WorkClaim = "work.claim", "claim works";
    /// Speak for a run: start, spend, note, complete, fail, submit parts.
    RunAct = "run.act", "speak for runs";
    /// Take in an agent of one's own.
    AgentEnrol = "agent.enrol", "enrol agents";
    /// Take in an agent that works for every owner.
    AgentEnrolShared = "agent.enrol_shared", "enrol agents that work for everybody";
    /// See an agent.
    AgentRead = "agent.read", "see agents";
    /// Pause, resume, retire, rotate, declare skills, bind a model.
    AgentManage = "agent.manage", "manage agents";
    /// End a probation by a person's word.
    AgentActivate = "agent.activate", "activate agents";
    /// Resume an agent that is suspended.
    AgentReinstate = "agent.reinstate", "let a suspended agent in again";
    /// Schedules of one's own.
    ScheduleManage = "schedule.manage", "manage schedules";
    /// See a schedule.
    ScheduleRead = "schedule.read", "see schedules";
    /// Objectives of one's own.
    ObjectiveManage = "objective.manage", "manage objectives";
    /// See an objective.
    ObjectiveRead = "objective.read", "see objectives";
    /// Limits of accounts.
    AccountManage = "account.manage", "set limits of accounts";
    /// See its status.
    HostRead = "host.read", "see the host's status";
    /// See accounts, the digest, and what the daemon found out about its host.
    HostExamine = "host.examine", "see what agentd found out about the host, accounts and the digest";
    /// See what the host measures of everybody's works.
    HostMeasure = "host.measure", "read the host's metrics";
    /// Freeze and thaw one's own work or agent.
    FreezeOwn = "host.freeze_own", "freeze or thaw";
    /// Freeze and thaw the whole host; accept the clock.
    HostManage = "host.manage", "freeze or manage the host";
    /// Read every event; export the whole log.
    LedgerReadAll = "ledger.read_all", "read the whole ledger";
    /// Read one's own events; take the newest checkpoint.
    LedgerReadOwn = "ledger.read_own", "read the ledger";
    /// Copy the database.
    LedgerBackup = "ledger.backup", "copy the ledger";
    /// Erase content, place and lift holds.
    ContentManage = "content.manage", "erase content or put it on hold";
    /// See which policies are in force, and what they decide.
    PolicyRead = "policy.read", "see the policies in force";
    /// Have the daemon read its policies again.
    PolicyReload = "policy.reload", "reload the policies";
}
