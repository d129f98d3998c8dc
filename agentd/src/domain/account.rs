//! Accounts: nested limits on money and tokens. A work spends within its own limit and within every account above it:
//! every work that it is part of, and the day and the month of its agent, of its owner and of the host. Setting aside
//! comes before spending, so parallel spenders cannot overspend the last unit.

use agentd_schemas::document::request::Period;
use agentd_schemas::event::{AccountLimitSet, Subject};
use agentd_schemas::id::WorkId;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::money::MicroUsd;

use super::agent::check_declared;
use super::{Decision, Draft, Rejection};

/// Micro-USD, or tokens, of one limit, one amount and one sum, at most: a billion dollars, or as many millions of
/// tokens. Sums stop there, so no table overflows.
pub const MAX_AMOUNT: u64 = MicroUsd::MAX.as_micro();

/// Refuses an amount that no account can hold.
pub fn check_amount(what: &str, amount: Option<u64>) -> Result<(), Rejection> {
    match amount {
        Some(amount) if amount > MAX_AMOUNT => {
            Err(Problem::new(Code::OutOfBounds, format!("{what} {amount} is above {MAX_AMOUNT}"))
                .hint("give less; without a limit, leave it out"))
        }
        _ => Ok(()),
    }
}

/// One account in its current period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFacts {
    /// `work`, `work:w-…` of a work that it is part of, or `owner:1000/day/2026-11-22`, `agent:fixer/day/…`, `host/day/…`.
    pub name: String,
    /// Money limit.
    pub max_cost: Option<u64>,
    /// Token limit.
    pub max_tokens: Option<u64>,
    /// Money settled.
    pub spent: u64,
    /// Money set aside.
    pub reserved: u64,
    /// Tokens settled.
    pub tokens: u64,
    /// Tokens set aside.
    pub reserved_tokens: u64,
}

impl AccountFacts {
    /// Whether nothing is left of money or of tokens.
    pub fn is_exhausted(&self) -> bool {
        self.max_cost.is_some_and(|most| self.spent.saturating_add(self.reserved) >= most)
            || self.max_tokens.is_some_and(|most| self.tokens.saturating_add(self.reserved_tokens) >= most)
    }

    /// Whether this much more fits.
    pub fn has_room(&self, micro_usd: u64, tokens: u64) -> bool {
        let fits = |most: Option<u64>, used: u64, held: u64, more: u64| {
            more == 0 || most.is_none_or(|most| used.saturating_add(held).saturating_add(more) <= most)
        };
        fits(self.max_cost, self.spent, self.reserved, micro_usd)
            && fits(self.max_tokens, self.tokens, self.reserved_tokens, tokens)
    }

    /// Money that is left; `None` without a limit.
    pub fn money_left(&self) -> Option<u64> {
        self.max_cost.map(|most| most.saturating_sub(self.spent.saturating_add(self.reserved)))
    }

    /// Tokens that are left; `None` without a limit.
    pub fn tokens_left(&self) -> Option<u64> {
        self.max_tokens.map(|most| most.saturating_sub(self.tokens.saturating_add(self.reserved_tokens)))
    }

    /// The account without its period: `owner:1000/day`.
    pub fn family(&self) -> &str {
        self.name.rsplit_once('/').map_or(self.name.as_str(), |(family, _)| family)
    }
}

/// What is spent and set aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Money settled.
    pub spent: u64,
    /// Money set aside.
    pub reserved: u64,
    /// Tokens settled.
    pub tokens: u64,
    /// Tokens set aside.
    pub reserved_tokens: u64,
}

/// The account of what the parts of a work use, and theirs: `work:w-…`.
pub fn of_parts(work: WorkId) -> String {
    format!("work:{work}")
}

/// A family as persons read it: `work w-…` for a work that the waiting one is part of.
pub fn in_words(family: &str) -> String {
    family.strip_prefix("work:").map_or_else(|| family.to_owned(), |id| format!("work {id}"))
}

/// With what a person raises the limit that a run of `work` has met.
pub fn raise_command(work: &str, family: &str) -> String {
    match family.rsplit_once('/') {
        Some((scope, period)) => format!("agentctl budget set {scope} --per {period} --max-cost …"),
        None => format!("agentctl work raise {} --max-cost …", family.strip_prefix("work:").unwrap_or(work)),
    }
}

/// What an account is named after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountScope {
    /// The whole host.
    Host,
    /// One owner.
    Owner(u32),
    /// One agent.
    Agent(agentd_schemas::unit::name::Slug),
}

/// Reads `host`, `owner:UID`, `agent:NAME`.
pub fn parse_scope(text: &str) -> Result<AccountScope, Rejection> {
    let bad = || {
        Problem::new(Code::InvalidDocument, format!("{text:?} is not an account"))
            .hint("accounts are host, owner:UID and agent:NAME")
    };
    match text.split_once(':') {
        None if text == "host" => Ok(AccountScope::Host),
        Some(("owner", uid)) => Ok(AccountScope::Owner(uid.parse().map_err(|_| bad())?)),
        Some(("agent", name)) => Ok(AccountScope::Agent(name.parse().map_err(|_| bad())?)),
        _ => Err(bad()),
    }
}

/// What becomes of one limit of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It stays.
    Same,
    /// It is this.
    Most(u64),
    /// It goes: the configured one holds again, where there is one.
    Gone,
}

impl Limit {
    /// What a caller asks for: an amount, none, or neither.
    pub fn asked(what: &str, most: Option<u64>, gone: bool) -> Result<Self, Rejection> {
        match (most, gone) {
            (None, false) => Ok(Self::Same),
            (Some(most), false) => Ok(Self::Most(most)),
            (None, true) => Ok(Self::Gone),
            (Some(_), true) => Err(Problem::new(Code::InvalidDocument, format!("{what} and no_{what} are both given"))
                .hint("give one of them")),
        }
    }

    const fn most(self) -> Option<u64> {
        match self {
            Self::Most(most) => Some(most),
            Self::Same | Self::Gone => None,
        }
    }
}

/// Sets or removes limits of an account. What was spent in the period stays.
pub fn set_limit(account: &str, period: Period, micro_usd: Limit, tokens: Limit, declared: Option<&str>) -> Decision {
    parse_scope(account)?;
    check_declared(declared)?;
    if (micro_usd, tokens) == (Limit::Same, Limit::Same) {
        return Err(Problem::new(Code::InvalidDocument, format!("no limit of {account} was given"))
            .hint("give max_cost, max_tokens, no_max_cost or no_max_tokens"));
    }
    check_amount("max_cost", micro_usd.most())?;
    check_amount("max_tokens", tokens.most())?;
    let word = match period {
        Period::Day => "day",
        Period::Month => "month",
    };
    let subject = Subject::Account(format!("{account}/{word}"));
    let set = AccountLimitSet {
        period,
        max_cost_micro_usd: micro_usd.most(),
        max_tokens: tokens.most(),
        no_max_cost: micro_usd == Limit::Gone,
        no_max_tokens: tokens == Limit::Gone,
        declared: declared.map(str::to_owned),
    };
    Ok(vec![Draft::new(subject, set)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(most: u64, spent: u64, reserved: u64) -> AccountFacts {
        AccountFacts {
            name: "owner:1000/day/2026-11-22".to_owned(),
            max_cost: Some(most),
            max_tokens: None,
            spent,
            reserved,
            tokens: 0,
            reserved_tokens: 0,
        }
    }

    #[test]
    fn what_is_set_aside_counts_like_what_is_spent() {
        assert!(account(10, 4, 5).has_room(1, 0));
        assert!(!account(10, 4, 5).has_room(2, 0));
        assert!(account(10, 4, 6).is_exhausted());
        assert!(!account(10, 4, 5).is_exhausted());
        assert!(account(10, 4, 6).has_room(0, 99));
    }

    #[test]
    fn a_limit_that_no_table_takes_is_refused() {
        for (micro_usd, tokens) in [(Limit::Same, Limit::Most(MAX_AMOUNT + 1)), (Limit::Most(u64::MAX), Limit::Same)] {
            let problem = set_limit("host", Period::Day, micro_usd, tokens, None).unwrap_err();
            assert_eq!(problem.code, Code::OutOfBounds, "{}", problem.message);
        }
        assert!(set_limit("host", Period::Day, Limit::Most(MAX_AMOUNT), Limit::Most(MAX_AMOUNT), None).is_ok());
        let nothing = set_limit("host", Period::Day, Limit::Same, Limit::Same, None).unwrap_err();
        assert_eq!(nothing.code, Code::InvalidDocument);
        assert!(set_limit("host", Period::Day, Limit::Same, Limit::Gone, None).is_ok());
        assert_eq!(Limit::asked("max_cost", Some(1), true).unwrap_err().code, Code::InvalidDocument);
    }

    #[test]
    fn an_account_belongs_to_host_owner_or_agent() {
        assert_eq!(parse_scope("host"), Ok(AccountScope::Host));
        assert_eq!(parse_scope("owner:7"), Ok(AccountScope::Owner(7)));
        assert!(parse_scope("owner:x").is_err() && parse_scope("user:1").is_err() && parse_scope("").is_err());
        assert_eq!(account(1, 0, 0).family(), "owner:1000/day");
    }

    #[test]
    fn each_account_is_raised_by_its_own_command() {
        for (family, words, command) in [
            ("work", "work", "agentctl work raise w-kid --max-cost …"),
            ("work:w-top", "work w-top", "agentctl work raise w-top --max-cost …"),
            ("owner:7/month", "owner:7/month", "agentctl budget set owner:7 --per month --max-cost …"),
        ] {
            assert_eq!((in_words(family).as_str(), raise_command("w-kid", family).as_str()), (words, command));
        }
    }
}
