use std::io::{self, BufReader, Read};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::{LineLimits, lines};
use crate::strict::{ErrorKind, Limits};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: u32,
}

fn read(text: &str) -> Vec<Result<Entry, String>> {
    lines(text.as_bytes(), LineLimits::DEFAULT).map(|entry| entry.map_err(|error| error.to_string())).collect()
}

#[test]
fn each_line_is_a_value_and_the_last_needs_no_newline() {
    let entries = [Ok(Entry { id: 1 }), Ok(Entry { id: 2 })];
    assert_eq!(read("{\"id\":1}\n{\"id\":2}\n"), entries);
    assert_eq!(read("{\"id\":1}\r\n {\"id\":2}"), entries);
    assert_eq!(read(""), []);
}

#[test]
fn an_error_names_its_line_and_ends_the_reading() {
    for (text, said) in [
        ("{\"id\":1}\n{\"ids\":2}\n{\"id\":3}\n", "line 2, column 6: unknown field \"ids\"; did you mean \"id\"?"),
        ("{\"id\":1}\n\n{\"id\":3}\n", "line 2, column 1: the line is empty; remove it"),
        (
            "{\"id\":1}\n{\"id\":2}{\"id\":3}\n",
            "line 2, column 9: more content follows the document; write one value for each document",
        ),
        ("{\"id\":1}\n{\"id\":1,\"id\":2}", "line 2, column 9: duplicate key \"id\"; keep one of the two"),
    ] {
        assert_eq!(read(text), [Ok(Entry { id: 1 }), Err(said.to_owned())]);
    }
}

#[test]
fn lines_are_bounded_in_length_and_number() {
    let limits = LineLimits { line: Limits { max_bytes: 4, ..Limits::DEFAULT }, max_lines: 2 };
    let read = |text: &str| -> Vec<_> {
        let values = lines::<Value, _>(text.as_bytes(), limits);
        values.map(|value| value.map_err(|error| (error.kind().clone(), error.line()))).collect()
    };
    assert_eq!(read("1234\n5678"), [Ok(1234.into()), Ok(5678.into())]);
    assert_eq!(read("1234\n5678\n").len(), 2);
    let too_large = ErrorKind::TooLarge { limit: 4 };
    assert_eq!(read("1\n12345\n"), [Ok(1.into()), Err((too_large.clone(), Some(2)))]);
    assert_eq!(read("12345"), [Err((too_large, Some(1)))]);
    let too_many = ErrorKind::TooMany { what: "lines", limit: 2 };
    assert_eq!(read("1\n2\n3\n"), [Ok(1.into()), Ok(2.into()), Err((too_many, Some(3)))]);
}

#[test]
fn a_line_without_end_is_given_up_at_the_bound() {
    let endless = BufReader::new(io::repeat(b'1'));
    let mut values = lines::<Value, _>(endless, LineLimits::DEFAULT);
    let error = values.next().unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TooLarge { limit: 1024 * 1024 });
    assert!(values.next().is_none());
}

#[test]
fn a_failing_source_is_no_fault_of_the_document() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the pipe broke"))
        }
    }
    let mut values = lines::<Value, _>(BufReader::new(Broken), LineLimits::DEFAULT);
    let error = values.next().unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Read);
    assert!(error.message().contains("the pipe broke"));
}

#[test]
fn the_line_read_last_is_known() {
    let mut values = lines::<Value, _>("1\n2\n".as_bytes(), LineLimits::DEFAULT);
    assert_eq!(values.line(), 0);
    values.next();
    values.next();
    assert_eq!(values.line(), 2);
    assert!(values.next().is_none());
    assert_eq!(values.line(), 2);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(numbers in prop::collection::vec(any::<i64>(), 0..50)) {
        let written: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let text = written.join("\n");
        let read: Result<Vec<i64>, _> = lines(text.as_bytes(), LineLimits::DEFAULT).collect();
        prop_assert_eq!(read.unwrap(), numbers);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let count = lines::<Value, _>(&bytes[..], LineLimits::DEFAULT).count();
        prop_assert!(count <= bytes.len());
    }
}
