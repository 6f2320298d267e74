//! How flight tasks stand follows from their events, whatever happens in between.

use std::path::Path;

use tempfile::TempDir;

use crate::{Durability, Event, Store, file};

fn event(store: &mut Store, task: Option<&str>, (status, percent): (Option<&str>, Option<i64>)) {
    let event = Event {
        received_ms: 1,
        gateway: "SIMDOCK1",
        method: "flighttask_progress",
        tid: "t",
        task,
        status,
        step: None,
        percent,
        result: Some(0),
        key: &[1; 16],
        payload: b"{}",
    };
    store.event(&event).unwrap();
}

fn tasks(dir: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(file(dir)).unwrap();
    let sql = "SELECT task || ' ' || status || ' ' || coalesce(percent, '-') || ' ' || events
               FROM flight_task ORDER BY task";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Does something in a transaction.
fn within(store: &mut Store, work: impl FnOnce(&mut Store)) {
    store.begin().unwrap();
    work(store);
    store.commit().unwrap();
}

fn follow(store: &mut Store) {
    within(store, |store| store.follow_events().unwrap());
}

#[test]
fn each_event_counts_once_and_what_it_does_not_say_stays() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    within(&mut store, |store| {
        event(store, Some("a"), (Some("sent"), Some(0)));
        event(store, Some("b"), (Some("in_progress"), None));
        event(store, None, (Some("failed"), None));
        event(store, Some("a"), (None, Some(42)));
    });
    assert_eq!(tasks(dir.path()), [""; 0]);
    for _ in 0..2 {
        follow(&mut store);
        assert_eq!(tasks(dir.path()), ["a sent 42 2", "b in_progress - 1"]);
    }
    within(&mut store, |store| event(store, Some("b"), (Some("ok"), Some(100))));
    // As a kill leaves it: the next start catches up.
    drop(store);
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    follow(&mut store);
    assert_eq!(tasks(dir.path()), ["a sent 42 2", "b ok 100 2"]);
}

/// Events that go have been counted, and numbers begin again where none is left.
#[test]
fn no_event_goes_uncounted() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    for n in 1..=3 {
        within(&mut store, |store| {
            event(store, Some("a"), (Some("sent"), None));
            event(store, Some("a"), (Some("in_progress"), Some(n)));
        });
        within(&mut store, |store| assert_eq!(store.trim_events(2, 100, 100).unwrap(), 2));
        assert_eq!(tasks(dir.path()), [format!("a in_progress {n} {}", 2 * n)]);
    }
    within(&mut store, |store| event(store, Some("a"), (Some("ok"), None)));
    within(&mut store, |store| assert_eq!(store.drop_oldest_events(100).unwrap(), 1));
    within(&mut store, |store| event(store, Some("b"), (Some("ok"), None)));
    follow(&mut store);
    assert_eq!(tasks(dir.path()), ["a ok 3 7", "b ok - 1"]);
}
