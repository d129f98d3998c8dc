//! Everything that can be asked.

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
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
        }
    };
}

actions! {
    /// Submit works of one's own.
    WorkSubmit = "work.submit";
    /// See a work.
    WorkRead = "work.read";
    /// Cancel, retry, raise, note.
    WorkManage = "work.manage";
    /// Answer what a run asks.
    WorkAnswer = "work.answer";
    /// Take or refuse a result.
    WorkJudge = "work.judge";
    /// Take work from the ledger.
    WorkClaim = "work.claim";
    /// Speak for a run: start, spend, note, complete, fail, submit parts.
    RunAct = "run.act";
    /// Take in an agent of one's own.
    AgentEnrol = "agent.enrol";
    /// Take in an agent that works for every owner.
    AgentEnrolShared = "agent.enrol_shared";
    /// See an agent.
    AgentRead = "agent.read";
    /// Pause, resume, retire, rotate, declare skills, bind a model.
    AgentManage = "agent.manage";
    /// End a probation by a person's word.
    AgentActivate = "agent.activate";
    /// Resume an agent that is suspended.
    AgentReinstate = "agent.reinstate";
    /// Schedules of one's own.
    ScheduleManage = "schedule.manage";
    /// See a schedule.
    ScheduleRead = "schedule.read";
    /// Objectives of one's own.
    ObjectiveManage = "objective.manage";
    /// See an objective.
    ObjectiveRead = "objective.read";
    /// Limits of accounts.
    AccountManage = "account.manage";
    /// See status and accounts.
    HostRead = "host.read";
    /// See what the daemon found out about its host.
    HostExamine = "host.examine";
    /// See what the host measures of everybody's works.
    HostMeasure = "host.measure";
    /// Freeze and thaw one's own work or agent.
    FreezeOwn = "host.freeze_own";
    /// Freeze and thaw the whole host; accept the clock.
    HostManage = "host.manage";
    /// Read every event; export the whole log.
    LedgerReadAll = "ledger.read_all";
    /// Read one's own events; take the newest checkpoint.
    LedgerReadOwn = "ledger.read_own";
    /// Copy the database.
    LedgerBackup = "ledger.backup";
    /// Erase content, place and lift holds.
    ContentManage = "content.manage";
}
