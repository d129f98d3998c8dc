//! What a work leaves its parts: the least that it and the works that it is part of have left.

use agentd_schemas::event::WorkSubmitted;
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::money::MicroUsd;

use crate::domain::Rejection;
use crate::domain::account::AccountFacts;

/// What is left, and of whose limit.
type Left = Option<(u64, WorkId)>;

/// The room for parts of one work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Room {
    money: Left,
    tokens: Left,
}

fn least(one: Left, other: Left) -> Left {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}

impl Room {
    /// The room that a work of the ledger leaves, with the accounts of itself and of those that it is part of.
    pub(super) fn of(accounts: Option<&Vec<(WorkId, AccountFacts)>>) -> Self {
        let mut room = Self::default();
        for (id, account) in accounts.into_iter().flatten() {
            room.money = least(room.money, account.money_left().map(|left| (left, *id)));
            room.tokens = least(room.tokens, account.tokens_left().map(|left| (left, *id)));
        }
        room
    }

    /// The room that a new work within this one leaves.
    pub(super) fn within(self, id: WorkId, spec: &WorkSubmitted) -> Self {
        Self {
            money: least(self.money, spec.max_cost_micro_usd.map(|most| (most, id))),
            tokens: least(self.tokens, spec.max_tokens.map(|most| (most, id))),
        }
    }

    /// Refuses limits of a part above what is left for it. Without limits it is bound by what is left anyway.
    pub(super) fn check(&self, spec: &WorkSubmitted) -> Result<(), Rejection> {
        let money = |micro| MicroUsd::new(micro).unwrap_or(MicroUsd::MAX).to_string();
        above("max_cost", spec.max_cost_micro_usd, self.money, money)?;
        above("max_tokens", spec.max_tokens, self.tokens, |tokens| tokens.to_string())
    }
}

fn above(name: &str, asked: Option<u64>, left: Left, words: impl Fn(u64) -> String) -> Result<(), Rejection> {
    let (Some(asked), Some((left, whole))) = (asked, left) else { return Ok(()) };
    if asked <= left {
        return Ok(());
    }
    let option = name.replace('_', "-");
    Err(Problem::new(
        Code::OutOfBounds,
        format!("{name} {} is more than work {whole} has left for its parts: {}", words(asked), words(left)),
    )
    .hint(format!(
        "give at most that, or leave {name} out: a part spends from what is left; \
         a person can raise it: agentctl work raise {whole} --{option} …"
    ))
    .detail("left", left)
    .detail("work", whole.to_string()))
}
