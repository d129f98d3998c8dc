use agentd_schemas::log::note::VerifierKey;

use super::super::small::{Small, log_key};
use super::*;

fn keys(small: &Small) -> [VerifierKey; 1] {
    [VerifierKey::new(small.log.origin(), log_key().verifying_key()).unwrap()]
}

fn log_of(events: u64) -> Small {
    let mut small = Small::new();
    for _ in 1..events {
        small.denied();
    }
    small
}

fn body(small: &Small, index: u64) -> String {
    small.db.query_row("SELECT body FROM events WHERE idx = ?1", [index], |row| row.get(0)).unwrap()
}

#[test]
fn every_event_is_proved_to_an_outsider() {
    let small = log_of(530);
    for index in (0..530).step_by(7).chain([255, 256, 511, 512, 529]) {
        let text = prove(&small.db, index).unwrap().to_string();
        let proof = TlogProof::parse(&text).unwrap();
        let checkpoint = proof.verify(body(&small, index).as_bytes(), &keys(&small)).unwrap();
        assert_eq!((proof.index, checkpoint.size), (index, 530));
    }
}

#[test]
fn every_older_log_is_the_beginning_of_the_head() {
    let mut small = log_of(1);
    let mut roots = vec![small.log.frontier.root()];
    while small.log.size() < 530 {
        small.denied();
        roots.push(small.log.frontier.root());
    }
    for older in (1..=530).step_by(23).chain([255, 256, 257, 512, 530]) {
        let proof = consistency(&small.db, older).unwrap();
        let root = roots[usize::try_from(older).unwrap() - 1];
        assert_eq!(proof.older_root, root);
        let newest = roots.last().unwrap();
        verify_consistency(older, 530, &root, newest, &proof.hashes).unwrap();
    }
}

#[test]
fn what_is_not_there_is_not_proved() {
    let small = log_of(3);
    let error = prove(&small.db, 3).unwrap_err();
    assert_eq!(error.to_string(), "leaf 3 is not in a tree of 3 leaves");
    assert!(matches!(consistency(&small.db, 4), Err(ProveError::Refused(ProofError::Reversed { .. }))));
    small.db.execute("DELETE FROM head", []).unwrap();
    assert!(matches!(prove(&small.db, 0), Err(ProveError::Empty)));
}

#[test]
fn a_damaged_tree_gives_no_proof() {
    let small = log_of(300);
    let cases = [
        ("UPDATE events SET leaf = zeroblob(32) WHERE idx = 6", "the proof of event 7"),
        ("UPDATE events SET body = replace(body, 'no_rule', 'no_role') WHERE idx = 7", "the proof of event 7"),
        ("DELETE FROM events WHERE idx = 6", "event 6 is missing"),
        ("DELETE FROM events WHERE idx = 7", "event 7 is missing"),
        ("UPDATE events SET leaf = x'00' WHERE idx = 6", "event 6: its bytes"),
        ("UPDATE head SET note = 'x'", "the head: "),
    ];
    for (sql, says) in cases {
        small.db.execute_batch("BEGIN").unwrap();
        small.db.execute_batch(sql).unwrap();
        let error = prove(&small.db, 7).unwrap_err().to_string();
        assert!(error.contains(says), "{sql}: {error}");
        small.db.execute_batch("ROLLBACK").unwrap();
    }
    small.db.execute_batch("UPDATE nodes SET hash = zeroblob(32)").unwrap();
    assert!(matches!(prove(&small.db, 299), Err(ProveError::Broken { .. })));
    assert!(matches!(consistency(&small.db, 280), Err(ProveError::Broken { .. })));
    small.db.execute_batch("DELETE FROM nodes").unwrap();
    assert!(matches!(prove(&small.db, 299), Err(ProveError::Tree(TreeError::NoNode { level: 8, index: 0 }))));
}
