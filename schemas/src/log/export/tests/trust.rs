//! Keys and checkpoints: whom an export is believed, and against what it is held.

use super::*;

#[test]
fn a_header_of_an_untrusted_or_misnamed_key_is_refused() {
    let bodies = bodies(1);
    let export = whole(&bodies, 0);
    let stranger = VerifierKey::new(ORIGIN, SigningKey::from_bytes(&[12; 32]).verifying_key()).unwrap();
    for keys in [vec![], vec![stranger]] {
        let refused = verify_export(&export[..], keys, &[]).unwrap_err();
        assert!(matches!(refused, ReadError::Refused(ExportError { fault: Fault::UntrustedKey { .. }, .. })));
    }
    let other = Header { origin: "agentd.example/other".to_owned(), ..header(&bodies, true) };
    let writer = ExportWriter::new(Vec::new(), other).unwrap();
    let error = verify(&writer.finish(&checkpoint(&bodies)).unwrap()).unwrap_err();
    assert!(matches!(error.fault, Fault::KeyName { .. }));
    let huge = Header { tree: Tree { size: u64::MAX, root: Hash::default() }, ..header(&bodies, true) };
    let writer = ExportWriter::new(Vec::new(), huge).unwrap();
    let error = verify(&writer.finish(&checkpoint(&bodies)).unwrap()).unwrap_err();
    assert_eq!(error.fault, Fault::TreeTooLarge { size: u64::MAX });
}

#[test]
fn an_older_checkpoint_stands_where_it_belongs() {
    let bodies = bodies(3);
    let mut writer = ExportWriter::new(Vec::new(), header(&bodies, true)).unwrap();
    writer.event(0, &bodies[0]).unwrap();
    writer.checkpoint(&checkpoint(&bodies[..2])).unwrap();
    let error = verify(&writer.finish(&checkpoint(&bodies)).unwrap()).unwrap_err();
    assert_eq!((error.line, error.fault), (3, Fault::CheckpointPlace { size: 2, after: 1 }));
}

#[test]
fn a_checkpoint_from_outside_tells_a_fork_a_cut_and_another_log() {
    let ours = bodies(6);
    let mut theirs = ours.clone();
    theirs[2] = theirs[2].replace("work_submitted", "work_cancelled");

    // The fork is signed by the same key and holds by itself; only the outside checkpoint tells.
    let fork = whole(&theirs, 0);
    assert!(verify(&fork).is_ok());
    let error = verify_with(&fork, &[checkpoint(&ours[..5]), checkpoint(&ours[..2])]).unwrap_err();
    assert_eq!(error.events, Some(2..=4), "{error}");
    assert!(matches!(error.fault, Fault::Root { size: 5, by: "a checkpoint from outside", .. }));

    let error = verify_with(&whole(&ours[..4], 0), &[checkpoint(&ours)]).unwrap_err();
    assert_eq!(error.fault, Fault::Behind { size: 4, outside: 6 });
    let error = verify_with(&partial(&theirs, &[1]), &[checkpoint(&ours)]).unwrap_err();
    assert!(matches!(error.fault, Fault::Root { size: 6, .. }));
    let error = verify_with(&partial(&ours, &[1]), &[checkpoint(&ours[..4])]).unwrap_err();
    assert_eq!(error.fault, Fault::NeedsWhole { outside: 4 });

    let stranger = SigningKey::from_bytes(&[13; 32]);
    let name = "agentd.example/other";
    let other = Checkpoint { origin: name.to_owned(), size: 1, root: Hash::default() }.sign(&stranger).unwrap();
    assert!(matches!(verify_export(&fork[..], keys(), std::slice::from_ref(&other)), Err(ReadError::Given(_))));
    let both = [keys(), vec![VerifierKey::new(name, stranger.verifying_key()).unwrap()]].concat();
    let part = partial(&ours, &[0]);
    let refused = verify_export(&part[..], both.clone(), std::slice::from_ref(&other)).unwrap_err();
    assert!(matches!(refused, ReadError::Refused(ExportError { fault: Fault::Origin { .. }, .. })));
    let refused = verify_export(&fork[..], both, &[other]).unwrap_err();
    assert!(matches!(refused, ReadError::Refused(ExportError { fault: Fault::Origin { .. }, .. })));
}
