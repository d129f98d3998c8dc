//! Money: whole millionths of a US dollar, never floats.
//!
//! Two types for two readers: [`MicroUsd`] is an integer on the wire and in events, [`Usd`] is text with its currency in
//! documents that people write. Both are at most 1,000,000,000 USD, so sums in `i64` columns cannot overflow by a few.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{scaled, shown, split_digits};

const MICRO_PER_USD: u64 = 1_000_000;
const DECIMALS: usize = 6;
/// Prices are quoted per so many tokens.
const TOKENS_PER_PRICE: u128 = 1_000_000;

/// An amount in micro-USD, 0 to 10^15 (1,000,000,000 USD). Serde: the integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct MicroUsd(u64);

/// The same amount as people write it. Serde: text, as `"2.00 USD"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Usd(pub MicroUsd);

/// Why an amount was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// No currency follows the number.
    #[error("{} names no currency; write \"{amount} USD\"", shown(amount))]
    NoCurrency {
        /// The amount as written, a plain number.
        amount: String,
    },
    /// Another currency than USD.
    #[error("{} is not in USD; convert it and write \"USD\" after the number", shown(text))]
    OtherCurrency {
        /// The amount as written.
        text: String,
    },
    /// Finer than a millionth.
    #[error("{} has more than 6 decimals; round it", shown(text))]
    TooFine {
        /// The amount as written.
        text: String,
    },
    /// Below zero.
    #[error("{} is negative; write an amount of 0 or more", shown(text))]
    Negative {
        /// The amount as written.
        text: String,
    },
    /// Above the bound.
    #[error("{} is more than 1000000000.00 USD; write less", shown(text))]
    TooMuch {
        /// The amount as written.
        text: String,
    },
    /// Nothing of the above.
    #[error("{} is not an amount; write it as \"2.00 USD\"", shown(text))]
    Form {
        /// The amount as written.
        text: String,
    },
}

impl MicroUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// 1,000,000,000 USD.
    pub const MAX: Self = Self(1_000_000_000 * MICRO_PER_USD);

    /// An amount of `micro` millionths, refused above [`MicroUsd::MAX`].
    pub fn new(micro: u64) -> Result<Self, MoneyError> {
        if micro <= Self::MAX.0 {
            return Ok(Self(micro));
        }
        let text = format!("{micro} micro-USD");
        Err(MoneyError::TooMuch { text })
    }

    /// The millionths.
    pub const fn as_micro(self) -> u64 {
        self.0
    }

    /// The sum, unless it exceeds [`MicroUsd::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_add(other.0)?).ok()
    }

    /// The difference, unless it is below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The difference, or zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The product, unless it exceeds [`MicroUsd::MAX`].
    pub fn checked_mul(self, factor: u64) -> Option<Self> {
        Self::new(self.0.checked_mul(factor)?).ok()
    }

    /// What `tokens` cost at a price per million tokens, rounded up to a whole micro-USD; `None` above
    /// [`MicroUsd::MAX`].
    pub fn cost(tokens: u64, per_million: Self) -> Option<Self> {
        Self::cost_of([(tokens, per_million)])
    }

    /// What one call costs whose tokens have several prices (input, cached, output): tokens × price per million,
    /// summed exactly and rounded up once.
    pub fn cost_of(parts: impl IntoIterator<Item = (u64, Self)>) -> Option<Self> {
        let mut sum: u128 = 0;
        for (tokens, per_million) in parts {
            sum = sum.checked_add(u128::from(tokens) * u128::from(per_million.0))?;
        }
        let micro = u64::try_from(sum.div_ceil(TOKENS_PER_PRICE)).ok()?;
        Self::new(micro).ok()
    }
}

impl TryFrom<u64> for MicroUsd {
    type Error = MoneyError;

    fn try_from(micro: u64) -> Result<Self, MoneyError> {
        Self::new(micro)
    }
}

impl From<MicroUsd> for u64 {
    fn from(amount: MicroUsd) -> Self {
        amount.0
    }
}

/// `2.00 USD`: two decimals, up to six where the amount needs them.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fraction = self.0 % MICRO_PER_USD;
        let mut decimals = DECIMALS;
        while decimals > 2 && fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        write!(f, "{}.{fraction:0decimals$} USD", self.0 / MICRO_PER_USD)
    }
}

/// `2.00 USD`, `3usd`, `0.5 usd`: digits, at most six decimals after a point, at most one space, the currency.
impl FromStr for MicroUsd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let form = || MoneyError::Form { text: text.to_owned() };
        if text.starts_with('-') {
            let text = text.to_owned();
            return Err(MoneyError::Negative { text });
        }
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("0", rest),
        };
        if whole.is_empty() || fraction.is_empty() {
            return Err(form());
        }
        match rest.strip_prefix(' ').unwrap_or(rest) {
            "" => {
                return Err(MoneyError::NoCurrency { amount: text.trim_end().to_owned() });
            }
            currency if currency.eq_ignore_ascii_case("usd") => {}
            currency if currency.chars().all(char::is_alphabetic) || currency == "€" => {
                let text = text.to_owned();
                return Err(MoneyError::OtherCurrency { text });
            }
            _ => return Err(form()),
        }
        if fraction.len() > DECIMALS {
            let text = text.to_owned();
            return Err(MoneyError::TooFine { text });
        }
        scaled(whole, fraction, DECIMALS)
            .and_then(|micro| Self::new(micro).ok())
            .ok_or_else(|| MoneyError::TooMuch { text: text.to_owned() })
    }
}

impl From<MicroUsd> for Usd {
    fn from(amount: MicroUsd) -> Self {
        Self(amount)
    }
}

impl From<Usd> for MicroUsd {
    fn from(amount: Usd) -> Self {
        amount.0
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Usd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Usd {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Usd> for String {
    fn from(amount: Usd) -> Self {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{MicroUsd, MoneyError, Usd};
    use proptest::prelude::*;

    fn micro(micro: u64) -> MicroUsd {
        MicroUsd::new(micro).unwrap()
    }

    #[test]
    fn amounts_are_read_with_their_currency() {
        for (text, expected, written) in [
            ("2.00 USD", 2_000_000, "2.00 USD"),
            ("3usd", 3_000_000, "3.00 USD"),
            ("0.5 usd", 500_000, "0.50 USD"),
            ("0.000001 USD", 1, "0.000001 USD"),
            ("0.0375 Usd", 37_500, "0.0375 USD"),
            ("12.340 USD", 12_340_000, "12.34 USD"),
            ("0 USD", 0, "0.00 USD"),
            ("1000000000 USD", 1_000_000_000_000_000, "1000000000.00 USD"),
        ] {
            let amount: MicroUsd = text.parse().unwrap();
            assert_eq!(amount, micro(expected), "{text}");
            assert_eq!(amount.to_string(), written, "{text}");
        }
    }

    #[test]
    fn a_refused_amount_names_the_way_out() {
        for (text, message) in [
            ("2.00", "\"2.00\" names no currency; write \"2.00 USD\""),
            ("2 ", "\"2\" names no currency; write \"2 USD\""),
            ("2 EUR", "\"2 EUR\" is not in USD; convert it and write \"USD\" after the number"),
            ("2€", "\"2€\" is not in USD; convert it and write \"USD\" after the number"),
            ("$2", "\"$2\" is not an amount; write it as \"2.00 USD\""),
            ("2,00 USD", "\"2,00 USD\" is not an amount; write it as \"2.00 USD\""),
            ("2  USD", "\"2  USD\" is not an amount; write it as \"2.00 USD\""),
            ("2e3 USD", "\"2e3 USD\" is not an amount; write it as \"2.00 USD\""),
            (".5 USD", "\".5 USD\" is not an amount; write it as \"2.00 USD\""),
            ("5. USD", "\"5. USD\" is not an amount; write it as \"2.00 USD\""),
            ("", "\"\" is not an amount; write it as \"2.00 USD\""),
            ("-1 USD", "\"-1 USD\" is negative; write an amount of 0 or more"),
            ("0.0000001 USD", "\"0.0000001 USD\" has more than 6 decimals; round it"),
            ("1000000000.000001 USD", "\"1000000000.000001 USD\" is more than 1000000000.00 USD; write less"),
            ("99999999999999999999 USD", "\"99999999999999999999 USD\" is more than 1000000000.00 USD; write less"),
        ] {
            assert_eq!(text.parse::<MicroUsd>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_call_is_rounded_up_once() {
        let price = micro(1_500_000);
        assert_eq!(MicroUsd::cost(0, price), Some(MicroUsd::ZERO));
        assert_eq!(MicroUsd::cost(1, price), Some(micro(2)));
        assert_eq!(MicroUsd::cost(2, price), Some(micro(3)));
        assert_eq!(MicroUsd::cost(1, micro(1)), Some(micro(1)));
        // Rounded apart, these would cost 4.
        assert_eq!(MicroUsd::cost_of([(1, price), (1, price)]), Some(micro(3)));
        assert_eq!(MicroUsd::cost(u64::MAX, MicroUsd::MAX), None);
    }

    #[test]
    fn arithmetic_keeps_the_bounds() {
        assert_eq!(MicroUsd::MAX.checked_add(micro(1)), None);
        assert_eq!(micro(1).checked_sub(micro(2)), None);
        assert_eq!(micro(1).saturating_sub(micro(2)), MicroUsd::ZERO);
        assert_eq!(MicroUsd::MAX.checked_mul(2), None);
        assert_eq!(micro(2).checked_mul(3), Some(micro(6)));
        assert!(matches!(MicroUsd::new(u64::MAX), Err(MoneyError::TooMuch { .. })));
    }

    #[test]
    fn the_wire_has_integers_and_documents_have_text() {
        assert_eq!(serde_json::to_string(&micro(7)).unwrap(), "7");
        assert_eq!(serde_json::from_str::<MicroUsd>("7").unwrap(), micro(7));
        assert!(serde_json::from_str::<MicroUsd>("1000000000000001").is_err());
        assert!(serde_json::from_str::<MicroUsd>("-1").is_err());
        assert_eq!(serde_json::to_string(&Usd(micro(7))).unwrap(), "\"0.000007 USD\"");
        assert_eq!(serde_json::from_str::<Usd>("\"3usd\"").unwrap(), Usd(micro(3_000_000)));
        assert!(serde_json::from_str::<Usd>("3").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in 0..=MicroUsd::MAX.as_micro()) {
            let amount = micro(value);
            prop_assert_eq!(amount.to_string().parse::<MicroUsd>().unwrap(), amount);
        }

        #[test]
        fn any_text_is_answered(text in "[0-9. usdUSD$€_-]{0,30}|\\PC{0,30}") {
            if let Ok(amount) = text.parse::<MicroUsd>() {
                prop_assert!(amount <= MicroUsd::MAX);
            }
        }

        #[test]
        fn a_cost_is_the_exact_cost_rounded_up(tokens in 0u64..10_000_000, price in 0u64..100_000_000) {
            let cost = u128::from(MicroUsd::cost(tokens, micro(price)).unwrap().as_micro());
            let exact = u128::from(tokens) * u128::from(price);
            prop_assert!(cost * 1_000_000 >= exact);
            prop_assert!(cost == 0 || (cost - 1) * 1_000_000 < exact);
        }
    }
}
