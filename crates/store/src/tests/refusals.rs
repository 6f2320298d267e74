//! A store that cannot write now: it says so at once, keeps nothing by halves, and works again after.

use rusqlite::{Connection, ErrorCode};
use tempfile::TempDir;

use super::model::{expected, found, go_on, message, transaction, write};
use crate::{Durability, Error, Seq, Store, file};

struct Kept {
    store: Store,
    numbers: Vec<Seq>,
    dir: TempDir,
}

impl Kept {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        let mut numbers = Vec::new();
        go_on(&mut store, &mut numbers, 60);
        Self { store, numbers, dir }
    }

    /// These numbers, and the next.
    fn with_next(&self) -> Vec<Seq> {
        let next = self.numbers.iter().max().unwrap() + 1;
        self.numbers.iter().copied().chain([next]).collect()
    }

    /// Nothing but what was committed is there, for the writer and for readers, no transaction is open,
    /// and the next ones are kept.
    fn works_again(mut self) {
        assert!(self.store.connection.is_autocommit(), "a transaction is still open");
        let read = |dir: &TempDir| found(&Connection::open(file(dir.path())).unwrap());
        assert_eq!(found(&self.store.connection), expected(&self.numbers));
        assert_eq!(read(&self.dir), expected(&self.numbers));
        go_on(&mut self.store, &mut self.numbers, 3);
        self.store.close().unwrap();
        let store = Store::open(self.dir.path(), Durability::Commit).unwrap();
        assert_eq!(found(&store.connection), expected(&self.numbers));
    }
}

fn code(result: Result<(), Error>) -> ErrorCode {
    result.unwrap_err().sqlite_error_code().unwrap()
}

#[test]
fn a_file_that_cannot_be_written_refuses_a_transaction() {
    let mut kept = Kept::new();
    let next = kept.with_next();
    kept.store.refuse_writes(true).unwrap();
    for _ in 0..3 {
        assert_eq!(code(kept.store.begin()), ErrorCode::ReadOnly);
        kept.store.roll_back();
        // Not even without a transaction.
        assert_eq!(code(write(&mut kept.store, &next)), ErrorCode::ReadOnly);
        assert!(kept.store.commit().is_err());
        kept.store.roll_back();
    }
    kept.store.refuse_writes(false).unwrap();
    kept.works_again();
}

#[test]
fn a_transaction_that_is_refused_midway_leaves_nothing() {
    let mut kept = Kept::new();
    let next = kept.with_next();
    kept.store.begin().unwrap();
    write(&mut kept.store, &next).unwrap();
    kept.store.refuse_writes(true).unwrap();
    assert_eq!(code(kept.store.message(u64::MAX >> 1, &message(b"x"))), ErrorCode::ReadOnly);
    kept.store.roll_back();
    kept.store.refuse_writes(false).unwrap();
    kept.works_again();
}

#[test]
fn a_commit_that_fails_leaves_the_transaction_to_be_undone() {
    let mut kept = Kept::new();
    let next = kept.with_next();
    // What is owed at COMMIT is the one thing that fails there, and only there, when a test wants it.
    let debt = "PRAGMA foreign_keys = ON; CREATE TEMP TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TEMP TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)";
    kept.store.connection.execute_batch(debt).unwrap();
    kept.store.begin().unwrap();
    write(&mut kept.store, &next).unwrap();
    kept.store.connection.execute_batch("INSERT INTO child VALUES (1)").unwrap();
    assert_eq!(code(kept.store.commit()), ErrorCode::ConstraintViolation);
    assert!(kept.store.begin().is_err(), "it is still open");
    kept.store.roll_back();
    kept.works_again();
}

#[test]
fn a_file_at_its_bound_refuses_what_does_not_fit_and_takes_it_when_it_may_grow() {
    let mut kept = Kept::new();
    let next = kept.with_next();
    let mut numbers = kept.numbers.clone();
    // A file is never made smaller than it is.
    kept.store.bound(8 * 4_096, 64 * 4_096).unwrap();
    let refused = loop {
        // What is left in the file's last pages is used first.
        numbers.push(numbers.last().unwrap() + 1);
        if let Err(error) = transaction(&mut kept.store, &numbers) {
            numbers.pop();
            break error;
        }
        assert!(numbers.len() < 2 * next.len(), "the bound holds nothing");
    };
    assert_eq!(code(Err(refused)), ErrorCode::DiskFull);
    kept.store.roll_back();
    kept.numbers = numbers;
    assert_eq!(found(&kept.store.connection), expected(&kept.numbers));
    for _ in 0..3 {
        let large = vec![0; 100_000];
        kept.store.begin().unwrap();
        kept.store.retain("thing/0", None).unwrap();
        assert_eq!(code(kept.store.message(1, &message(&large))), ErrorCode::DiskFull);
        // SQLite has undone all of it by itself; what came now would be kept alone.
        assert!(kept.store.connection.is_autocommit() && kept.store.commit().is_err());
        kept.store.roll_back();
    }
    kept.store.bound(64 << 20, 8 << 20).unwrap();
    kept.works_again();
}

#[test]
fn a_file_that_another_writer_holds_is_not_waited_for() {
    let mut kept = Kept::new();
    let other = Connection::open(file(kept.dir.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let timeout = kept.store.connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0));
    assert_eq!(timeout, Ok(0), "milliseconds that it waits");
    assert_eq!(code(kept.store.begin()), ErrorCode::DatabaseBusy);
    kept.store.roll_back();
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    kept.works_again();
}
