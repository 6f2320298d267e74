//! A file of an older release: it is brought to the newest schema, and the older release has a copy.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};
use tempfile::TempDir;

use super::model::{expected, found, go_on, look, soundness};
use crate::backup::restore_with;
use crate::migrate::{History, NoCopy};
use crate::{Durability, OpenError, Seq, Store, backup, file};

const TO_2: &str = "ALTER TABLE event ADD COLUMN site TEXT; UPDATE event SET site = gateway;";
const TO_3: &str = "CREATE TABLE site (name TEXT PRIMARY KEY) STRICT;
     INSERT INTO site SELECT DISTINCT site FROM event;";
const BAD: &str = "UPDATE event SET payload = x'';
     SELECT nowhere\n FROM event;";

/// The tables of the first release.
const SCHEMA_1: &str = include_str!("schema_1.sql");

fn history<'a>(steps: &'a [&'a str]) -> History<'a> {
    History { tables: SCHEMA_1, steps }
}

/// As the first release opens a file.
fn old(dir: &Path) -> Result<Store, OpenError> {
    open(dir, &[])
}

/// A directory with a file of schema 1, closed, and the numbers in it.
fn old_store() -> (TempDir, Vec<Seq>) {
    let dir = TempDir::new().unwrap();
    let mut store = old(dir.path()).unwrap();
    let mut numbers = Vec::new();
    go_on(&mut store, &mut numbers, 120);
    store.close().unwrap();
    (dir, numbers)
}

fn open(dir: &Path, steps: &[&str]) -> Result<Store, OpenError> {
    Store::open_with(dir, Durability::Commit, &history(steps))
}

fn copy(dir: &TempDir) -> PathBuf {
    dir.path().join("dockside.db.schema-1")
}

/// What an open must fail with, in one line.
fn refusal(opened: Result<Store, OpenError>) -> String {
    let text = opened.map(|_| ()).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn an_old_file_is_migrated_and_the_old_release_starts_on_the_copy() {
    let (dir, mut numbers) = old_store();
    let kept = numbers.clone();
    let mut store = open(dir.path(), &[TO_2, TO_3]).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
    assert_eq!(soundness(&store.connection), ("ok".to_owned(), 3));
    let sites = "SELECT count(*) FROM event JOIN site ON site = name";
    let sites: u32 = store.connection.query_row(sites, [], |row| row.get(0)).unwrap();
    assert_eq!(sites as usize, numbers.len(), "both steps were taken, in their order");
    assert!(store.first_number() > *numbers.last().unwrap(), "the start was counted");
    go_on(&mut store, &mut numbers, 3);
    store.close().unwrap();

    let mode = fs::metadata(copy(&dir)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let elsewhere = TempDir::new().unwrap();
    fs::copy(copy(&dir), file(elsewhere.path())).unwrap();
    let mut store = old(elsewhere.path()).unwrap();
    assert_eq!(soundness(&store.connection), ("ok".to_owned(), 1));
    assert_eq!(found(&store.connection), expected(&kept));
    let mut kept = kept;
    go_on(&mut store, &mut kept, 3);
    assert_eq!(found(&store.connection), expected(&kept));
    drop(store);

    let again = open(dir.path(), &[TO_2, TO_3]).unwrap();
    assert_eq!(found(&again.connection), expected(&numbers), "and is not migrated again");
}

#[test]
fn the_old_release_names_the_copy_that_it_can_start_on() {
    let (dir, numbers) = old_store();
    open(dir.path(), &[TO_2, TO_3]).unwrap().close().unwrap();
    let text = refusal(old(dir.path()));
    assert!(text.contains("newer release (schema 3, this one knows 1)"), "{text}");
    assert!(text.contains(&format!("`dockside restore {}`", copy(&dir).display())), "{text}");
    let text = refusal(open(dir.path(), &[TO_2]));
    assert!(text.contains("schema-1"), "a release between can migrate that copy: {text}");

    crate::restore(dir.path(), &copy(&dir)).unwrap();
    let store = old(dir.path()).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
    drop(store);
    assert_eq!(soundness(&look(&dir.path().join("dockside.db.before-restore"))).1, 3);

    fs::remove_file(copy(&dir)).unwrap();
    open(dir.path(), &[TO_2, TO_3]).unwrap().close().unwrap();
    fs::remove_file(copy(&dir)).unwrap();
    let text = refusal(old(dir.path()));
    assert!(text.contains("restore a backup") && !text.contains("schema-1"), "{text}");
}

#[test]
fn a_step_that_fails_changes_nothing_and_a_better_release_tries_again() {
    let (dir, mut numbers) = old_store();
    let bytes = || {
        let mut bytes = fs::read(file(dir.path())).unwrap();
        // Counters of changes, which setting its modes raises at every start.
        bytes[24..28].fill(0);
        bytes[92..96].fill(0);
        bytes
    };
    let before = bytes();
    let text = refusal(open(dir.path(), &[TO_2, BAD]));
    assert!(text.contains("from schema 1 to 3 (no such column: nowhere)"), "{text}");
    assert_eq!(soundness(&look(&file(dir.path()))), ("ok".to_owned(), 1));
    assert!(before == bytes(), "the file was changed");

    // The old release goes on, so that the copy is out of date.
    let mut store = old(dir.path()).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
    go_on(&mut store, &mut numbers, 5);
    store.close().unwrap();
    open(dir.path(), &[TO_2, TO_3]).unwrap().close().unwrap();
    assert_eq!(found(&look(&copy(&dir))), expected(&numbers), "the copy is of the last migration");
}

#[test]
fn a_start_that_was_killed_while_it_copied_is_repeated() {
    let (dir, numbers) = old_store();
    fs::write(dir.path().join("dockside.db.schema-1.new"), b"half of it").unwrap();
    fs::write(copy(&dir), b"an older one").unwrap();
    let store = open(dir.path(), &[TO_2]).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
    assert_eq!(found(&look(&copy(&dir))), expected(&numbers));
    assert!(!dir.path().join("dockside.db.schema-1.new").exists());
}

#[test]
fn without_a_copy_nothing_is_migrated() {
    let (dir, numbers) = old_store();
    let in_the_way = dir.path().join("dockside.db.schema-1.new");
    fs::create_dir(&in_the_way).unwrap();
    let text = refusal(open(dir.path(), &[TO_2]));
    assert!(text.contains("schema-1 cannot be made (") && text.contains("start again"), "{text}");
    assert_eq!(soundness(&look(&file(dir.path()))), ("ok".to_owned(), 1));
    fs::remove_dir(&in_the_way).unwrap();
    let store = open(dir.path(), &[TO_2]).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
}

#[test]
fn no_space_for_the_copy_is_said_as_such() {
    let (file, copy) = (Path::new("dockside.db"), Path::new("dockside.db.schema-1"));
    let sqlite = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
    let full = io::Error::from(io::ErrorKind::StorageFull);
    for error in [NoCopy::Sqlite(sqlite), NoCopy::Io(full)] {
        let text = error.into_open_error(file, copy).to_string();
        assert!(text.starts_with("there is no space for dockside.db.schema-1"), "{text}");
        assert!(text.contains("make room for it and start again"), "{text}");
    }
}

#[test]
fn what_is_not_migrated_is_not_copied() {
    let (dir, _) = old_store();
    let names = || {
        let entries = fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    old(dir.path()).unwrap().close().unwrap();
    assert_eq!(names(), before);
    assert_eq!(before, ["dockside.db", "dockside.lock"], "and a new file is not either");
}

#[test]
fn a_copy_of_an_older_schema_is_restored_and_then_migrated() {
    let (dir, numbers) = old_store();
    let saved = dir.path().join("saved.db");
    backup(dir.path(), &saved).unwrap();
    open(dir.path(), &[TO_2, TO_3]).unwrap().close().unwrap();
    restore_with(dir.path(), &saved, &history(&[TO_2, TO_3])).unwrap();
    assert_eq!(soundness(&look(&file(dir.path()))).1, 1);
    let store = open(dir.path(), &[TO_2, TO_3]).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
    assert_eq!(soundness(&store.connection), ("ok".to_owned(), 3));
    drop(store);

    // Neither of a newer schema, nor of none.
    let newer = TempDir::new().unwrap();
    let connection = Connection::open(file(dir.path())).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    let text = crate::restore(newer.path(), &file(dir.path())).unwrap_err().to_string();
    assert!(text.contains("newer release (schema 9"), "{text}");
    let none = dir.path().join("none.db");
    Connection::open(&none).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    assert!(restore_with(newer.path(), &none, &history(&[TO_2])).is_err());
    assert!(!file(newer.path()).exists());
}

/// Names and types of all columns.
fn columns(connection: &Connection) -> Vec<String> {
    let sql =
        "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
               FROM pragma_table_list t JOIN pragma_table_info(t.name) c
               WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The real steps, on a file of the first release.
#[test]
fn a_file_of_the_first_release_becomes_one_of_this() {
    let (dir, mut numbers) = old_store();
    let before = numbers.clone();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    assert_eq!(found(&store.connection), expected(&numbers));
    let fresh = TempDir::new().unwrap();
    let fresh = Store::open(fresh.path(), Durability::Commit).unwrap();
    assert_eq!(columns(&store.connection), columns(&fresh.connection));
    // What the tasks had followed is not followed again.
    let mut followed = 0;
    store.follow_events("flighttask_progress", |_| followed += 1).unwrap();
    assert_eq!(followed, 0);
    go_on(&mut store, &mut numbers, 3);
    assert_eq!(found(&store.connection), expected(&numbers));
    store.close().unwrap();
    let copy = copy(&dir);
    crate::restore(dir.path(), &copy).unwrap();
    assert_eq!(found(&old(dir.path()).unwrap().connection), expected(&before));
}
