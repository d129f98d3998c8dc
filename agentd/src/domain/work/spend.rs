//! Money and tokens of a run: set aside, settle, wait at a limit.

use agentd_schemas::document::agent::{ModelBinding, OnMismatch};
use agentd_schemas::event::{
    AgentPaused, AmountSource, CostReserved, CostSettled, FailureReason, ModelMismatched, RunResumed, RunWaiting,
    Subject, WaitReason,
};
use agentd_schemas::problem::{Code, Problem};

use super::{WorkFacts, ending};
use crate::domain::account::{AccountFacts, check_amount, in_words, raise_command};
use crate::domain::agent::AgentFacts;
use crate::domain::command::{RunRef, Spending};
use crate::domain::{Decision, Draft, Env, Rejection};

/// What the ledger knows when a run spends.
#[derive(Debug, Clone)]
pub struct SpendFacts {
    /// The work.
    pub work: WorkFacts,
    /// Its agent.
    pub agent: AgentFacts,
    /// The accounts above the work: those of the works that it is part of, then of agent, owner and host.
    pub accounts: Vec<AccountFacts>,
    /// The reservation that is settled: amounts and periods.
    pub reservation: Option<CostReserved>,
}

/// Reservations of one run that are open at a time, at most: its end settles them in one commit.
pub const MAX_OPEN_RESERVATIONS: usize = 64;

/// The work's own limits as an account. What its parts use counts against them.
pub fn own_account(work: &WorkFacts) -> AccountFacts {
    AccountFacts {
        name: "work".to_owned(),
        max_cost: work.max_cost,
        max_tokens: work.max_tokens,
        spent: work.spent.saturating_add(work.parts.spent),
        reserved: work.reserved.saturating_add(work.parts.reserved),
        tokens: work.tokens.saturating_add(work.parts.tokens),
        reserved_tokens: work.reserved_tokens.saturating_add(work.parts.reserved_tokens),
    }
}

/// A run ends: what it set aside and never settled may have been spent, so it counts as spent, and says that it is an
/// estimate. Without a price it stays without one.
pub fn settle_open(work: &WorkFacts) -> Vec<Draft> {
    let settle = |(index, open): &(u64, CostReserved)| {
        let settled = CostSettled {
            reservation: Some(*index),
            micro_usd: (open.micro_usd > 0).then_some(open.micro_usd),
            tokens: open.tokens,
            source: AmountSource::Estimated,
            effective_model: None,
            released_micro_usd: open.micro_usd,
            released_tokens: open.tokens,
            accounts: open.accounts.clone(),
        };
        work.draft(settled).by_host()
    };
    work.open.iter().map(settle).collect()
}

/// Sets money and tokens aside. Where an account has too little left, the run waits for a raise: that is the event.
pub fn reserve(facts: &SpendFacts, named: &RunRef, micro_usd: u64, tokens: u64) -> Decision {
    let run = facts.work.live(named)?;
    if let Some(waiting) = &run.waiting {
        return Err(must_wait(&facts.work, waiting));
    }
    if micro_usd == 0 && tokens == 0 {
        return Err(Problem::new(Code::InvalidDocument, "nothing to reserve: micro_usd and tokens are both 0"));
    }
    check_amount("micro_usd", Some(micro_usd))?;
    check_amount("tokens", Some(tokens))?;
    if facts.work.open.len() >= MAX_OPEN_RESERVATIONS {
        return Err(Problem::new(
            Code::OutOfBounds,
            format!("run {} has {MAX_OPEN_RESERVATIONS} open reservations", facts.work.run_id()),
        )
        .hint("settle some of them first: send their costs"));
    }
    let own = own_account(&facts.work);
    let full = std::iter::once(&own).chain(&facts.accounts).find(|account| !account.has_room(micro_usd, tokens));
    if let Some(full) = full {
        return Ok(vec![waits(&facts.work, full, micro_usd, tokens)]);
    }
    let accounts = facts.accounts.iter().map(|account| account.name.clone()).collect();
    Ok(vec![facts.work.draft(CostReserved { micro_usd, tokens, accounts })])
}

fn waits(work: &WorkFacts, full: &AccountFacts, micro_usd: u64, tokens: u64) -> Draft {
    let account = full.family().to_owned();
    work.draft(RunWaiting { reason: WaitReason::Budget { account, micro_usd, tokens } })
}

/// Refuses what a waiting run may not do.
pub fn must_wait(work: &WorkFacts, waiting: &WaitReason) -> Rejection {
    let id = work.id;
    match waiting {
        WaitReason::Budget { account, .. } => {
            let full = in_words(account);
            Problem::new(Code::BudgetExhausted, format!("work {id} waits for budget: {full} has too little left"))
                .hint(format!("a person can raise it: {}", raise_command(&id.to_string(), account)))
        }
        WaitReason::Person => Problem::new(Code::WrongState, format!("work {id} waits for a person's answer"))
            .hint(format!("a person can answer: agentctl work answer {id} …")),
    }
    .detail("work", id.to_string())
}

/// Records what was spent. What was spent is recorded even above a limit: the limit then makes the run wait. After the
/// end of the run nothing is recorded: what it had set aside is settled by then, and a late writer is refused.
pub fn settle(facts: &SpendFacts, named: &RunRef, cost: &Spending, env: &Env) -> Decision {
    let work = &facts.work;
    let run = work.live(named).map_err(too_late)?;
    if cost.source == AmountSource::Metered {
        return Err(Problem::new(Code::Denied, "only agentd's own gateway meters").hint("say reported or estimated"));
    }
    check_amount("micro_usd", cost.micro_usd)?;
    check_amount("tokens", Some(cost.tokens))?;
    if cost.reservation.is_some() && facts.reservation.is_none() {
        return Err(Problem::new(Code::NotFound, "no such reservation of this run is open")
            .hint("settle a reservation once, or leave it out"));
    }
    let released = facts.reservation.as_ref();
    let accounts = match released {
        Some(reservation) => reservation.accounts.clone(),
        None => facts.accounts.iter().map(|account| account.name.clone()).collect(),
    };
    let mut drafts = vec![work.draft(CostSettled {
        reservation: cost.reservation,
        micro_usd: cost.micro_usd,
        tokens: cost.tokens,
        source: cost.source,
        effective_model: cost.effective_model.clone(),
        released_micro_usd: released.map_or(0, |reservation| reservation.micro_usd),
        released_tokens: released.map_or(0, |reservation| reservation.tokens),
        accounts,
    })];
    if let Some(effective) = outside(facts, cost)
        && mismatch(facts, cost.reservation, effective, &mut drafts, env)
    {
        return Ok(drafts);
    }
    let own = own_account(work);
    let over = std::iter::once(&own).chain(&facts.accounts).find(|account| over_after(account, cost, released));
    if let Some(full) = over
        && run.waiting.is_none()
    {
        drafts.push(waits(work, full, 0, 0));
    }
    Ok(drafts)
}

fn too_late(problem: Rejection) -> Rejection {
    problem.hint(
        "report costs before a run ends: what it had set aside was then settled as estimated, and stays so; \
         stop this attempt and claim again",
    )
}

fn over_after(account: &AccountFacts, cost: &Spending, released: Option<&CostReserved>) -> bool {
    let after = AccountFacts {
        spent: account.spent.saturating_add(cost.micro_usd.unwrap_or(0)),
        tokens: account.tokens.saturating_add(cost.tokens),
        reserved: account.reserved.saturating_sub(released.map_or(0, |reservation| reservation.micro_usd)),
        reserved_tokens: account.reserved_tokens.saturating_sub(released.map_or(0, |reservation| reservation.tokens)),
        ..account.clone()
    };
    after.max_cost.is_some_and(|most| after.spent.saturating_add(after.reserved) > most)
        || after.max_tokens.is_some_and(|most| after.tokens.saturating_add(after.reserved_tokens) > most)
}

fn outside<'a>(facts: &SpendFacts, cost: &'a Spending) -> Option<&'a str> {
    let effective = cost.effective_model.as_deref()?;
    let covered = facts.agent.model.as_ref().is_some_and(|binding| covers(binding, effective));
    (!covered).then_some(effective)
}

/// Whether a binding covers an effective model name.
pub fn covers(binding: &ModelBinding, effective: &str) -> bool {
    binding.name == effective
        || binding.helpers.iter().any(|helper| matches(helper, effective))
        || binding.versions.iter().any(|pattern| matches(pattern, effective))
}

/// `*` stands for any text; everything else for itself. Iterative, so that no pattern is slow.
fn matches(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    if parts.len() == 1 {
        return pattern == text;
    }
    if text.len() < first.len() + last.len() || !text.starts_with(first) || !text.ends_with(last) {
        return false;
    }
    let mut rest = &text[first.len()..text.len() - last.len()];
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Records the mismatch and does what the binding says. Whether the attempt is over.
fn mismatch(facts: &SpendFacts, settled: Option<u64>, effective: &str, drafts: &mut Vec<Draft>, env: &Env) -> bool {
    let work = &facts.work;
    let agent = &facts.agent.candidate;
    let action = facts.agent.model.as_ref().map_or(OnMismatch::Pause, |binding| binding.on_mismatch);
    drafts.push(work.draft(ModelMismatched { effective: effective.to_owned(), action, agent: agent.name.clone() }));
    match action {
        OnMismatch::Record => false,
        OnMismatch::Pause => {
            if agent.state != agentd_schemas::event::AgentState::Paused {
                let reason = format!("model {effective} answered, which its binding does not cover");
                drafts.push(Draft::new(Subject::Agent(agent.name.clone()), AgentPaused { reason }).by_host());
            }
            false
        }
        OnMismatch::Deny => {
            let message =
                format!("model {effective} answered, which the binding of agent {} does not cover", agent.name);
            let open = work.open.iter().filter(|(index, _)| Some(*index) != settled).cloned().collect();
            drafts.extend(ending::attempt_failed(
                &WorkFacts { open, ..work.clone() },
                &facts.agent,
                FailureReason::ModelMismatch,
                Vec::new(),
                Some(message),
                env,
                |draft| draft,
            ));
            true
        }
    }
}

/// A run that waits for budget goes on when a new period, or a raised account, has room.
pub fn resume_budget(work: &WorkFacts, accounts: &[AccountFacts]) -> Decision {
    if !work.state.is_leased() || !may_go_on(work, &own_account(work), accounts) {
        return Ok(Vec::new());
    }
    Ok(vec![work.draft(RunResumed { because: "account_has_room".to_owned() }).by_host()])
}

/// Whether a run waits for budget and would get it now: what it asked for fits, or, where it asked for nothing, something
/// is left. Going on with less it would ask the same again, and wait again.
pub fn may_go_on(work: &WorkFacts, own: &AccountFacts, accounts: &[AccountFacts]) -> bool {
    let waits = work.run.as_ref().and_then(|run| run.waiting.as_ref());
    let Some(WaitReason::Budget { micro_usd, tokens, .. }) = waits else { return false };
    std::iter::once(own).chain(accounts).all(|account| match (micro_usd, tokens) {
        (0, 0) => !account.is_exhausted(),
        _ => account.has_room(*micro_usd, *tokens),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn what_is_settled_as_the_attempt_ends_is_settled_once() {
        let reserved =
            |micro_usd| CostReserved { micro_usd, tokens: 0, accounts: vec!["host/day/2026-11-22".to_owned()] };
        let mut facts = SpendFacts {
            work: WorkFacts { open: vec![(70, reserved(5)), (71, reserved(6))], ..fixture::work() },
            agent: fixture::agent(),
            accounts: Vec::new(),
            reservation: Some(reserved(5)),
        };
        facts.agent.model = serde_json::from_value(
            serde_json::json!({"provider": "main", "name": "vendor-large", "on_mismatch": "deny"}),
        )
        .ok();
        let named = RunRef { work: facts.work.id, attempt: 1, fence: facts.work.run.as_ref().unwrap().fence };
        let cost = Spending {
            reservation: Some(70),
            micro_usd: Some(4),
            tokens: 0,
            source: AmountSource::Reported,
            effective_model: Some("another".to_owned()),
        };
        let drafts = settle(&facts, &named, &cost, &fixture::env()).unwrap();
        let settled: Vec<_> = drafts
            .iter()
            .filter_map(|draft| match &draft.data {
                agentd_schemas::event::EventData::CostSettled(data) => Some((data.reservation, data.micro_usd)),
                _ => None,
            })
            .collect();
        assert_eq!(settled, [(Some(70), Some(4)), (Some(71), Some(6))]);
        assert!(drafts.iter().any(|draft| draft.data.type_name() == "AttemptFailed"));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("large", "large", true),
            ("large", "large-2", false),
            ("large-*", "large-2", true),
            ("large-*", "large", false),
            ("*-large", "vendor-large", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("é*", "étude", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
