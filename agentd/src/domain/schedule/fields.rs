//! The five fields: text to a set of numbers, with what the text says besides the set.

use super::error::FieldFault;

/// One of the five fields of an expression, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or `jan` to `dec`.
    Month,
    /// 0 to 7, or `sun` to `sat`; 0 and 7 are Sunday.
    DayOfWeek,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Field {
    /// The fields in the order they are written.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    /// The smallest and the largest number that may be written.
    fn bounds(self) -> (u8, u8) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }

    /// The allowed values, for messages.
    fn allowed(self) -> &'static str {
        match self {
            Self::Minute => "0 to 59",
            Self::Hour => "0 to 23",
            Self::DayOfMonth => "1 to 31",
            Self::Month => "1 to 12 or jan to dec",
            Self::DayOfWeek => "0 to 7 or sun to sat (0 and 7 are Sunday)",
        }
    }

    /// The number of a three-letter name, whatever its case.
    fn named(self, name: &str) -> Option<u8> {
        let (names, first): (&[&str], u8) = match self {
            Self::Month => (&MONTHS, 1),
            Self::DayOfWeek => (&WEEKDAYS, 0),
            _ => return None,
        };
        let index = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        u8::try_from(index).ok()?.checked_add(first)
    }

    /// One number or name.
    fn value(self, text: &str) -> Result<u8, FieldFault> {
        if let Some(number) = self.named(text) {
            return Ok(number);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let (min, max) = self.bounds();
            return text
                .parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| FieldFault::OutOfRange { value: text.to_owned(), allowed: self.allowed() });
        }
        Err(self
            .dialect(text)
            .unwrap_or_else(|| FieldFault::Unknown { value: text.to_owned(), allowed: self.allowed() }))
    }

    /// Marks that other dialects know, so that the message can say so.
    fn dialect(self, text: &str) -> Option<FieldFault> {
        let ends_with = |mark: char| text.strip_suffix([mark, mark.to_ascii_lowercase()]);
        let known = |rest: &str| rest.is_empty() || self.value(rest).is_ok();
        let (mark, meaning, way_out) = if text.contains('#') {
            ("#", "the nth weekday of a month", "restrict the day-of-week and let the work look at the date")
        } else if text == "?" {
            ("?", "no particular day", "write *")
        } else if text.contains('~') {
            ("~", "a random value", "write one value")
        } else if ends_with('W').is_some_and(|rest| known(rest) || rest.eq_ignore_ascii_case("l")) {
            ("W", "the nearest working day", "write the days, for example 1-5 as day-of-week")
        } else if ends_with('L').is_some_and(known) {
            ("L", "the last day", "write 28-31 and let the work look at the date, or use the first day, 1")
        } else {
            return None;
        };
        Some(FieldFault::Unsupported { mark, meaning, way_out })
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        })
    }
}

/// A parsed field: bit `n` says whether the number `n` matches. Sunday is bit 0 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldSet {
    field: Field,
    bits: u64,
    /// The text starts with `*`: to the day fields, that is "not restricted".
    pub(super) starred: bool,
    /// The text has a `*` or a step: to minute and hour, that is "at intervals" and not "at a fixed time".
    pub(super) interval: bool,
}

impl FieldSet {
    /// Reads a list of values, ranges and steps.
    pub(super) fn parse(field: Field, text: &str) -> Result<Self, FieldFault> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= item_bits(field, item)?;
        }
        if field == Field::DayOfWeek && bits & (1 << 7) != 0 {
            bits = bits & !(1 << 7) | 1;
        }
        Ok(Self { field, bits, starred: text.starts_with('*'), interval: text.contains(['*', '/']) })
    }

    /// The set in the words of the `cron` crate: `*`, or a list of numbers, of names for weekdays, because that crate
    /// counts weekdays from Sunday = 1.
    pub(super) fn words(self) -> String {
        let (min, max) = self.field.bounds();
        let max = if self.field == Field::DayOfWeek { 6 } else { max };
        let values: Vec<u8> = (min..=max).filter(|number| self.bits & (1 << number) != 0).collect();
        if values.len() == usize::from(max - min) + 1 {
            return "*".to_owned();
        }
        let word = |number: u8| match self.field {
            Field::DayOfWeek => WEEKDAYS[usize::from(number)].to_owned(),
            _ => number.to_string(),
        };
        values.into_iter().map(word).collect::<Vec<_>>().join(",")
    }
}

/// The numbers of one item of a list.
fn item_bits(field: Field, item: &str) -> Result<u64, FieldFault> {
    if item.is_empty() {
        return Err(FieldFault::EmptyItem);
    }
    let (span, step) = match item.split_once('/') {
        Some((span, step)) => (span, Some(step_value(field, step)?)),
        None => (item, None),
    };
    let (first, last) = if span == "*" {
        field.bounds()
    } else if let Some((first, last)) = span.split_once('-') {
        range(field, field.value(first)?, field.value(last)?)?
    } else {
        let start = field.value(span)?;
        if let Some(step) = step {
            return Err(FieldFault::StepWithoutRange { start, step, max: field.bounds().1 });
        }
        (start, start)
    };
    let numbers = (first..=last).step_by(usize::from(step.unwrap_or(1)));
    Ok(numbers.fold(0, |bits, number| bits | 1 << number))
}

/// Puts the ends of a range in order. Sunday counts as 0 at a start and as 7 at an end, so `sun-tue` and `fri-sun` both
/// mean what they say.
fn range(field: Field, first: u8, last: u8) -> Result<(u8, u8), FieldFault> {
    let (first, last) = match (field, first, last) {
        (Field::DayOfWeek, 7, last) if last < 7 => (0, last),
        (Field::DayOfWeek, first, 0) if first > 0 => (first, 7),
        (_, first, last) => (first, last),
    };
    if first > last {
        let (min, max) = field.bounds();
        return Err(FieldFault::Backwards { first, last, min, max });
    }
    Ok((first, last))
}

/// The number behind a slash. A step larger than the field would match once and look like more.
fn step_value(field: Field, text: &str) -> Result<u8, FieldFault> {
    let max = field.bounds().1;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|step| digits && (1..=max).contains(step))
        .ok_or_else(|| FieldFault::Step { step: text.to_owned(), max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_becomes_a_list_in_the_words_of_the_calendar() {
        for (field, text, words) in [
            (Field::Minute, "*", "*"),
            (Field::Minute, "0-59", "*"),
            (Field::Minute, "*/20", "0,20,40"),
            (Field::Minute, "5-20/5,59,007", "5,7,10,15,20,59"),
            (Field::Hour, "9-17/4", "9,13,17"),
            (Field::Hour, "*/23", "0,23"),
            (Field::DayOfMonth, "31,1,1", "1,31"),
            (Field::DayOfMonth, "*/10", "1,11,21,31"),
            (Field::Month, "jan-MAR,Dec", "1,2,3,12"),
            (Field::Month, "*/12", "1"),
            (Field::DayOfWeek, "1-5", "mon,tue,wed,thu,fri"),
            (Field::DayOfWeek, "5-7", "sun,fri,sat"),
            (Field::DayOfWeek, "fri-sun", "sun,fri,sat"),
            (Field::DayOfWeek, "sun-tue", "sun,mon,tue"),
            (Field::DayOfWeek, "7-2", "sun,mon,tue"),
            (Field::DayOfWeek, "0", "sun"),
            (Field::DayOfWeek, "7", "sun"),
            (Field::DayOfWeek, "0,7", "sun"),
            (Field::DayOfWeek, "7-7", "sun"),
            (Field::DayOfWeek, "7-0", "sun"),
            (Field::DayOfWeek, "0-6", "*"),
            (Field::DayOfWeek, "1-7", "*"),
            (Field::DayOfWeek, "0-7", "*"),
            (Field::DayOfWeek, "1-7/2", "sun,mon,wed,fri"),
            (Field::DayOfWeek, "*/2", "sun,tue,thu,sat"),
            (Field::DayOfWeek, "*/7", "sun"),
        ] {
            let set = FieldSet::parse(field, text).unwrap_or_else(|fault| panic!("{field} {text}: {fault}"));
            assert_eq!(set.words(), words, "{field} {text}");
        }
    }

    #[test]
    fn a_field_says_whether_it_is_starred_and_whether_it_is_an_interval() {
        for (text, starred, interval) in [
            ("*", true, true),
            ("*/5", true, true),
            ("*,5", true, true),
            ("5,*", false, true),
            ("0-20/5", false, true),
            ("0-20", false, false),
            ("1,2", false, false),
            ("7", false, false),
        ] {
            let set = FieldSet::parse(Field::Hour, text).expect(text);
            assert_eq!((set.starred, set.interval), (starred, interval), "{text}");
        }
    }
}
