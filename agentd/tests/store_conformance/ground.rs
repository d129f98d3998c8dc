//! What a store stands on, and the one that there is: SQLite on a file of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use agentd::ledger::append::Appender;
use agentd::ledger::checkpoint::Moment;
use agentd::ledger::incarnation::{HostKeys, Opened};
use agentd::ledger::open::open_writer;
use agentd::ledger::sqlite::SqliteStore;
use agentd::ledger::store::Store;
use agentd_schemas::key::openssh::PrivateKey;
use agentd_schemas::unit::time::WallMs;
use ed25519_dalek::SigningKey;

use super::scene::world;

const BOOT: &str = "00000000-0000-4000-8000-000000000001";

/// One store on durable ground: opened again, it is the same ledger.
pub(crate) trait Ground {
    /// Opens the store. `pages` bounds its room, where given.
    fn open(&self, pages: Option<u32>) -> Box<dyn Store>;
}

/// SQLite on a file of its own.
pub(crate) struct Sqlite(PathBuf);

impl Sqlite {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("agentd-store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ground for Sqlite {
    fn open(&self, pages: Option<u32>) -> Box<dyn Store> {
        let mut conn = open_writer(&self.0.join("ledger.db")).unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let appender = match Appender::open(&conn, &key, BOOT).unwrap() {
            Opened::Running(appender) => appender,
            Opened::Restored(_) => panic!("nothing was restored"),
            Opened::Empty => {
                let public = PrivateKey::from_seed(&[8; 32]).public_key().to_string();
                let keys = HostKeys {
                    authority_key: public.clone(),
                    issuer_key: public,
                    key_certificates: Vec::new(),
                    agentd: "0.0.0".to_owned(),
                };
                let moment = Moment { wall: WallMs::saturating(world().wall_ms), boot_ms: 1 };
                let tx = conn.transaction().unwrap();
                let started = Appender::start(&tx, "h-0.agentd.internal", keys, &key, BOOT, moment).unwrap();
                tx.commit().unwrap();
                started.0
            }
        };
        if let Some(more) = pages {
            let used: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
            conn.pragma_update(None, "max_page_count", used + more).unwrap();
        }
        Box::new(SqliteStore::new(conn, appender))
    }
}
