//! A machine that misbehaves: directories, disks and clocks. Each fault has an error that names it, and loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::fs::{File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use agentd_tests::harness::{Agent, Daemon, Scratch, Settings, Tmpfs, eventually, faketime, installed, is_root, skip};
use rusqlite::Connection;
use serde_json::{Value, json};
use zbus::Fd;

/// Runs the daemon of a directory that it must refuse; what it said.
fn refuses_to_start(daemon: &mut Daemon) -> String {
    daemon.spawn();
    let status = daemon.wait();
    assert!(!status.success(), "{}", daemon.log());
    let log = daemon.log();
    let last = log.lines().rev().find(|line| line.starts_with("error:"));
    last.unwrap_or_else(|| panic!("no error was told: {log}")).to_owned()
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused_and_the_first_serves_on() {
    let first = Daemon::start();
    let mut second = Daemon::prepared(Settings { state: Some(first.state()), ..Settings::default() });
    let told = refuses_to_start(&mut second);
    assert!(told.contains(first.state().to_str().unwrap()), "{told}");
    assert!(told.contains("another") || told.contains("lock") || told.contains(&first.pid().to_string()), "{told}");
    first.operator().submit(&json!({"title": "still here"}));
}

#[test]
fn a_database_of_a_newer_agentd_is_not_touched() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let conn = Connection::open(daemon.database()).unwrap();
    conn.pragma_update(None, "user_version", 9_999).unwrap();
    conn.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
    drop(conn);
    let before = std::fs::read(daemon.database()).unwrap();
    let told = refuses_to_start(&mut daemon);
    assert!(told.contains("9999") || told.contains("newer"), "{told}");
    assert_eq!(std::fs::read(daemon.database()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_ledger_is_not_touched() {
    let mut daemon = Daemon::prepared(Settings::default());
    std::fs::create_dir_all(daemon.state()).unwrap();
    std::fs::set_permissions(daemon.state(), Permissions::from_mode(0o700)).unwrap();
    std::fs::write(daemon.database(), b"not a database, but dear to somebody").unwrap();
    std::fs::set_permissions(daemon.database(), Permissions::from_mode(0o600)).unwrap();
    let told = refuses_to_start(&mut daemon);
    assert!(told.contains("ledger"), "{told}");
    assert_eq!(std::fs::read(daemon.database()).unwrap(), b"not a database, but dear to somebody");
}

#[test]
fn lost_keys_are_named_and_no_new_ones_made() {
    let mut daemon = Daemon::start();
    daemon.stop();
    let key = daemon.state().join("keys/log");
    std::fs::rename(&key, daemon.file("log")).unwrap();
    let told = refuses_to_start(&mut daemon);
    assert!(told.contains("keys/log") && told.contains("missing"), "{told}");
    assert!(!key.exists());
    std::fs::rename(daemon.file("log"), &key).unwrap();
    daemon.run();
}

#[test]
fn a_lost_ledger_beside_its_keys_is_refused_and_no_new_one_begins() {
    for empty in [false, true] {
        let mut daemon = Daemon::start();
        daemon.stop();
        let (ledger, kept) = (daemon.database(), daemon.file("kept.db"));
        std::fs::rename(&ledger, &kept).unwrap();
        if empty {
            std::fs::write(&ledger, b"").unwrap();
            std::fs::set_permissions(&ledger, Permissions::from_mode(0o600)).unwrap();
        }
        let told = refuses_to_start(&mut daemon);
        assert!(told.contains("has the keys of a ledger") && told.contains("restore"), "{told}");
        assert!(told.contains(if empty { "is empty" } else { "is missing" }), "{told}");
        assert_eq!(ledger.exists(), empty, "nothing was made in its place");
        std::fs::rename(&kept, &ledger).unwrap();
        daemon.run();
        daemon.stop();
        std::fs::remove_file(&ledger).unwrap();
        std::fs::rename(daemon.state().join("keys"), daemon.file("keys")).unwrap();
        daemon.run();
    }
}

#[test]
fn a_damaged_ledger_is_called_damaged_and_restore_is_named() {
    use std::os::unix::fs::FileExt as _;
    let mut daemon = Daemon::start();
    daemon.stop();
    // The first page must not be in the WAL as well.
    let conn = Connection::open(daemon.database()).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(conn);
    File::options().write(true).open(daemon.database()).unwrap().write_all_at(b"junk", 0).unwrap();
    let told = refuses_to_start(&mut daemon);
    assert!(told.contains("damaged") && told.contains("restore") && !told.contains("move"), "{told}");
}

#[test]
fn a_configuration_that_everybody_may_write_is_refused() {
    let config = Some("[limits]\nmax_attempts = 3\n".to_owned());
    let mut daemon = Daemon::prepared(Settings { config, ..Settings::default() });
    File::create(daemon.config()).unwrap().set_permissions(Permissions::from_mode(0o646)).unwrap();
    let told = refuses_to_start(&mut daemon);
    assert!(told.contains("can be written by everybody") && told.contains("chmod o-w"), "{told}");
}

#[test]
fn a_configuration_that_is_wrong_names_the_option_and_starts_nothing() {
    for (config, word) in [
        ("[limits]\nmax_atempts = 3\n", "max_attempts"),
        ("[limits]\nmax_attempts = 0\n", "max_attempts"),
        ("[limits]\nlease = \"1s\"\n", "lease"),
        ("mode = \"privat\"\n", "private"),
        ("[log]\nlevel = \"loud\"\n", "error, warn, info, debug, trace"),
        ("time_zone = \"Europe/Atlantis\"\n", "Atlantis"),
        ("[log]\nlevel = \"info\"\nlevel = \"warn\"\n", "level"),
        ("[limits", "agentd.toml"),
        ("trust_domain = \"Not A Domain\"\n", "Not A Domain"),
    ] {
        let mut daemon = Daemon::prepared(Settings { config: Some(config.to_owned()), ..Settings::default() });
        let told = refuses_to_start(&mut daemon);
        assert!(told.contains(word), "{config}: {told}");
    }
}

#[test]
fn a_full_disk_refuses_writes_in_words_and_takes_them_again_when_there_is_room() {
    let scratch = Scratch::new();
    let mount = scratch.join("m");
    let Some(_tmpfs) = Tmpfs::mount(&mount, 12) else { return skip("a small file system needs a mount") };
    let mut daemon = Daemon::with(Settings { state: Some(mount.join("s")), ..Settings::default() });
    let operator = daemon.operator();
    let first = operator.submit(&json!({"title": "before"}));
    let ballast = mount.join("ballast");
    fill(&ballast);
    let mut taken = 1;
    let problem = loop {
        let document = json!({"title": "more", "instructions": "x".repeat(200_000)}).to_string();
        match operator.ask("Works", "Submit", &(document, "")) {
            Ok(_) => taken += 1,
            Err(problem) => break problem,
        }
        assert!(taken < 200, "the disk never filled");
    };
    assert_eq!(problem.code.as_str(), "disk_full", "{problem:?}\n{}", daemon.log());
    assert!(problem.hint.is_some_and(|hint| hint.contains("space")));
    assert_eq!(operator.state(&first), "parked", "reading goes on");
    fill(&mount.join("rest"));
    let program = json!({"agent": {"name": "h", "command": ["/bin/true"]}}).to_string();
    let problem = operator.ask("Agents", "EnrollProgram", &(program,)).unwrap_err();
    assert_eq!(problem.code.as_str(), "disk_full", "no room for its key: {problem:?}\n{}", daemon.log());
    let keys = std::fs::read_dir(mount.join("s/keys/agents"));
    assert_eq!(keys.map_or(0, Iterator::count), 0, "nothing half-written");
    std::fs::remove_file(mount.join("rest")).unwrap();
    let away = scratch.join("away.jsonl");
    let file = File::create(&away).unwrap();
    let exported: Result<u64, _> = operator.call("Ledger", "Export", &(Fd::from(file.as_fd()), false, true));
    assert!(exported.is_ok_and(|events| events > 1), "what there is can be got away");
    assert!(std::fs::metadata(&away).unwrap().len() > 1000);
    std::fs::remove_file(&ballast).unwrap();
    operator.submit(&json!({"title": "after"}));
    assert_eq!(operator.count("WorkSubmitted"), taken + 1);
    drop(operator);
    daemon.stop();
    daemon.verifies();
}

fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = File::create(path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

#[test]
fn a_file_system_that_turns_read_only_is_named_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let mount = scratch.join("m");
    let Some(tmpfs) = Tmpfs::mount(&mount, 32) else { return skip("a read-only file system needs a mount") };
    let mut daemon = Daemon::with(Settings { state: Some(mount.join("s")), ..Settings::default() });
    let id = daemon.operator().submit(&json!({"title": "before"}));
    daemon.stop();
    assert!(tmpfs.remount("ro"), "remount");
    let told = refuses_to_start(&mut daemon);
    assert!(told.to_lowercase().contains("read-only") || told.contains("cannot be written"), "{told}");
    assert!(tmpfs.remount("rw"), "remount");
    daemon.run();
    assert_eq!(daemon.operator().state(&id), "parked");
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let mut daemon = Daemon::start();
    daemon.stop();
    std::fs::set_permissions(daemon.state(), Permissions::from_mode(0o777)).unwrap();
    daemon.spawn();
    let ended = eventually("an end or a door", || {
        let open = std::os::unix::net::UnixStream::connect(daemon.agents_socket()).is_ok();
        (open || daemon.exited().is_some()).then_some(!open)
    });
    let mode = std::fs::metadata(daemon.state()).unwrap().permissions().mode() & 0o077;
    assert!(ended || mode == 0, "it is refused, or closed to others: {mode:o}");
}

#[test]
fn a_wall_clock_that_jumps_holds_what_depends_on_it_until_a_person_looks() {
    if faketime().is_none() {
        return skip("a false clock needs the package faketime");
    }
    for (jump, leap) in [("-1d", "a day back"), ("+3650d", "ten years on")] {
        let scratch = Scratch::new();
        let clock = scratch.join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let mut daemon = Daemon::with(Settings::default().false_clock(&clock));
        let operator = daemon.operator();
        let agent = Agent::enrol(&daemon, &operator, "worker", &[]);
        let dated = operator.submit(&json!({"title": "in a year", "not_before": "2030-01-01T00:00:00Z"}));
        operator.submit(&json!({"title": "now"}));
        let claim = agent.claim();
        std::fs::write(&clock, jump).unwrap();
        // A lease counts boot time: the jump does not end it.
        agent.say(&claim, "heartbeat", json!({})).read::<Value>();
        agent.complete(&claim, "done");
        eventually(&format!("the clock to be held after {leap}"), || {
            let status = operator.ask("Host", "Status", &()).unwrap();
            status["clock_held_ms"].as_i64().filter(|held| *held != 0)
        });
        assert_eq!(operator.state(&dated), "scheduled", "{leap}");
        assert_eq!(operator.count("ClockJumped"), 1, "{leap}");
        operator.call::<()>("Host", "AcceptClock", &"seen").unwrap();
        if jump.starts_with('+') {
            operator.until(&dated, "ready");
        }
        drop(operator);
        daemon.stop();
        daemon.verifies();
    }
}

#[test]
fn a_restored_backup_knows_no_fence_that_was_given_out_after_it() {
    let mut daemon = Daemon::start();
    let operator = daemon.operator();
    let mut agent = Agent::enrol(&daemon, &operator, "worker", &[]);
    let id = operator.submit(&json!({"title": "x"}));
    let backup = daemon.file("backup.db");
    let file = File::options().read(true).write(true).create_new(true).open(&backup).unwrap();
    let _: u64 = operator.call("Ledger", "Backup", &Fd::from(file.as_fd())).unwrap();
    let origin = agent.origin.clone();
    let newer = agent.claim();
    drop(operator);
    daemon.kill();
    std::fs::rename(daemon.state(), daemon.file("lost")).unwrap();
    let restored = daemon.tool(&["restore", backup.to_str().unwrap(), "--reason", "the disk died"]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    daemon.run();
    agent.sign_in().unwrap();
    assert_ne!(agent.origin, origin, "a new incarnation signs under a name of its own");
    for answer in [
        agent.say(&newer, "heartbeat", json!({})),
        agent.hand_in(&newer, "r", &agent.statement(&newer, "r"), &agent.key),
    ] {
        assert_eq!(answer.problem().code.as_str(), "stale_fence");
    }
    let operator = daemon.operator();
    assert_eq!(operator.state(&id), "ready");
    let claim = agent.claim();
    assert!(claim.fence > newer.fence, "fences of a newer incarnation are greater");
    agent.complete(&claim, "r");
    assert_eq!(operator.count("IncarnationStarted"), 1);
    drop(operator);
    daemon.stop();
    daemon.verifies();
    let again = daemon.tool(&["restore", backup.to_str().unwrap(), "--reason", "twice"]);
    assert!(!again.status.success(), "a ledger is never overwritten");
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    if !is_root() || !installed("mkfs.ext4") || !installed("python3") {
        return skip("a power cut needs root, loop devices, mkfs.ext4 and python3");
    }
    let scratch = Scratch::new();
    let (image, mount) = (scratch.join("image"), scratch.join("m"));
    File::create(&image).unwrap().set_len(96 << 20).unwrap();
    assert!(run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]));
    std::fs::create_dir(&mount).unwrap();
    // A long commit interval: only what was synced is on the disk.
    let Some(disk) = Loop::mount(&image, &mount) else { return skip("a power cut needs loop devices") };
    let mut daemon = Daemon::with(Settings { state: Some(mount.join("s")), ..Settings::default() });
    let operator = daemon.operator();
    let ids: Vec<String> = (0..40).map(|n| operator.submit(&json!({"title": n.to_string()}))).collect();
    // EXT4_IOC_SHUTDOWN without a flush of the journal: as if the power were gone.
    let cut = "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack('I',2))";
    if !run("python3", &["-c", cut, mount.to_str().unwrap()]) {
        return skip("this kernel does not cut the power of an ext4 file system");
    }
    drop(operator);
    daemon.kill();
    drop(disk);
    let Some(disk) = Loop::mount(&image, &mount) else { panic!("the disk does not mount again") };
    daemon.verifies();
    daemon.run();
    let operator = daemon.operator();
    for id in &ids {
        assert_eq!(operator.state(id), "parked", "{id} was acknowledged");
    }
    drop(operator);
    daemon.stop();
    drop(disk);
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// A file system in a file, mounted.
struct Loop<'a>(&'a Path);

impl<'a> Loop<'a> {
    fn mount(image: &Path, at: &'a Path) -> Option<Self> {
        let places = [image.to_str().unwrap(), at.to_str().unwrap()];
        run("mount", &["-o", "loop,commit=60", places[0], places[1]]).then_some(Self(at))
    }
}

impl Drop for Loop<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}
