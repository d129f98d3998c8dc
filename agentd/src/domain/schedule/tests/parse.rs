//! Which lines are expressions, and what is said about those that are not.

use proptest::prelude::*;

use super::super::{Expression, ExpressionError, Field, FieldFault};

#[test]
fn expressions_that_cron_users_write_are_taken() {
    for text in [
        "* * * * *",
        "*/15 * * * *",
        "0 9-17/2 * * mon-fri",
        "30 4 1,15 * 5",
        "0 0 29 2 *",
        "0 0 31 1-12 *",
        "0 0 31 4,5 *",
        "5 0 * jan-MAR,dec Sun",
        "0 0 * * 0",
        "0 0 * * 7",
        "0 22 * * 1-5",
        "0 22 * * 5-7",
        "0 22 * * sun-tue",
        "0 0 30 2 1",
        "0 0 29 2 */7",
        "00 007 * * *",
        "@hourly",
        "@daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
        "@every 15min",
        "@every 1h 30min",
    ] {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.as_str(), text);
    }
    let spaced = Expression::parse("  0\t9  * * \n mon ").expect("white space does not matter");
    assert_eq!(spaced, Expression::parse("0 9 * * mon").expect("plain"));
}

#[test]
fn lines_that_are_no_expressions_say_why_and_what_to_write() {
    let long = "0,".repeat(130);
    for (text, parts) in [
        ("", &["empty", "@every"][..]),
        (" \t ", &["empty"]),
        (&long, &["260 bytes", "256"]),
        ("* * * *", &["counts 4", "write *"]),
        ("0 * * * * *", &["counts 6", "seconds"]),
        ("0 0 0 1 1 * 2026", &["counts 7", "year"]),
        ("1 2 3 4 5 6 7 8", &["counts 8", "take out"]),
        ("hello", &["counts 1", "write *"]),
        ("TZ=Europe/Berlin 0 9 * * *", &["\"TZ\"", "zone"]),
        ("CRON_TZ=UTC 0 9 * * *", &["\"CRON_TZ\"", "zone"]),
        ("@reboot", &["@reboot", "@every"]),
        ("@fortnightly", &["@fortnightly", "@weekly"]),
        ("@DAILY", &["@DAILY", "@daily"]),
        ("@daily 0", &["@daily", "take out \"0\""]),
        ("@every", &["@every", "15min"]),
        ("@every 30s", &["@every", "1min"]),
        ("@every 15m", &["@every", "\"m\"", "min"]),
        ("@every15min", &["@every15min", "@every"]),
        ("60 * * * *", &["minute", "60 is out of range", "0 to 59"]),
        ("* 24 * * *", &["hour", "24", "0 to 23"]),
        ("* * 0 * *", &["day-of-month", "0 is out", "1 to 31"]),
        ("* * 32 * *", &["day-of-month", "32"]),
        ("* * * 13 *", &["month", "13", "jan to dec"]),
        ("* * * * 8", &["day-of-week", "8", "0 to 7"]),
        ("* * * * 99999999999999999999", &["day-of-week", "out of range"]),
        ("* * * * monday", &["day-of-week", "monday", "sun to sat"]),
        ("jan * * * *", &["minute", "\"jan\"", "0 to 59"]),
        ("+5 * * * *", &["minute", "\"+5\""]),
        ("-5 * * * *", &["minute", "\"\""]),
        ("1,,2 * * * *", &["minute", "comma"]),
        ("1, * * * *", &["minute", "comma"]),
        ("30-10 * * * *", &["minute", "30-59,0-10"]),
        ("* * * * sat-tue", &["day-of-week", "backwards", "6-7,0-2"]),
        ("*/0 * * * *", &["minute", "step", "\"0\"", "1 to 59"]),
        ("*/90 * * * *", &["minute", "step", "\"90\""]),
        ("*/+5 * * * *", &["minute", "step", "\"+5\""]),
        ("*/ * * * *", &["minute", "step"]),
        ("5/10 * * * *", &["minute", "5-59/10"]),
        ("0 0 L * *", &["day-of-month", "last day", "28-31"]),
        ("0 0 15W * *", &["day-of-month", "working day"]),
        ("0 0 LW * *", &["day-of-month", "working day"]),
        ("0 0 * * 5#2", &["day-of-week", "nth weekday"]),
        ("0 0 * * friL", &["day-of-week", "last day"]),
        ("0 0 ? * 5", &["day-of-month", "write *"]),
        ("0~30 0 * * *", &["minute", "random"]),
        ("0 0 30 2 *", &["never fires", "day-of-month"]),
        ("0 0 31 2,4,6,9,11 *", &["never fires"]),
        ("0 0 30-31 feb */2", &["never fires"]),
    ] {
        let error = Expression::parse(text).expect_err(text).to_string();
        for part in parts {
            assert!(error.contains(part), "{text:?} says {error:?}, without {part:?}");
        }
    }
}

#[test]
fn the_error_of_a_field_can_be_matched_on() {
    let fault = FieldFault::OutOfRange { value: "24".to_owned(), allowed: "0 to 23" };
    let expected = ExpressionError::Field { field: Field::Hour, text: "1,24".to_owned(), fault };
    assert_eq!(Expression::parse("0 1,24 * * *"), Err(expected));
}

#[test]
fn an_expression_is_text_in_documents_and_checked_when_read() {
    let expression: Expression = serde_json::from_str("\" 0  9 * * mon\"").expect("good");
    assert_eq!(serde_json::to_string(&expression).expect("written"), "\"0 9 * * mon\"");
    let error = serde_json::from_str::<Expression>("\"0 25 * * *\"").expect_err("bad").to_string();
    assert!(error.contains("hour"), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(Expression::parse(expression.as_str()), Ok(expression));
        }
    }

    #[test]
    fn no_text_of_cron_characters_makes_the_parser_panic(text in "[@0-9a-zLW#?~*/,= +-]{0,40}") {
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(Expression::parse(expression.as_str()), Ok(expression));
        }
    }

    #[test]
    fn no_five_fields_make_the_parser_panic(
        fields in prop::collection::vec("[0-9*]{1,2}([-/,][0-9]{1,3}){0,3}|mon-[a-z]{3}|\\PC{1,3}", 5)
    ) {
        if let Err(error) = Expression::parse(&fields.join(" ")) {
            prop_assert!(error.to_string().starts_with("schedule expression"));
        }
    }
}
