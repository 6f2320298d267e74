//! Dispatcher and writer, without their tasks, threads and queues.

use dockside_broker::bench::{Dispatching, Keeping, Searching};

use crate::flighttask::{GATEWAY, payload};
use crate::{Case, Work};

pub(crate) const CASES: &[Case] = &[
    Case { name: "dispatcher: 32 messages to 1 session", prepare: || dispatch(1) },
    Case { name: "dispatcher: 32 messages to 50 sessions", prepare: || dispatch(50) },
    Case {
        name: "search 1,000 retained messages, none matches",
        prepare: || search("thing/product/+/drc", 0),
    },
    Case {
        name: "search 1,000 retained messages, all match",
        prepare: || search("thing/product/+/state", 1_000),
    },
    Case {
        name: "search 1,000 retained messages for a topic",
        prepare: || search("thing/product/DOCK00000000700/state", 1),
    },
    Case { name: "writer: keep 32 messages, and that 32 were read", prepare: messages },
    Case { name: "writer: keep 32 events", prepare: || events(1) },
    Case { name: "writer: keep 320 events, and how their task stands", prepare: || events(10) },
];

const AT_ONCE: usize = 32;
const PAYLOAD: [u8; 256] = [b'x'; 256];

/// From a record of the log to mailboxes that their connections empty.
fn dispatch(sessions: u64) -> Work {
    let topics: Vec<_> =
        (0..AT_ONCE).map(|dock| format!("thing/product/DOCK{dock:011}/osd")).collect();
    let mut dispatching = Dispatching::new(sessions, "thing/product/+/osd", &topics, &PAYLOAD);
    Box::new(move || assert_eq!(dispatching.record(), AT_ONCE * sessions as usize))
}

/// As a SUBSCRIBE has it done.
fn search(filter: &'static str, found: usize) -> Work {
    let topics: Vec<_> =
        (0..1_000).map(|dock| format!("thing/product/DOCK{dock:011}/state")).collect();
    let searching = Searching::new(&topics);
    Box::new(move || assert_eq!(searching.search(filter, 5_000), found))
}

fn messages() -> Work {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = format!("thing/product/{GATEWAY}/services");
    let mut keeping = Keeping::new(dir.path(), &topic);
    Box::new(move || {
        // As long as the store is.
        let _ = &dir;
        assert_eq!(keeping.messages(AT_ONCE, &topic, &PAYLOAD), AT_ONCE);
    })
}

/// So many groups of events; their task stands as they say where there is more than one.
fn events(groups: usize) -> Work {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut keeping = Keeping::new(dir.path(), "unused");
    let payload = payload();
    Box::new(move || {
        let _ = &dir;
        (0..groups).for_each(|_| keeping.events(AT_ONCE as u64, GATEWAY, &payload));
        if groups > 1 {
            keeping.follow();
        }
    })
}
