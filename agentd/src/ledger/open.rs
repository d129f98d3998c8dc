//! Opening the ledger's database: pragmas, migrations, and the reasons why it cannot be opened.
//!
//! Invariant: a connection from here is to a database that agentd made, of a version that this agentd knows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Marks the file as a ledger: `agnt` in ASCII.
pub const APPLICATION_ID: i32 = 0x6167_6e74;
/// Migrations in their order; `user_version` says how many a database has had.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
];
/// Pages in the WAL from which on a commit folds what the thread that folds has left over, so that the WAL begins anew:
/// 8 MiB. Without it a WAL under steady load would grow for ever.
const RESTART_PAGES: u32 = 2048;
/// How long a connection waits for another one that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no ledger at {}; check the path, or start agentd once to make one", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{} exists already; name a file that does not", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{} is no agentd ledger, or one that is damaged; if it should be a ledger, keep a copy of it and restore a backup into \
         another directory (agentd --state DIR restore BACKUP), else name another file",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// A newer agentd wrote it.
    #[error(
        "ledger {} has database version {found}, this agentd knows versions up to {known}; install the agentd that \
         wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this agentd knows.
        known: i64,
    },
    /// An older agentd wrote it and no newer one has opened it for writing.
    #[error(
        "ledger {} has database version {found}, reading needs version {known}; start agentd once to bring it up to date",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this agentd reads.
        known: i64,
    },
    /// The file or its directory cannot be written.
    #[error("ledger {} cannot be written; make the file and its directory writable for the user of agentd", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory may not be used.
    #[error("ledger {} cannot be opened: permission denied; check owner and mode of the file and its directory", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
    },
    /// No room is left.
    #[error("no room is left for ledger {}; free space on its file system and start again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes.
    #[error("ledger {} is being written by another process; stop that process first", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created.
    #[error("ledger {} cannot be created", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The database failed in another way.
    #[error("ledger {} cannot be opened: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
}

/// The one connection that writes: makes the database where there is none, and brings an older one up to date.
pub fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        create_private(path)?;
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare_writer(&mut connection, path)?;
    Ok(connection)
}

/// A connection that reads the live database beside the writer.
pub fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let pragmas =
        "PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;";
    check_and(&connection, path, pragmas)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A connection that reads any ledger for checking it: the live one, a backup, a file on a read-only medium. Maps the
/// file into memory; temporary tables may be made and go to a temporary file.
pub fn open_for_verify(path: &Path) -> Result<Connection, OpenError> {
    let pragmas = "PRAGMA cache_size = -16384; PRAGMA temp_store = FILE; PRAGMA temp.cache_size = -65536;
                   PRAGMA mmap_size = 8589934592; PRAGMA cell_size_check = ON;";
    let read = |connection: Connection| {
        check_and(&connection, path, pragmas)?;
        // Replaying runs every statement of every projection.
        connection.set_prepared_statement_cache_capacity(256);
        Ok(connection)
    };
    match connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(read) {
        // Nobody can write where not even the shared-memory file of the WAL can be made: the file stands still.
        Err(OpenError::Denied { .. } | OpenError::ReadOnly { .. }) if !wal_of(path).exists() => {
            connect_immutable(path).and_then(read)
        }
        other => other,
    }
}

/// Moves what the WAL holds into the database file and empties it, so that no older copy of a page stays in it. Waits
/// for readers and the writer as long as the connection's busy timeout; `false` when they took longer.
pub fn empty_wal(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

/// Moves what the WAL holds into the database file without making the writer wait. Gives how many pages the WAL has
/// and how many of them are moved.
pub fn fold_wal(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))
}

/// Makes the tables in an empty database.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    loop {
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let version = user_version(&tx)?;
        let Some(migration) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version)) else {
            return tx.commit();
        };
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version + 1)?;
        tx.commit()?;
    }
}

/// Makes an empty file that only its owner can read: content lies in it.
pub(super) fn create_private(path: &Path) -> Result<File, OpenError> {
    let path = path.to_owned();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(file) => Ok(file),
        Err(source) => Err(match source.kind() {
            io::ErrorKind::AlreadyExists => OpenError::Exists { path },
            io::ErrorKind::PermissionDenied => OpenError::Denied { path },
            io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
            io::ErrorKind::StorageFull => OpenError::Full { path },
            _ => OpenError::Io { path, source },
        }),
    }
}

/// Names the path in what the database said.
pub(super) fn explain(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotALedger { path },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        Some(ErrorCode::DiskFull) => OpenError::Full { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy { path },
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => OpenError::Denied { path },
        _ => OpenError::Sqlite { path, source },
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| explain(path, e))?;
    harden(&connection).map_err(|e| explain(path, e))?;
    Ok(connection)
}

/// Opens a file that nobody changes meanwhile, without locks and without looking for a WAL.
fn connect_immutable(path: &Path) -> Result<Connection, OpenError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        uri.push('%');
        uri.push_str(&data_encoding::HEXUPPER.encode(&[*byte]));
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(|e| explain(path, e))?;
    harden(&connection).map_err(|e| explain(path, e))?;
    Ok(connection)
}

/// The schema of a file is not trusted: it cannot call functions or write to itself.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Without it a plan may depend on what is bound to its parameters, and is made anew for each binding.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map(drop)
}

fn prepare_writer(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    check(connection, path, true)?;
    let mut run = || {
        connection.execute_batch("PRAGMA page_size = 4096")?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA mmap_size = 0;",
        )?;
        connection.pragma_update(None, "wal_autocheckpoint", RESTART_PAGES)?;
        connection.set_prepared_statement_cache_capacity(256);
        migrate(connection)
    };
    run().map_err(|e| explain(path, e))
}

fn check_and(connection: &Connection, path: &Path, pragmas: &str) -> Result<(), OpenError> {
    check(connection, path, false)?;
    connection.execute_batch(pragmas).map_err(|e| explain(path, e))
}

/// Checks that this is a ledger of a known version. `fresh` allows an empty database and an older version.
fn check(connection: &Connection, path: &Path, fresh: bool) -> Result<(), OpenError> {
    let read = || {
        let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((application, tables, user_version(connection)?))
    };
    let (application, tables, found) = read().map_err(|e| explain(path, e))?;
    let empty = application == 0 && tables == 0 && found == 0;
    if application != APPLICATION_ID && !(fresh && empty) {
        return Err(OpenError::NotALedger { path: path.to_owned() });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    match found {
        _ if found > known => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        _ if found < known && !fresh => Err(OpenError::Older { path: path.to_owned(), found, known }),
        _ => Ok(()),
    }
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

#[cfg(test)]
mod tests;
