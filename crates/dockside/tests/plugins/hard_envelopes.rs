//! The hard cases of docs/flight-tasks.md that are about the envelope: reply, history, state of the task, and
//! what is counted.

use dockside_flighttask::rules::{Rule, WaitFor};
use dockside_flighttask::topic::is_serial_number;
use dockside_flighttask::{Rules, TaskState};
use dockside_interceptor::{After, QoS};
use serde_json::{Value, json};

use crate::host::{Host, NOW};

pub(crate) const SN: &str = "SIMDOCK2000001";

/// The event of DJI's documentation for Cloud API 1.1: no `gateway`, no `need_reply`, no `flight_id`.
pub(crate) fn seed() -> Value {
    json!({
        "bid": "000f3949-01fe-4778-9b75-76a9ac5c4ed6",
        "data": {
            "output": {
                "ext": {"current_waypoint_index": 3, "media_count": 6, "track_id": "track_id"},
                "progress": {"current_step": 19, "percent": 100},
                "status": "ok"
            },
            "result": 0
        },
        "method": "flighttask_progress",
        "tid": "da927f3a-b408-4b2a-9ce8-f4d57c913909",
        "timestamp": 1654065677966u64
    })
}

/// Of [`seed`].
pub(crate) const BID: &str = "000f3949-01fe-4778-9b75-76a9ac5c4ed6";

pub(crate) fn with(key: &str, value: Value) -> String {
    let mut event = seed();
    event[key] = value;
    event.to_string()
}

fn without(key: &str) -> String {
    let mut event = seed();
    event.as_object_mut().unwrap().remove(key);
    event.to_string()
}

/// What becomes of an event, in words: `replied`; `recorded`, or `known` if it was before; `why` if the
/// broker is told why there is no reply; and what was counted besides its method.
pub(crate) fn say(host: &mut Host, serial_number: &str, payload: impl AsRef<[u8]>) -> String {
    let outcome = host.publish(&format!("thing/product/{serial_number}/events"), payload.as_ref());
    let mut words = Vec::new();
    for reply in &outcome.replies {
        assert_eq!(reply.topic, format!("thing/product/{serial_number}/events_reply"));
        assert_eq!((reply.qos, &reply.after), (QoS::AtLeastOnce, &After::Kept));
        let said: Value = serde_json::from_slice(&reply.payload).unwrap();
        assert_eq!((&said["timestamp"], &said["data"]), (&json!(NOW), &json!({"result": 0})));
        words.push("replied");
    }
    let count = |what: &str| outcome.counted.iter().filter(|name| name.starts_with(what)).count();
    assert_eq!(count("events_received "), 1, "once by its method");
    assert_eq!(count("events_replied "), outcome.replies.len());
    let heard = outcome.heard.as_ref();
    assert_eq!(heard.is_some(), is_serial_number(serial_number), "whatever it says");
    if let Some(heard) = heard {
        assert_eq!((&*heard.gateway, heard.is_gateway), (serial_number, true));
        assert_eq!(heard.event, Some(!outcome.replies.is_empty()));
    }
    words.extend(
        outcome.record.as_ref().map(|_| if outcome.is_known { "known" } else { "recorded" }),
    );
    words.extend(outcome.unanswered.as_ref().map(|_| "why"));
    let more = outcome.counted.iter().filter_map(|name| name.strip_prefix("events_"));
    words.extend(more.filter(|name| !name.starts_with("rec") && !name.starts_with("rep")));
    words.join(", ")
}

/// What becomes of one event, as the first that a host hears; and how its task stands then.
pub(crate) fn alone(payload: impl AsRef<[u8]>) -> (String, Option<TaskState>) {
    let mut host = Host::new(Rules::default());
    let words = say(&mut host, SN, payload);
    let record = host.history.first().cloned();
    let task = record.as_ref().map(|record| record.task.as_deref().unwrap_or("(unknown)"));
    let state = task.and_then(|task| host.task(SN, task).cloned());
    assert_eq!(host.tasks(), usize::from(state.is_some()));
    (words, state)
}

/// That the event of [`seed`] counts for its task, `tid` and envelope being whatever they are.
fn is_over(state: Option<TaskState>) {
    let state = state.unwrap();
    assert_eq!(
        (state.status.as_deref(), state.percent, state.events),
        (Some("ok"), Some(100.0), 1)
    );
}

#[test]
fn case_01_need_reply_1() {
    let (words, state) = alone(with("need_reply", json!(1)));
    assert_eq!(words, "replied, recorded");
    is_over(state);
}

#[test]
fn case_02_no_reply_is_needed_and_the_task_goes_on() {
    for value in [json!(0), json!(0.0), json!(false)] {
        let (words, state) = alone(with("need_reply", value));
        assert_eq!(words, "recorded, ignored no_reply_needed");
        is_over(state);
    }
}

#[test]
fn case_03_need_reply_absent() {
    let (words, state) = alone(seed().to_string());
    assert_eq!(words, "replied, recorded");
    is_over(state);
    let mut host = Host::new(Rules { reply_when_unasked: false, ..Rules::default() });
    let words = say(&mut host, SN, seed().to_string());
    assert_eq!(words, "recorded, ignored no_reply_needed");
    is_over(host.task(SN, BID).cloned());
}

#[test]
fn case_04_need_reply_of_other_types() {
    for value in [json!(true), json!("1"), json!(1.0), json!(null)] {
        assert_eq!(alone(with("need_reply", value)).0, "replied, recorded");
    }
    for value in [json!(2), json!(-1), json!("yes"), json!("0"), json!([1]), json!({})] {
        let (words, state) = alone(with("need_reply", value));
        assert_eq!(words, "replied, recorded, flagged need_reply");
        is_over(state);
    }
    let mut host = Host::new(Rules { reply_when_unasked: false, ..Rules::default() });
    for value in [json!(null), json!(2)] {
        assert!(!say(&mut host, SN, with("need_reply", value)).contains("replied"), "as absent");
    }
}

/// The device's time is taken only if it makes sense; without one the order is that of arrival.
#[test]
fn case_05_any_timestamp() {
    for (timestamp, device_ms) in [
        (r#""1234567890123""#, Some(1_234_567_890_123)),
        ("16540656779661", None),
        ("0", None),
        ("-1", None),
        ("1e30", None),
        ("1e999", None),
        ("null", None),
        ("[1654065677966]", None),
    ] {
        let payload = seed().to_string().replace("1654065677966", timestamp);
        let mut host = Host::new(Rules::default());
        assert_eq!(say(&mut host, SN, &payload), "replied, recorded", "{timestamp}");
        assert_eq!(host.task(SN, BID).unwrap().device_ms, device_ms, "{timestamp}");
        let next = payload.replace(r#""ok""#, r#""in_progress""#);
        say(&mut host, SN, &next);
        let state = host.task(SN, BID).unwrap();
        let goes_on = device_ms.is_none();
        let expected = if goes_on { ("in_progress", 0, 1) } else { ("ok", 1, 0) };
        let status = state.status.as_deref().unwrap();
        assert_eq!((status, state.late, state.reopened), expected, "{timestamp}");
    }
    for payload in
        [without("timestamp"), seed().to_string().replace("\"timestamp\":", "\"timestamp:\":")]
    {
        let (words, state) = alone(payload);
        assert_eq!((words.as_str(), state.unwrap().device_ms), ("replied, recorded", None));
    }
}

#[test]
fn case_06_gateway_missing_or_of_another_device() {
    assert_eq!(alone(with("gateway", json!(SN))).0, "replied, recorded");
    assert_eq!(alone(with("gateway", json!(5))).0, "replied, recorded");
    let mut host = Host::new(Rules::default());
    let words = say(&mut host, SN, with("gateway", json!("SIMDOCK2000002")));
    assert_eq!(words, "replied, recorded, flagged gateway_mismatch");
    is_over(host.task(SN, BID).cloned());
    assert!(host.task("SIMDOCK2000002", BID).is_none(), "never by what the payload says");
}

#[test]
fn case_07_without_a_tid_there_is_no_reply_and_the_task_goes_on() {
    let values = [json!(""), json!(null), json!(true), json!([]), json!({"a": 1})];
    let payloads = values.map(|value| with("tid", value)).into_iter().chain([without("tid")]);
    for payload in payloads {
        let (words, state) = alone(&payload);
        assert_eq!(words, "recorded, why, invalid schema", "{payload}");
        is_over(state);
    }
}

#[test]
fn case_08_bid_missing() {
    for payload in [without("bid"), with("bid", json!(null))] {
        let (words, state) = alone(payload);
        assert_eq!(words, "replied, recorded, flagged no_bid");
        let state = state.unwrap();
        assert_eq!((&*state.task, state.status.as_deref()), ("(unknown)", Some("ok")));
    }
}

#[test]
fn case_09_numbers_and_long_ids() {
    let (words, state) = alone(with("bid", json!(456)));
    assert_eq!((words.as_str(), &*state.unwrap().task), ("replied, recorded", "456"));
    for (key, task) in [("tid", BID), ("bid", "(unknown)")] {
        let (words, state) = alone(with(key, json!("x".repeat(1_025))));
        assert_eq!(words, "recorded, why, invalid too_large", "{key}");
        assert_eq!(&*state.unwrap().task, task);
        let (words, state) = alone(with(key, json!("x".repeat(100_000))));
        assert_eq!((words.as_str(), state), ("why, invalid too_large", None), "{key}");
    }
}

#[test]
fn case_12_method_missing_is_no_guess() {
    let values = [json!(""), json!(null), json!(7)].map(|value| with("method", value));
    for payload in values.into_iter().chain([without("method")]) {
        let (words, state) = alone(&payload);
        assert_eq!((words.as_str(), state), ("why, invalid schema", None), "{payload}");
    }
}

#[test]
fn case_13_other_methods() {
    for method in ["hms", "flighttask_progress_get", "no_such_method"] {
        let payload = with("method", json!(method));
        let (words, state) = alone(&payload);
        assert_eq!((words.as_str(), state), ("ignored unknown_method", None));
        let waits = payload.replacen('{', r#"{"need_reply":1,"#, 1);
        assert_eq!(alone(&waits).0, "why, ignored unknown_method");
        let rule = Rule {
            gateway: "SIM*".to_owned(),
            methods: vec!["*".to_owned()],
            answer: true,
            wait_for: WaitFor::Commit,
        };
        let mut host = Host::new(Rules { rules: vec![rule], ..Rules::default() });
        assert_eq!(say(&mut host, SN, &waits), "replied, recorded");
        assert_eq!((host.history.len(), host.tasks()), (1, 0), "it is in no task");
    }
}
