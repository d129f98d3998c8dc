//! Expressions: the text of a schedule, checked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::error::ExpressionError;
use super::every;
use super::fields::{Field, FieldSet};

/// Longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 256;

/// When a schedule is due, as written: five cron fields, a word such as `@daily`, or `@every` with a duration.
///
/// The fields are minute, hour, day-of-month, month and day-of-week, with lists, ranges, steps and names, as crontab(5) has
/// them: where both day fields are restricted (do not start with `*`), a day matches when either does. As text and in
/// documents it is the expression with single spaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    pub(super) rule: Rule,
}

/// What the text means.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Wall clock times.
    Calendar(Box<Calendar>),
    /// A fixed interval, in seconds.
    Every(u32),
}

impl Expression {
    /// Reads and checks an expression. Its errors name the field, the reason and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > MAX_EXPRESSION_BYTES {
            return Err(ExpressionError::TooLong { length: text.len(), max: MAX_EXPRESSION_BYTES });
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let text = words.join(" ");
        let first = *words.first().ok_or(ExpressionError::Empty)?;
        if let Some((name, _)) = first.split_once('=') {
            return Err(ExpressionError::Assignment { name: name.to_owned() });
        }
        let rule = match first {
            "@every" => Rule::Every(every::parse(&text["@every".len()..])?),
            word if word.starts_with('@') => calendar(&text, alias(word, words.get(1).copied())?)?,
            _ => calendar(&text, &text)?,
        };
        Ok(Self { text, rule })
    }

    /// The expression as text, with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The five fields that a word stands for.
fn alias(word: &str, rest: Option<&str>) -> Result<&'static str, ExpressionError> {
    let fields = match word {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@reboot" => return Err(ExpressionError::Reboot),
        _ => {
            return Err(ExpressionError::UnknownWord { word: word.to_owned() });
        }
    };
    match rest {
        None => Ok(fields),
        Some(rest) => Err(ExpressionError::Trailing { word: word.to_owned(), rest: rest.to_owned() }),
    }
}

/// Reads five fields, separated by single spaces; `text` is the whole expression, for messages.
fn calendar(text: &str, fields: &str) -> Result<Rule, ExpressionError> {
    let words: Vec<&str> = fields.split(' ').collect();
    let words: [&str; 5] = words.try_into().map_err(|words: Vec<&str>| ExpressionError::FieldCount {
        found: words.len(),
        way_out: match words.len() {
            0..=4 => "write * for each field that does not matter",
            6 | 7 => "leave out the seconds and the year, schedules count in minutes",
            _ => "take out what is too much",
        },
    })?;
    let set = |index: usize| {
        let (field, text) = (Field::ALL[index], words[index]);
        FieldSet::parse(field, text).map_err(|fault| ExpressionError::Field { field, text: text.to_owned(), fault })
    };
    let sets = [set(0)?, set(1)?, set(2)?, set(3)?, set(4)?];
    let calendar = Calendar::new(sets)
        .map_err(|error| ExpressionError::Calendar { text: text.to_owned(), reason: error.to_string() })?;
    if !calendar.fires() {
        return Err(ExpressionError::NeverFires { text: text.to_owned() });
    }
    Ok(Rule::Calendar(Box::new(calendar)))
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Expression {
    type Error = ExpressionError;

    fn try_from(text: String) -> Result<Self, ExpressionError> {
        Self::parse(&text)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}
