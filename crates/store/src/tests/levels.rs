//! What SQLite is asked to wait for (<https://www.sqlite.org/pragma.html#pragma_synchronous>).

use tempfile::TempDir;

use crate::{Durability, Store};

#[test]
fn only_the_level_sync_waits_for_the_disk_at_every_commit() {
    const NORMAL: i64 = 1;
    const FULL: i64 = 2;
    for (level, expected) in
        [(Durability::Commit, NORMAL), (Durability::Sync, FULL), (Durability::Memory, NORMAL)]
    {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), level).unwrap();
        let found = store.connection.query_row("PRAGMA synchronous", [], |row| row.get(0));
        assert_eq!(found, Ok(expected), "{level:?}");
    }
}
