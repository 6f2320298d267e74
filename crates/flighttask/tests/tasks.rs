//! How tasks stand after events in any order. Hard cases are those of docs/flight-tasks.md.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dockside_flighttask::tasks::UNKNOWN_TASK;
use dockside_flighttask::{Progress, TaskState, Tasks};

const NOW: u64 = 1_747_224_838_227;

fn says<'a>(task: &'a str, status: &'a str) -> Progress<'a> {
    Progress { task: Some(task.into()), status: Some(status.into()), ..Progress::default() }
}

/// At this time of the device's, after [`NOW`].
fn at(ms: u64, progress: Progress<'_>) -> Progress<'_> {
    Progress { timestamp: Some(NOW + ms), ..progress }
}

fn names(tasks: &Tasks) -> Vec<&str> {
    tasks.iter().map(|state| &*state.task).collect()
}

fn status(tasks: &Tasks) -> &str {
    tasks.get("A", "t").unwrap().status.as_deref().unwrap()
}

#[test]
fn an_event_is_added_to_what_is_known() {
    let mut tasks = Tasks::new(10);
    let first = Progress {
        step: Some(35),
        percent: Some(15.5),
        waypoint: Some(3),
        wayline: Some(65_535),
        mission_state: Some(6),
        media_count: Some(0),
        break_reason: Some(529),
        result: Some(314_004),
        track: Some("track".into()),
        ..at(0, says("t", "in_progress"))
    };
    let all = TaskState {
        gateway: "A".into(),
        task: "t".into(),
        status: Some("in_progress".into()),
        step: Some(35),
        percent: Some(15.5),
        waypoint: Some(3),
        wayline: Some(65_535),
        mission_state: Some(6),
        media_count: Some(0),
        break_reason: Some(529),
        result: Some(314_004),
        track: Some("track".into()),
        device_ms: Some(NOW),
        first_ms: NOW + 5,
        last_ms: NOW + 5,
        events: 1,
        late: 0,
        reopened: 0,
    };
    assert_eq!(*tasks.apply("A", &first, NOW + 5), all);
    let nothing = Progress { task: Some("t".into()), ..Progress::default() };
    let heard = TaskState { last_ms: NOW + 9, events: 2, ..all };
    assert_eq!(*tasks.apply("A", &nothing, NOW + 9), heard);
    let less = Progress { percent: Some(2.0), ..at(8, says("t", "paused")) };
    let expected = TaskState {
        status: Some("paused".into()),
        percent: Some(2.0),
        device_ms: Some(NOW + 8),
        events: 3,
        ..heard
    };
    assert_eq!(*tasks.apply("A", &less, NOW + 9), expected);
    assert_eq!(tasks.get("A", "t"), Some(&expected));
}

/// Hard case 15.
#[test]
fn a_percentage_that_is_none_leaves_the_one_before() {
    let mut tasks = Tasks::new(10);
    for (said, expected) in [(50.5, 50.5), (101.0, 50.5), (-1.0, 50.5), (0.0, 0.0), (100.0, 100.0)]
    {
        let progress = Progress { percent: Some(said), ..says("t", "in_progress") };
        assert_eq!(tasks.apply("A", &progress, NOW).percent, Some(expected), "{said}");
    }
}

/// Hard case 30.
#[test]
fn two_gateways_with_one_task_are_two_tasks() {
    let mut tasks = Tasks::new(10);
    tasks.apply("A", &says("t", "ok"), NOW);
    tasks.apply("B", &says("t", "in_progress"), NOW);
    tasks.apply("B", &Progress::default(), NOW);
    assert_eq!(tasks.len(), 3);
    assert_eq!(tasks.get("A", "t").unwrap().status.as_deref(), Some("ok"));
    assert_eq!(tasks.get("B", "t").unwrap().status.as_deref(), Some("in_progress"));
    assert_eq!(tasks.get("B", UNKNOWN_TASK).unwrap().status, None);
    assert_eq!(tasks.get("A", UNKNOWN_TASK), None);
}

/// Hard case 29.
#[test]
fn an_older_event_overwrites_nothing() {
    let mut tasks = Tasks::new(10);
    tasks.apply("A", &at(10, says("t", "in_progress")), NOW + 100);
    for (ms, said, expected, late) in [
        (9, "failed", "in_progress", 1),
        (10, "paused", "paused", 1),
        (20, "failed", "failed", 1),
        (20, "in_progress", "failed", 2),
        (19, "ok", "failed", 3),
        (20, "ok", "ok", 3),
    ] {
        let state = tasks.apply("A", &at(ms, says("t", said)), NOW + 100);
        assert_eq!((state.status.as_deref(), state.late), (Some(expected), late), "{ms} {said}");
    }
    assert_eq!(tasks.get("A", "t").unwrap().events, 7);
    assert_eq!(tasks.get("A", "t").unwrap().reopened, 0);
}

#[test]
fn a_newer_event_reopens_a_task() {
    let mut tasks = Tasks::new(10);
    let failed = Progress {
        result: Some(314_004),
        media_count: Some(6),
        break_reason: Some(1),
        step: Some(35),
        ..at(10, says("t", "failed"))
    };
    tasks.apply("A", &failed, NOW + 10);
    let resumed = at(11, says("t", "in_progress"));
    let state = tasks.apply("A", &resumed, NOW + 11);
    assert_eq!((state.status.as_deref(), state.reopened), (Some("in_progress"), 1));
    assert_eq!((state.result, state.media_count, state.break_reason), (None, None, None));
    assert_eq!(state.step, Some(35));
    // What says no status leaves a task as over as it was.
    tasks.apply("A", &failed_at(12), NOW + 12);
    let count = Progress { media_count: Some(7), ..at(13, says("t", "failed")) };
    let count = Progress { status: None, ..count };
    let state = tasks.apply("A", &count, NOW + 13);
    assert_eq!((state.is_over(), state.reopened, state.media_count), (true, 1, Some(7)));
}

fn failed_at(ms: u64) -> Progress<'static> {
    at(ms, says("t", "failed"))
}

/// Hard case 5: the order is that of arrival.
#[test]
fn a_time_that_makes_no_sense_orders_nothing() {
    // One before the year 2001, one of 14 digits, one that is more than 30 s ahead, none at all.
    for odd in [Some(0), Some(999_999_999_999), Some(NOW * 10), Some(NOW + 30_001), None] {
        let mut tasks = Tasks::new(10);
        tasks.apply("A", &Progress { timestamp: odd, ..says("t", "ok") }, NOW);
        assert_eq!(tasks.get("A", "t").unwrap().device_ms, None, "{odd:?}");
        tasks.apply("A", &at(0, says("t", "sent")), NOW);
        assert_eq!(status(&tasks), "sent", "{odd:?}");
        tasks.apply("A", &Progress { timestamp: odd, ..says("t", "paused") }, NOW);
        assert_eq!(status(&tasks), "paused", "{odd:?}");
        assert_eq!(tasks.get("A", "t").unwrap().device_ms, Some(NOW), "{odd:?}");
    }
    let mut tasks = Tasks::new(10);
    tasks.apply("A", &at(30_000, says("t", "ok")), NOW);
    assert_eq!(tasks.apply("A", &at(0, says("t", "sent")), NOW).late, 1, "30 s ahead make sense");
    // Until the broker's clock is set right, and the time before is one of the future.
    assert_eq!(tasks.apply("A", &says("t", "paused"), NOW - 1_000).late, 1);
    assert_eq!(tasks.apply("A", &at(0, says("t", "sent")), NOW - 1_000).late, 1);
    assert_eq!(status(&tasks), "sent");
}

#[test]
fn what_is_over_goes_first_and_then_the_least_recent() {
    let mut tasks = Tasks::new(3);
    tasks.apply("A", &says("1", "in_progress"), NOW);
    tasks.apply("A", &says("2", "ok"), NOW);
    tasks.apply("B", &says("3", "rejected"), NOW);
    tasks.apply("A", &says("2", "ok"), NOW);
    assert_eq!(names(&tasks), ["3", "2", "1"]);
    tasks.apply("A", &says("4", "new in 1.17"), NOW);
    assert_eq!(names(&tasks), ["2", "1", "4"]);
    tasks.apply("A", &says("5", "sent"), NOW);
    tasks.apply("A", &says("1", "sent"), NOW);
    assert_eq!(names(&tasks), ["4", "5", "1"]);
    tasks.apply("A", &says("6", "sent"), NOW);
    assert_eq!(names(&tasks), ["5", "1", "6"]);
    // One that is over is heard of even where there is room for no other.
    let mut tasks = Tasks::new(0);
    tasks.apply("A", &says("1", "sent"), NOW);
    assert_eq!(&*tasks.apply("A", &says("2", "ok"), NOW).task, "2");
    assert_eq!(names(&tasks), ["2"]);
    assert!(!tasks.is_empty());
}

#[test]
fn stored_tasks_are_put_back_in_their_order() {
    let stored = |task: &str, events| TaskState {
        gateway: "A".into(),
        task: task.into(),
        events,
        ..TaskState::default()
    };
    let mut tasks = Tasks::new(2);
    for (task, events) in [("1", 1), ("2", 2), ("3", 3), ("2", 4)] {
        tasks.restore(stored(task, events));
    }
    assert_eq!(names(&tasks), ["3", "2"]);
    assert_eq!(tasks.get("A", "2"), Some(&stored("2", 4)));
    assert_eq!(tasks.apply("A", &says("2", "ok"), NOW).events, 5);
}

#[test]
fn a_group_left_open_is_undone_by_the_next() {
    let mut tasks = Tasks::new(2);
    tasks.apply("A", &says("t", "sent"), NOW);
    tasks.begin();
    tasks.apply("A", &says("t", "ok"), NOW);
    tasks.begin();
    assert_eq!(status(&tasks), "sent");
    tasks.apply("A", &says("t", "paused"), NOW);
    tasks.commit();
    tasks.roll_back();
    assert_eq!(status(&tasks), "paused", "what was kept is not undone");
    tasks.apply("A", &says("t", "failed"), NOW);
    tasks.roll_back();
    assert_eq!(status(&tasks), "failed", "nor is what was in no group");
}

#[test]
fn a_group_tells_once_of_each_task_that_it_changed() {
    let mut tasks = Tasks::new(2);
    tasks.apply("A", &says("t", "sent"), NOW);
    assert_eq!(tasks.changed().count(), 0);
    tasks.begin();
    for (gateway, task) in [("A", "t"), ("B", "u"), ("B", "v"), ("B", "u")] {
        tasks.apply(gateway, &says(task, "sent"), NOW);
    }
    let changed: Vec<_> = tasks.changed().map(|state| (&*state.task, state.events)).collect();
    assert_eq!(changed, [("v", 1), ("u", 2)], "t had to go");
    tasks.roll_back();
    assert_eq!((tasks.changed().count(), names(&tasks)), (0, vec!["t"]));
}

#[test]
fn what_nothing_was_heard_of_is_forgotten() {
    let mut tasks = Tasks::new(10);
    for (gateway, task, received_ms) in [("A", "t", 5), ("B", "t", 6), ("A", "u", 4)] {
        tasks.apply(gateway, &says(task, "ok"), received_ms);
    }
    tasks.forget(6);
    assert_eq!(names(&tasks), ["t"]);
    assert!(tasks.get("A", "t").is_none() && tasks.get("B", "t").is_some());
    tasks.apply("A", &says("t", "sent"), 7);
    assert_eq!(tasks.get("A", "t").unwrap().events, 1, "it begins anew");
    tasks.forget(100);
    assert!(tasks.is_empty());
}

#[test]
fn the_latest_is_first_whatever_the_clock_says_and_whether_or_not_it_is_over() {
    let mut tasks = Tasks::new(10);
    for (task, status, received_ms) in
        [("a", "ok", 5), ("b", "sent", 5), ("c", "failed", 5), ("d", "paused", 4), ("a", "ok", 5)]
    {
        tasks.apply("A", &says(task, status), received_ms);
    }
    let latest: Vec<_> = tasks.latest_first().iter().map(|state| &*state.task).collect();
    assert_eq!(latest, ["a", "d", "c", "b"]);
}
