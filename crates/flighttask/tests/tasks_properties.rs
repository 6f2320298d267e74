//! What holds for tasks whatever is said of them, and in whatever order.

use std::collections::HashMap;

use dockside_flighttask::progress::{TERMINAL, is_terminal};
use dockside_flighttask::tasks::UNKNOWN_TASK;
use dockside_flighttask::{Known, Progress, TaskState, Tasks};
use proptest::prelude::*;

const NOW: u64 = 1_747_224_838_227;
const GATEWAYS: [&str; 3] = ["SIMDOCK1", "SIMDOCK2", "SIMDOCK3"];
const FLIGHTS: [Option<&str>; 4] = [Some("f"), Some("g"), Some("SIMDOCK1"), None];

/// What one gateway says, and when it is received: events come in order, their times need not.
#[derive(Clone, Debug)]
struct Event {
    gateway: &'static str,
    progress: Progress<'static>,
    received_ms: u64,
}

fn any_number() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![Just(None), (0i64..50).prop_map(Some), any::<i64>().prop_map(Some)]
}

fn any_status() -> impl Strategy<Value = Option<&'static str>> {
    let under_way = ["sent", "in_progress", "paused", "new in 1.17", "OK"];
    prop_oneof![
        1 => Just(None),
        5 => proptest::sample::select(under_way.to_vec()).prop_map(Some),
        4 => proptest::sample::select(TERMINAL.to_vec()).prop_map(Some),
    ]
}

fn any_time() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        8 => (0u64..12).prop_map(|ms| Some(NOW + ms)),
        1 => Just(None),
        1 => proptest::sample::select(vec![0, 999_999_999_999, NOW * 10, u64::MAX]).prop_map(Some),
    ]
}

/// An event whose device has this kind of clock.
fn event(time: impl Strategy<Value = Option<u64>>) -> impl Strategy<Value = Event> {
    let percent = prop_oneof![
        Just(None),
        (-10.0..110.0f64).prop_map(Some),
        proptest::num::f64::ANY.prop_map(Some),
    ];
    let numbers = (any_number(), any_number(), any_number(), any_number());
    let who = (proptest::sample::select(GATEWAYS.to_vec()), 0..FLIGHTS.len());
    (who, any_status(), time, percent, numbers).prop_map(
        |((gateway, flight), status, timestamp, percent, (step, result, media_count, wayline))| {
            let progress = Progress {
                task: FLIGHTS[flight].map(Into::into),
                status: status.map(Into::into),
                percent,
                step,
                result,
                media_count,
                wayline,
                timestamp,
                ..Progress::default()
            };
            Event { gateway, progress, received_ms: 0 }
        },
    )
}

/// Some of them come again, anywhere behind.
fn events(time: fn() -> BoxedStrategy<Option<u64>>) -> impl Strategy<Value = Vec<Event>> {
    let again = proptest::collection::vec((any::<prop::sample::Index>(), 0usize..20), 0..8);
    (proptest::collection::vec(event(time()), 1..60), again).prop_map(|(mut events, again)| {
        for (which, behind) in again {
            let at = which.index(events.len());
            let copy = events[at].clone();
            events.insert((at + 1 + behind).min(events.len()), copy);
        }
        for (received_ms, event) in (NOW + 12..).zip(&mut events) {
            event.received_ms = received_ms;
        }
        events
    })
}

fn with_any_clock() -> BoxedStrategy<Option<u64>> {
    any_time().boxed()
}

fn with_a_clock() -> BoxedStrategy<Option<u64>> {
    (0u64..12).prop_map(|ms| Some(NOW + ms)).boxed()
}

fn task(event: &Event) -> &str {
    event.progress.task.as_deref().unwrap_or(UNKNOWN_TASK)
}

fn apply(tasks: &mut Tasks, event: &Event) -> TaskState {
    tasks.apply(event.gateway, &event.progress, event.received_ms).clone()
}

/// A state without what every event changes: that it was heard.
fn but_counts(state: &TaskState) -> TaskState {
    TaskState { last_ms: 0, events: 0, late: 0, ..state.clone() }
}

proptest! {
    #[test]
    fn any_event_can_come_any_time(events in events(with_any_clock)) {
        let mut tasks = Tasks::new(GATEWAYS.len() * FLIGHTS.len());
        let mut heard = HashMap::<_, u64>::new();
        for event in &events {
            let before = tasks.get(event.gateway, task(event)).cloned();
            let state = apply(&mut tasks, event);
            let count = heard.entry((event.gateway, task(event).to_owned())).or_default();
            *count += 1;
            prop_assert_eq!((&*state.gateway, &*state.task), (event.gateway, task(event)));
            prop_assert_eq!((state.events, state.last_ms), (*count, event.received_ms));
            prop_assert!(state.late < state.events && state.reopened < state.events);
            prop_assert!(state.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
            prop_assert!(state.is_over() || state.final_media_count().is_none());
            prop_assert_eq!(tasks.get(event.gateway, task(event)), Some(&state));
            let before = before.unwrap_or_default();
            let reopened = before.is_over() && !state.is_over();
            prop_assert_eq!(state.reopened - before.reopened, u64::from(reopened));
        }
        prop_assert_eq!(tasks.len(), heard.len());
    }

    /// An event of one task changes no other, whatever they are called.
    #[test]
    fn tasks_never_mix(events in events(with_any_clock)) {
        let mut tasks = Tasks::new(100);
        for event in &events {
            let others = |tasks: &Tasks| {
                let of = |state: &&TaskState| (&*state.gateway, &*state.task) != (event.gateway, task(event));
                tasks.iter().filter(of).cloned().collect::<Vec<_>>()
            };
            let before = others(&tasks);
            apply(&mut tasks, event);
            prop_assert_eq!(others(&tasks), before);
        }
    }

    /// Where every event has a time: what is older than the latest that counted changes nothing, and an end
    /// stands against what is no newer.
    #[test]
    fn what_is_older_changes_nothing(events in events(with_a_clock)) {
        let mut tasks = Tasks::new(100);
        for event in &events {
            let before = tasks.get(event.gateway, task(event)).cloned();
            let state = apply(&mut tasks, event);
            let at = event.progress.timestamp;
            let Some(before) = before else {
                prop_assert_eq!((state.device_ms, state.late), (at, 0));
                continue;
            };
            let goes_on = event.progress.status.as_deref().is_some_and(|status| !is_terminal(status));
            let no_newer = before.is_over() && goes_on && at <= before.device_ms;
            if at < before.device_ms || no_newer {
                prop_assert_eq!(but_counts(&state), but_counts(&before));
                prop_assert_eq!(state.late, before.late + 1);
            } else {
                prop_assert_eq!((state.device_ms, state.late), (at, before.late));
                let said = event.progress.status.as_deref().or(before.status.as_deref());
                prop_assert_eq!(state.status.as_deref(), said);
            }
        }
    }

    /// The same event once more, at once, is no other state; through the window it is not even counted.
    #[test]
    fn a_repetition_changes_only_what_is_counted(events in events(with_any_clock)) {
        let (mut once, mut twice, mut windowed) = (Tasks::new(100), Tasks::new(100), Tasks::new(100));
        let mut known = Known::new(1_000);
        for (n, event) in events.iter().enumerate() {
            let state = apply(&mut once, event);
            apply(&mut twice, event);
            let again = apply(&mut twice, event);
            prop_assert_eq!(but_counts(&again), but_counts(&state));
            prop_assert_eq!(again.events, 2 * state.events);
            // As a host does it: every event has its own `tid` here.
            let tid = n.to_string();
            for _ in 0..2 {
                if known.insert(event.gateway, &tid, b"{}") {
                    apply(&mut windowed, event);
                }
            }
        }
        prop_assert_eq!(windowed.latest_first(), once.latest_first());
    }

    /// Each gateway's events in their own order, however they are woven into each other's.
    #[test]
    fn gateways_do_not_depend_on_each_other(
        events in events(with_any_clock),
        weave in proptest::collection::vec(0usize..GATEWAYS.len(), 0..200),
    ) {
        let of = |gateway: &&'static str| {
            let own = events.iter().filter(|event| event.gateway == *gateway);
            own.cloned().collect::<std::collections::VecDeque<_>>()
        };
        let mut queues: Vec<_> = GATEWAYS.iter().map(of).collect();
        let mut woven = Tasks::new(100);
        let rest = (0..GATEWAYS.len()).flat_map(|n| std::iter::repeat_n(n, events.len()));
        for n in weave.into_iter().chain(rest) {
            if let Some(event) = queues[n].pop_front() {
                apply(&mut woven, &event);
            }
        }
        let mut tasks = Tasks::new(100);
        events.iter().for_each(|event| drop(apply(&mut tasks, event)));
        prop_assert_eq!(woven.len(), tasks.len());
        for state in tasks.iter() {
            prop_assert_eq!(woven.get(&state.gateway, &state.task), Some(state));
        }
        for gateway in GATEWAYS {
            let latest = |tasks: &Tasks| tasks.latest_of(gateway).cloned();
            prop_assert_eq!(latest(&woven), latest(&tasks));
        }
    }
}

/// Files are counted while they are on their way: only the last count is one.
#[test]
fn files_are_told_once_the_task_is_over() {
    let mut tasks = Tasks::new(1);
    let says = |status: &'static str, media_count, at| Progress {
        status: Some(status.into()),
        media_count,
        timestamp: Some(NOW + at),
        ..Progress::default()
    };
    for (at, status, media_count, expected) in [
        (0, "in_progress", Some(2), None),
        (1, "paused", None, None),
        (2, "ok", None, Some(2)),
        (3, "ok", Some(0), Some(0)),
        (4, "in_progress", None, None),
        (5, "failed", None, None),
    ] {
        let state = tasks.apply("SIMDOCK1", &says(status, media_count, at), NOW + 10);
        assert_eq!(state.final_media_count(), expected, "{at} {status}");
    }
    assert_eq!(tasks.latest_of("SIMDOCK1").unwrap().reopened, 1);
}
