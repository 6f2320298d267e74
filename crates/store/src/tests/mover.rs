//! Who moves the log, while others are at it.

use std::time::Duration;

use tempfile::TempDir;

use crate::tests::model;
use crate::{Durability, Store};

#[test]
fn what_somebody_reads_is_not_taken_for_moved() {
    let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    store.put_checkpoints_off(true);
    let mover = store.mover().unwrap();
    model::go_on(&mut store, &mut numbers, 10);
    let reader = store.reader().unwrap();
    reader.connection.execute_batch("BEGIN; SELECT 1 FROM about").unwrap();
    let read = store.log_pages();
    model::go_on(&mut store, &mut numbers, 10);
    mover.move_log();
    assert!(store.is_log_read());
    assert_eq!(store.log_rest(), store.log_pages() - read);
    reader.connection.execute_batch("COMMIT").unwrap();
    mover.move_log();
    assert!(!store.is_log_read());
    assert_eq!(store.log_rest(), 0);
    // Another process that moves it has the lock that is for that, and waits for who reads.
    model::go_on(&mut store, &mut numbers, 10);
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.busy_timeout(Duration::from_secs(20)).unwrap();
    reader.connection.execute_batch("BEGIN; SELECT 1 FROM about").unwrap();
    let waits = std::thread::spawn(move || {
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
    });
    // It has the writer's lock besides.
    while store.begin().is_ok() {
        store.roll_back();
        assert!(!waits.is_finished());
    }
    mover.move_log();
    assert!(store.is_log_read());
    assert_eq!(store.log_rest(), store.log_pages());
    reader.connection.execute_batch("COMMIT").unwrap();
    assert!(!waits.join().unwrap().unwrap());
}
