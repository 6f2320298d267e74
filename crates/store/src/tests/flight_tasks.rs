//! Each event is followed once, and none goes before.

use tempfile::TempDir;

use crate::{Durability, Event, FlightTask, Store};

fn event(store: &mut Store, task: Option<&str>, payload: &[u8]) {
    let event = Event {
        received_ms: 1,
        gateway: "SIMDOCK1",
        method: "flighttask_progress",
        tid: "t",
        task,
        status: None,
        step: None,
        percent: None,
        result: Some(0),
        key: &[1; 16],
        payload,
    };
    store.event(&event).unwrap();
}

/// Does something in a transaction.
fn within<T>(store: &mut Store, work: impl FnOnce(&mut Store) -> T) -> T {
    store.begin().unwrap();
    let done = work(store);
    store.commit().unwrap();
    done
}

/// What the events say that have not been followed.
fn followed(store: &mut Store) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    within(store, |store| {
        store.follow_events("flighttask_progress", |e| payloads.push(e.payload.to_vec())).unwrap();
    });
    payloads
}

#[test]
fn each_event_is_followed_once_in_its_order() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    within(&mut store, |store| (1..4).for_each(|n| event(store, Some("a"), &[n])));
    store.begin().unwrap();
    store.follow_events("flighttask_progress", |_| {}).unwrap();
    store.roll_back();
    assert_eq!(followed(&mut store), [[1], [2], [3]], "what was rolled back was not");
    assert_eq!(followed(&mut store), [[0; 0]; 0]);
    within(&mut store, |store| event(store, None, &[4]));
    // As a kill leaves it: the next start catches up.
    drop(store);
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    assert_eq!(followed(&mut store), [[4]]);
}

/// Numbers begin again where none is left.
#[test]
fn events_that_come_after_all_have_gone_are_followed() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    for n in 1..4 {
        within(&mut store, |store| event(store, Some("a"), &[n]));
        assert_eq!(followed(&mut store), [[n]]);
        let gone = within(&mut store, |store| {
            if n == 2 {
                store.drop_oldest_events(100).unwrap()
            } else {
                store.trim_events(2, 100, 100).unwrap()
            }
        });
        assert_eq!(gone, 1);
    }
}

#[test]
fn tasks_and_their_events_come_back_as_they_were() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    let task = |task: &str, last_ms| FlightTask {
        gateway: "SIMDOCK1".to_owned(),
        task: task.to_owned(),
        status: Some("ok".to_owned()),
        step: Some(-1),
        percent: Some(42.5),
        details: [Some(1), Some(2), None, Some(4), Some(5)],
        result: Some(0),
        track: Some("t".to_owned()),
        device_ms: Some(7),
        heard_ms: (1, last_ms),
        counts: [3, 2, 1],
    };
    let empty = FlightTask { task: "empty".to_owned(), heard_ms: (3, 3), ..FlightTask::default() };
    within(&mut store, |store| {
        let second = FlightTask { status: None, ..task("a", 2) };
        for task in [&task("b", 9), &second, &task("a", 5), &empty] {
            store.flight_task(task).unwrap();
        }
        event(store, Some("a"), b"1");
        event(store, None, b"2");
        event(store, Some("a"), b"3");
    });
    let reader = store.reader().unwrap();
    let kept = |tasks| reader.kept(0, tasks, 10).unwrap().flight_tasks;
    assert_eq!(kept(10), [empty, task("a", 5), task("b", 9)]);
    assert_eq!(kept(1), [task("b", 9)]);
    let events = |task, at_most| {
        reader.events_of(("SIMDOCK1", task), "flighttask_progress", at_most).unwrap()
    };
    assert_eq!(events(Some("a"), 10), [(1, b"3".to_vec()), (1, b"1".to_vec())]);
    assert_eq!(events(Some("a"), 1), [(1, b"3".to_vec())]);
    assert_eq!(events(None, 10), [(1, b"2".to_vec())]);
}
