//! The way back: a copy in the place of a store, sound or damaged.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;

use crate::{Durability, Message, Store, backup, file, restore};

fn message(topic: &str) -> Message<'_> {
    Message {
        topic,
        qos: 1,
        retain: false,
        properties: b"",
        payload: b"x",
        accepted_ms: 1,
        expires_ms: None,
    }
}

/// A store with one message of this topic.
fn store_with(dir: &Path, topic: &str) -> Store {
    let mut store = Store::open(dir, Durability::Commit).unwrap();
    store.begin().unwrap();
    let seq = store.first_number() + 1;
    store.message(seq, &message(topic)).unwrap();
    store.commit().unwrap();
    store
}

fn topics(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT topic FROM message ORDER BY seq").unwrap();
    let topics = statement.query_map([], |row| row.get(0)).unwrap();
    topics.map(Result::unwrap).collect()
}

#[test]
fn a_copy_takes_the_place_of_what_was_there_and_that_stays() {
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("copy.db");
    store_with(dir.path(), "old").close().unwrap();
    backup(dir.path(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    // The log of one that was killed.
    let killed = store_with(dir.path(), "new");
    let log = fs::read(dir.path().join("dockside.db-wal")).unwrap();
    let whole = fs::read(file(dir.path())).unwrap();
    drop(killed);
    fs::write(file(dir.path()), whole).unwrap();
    fs::write(dir.path().join("dockside.db-wal"), log).unwrap();
    for _ in 0..2 {
        restore(dir.path(), &copy).unwrap();
        assert_eq!(topics(&file(dir.path())), ["old"]);
        assert_eq!(fs::metadata(file(dir.path())).unwrap().mode() & 0o777, 0o600);
    }
    restore(dir.path(), &dir.path().join("dockside.db.before-restore")).unwrap();
    assert_eq!(topics(&file(dir.path())), ["old"], "it was restored twice");
}

#[test]
fn what_is_set_aside_has_what_its_log_held() {
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("copy.db");
    store_with(dir.path(), "old").close().unwrap();
    backup(dir.path(), &copy).unwrap();
    let killed = store_with(dir.path(), "new");
    let kept = ["dockside.db", "dockside.db-wal"]
        .map(|name| (dir.path().join(name), fs::read(dir.path().join(name)).unwrap()));
    drop(killed);
    kept.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    restore(dir.path(), &copy).unwrap();
    assert_eq!(topics(&dir.path().join("dockside.db.before-restore")), ["old", "new"]);
}

/// That is what one restores for.
#[test]
fn a_damaged_store_is_replaced() {
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("copy.db");
    store_with(dir.path(), "old").close().unwrap();
    backup(dir.path(), &copy).unwrap();
    fs::write(file(dir.path()), [0x55; 8_192]).unwrap();
    fs::write(dir.path().join("dockside.db-wal"), b"not a log").unwrap();
    restore(dir.path(), &copy).unwrap();
    assert_eq!(topics(&file(dir.path())), ["old"]);
    let aside = dir.path().join("dockside.db.before-restore");
    assert_eq!(fs::read(&aside).unwrap(), [0x55; 8_192]);
    assert!(!dir.path().join("dockside.db.new").exists());
    Store::open(dir.path(), Durability::Commit).unwrap();
}

/// What a killed broker has left, as its files lie there.
#[test]
fn a_copy_is_restored_with_what_its_log_holds() {
    let dir = TempDir::new().unwrap();
    let killed = store_with(dir.path(), "new");
    let copy = TempDir::new().unwrap();
    for name in ["dockside.db", "dockside.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    drop(killed);
    let target = TempDir::new().unwrap();
    restore(target.path(), &file(copy.path())).unwrap();
    assert_eq!(topics(&file(target.path())), ["new"]);
}

/// Somebody who reads keeps the log from being moved into the file: it is set aside with it.
#[test]
fn nothing_is_lost_while_somebody_reads() {
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("copy.db");
    store_with(dir.path(), "old").close().unwrap();
    backup(dir.path(), &copy).unwrap();
    let reading = rusqlite::Connection::open(file(dir.path())).unwrap();
    reading.execute_batch("BEGIN; SELECT count(*) FROM message").unwrap();
    let mut statement = reading.prepare("SELECT topic FROM message").unwrap();
    let mut rows = statement.query([]).unwrap();
    rows.next().unwrap().unwrap();
    drop(store_with(dir.path(), "new"));
    restore(dir.path(), &copy).unwrap();
    assert_eq!(topics(&file(dir.path())), ["old"]);
    assert_eq!(topics(&dir.path().join("dockside.db.before-restore")), ["old", "new"]);
}
