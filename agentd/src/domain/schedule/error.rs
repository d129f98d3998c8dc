//! What can be wrong with an expression, in words its writer can act on.

use super::fields::Field;

/// Why an expression was refused. Every message names the part, the reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// There is nothing but white space.
    #[error(
        "schedule expression is empty: write five fields (minute hour day-of-month month day-of-week), @daily or the like, \
         or @every with a duration"
    )]
    Empty,
    /// Longer than [`super::MAX_EXPRESSION_BYTES`].
    #[error("schedule expression has {length} bytes, the limit is {max}: split it into several schedules")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Fewer or more than five fields.
    #[error(
        "schedule expression counts {found} where five fields belong (minute hour day-of-month month day-of-week): {way_out}"
    )]
    FieldCount {
        /// Fields given.
        found: usize,
        /// What to change.
        way_out: &'static str,
    },
    /// An assignment such as `TZ=Europe/Berlin` in front of the fields.
    #[error(
        "schedule expression sets {name:?}: an expression holds no zone and no variables, give the schedule its zone instead"
    )]
    Assignment {
        /// The name left of the equals sign.
        name: String,
    },
    /// `@reboot`, which is no point in time.
    #[error(
        "schedule expression @reboot names no time: use @every with a duration, or submit the work from a unit that runs at boot"
    )]
    Reboot,
    /// A word after `@` that is not known.
    #[error(
        "schedule expression {word:?} is unknown: use @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every"
    )]
    UnknownWord {
        /// The word with its `@`.
        word: String,
    },
    /// Something stands after a word that takes nothing.
    #[error("schedule expression {word} takes nothing after it: take out {rest:?}")]
    Trailing {
        /// The word with its `@`.
        word: String,
        /// What stood first after it.
        rest: String,
    },
    /// The duration of `@every` is wrong.
    #[error("schedule expression @every: {0}")]
    Every(#[from] EveryFault),
    /// One field is wrong.
    #[error("schedule expression field {field} {text:?}: {fault}")]
    Field {
        /// Which of the five.
        field: Field,
        /// The field as written.
        text: String,
        /// What is wrong with it.
        fault: FieldFault,
    },
    /// The fields are fine one by one, and no calendar day has them all.
    #[error(
        "schedule expression {text:?} never fires: no day from 2000 to 2100 matches, change the day-of-month or the month"
    )]
    NeverFires {
        /// The whole expression.
        text: String,
    },
    /// The calendar refused fields that the parser had taken: a fault of agentd.
    #[error(
        "schedule expression {text:?} was taken by the parser and refused by the calendar ({reason}): report it as a fault"
    )]
    Calendar {
        /// The whole expression.
        text: String,
        /// The calendar's own words.
        reason: String,
    },
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldFault {
    /// Two commas in a row, or one at an end.
    #[error("an item of the list is empty, take out the extra comma")]
    EmptyItem,
    /// Neither a number nor a name of this field.
    #[error("{value:?} is not known here, use {allowed}")]
    Unknown {
        /// The value as written.
        value: String,
        /// The values that are.
        allowed: &'static str,
    },
    /// A number outside the field.
    #[error("{value} is out of range, use {allowed}")]
    OutOfRange {
        /// The number as written.
        value: String,
        /// The values that are allowed.
        allowed: &'static str,
    },
    /// A range whose end lies before its start.
    #[error("the range {first}-{last} runs backwards, write it as two: {first}-{max},{min}-{last}")]
    Backwards {
        /// Start of the range.
        first: u8,
        /// End of the range.
        last: u8,
        /// Smallest value of the field.
        min: u8,
        /// Largest value of the field.
        max: u8,
    },
    /// A step that is no number, zero, or larger than the field.
    #[error("the step {step:?} is no number from 1 to {max}")]
    Step {
        /// The step as written.
        step: String,
        /// The largest step of the field.
        max: u8,
    },
    /// A step behind a single value.
    #[error("a step needs a range, write {start}-{max}/{step}")]
    StepWithoutRange {
        /// The single value.
        start: u8,
        /// The step.
        step: u8,
        /// Largest value of the field.
        max: u8,
    },
    /// A mark of other cron dialects.
    #[error("{mark} ({meaning}) is not supported, {way_out}")]
    Unsupported {
        /// The mark.
        mark: &'static str,
        /// What other dialects mean by it.
        meaning: &'static str,
        /// What to write instead.
        way_out: &'static str,
    },
}

/// What is wrong with the duration of `@every`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EveryFault {
    /// No duration at all.
    #[error("the duration is missing, write for example @every 15min")]
    Missing,
    /// A part without a number in front.
    #[error("{part:?} has no number in front, write for example 15min or 1h 30min")]
    NoNumber {
        /// From the part on to the end.
        part: String,
    },
    /// A unit that is not known, or none.
    #[error("{unit:?} is no unit, use s, min, h or d")]
    Unit {
        /// The unit as written; empty when there is none.
        unit: String,
    },
    /// Shorter than a minute or longer than 366 days.
    #[error("the duration is out of range, use one from 1min to 366d")]
    OutOfRange,
}
