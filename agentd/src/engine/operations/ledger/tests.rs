use std::io::{Read, pipe};

use super::*;
use crate::engine::trial;

const OWNER: Caller = Caller::person(1000, false, false);
const OPERATOR: Caller = Caller::person(0, true, false);

#[test]
fn copies_of_backups_that_did_not_end_are_removed_and_nothing_else() {
    let state = crate::sys::scratch::Scratch::new();
    for name in ["backup-00ff.tmp", "backup-00ff.tmp-journal", "backup-of-mine", "ledger.db"] {
        std::fs::write(state.join(name), "x").unwrap();
    }
    remove_copies(state.path()).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(state.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["backup-of-mine", "ledger.db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_and_a_backup_go_into_a_pipe_and_leave_no_copy() {
    let (engine, state) = trial::engine().await;
    for backup in [false, true] {
        let (mut reader, writer) = pipe().unwrap();
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        });
        let events = if backup {
            engine.backup(&OPERATOR, writer.into()).await.unwrap()
        } else {
            engine.export(&OPERATOR, writer.into(), false, true).await.unwrap()
        };
        assert!(events > 0 && !reading.join().unwrap().is_empty());
    }
    let names = std::fs::read_dir(state.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with("backup-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_export_of_one_uid_waits_for_another_time() {
    let (engine, state) = trial::engine().await;
    let places: Vec<_> = (0..2).map(|_| engine.0.readers.long(1000).unwrap()).collect();
    let file = || OwnedFd::from(std::fs::File::create(state.join("export")).unwrap());
    assert_eq!(engine.export(&OWNER, file(), true, true).await.unwrap_err().code, Code::Busy);
    engine.export(&OPERATOR, file(), false, true).await.unwrap();
    drop(places);
    engine.export(&OWNER, file(), true, true).await.unwrap();
    engine.export(&OWNER, file(), true, true).await.unwrap();
    engine.export(&OWNER, file(), true, true).await.unwrap();
}

#[tokio::test]
async fn a_descriptor_that_is_only_read_is_refused() {
    let (engine, state) = trial::engine().await;
    let file = std::fs::File::open(state.join("ledger.db")).unwrap();
    let problem = engine.export(&OWNER, file.into(), true, true).await.unwrap_err();
    assert_eq!(problem.code, Code::InvalidDocument, "{problem}");
}

#[test]
fn a_backup_without_room_names_the_disk_that_is_full() {
    let full = || std::io::Error::from_raw_os_error(28);
    let state = Path::new("/srv/state");
    let beside = uncopied(state, &backup::BackupError::Io { path: state.join("backup-00ff.tmp"), source: full() });
    assert_eq!(beside.code, Code::DiskFull);
    assert!(beside.message.contains("/srv/state/backup-00ff.tmp"), "{beside}");
    assert!(beside.hint.unwrap().contains("in /srv/state"));
    let given = unwritten(&full());
    assert!(given.hint.unwrap().contains("the disk that you write to"));
}
