//! Damage to the bytes: flips, cuts, and lines lost, doubled or moved.

use proptest::prelude::*;

use super::*;

/// The event that each line belongs to.
fn events_of(lines: &[Vec<u8>]) -> Vec<Option<u64>> {
    let of = |line: &Vec<u8>| {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        match line["line"].as_str().unwrap() {
            "event" | "proof" => line["index"].as_u64(),
            "blob" => line["event"].as_u64(),
            _ => None,
        }
    };
    lines.iter().map(of).collect()
}

/// Changes each bit of each byte, and each byte to a newline, and hands over what the verifier says: the event that the
/// byte belongs to, a description of the change, and the error. Lines before the changed one are read once.
fn each_flip(export: &[u8], mut check: impl FnMut(Option<u64>, &str, ExportError)) {
    let lines = lines(export);
    let mut verifier = ExportVerifier::new(keys(), &[]).unwrap();
    for (number, (line, event)) in lines.iter().zip(events_of(&lines)).enumerate() {
        let mut rest = lines[number..].concat();
        for at in 0..line.len() {
            let was = rest[at];
            for change in (0..8).map(|bit| was ^ (1 << bit)).chain([b'\n']) {
                if change == was {
                    continue;
                }
                rest[at] = change;
                let what = format!("line {}, byte {at} to {:?}", number + 1, char::from(change));
                match verifier.clone().read(&rest[..]) {
                    Err(ReadError::Refused(error)) => check(event, &what, error),
                    other => panic!("{what}: {other:?}"),
                }
            }
            rest[at] = was;
        }
        verifier.line(line.strip_suffix(b"\n").unwrap()).unwrap();
    }
    assert!(verifier.finish().is_ok());
}

#[test]
fn every_flipped_bit_of_a_whole_export_is_refused_and_names_its_event() {
    each_flip(&whole(&bodies(4), 2), |event, what, error| {
        if let Some(event) = event {
            assert_eq!(error.events, Some(event..=event), "{what}: {error}");
        }
    });
}

#[test]
fn every_flipped_bit_of_a_partial_export_is_refused_and_names_no_other_event() {
    each_flip(&partial(&bodies(5), &[1, 3]), |event, what, error| {
        if let (Some(event), Fault::Leaf | Fault::Proof(_) | Fault::Blob { .. }) = (event, &error.fault) {
            assert_eq!(error.events, Some(event..=event), "{what}: {error}");
        }
    });
}

#[test]
fn every_cut_is_refused() {
    for export in [whole(&bodies(4), 2), partial(&bodies(4), &[1, 3])] {
        for length in 0..export.len() {
            assert!(verify(&export[..length]).is_err(), "cut to {length} bytes");
        }
    }
}

#[test]
fn a_line_lost_doubled_or_moved_is_refused() {
    for export in [whole(&bodies(4), 2), partial(&bodies(4), &[1, 3])] {
        let lines = lines(&export);
        for at in 0..lines.len() {
            let mut lost = lines.clone();
            lost.remove(at);
            assert!(verify(&lost.concat()).is_err(), "line {at} lost");
            for to in 0..=lines.len() {
                let mut doubled = lines.clone();
                doubled.insert(to, lines[at].clone());
                assert!(verify(&doubled.concat()).is_err(), "line {at} doubled to {to}");
            }
            for to in (0..lines.len()).filter(|to| *to != at) {
                let mut moved = lines.clone();
                let line = moved.remove(at);
                moved.insert(to, line);
                assert!(verify(&moved.concat()).is_err(), "line {at} moved to {to}");
            }
        }
    }
}

#[test]
fn a_lost_event_is_named() {
    let export = whole(&bodies(6), 0);
    let lines = lines(&export);
    for (at, event) in events_of(&lines).into_iter().enumerate() {
        let mut lost = lines.clone();
        lost.remove(at);
        if let Some(event) = event {
            assert_eq!(verify(&lost.concat()).unwrap_err().events, Some(event..=event), "line {at} lost");
        }
    }
}

#[test]
fn another_spelling_of_the_same_line_is_refused() {
    let export = String::from_utf8(whole(&bodies(2), 0)).unwrap();
    let spellings = [
        ("{\"line\":\"event\",\"index\":1,", "{\"line\": \"event\",\"index\":1,"),
        ("{\"line\":\"event\",\"index\":1,", "{\"index\":1,\"line\":\"event\","),
        ("{\"line\":\"event\",\"index\":1,", "{\"line\":\"event\",\"index\":1.0,"),
        ("{\"line\":\"event\",\"index\":1,", "{\"line\":\"event\",\"index\":1,\"index\":1,"),
        ("{\"line\":\"event\",\"index\":1,", "{\"line\":\"event\",\"index\":1,\"more\":1,"),
        ("{\"line\":\"event\",\"index\":1,", "{\"line\":\"\\u0065vent\",\"index\":1,"),
        ("\"slot\":7,\"erased\":true}", "\"slot\":7,\"erased\":true,\"withheld\":false}"),
        ("\"slot\":7,\"erased\":true}", "\"slot\":7,\"data\":null,\"erased\":true}"),
        ("\"slot\":7,\"erased\":true}\n", "\"slot\":7,\"erased\":true}\r\n"),
        ("\"slot\":7,\"erased\":true}\n", "\"slot\":7,\"erased\":true}\n\n"),
    ];
    for (from, to) in spellings {
        assert!(export.contains(from));
        let error = verify(export.replace(from, to).as_bytes()).unwrap_err();
        assert!(matches!(error.fault, Fault::NotCanonical | Fault::Malformed { .. }), "{to}: {error}");
    }
}

#[test]
fn an_endless_line_is_refused_at_the_limit() {
    let endless = std::io::BufReader::new(std::io::repeat(b' '));
    let Err(ReadError::Refused(error)) = verify_export(endless, keys(), &[]) else { panic!("accepted") };
    assert_eq!((error.line, error.fault), (1, Fault::LineTooLong));
    let mut verifier = ExportVerifier::new(keys(), &[]).unwrap();
    assert_eq!(verifier.line(&vec![b' '; MAX_LINE_BYTES + 1]).unwrap_err().fault, Fault::LineTooLong);
}

#[test]
fn the_first_error_stays() {
    let export = whole(&bodies(3), 0);
    let mut verifier = ExportVerifier::new(keys(), &[]).unwrap();
    let lines = lines(&export);
    let line = |at: usize| lines[at].strip_suffix(b"\n").unwrap();
    verifier.line(line(0)).unwrap();
    let error = verifier.line(b"{}").unwrap_err();
    for at in 1..lines.len() {
        assert_eq!(verifier.line(line(at)), Err(error.clone()));
    }
    assert_eq!(verifier.finish(), Err(error));
}

proptest! {
    #[test]
    fn no_line_makes_the_verifier_panic(garbage in prop::collection::vec(any::<u8>(), 0..200), after in 0_usize..8) {
        let export = whole(&bodies(4), 2);
        let mut bytes = lines(&export)[..after].concat();
        bytes.extend(garbage);
        prop_assert!(verify(&bytes).is_err());
    }
}
