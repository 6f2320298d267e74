//! What is read of an event, what it is answered, and how its task stands then.

use std::hint::black_box;

use dockside_flighttask::topic::Kind;
use dockside_flighttask::{Answer, Envelope, Progress, Rules, Tasks, answer, known};
use docksim::event::{Progress as Reported, event};

use crate::{Case, Work};

pub(crate) const CASES: &[Case] = &[
    Case { name: "read the envelope of an event", prepare: envelope },
    Case { name: "decide about an event and write its reply", prepare: reply },
    Case { name: "read what an event says of its task", prepare: progress },
    Case { name: "the key by which an event is known again", prepare: key },
    Case { name: "fold an event into 1,000 tasks", prepare: fold },
];

pub(crate) const GATEWAY: &str = "DOCK00000000001";
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
pub(crate) const TASK: &str = "1ca7d2b5-4c5c-4f6c-9f0a-5c8f2f6f4e01";
const TID: &str = "e0a6f3c2-7f37-4a55-8b0e-1d0f7c1a9b02";

/// As a Dock 2 sends it.
pub(crate) fn payload() -> Vec<u8> {
    let status = "in_progress";
    let (step, percent, waypoint, mission_state, media_count) = (25, 40, 5, 6, 0);
    let reported = Reported { status, step, percent, waypoint, mission_state, media_count };
    event(GATEWAY, TASK, TID, NOW_MS, &reported).to_string().into_bytes()
}

fn envelope() -> Work {
    let payload = payload();
    Box::new(move || {
        black_box(Envelope::parse(black_box(&payload)).expect("an event"));
    })
}

fn reply() -> Work {
    let (payload, rules) = (payload(), Rules::default());
    Box::new(move || {
        let decision =
            answer((Kind::Events, GATEWAY), black_box(&payload), NOW_MS, &rules, &|_, _| None);
        assert!(matches!(black_box(decision).answer, Answer::Reply { .. }));
    })
}

fn progress() -> Work {
    let payload = payload();
    Box::new(move || {
        let progress = Progress::parse(black_box(&payload));
        assert!(black_box(progress).task.is_some());
    })
}

fn key() -> Work {
    let payload = payload();
    Box::new(move || {
        black_box(known::key(GATEWAY, TID, black_box(&payload)));
    })
}

/// In a group, as the broker does it.
fn fold() -> Work {
    let payload = payload().leak();
    let progress = Progress::parse(payload);
    let mut tasks = Tasks::new(1_000);
    let gateways: Vec<_> = (0..1_000).map(|dock| format!("DOCK{dock:011}")).collect();
    gateways.iter().for_each(|gateway| drop(tasks.apply(gateway, &progress, NOW_MS).clone()));
    let mut next = 0;
    Box::new(move || {
        tasks.begin();
        black_box(tasks.apply(&gateways[next], black_box(&progress), NOW_MS));
        tasks.commit();
        next = (next + 1) % gateways.len();
    })
}
