//! What a power cut leaves of the write-ahead log: every transaction that is whole in it, and no part of
//! another one.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::log::{Chance, frames, lost};
use super::model::{expected, found, go_on, soundness};
use crate::{Durability, Seq, Store, file};

const SEED: u64 = 0x00d0_c51d;

/// A store's files at one instant, and the numbers that were kept by then.
struct Instant {
    file: Vec<u8>,
    log: Vec<u8>,
    numbers: Vec<Seq>,
}

fn log_of(store: &Store) -> PathBuf {
    store.path().with_extension("db-wal")
}

fn instant(store: &Store, numbers: &[Seq]) -> Instant {
    let (file, log) = (fs::read(store.path()).unwrap(), fs::read(log_of(store)).unwrap());
    Instant { file, log, numbers: numbers.to_vec() }
}

/// Everything is moved into the file, and the next transaction begins the log anew: what a store does
/// by itself as often as the log is long enough.
fn checkpoint(store: &Store) {
    let moved = store.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)? == row.get::<_, i64>(2)?))
    });
    assert_eq!(moved.unwrap(), (0, true));
}

fn open(dir: &TempDir) -> Store {
    let store = Store::open(dir.path(), Durability::Commit).unwrap();
    store.connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    store
}

/// All of it in the log, the tables too.
fn never_checkpointed(transactions: usize) -> Instant {
    let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
    let mut store = open(&dir);
    go_on(&mut store, &mut numbers, transactions);
    instant(&store, &numbers)
}

/// Several starts and checkpoints, and a log with an earlier round behind the last one.
fn checkpointed() -> Instant {
    let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
    let mut store = open(&dir);
    go_on(&mut store, &mut numbers, 40);
    store.close().unwrap();
    let mut store = open(&dir);
    for _ in 0..3 {
        go_on(&mut store, &mut numbers, 70);
        checkpoint(&store);
    }
    go_on(&mut store, &mut numbers, 50);
    instant(&store, &numbers)
}

/// Starts on such files: the first so many transactions must be there, and others must be kept after them.
fn start(file_bytes: &[u8], log: &[u8], kept: &[Seq], what: &str) {
    let dir = TempDir::new().unwrap();
    fs::write(file(dir.path()), file_bytes).unwrap();
    fs::write(dir.path().join("dockside.db-wal"), log).unwrap();
    let open = || {
        let store = Store::open(dir.path(), Durability::Commit);
        store.unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    let check = |store: &Store, numbers: &[Seq], when: &str| {
        assert_eq!(soundness(&store.connection).0, "ok", "{what}, {when}");
        let (found, expected) = (found(&store.connection), expected(numbers));
        let count = numbers.len();
        assert!(found == expected, "{what}, {when}: not {count} transactions, but {found}");
        let first = store.first_number();
        assert!(first > newest_number(&store.connection), "{what}, {when}: numbers come again");
    };
    let mut store = open();
    check(&store, kept, "at the first start");
    let mut numbers = kept.to_vec();
    go_on(&mut store, &mut numbers, 2);
    store.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    check(&open(), &numbers, "at the second start");
}

fn newest_number(connection: &Connection) -> Seq {
    let sql = "SELECT max(seq) FROM (SELECT seq FROM message UNION ALL SELECT seq FROM queue
               UNION ALL SELECT seq FROM retained UNION ALL SELECT seq FROM outgoing)";
    let newest = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    newest.unwrap().unwrap_or(0).cast_unsigned()
}

/// What is left of the transactions if so many bytes of the log are what they were.
fn kept_of(instant: &Instant, frames: &[(usize, bool)], sound: usize) -> usize {
    // Making the tables, and counting the start, are in the log as well.
    instant.numbers.len().saturating_sub(lost(frames, sound))
}

fn cut_everywhere(instant: &Instant, seed: u64, cuts: usize) {
    let (frames, mut chance) = (frames(&instant.log), Chance(seed));
    let mut offsets: Vec<usize> = (0..cuts).map(|_| chance.below(instant.log.len())).collect();
    let round = frames.last().unwrap().0;
    offsets.extend([0, 1, 31, 32, 33, 56, round - 1, round, instant.log.len()]);
    for _ in 0..cuts / 5 {
        let (end, _) = frames[chance.below(frames.len())];
        offsets.extend([end - 1, end, end + 1]);
    }
    for offset in offsets {
        let offset = offset.min(instant.log.len());
        let kept = &instant.numbers[..kept_of(instant, &frames, offset)];
        start(
            &instant.file,
            &instant.log[..offset],
            kept,
            &format!("seed {seed}, cut at {offset}"),
        );
    }
}

fn spoil_everywhere(instant: &Instant, seed: u64, spans: usize) {
    let (frames, mut chance) = (frames(&instant.log), Chance(seed));
    for _ in 0..spans {
        let (offset, length) = (chance.below(instant.log.len()), 1 + chance.below(9_000));
        let mut log = instant.log.clone();
        for byte in log.iter_mut().skip(offset).take(length) {
            *byte ^= 1 + chance.below(255) as u8;
        }
        let kept = &instant.numbers[..kept_of(instant, &frames, offset)];
        let what = format!("seed {seed}, {length} bytes of garbage at {offset}");
        start(&instant.file, &log, kept, &what);
    }
}

#[test]
fn a_log_that_is_cut_anywhere_keeps_what_is_whole_in_it() {
    let instant = never_checkpointed(250);
    assert_eq!(kept_of(&instant, &frames(&instant.log), 0), 0, "the log holds them all");
    cut_everywhere(&instant, SEED, 100);
}

#[test]
fn a_log_that_is_cut_after_checkpoints_keeps_what_they_moved_as_well() {
    let instant = checkpointed();
    let frames = frames(&instant.log);
    assert_eq!(kept_of(&instant, &frames, 0), 250, "the file holds all but the last fifty");
    assert!(frames.last().unwrap().0 < instant.log.len(), "an earlier round is behind the last");
    cut_everywhere(&instant, SEED + 1, 100);
}

#[test]
fn garbage_in_a_log_ends_it_there() {
    spoil_everywhere(&never_checkpointed(150), SEED + 2, 40);
    spoil_everywhere(&checkpointed(), SEED + 3, 40);
}

/// The log is on the disk before the file is touched, and pages of the file in any order after that.
#[test]
fn a_checkpoint_that_is_cut_is_done_again() {
    let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
    let mut store = open(&dir);
    go_on(&mut store, &mut numbers, 100);
    checkpoint(&store);
    go_on(&mut store, &mut numbers, 100);
    let before = instant(&store, &numbers);
    checkpoint(&store);
    let after = instant(&store, &numbers);
    assert!(before.log == after.log && before.file != after.file);
    let mut chance = Chance(SEED + 4);
    for round in 0..20 {
        let mut mixed = before.file.clone();
        mixed.resize(after.file.len(), 0);
        for (page, moved) in mixed.chunks_mut(4_096).zip(after.file.chunks(4_096)) {
            if chance.below(2) == 1 {
                page.copy_from_slice(moved);
            }
        }
        let what = format!("seed {}, checkpoint {round}", SEED + 4);
        start(&mixed, &before.log, &numbers, &what);
    }
}
