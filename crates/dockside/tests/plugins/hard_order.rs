//! The hard cases of docs/flight-tasks.md that are about more than one message: repetitions, bursts, several
//! docks, a restart.

use dockside_flighttask::progress::TERMINAL;
use dockside_flighttask::{Rules, TaskState};
use serde_json::json;

use crate::hard_envelopes::{BID, SN, say, seed, with};
use crate::host::{Host, NOW};

/// An event of this flight, at this time of the dock's, after [`NOW`].
fn event(tid: &str, flight: &str, at: i64, status: &str) -> String {
    json!({
        "tid": tid, "bid": tid, "method": "flighttask_progress", "need_reply": 1,
        "timestamp": NOW.checked_add_signed(at),
        "data": {"output": {"ext": {"flight_id": flight}, "status": status}, "result": 0}
    })
    .to_string()
}

fn stands<'a>(host: &'a Host, gateway: &str, flight: &str) -> &'a TaskState {
    host.task(gateway, flight).unwrap()
}

fn status<'a>(host: &'a Host, gateway: &str, flight: &str) -> &'a str {
    stands(host, gateway, flight).status.as_deref().unwrap()
}

#[test]
fn case_10_an_event_that_comes_again_is_answered_again_and_counted_once() {
    let mut host = Host::new(Rules::default());
    assert_eq!(say(&mut host, SN, seed().to_string()), "replied, recorded");
    let before = host.task(SN, BID).cloned();
    for _ in 0..3 {
        assert_eq!(say(&mut host, SN, seed().to_string()), "replied, known");
    }
    assert_eq!((host.history.len(), host.task(SN, BID).cloned()), (1, before));
}

#[test]
fn case_11_one_tid_of_two_events_or_two_docks() {
    let mut host = Host::new(Rules::default());
    for (gateway, payload) in [
        (SN, seed().to_string()),
        (SN, with("timestamp", json!(1_654_065_677_967u64))),
        ("SIMDOCK2000002", seed().to_string()),
    ] {
        assert_eq!(say(&mut host, gateway, payload), "replied, recorded");
    }
    assert_eq!(host.history.len(), 3);
    assert_eq!(stands(&host, SN, BID).events, 2);
    assert_eq!(stands(&host, "SIMDOCK2000002", BID).events, 1);
}

/// After a reconnect docks send what they kept back, and some of it is older than what is known.
#[test]
fn case_29_a_burst_overwrites_nothing_that_is_newer() {
    let mut host = Host::new(Rules::default());
    let docks: Vec<_> = (1..=31).map(|n| format!("SIMDOCK{n:07}")).collect();
    for dock in &docks {
        say(&mut host, dock, event("last", "f", 0, "failed"));
    }
    for n in 0..20i64 {
        for dock in &docks {
            let old = event(&format!("old-{n}"), "f", n - 20, "in_progress");
            assert_eq!(say(&mut host, dock, old), "replied, recorded");
        }
    }
    for dock in &docks {
        let state = stands(&host, dock, "f");
        assert_eq!((status(&host, dock, "f"), state.events, state.late), ("failed", 21, 20));
        assert_eq!(state.device_ms, Some(NOW));
    }
    let tids = host.history.iter().filter(|row| *row.gateway == docks[0]).map(|row| &*row.tid);
    let expected = (0..20).map(|n| format!("old-{n}"));
    assert!(tids.skip(1).eq(expected), "in the order in which they came");
    // As old as the end, it does not undo it; newer, it does, and that is told.
    for (at, expected) in [(0, ("failed", 21, 0)), (1, ("in_progress", 21, 1))] {
        say(&mut host, &docks[0], event(&format!("at-{at}"), "f", at, "in_progress"));
        let state = stands(&host, &docks[0], "f");
        let stood = (state.status.as_deref().unwrap(), state.late, state.reopened);
        assert_eq!(stood, expected, "{at}");
    }
}

#[test]
fn case_30_two_docks_of_one_flight_are_two_tasks() {
    let mut host = Host::new(Rules::default());
    let other = "SIMDOCK2000002";
    assert_eq!(say(&mut host, SN, event("t", "f", 0, "ok")), "replied, recorded");
    assert_eq!(say(&mut host, other, event("t", "f", 0, "in_progress")), "replied, recorded");
    assert_eq!((status(&host, SN, "f"), status(&host, other, "f")), ("ok", "in_progress"));
    assert_eq!((host.tasks(), host.history.len()), (2, 2));
}

#[test]
fn case_31_whatever_is_heard_first_is_where_a_task_stands() {
    for first in ["sent", "in_progress", "paused", "new in 1.17"].iter().chain(&TERMINAL) {
        let mut host = Host::new(Rules::default());
        assert_eq!(say(&mut host, SN, event("t", "f", 0, first)), "replied, recorded");
        let state = stands(&host, SN, "f");
        assert_eq!(state.is_over(), TERMINAL.contains(first), "{first}");
        assert_eq!((status(&host, SN, "f"), state.reopened, state.late), (*first, 0, 0));
        assert_eq!((state.first_ms, state.last_ms, state.events), (NOW, NOW, 1));
    }
}
