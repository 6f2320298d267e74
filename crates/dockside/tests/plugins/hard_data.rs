//! The hard cases of docs/flight-tasks.md that are about what an event says, or about no event at all: reply,
//! history, state of the task, and what is counted.

use dockside_flighttask::{Rules, TaskState};
use serde_json::{Value, json};

use crate::hard_envelopes::{BID, SN, alone, say, seed, with};
use crate::host::Host;

/// An event with this `data.output`, and this `data.result`.
fn output(output: &Value, result: &Value) -> String {
    with("data", json!({"output": output, "result": result}))
}

/// How the task stands after an event with this `data.output`, which is answered and recorded.
fn after(said: &Value) -> TaskState {
    let (words, state) = alone(output(said, &json!(0)));
    assert_eq!(words, "replied, recorded", "{said}");
    state.unwrap()
}

/// How the task of [`seed`] stands with one more event behind it.
fn then(payload: &str) -> TaskState {
    let mut host = Host::new(Rules::default());
    say(&mut host, SN, seed().to_string());
    assert_eq!(say(&mut host, SN, payload), "replied, recorded", "{payload}");
    host.task(SN, BID).unwrap().clone()
}

fn status(state: &TaskState) -> Option<&str> {
    state.status.as_deref()
}

#[test]
fn case_14_numbers_and_words_of_newer_firmware() {
    let state = after(&json!({"status": "levitating"}));
    assert_eq!((status(&state), state.is_over()), (Some("levitating"), false));
    for step in [999, 65_535, 1_048_575] {
        let state = after(&json!({"progress": {"current_step": step}}));
        assert_eq!(state.step, Some(step));
    }
    let state = after(&json!({"ext": {"break_point": {"break_reason": 529}}}));
    assert_eq!(state.break_reason, Some(529));
}

#[test]
fn case_15_a_percentage_that_is_none_leaves_the_one_before() {
    for (percent, state_has, history_has) in [
        (json!(101), 40.0, None),
        (json!(-1), 40.0, None),
        (json!(1e300), 40.0, None),
        (json!(null), 40.0, None),
        (json!("half"), 40.0, None),
        (json!(15.5), 15.5, Some(15)),
        (json!("50"), 50.0, Some(50)),
    ] {
        let mut host = Host::new(Rules::default());
        let of = |percent| output(&json!({"progress": {"percent": percent}}), &json!(0));
        say(&mut host, SN, of(json!(40)));
        assert_eq!(say(&mut host, SN, of(percent.clone())), "replied, recorded", "{percent}");
        assert_eq!(host.task(SN, BID).unwrap().percent, Some(state_has), "{percent}");
        assert_eq!(host.history[1].percent, history_has, "{percent}");
    }
}

#[test]
fn case_16_a_failure_is_received_like_anything_else() {
    let (words, state) = alone(output(&json!({"status": "failed"}), &json!(314_004)));
    assert_eq!(words, "replied, recorded", "with result 0: a receipt");
    let state = state.unwrap();
    assert_eq!(
        (status(&state), state.result, state.is_over()),
        (Some("failed"), Some(314_004), true)
    );
}

#[test]
fn case_17_what_is_missing_leaves_what_was_said() {
    for data in [
        json!({"output": {"status": "ok"}, "result": "ok"}),
        json!({"output": {"status": "ok"}}),
        json!({"output": null}),
        json!({"output": {"ext": {}, "status": "ok"}, "result": null}),
        json!({"output": {"ext": {"current_waypoint_index": 3}}}),
        json!({}),
        json!(null),
        json!("text"),
    ] {
        let state = then(&with("data", data.clone()));
        assert_eq!(
            (state.result, state.step, state.waypoint),
            (Some(0), Some(19), Some(3)),
            "{data}"
        );
        assert_eq!((status(&state), state.percent, state.events), (Some("ok"), Some(100.0), 2));
    }
}

#[test]
fn case_18_odd_tracks_and_routes_name_no_task() {
    let state = after(&json!({"ext": {"track_id": "", "wayline_id": 65_535}}));
    assert_eq!((&*state.task, state.track, state.wayline), (BID, None, Some(65_535)));
    assert_eq!(state.media_count, None, "absent is not 0");
    let state = after(&json!({"ext": {"wayline_id": "W000000001", "media_count": 0}}));
    assert_eq!((state.wayline, state.media_count), (None, Some(0)));
    let state = then(&output(&json!({"ext": {"track_id": "other"}}), &json!(0)));
    assert_eq!((state.track.as_deref(), state.events), (Some("other"), 2), "one task");
}

/// Nobody hears a reply, nothing changes, and it is counted.
fn changes_nothing(payload: impl AsRef<[u8]>, words: &str) {
    let mut host = Host::new(Rules::default());
    say(&mut host, SN, seed().to_string());
    let before = host.task(SN, BID).cloned();
    let text = String::from_utf8_lossy(&payload.as_ref()[..payload.as_ref().len().min(80)]);
    assert_eq!(say(&mut host, SN, payload.as_ref()), words, "{text}");
    assert_eq!((host.task(SN, BID).cloned(), host.tasks(), host.history.len()), (before, 1, 1));
}

#[test]
fn case_19_bare_nan() {
    for word in ["NaN", "Infinity", "-Infinity"] {
        changes_nothing(
            seed().to_string().replace(":19", &format!(":{word}")),
            "why, invalid json",
        );
    }
}

#[test]
fn case_20_what_is_no_event() {
    let text = seed().to_string();
    for cut in [0, 1, 40, text.len() - 1] {
        changes_nothing(&text[..cut], "why, invalid json");
    }
    for payload in [" ", "[]", "7", "null", "\"x\"", "{}{}", "\0"] {
        changes_nothing(payload, "why, invalid json");
    }
    changes_nothing(b"\xff\xfe{}", "why, invalid json");
    changes_nothing(format!("\u{feff}{text}"), "why, invalid json");
    changes_nothing(format!("[{text}]"), "why, invalid json");
    changes_nothing("[".repeat(20_000), "why, invalid json");
    changes_nothing("{\"a\":".repeat(4_000), "why, invalid json");
    changes_nothing(text.replacen('{', r#"{"tid":"twice","#, 1), "why, invalid json");
    changes_nothing("{}", "why, invalid schema");
    changes_nothing(with("data", json!("x".repeat(20_480))), "why, invalid too_large");
    // A key twice within the data is no reason for silence: the last one counts.
    let twice = r#"{"tid":"t","bid":"b","method":"flighttask_progress","data":{"output":{"status":"sent","status":"paused"}}}"#;
    let (words, state) = alone(twice);
    assert_eq!((words.as_str(), status(&state.unwrap())), ("replied, recorded", Some("paused")));
}

#[test]
fn case_21_any_text() {
    for (json, text) in [
        (r#""任务-1""#, "任务-1"),
        (r#""🚁""#, "🚁"),
        (r#""a\"b\\c\n\u0000""#, "a\"b\\c\n\0"),
        (r#""\ud83d-x""#, "\u{fffd}\u{fffd}\u{fffd}-x"),
    ] {
        let event = r#"{"tid":ID,"bid":ID,"method":"flighttask_progress","data":{"output":{"ext":{"flight_id":ID},"status":"sent"}}}"#;
        let mut host = Host::new(Rules::default());
        let payload = event.replace("ID", json);
        let outcome = host.publish(&format!("thing/product/{SN}/events"), payload.as_bytes());
        let reply = String::from_utf8(outcome.replies[0].payload.clone()).unwrap();
        assert!(reply.starts_with(&format!(r#"{{"tid":{json},"bid":{json},"#)), "{reply}");
        assert_eq!(status(host.task(SN, text).unwrap()), Some("sent"), "{json}");
        let tid = &*host.history[0].tid;
        assert!(tid == text || tid == json, "what it means or, if that is nothing, to the letter");
    }
}

#[test]
fn case_22_lists_and_events_without_an_envelope() {
    let warning = r#"{"tid":"1","bid":"2","method":"airsense_warning","data":[{"icao":"B-5931"}]}"#;
    changes_nothing(warning, "ignored unknown_method");
    let waits = warning.replacen('{', r#"{"need_reply":1,"#, 1);
    changes_nothing(waits, "why, ignored unknown_method");
    let bare = r#"{"in_flight_wayline_id":"x","progress":0,"status":0}"#;
    changes_nothing(bare, "why, invalid schema");
    let drc = r#"{"method":"drc_drone_state_push","data":{"stealth_state":false},"seq":1}"#;
    changes_nothing(drc, "ignored unknown_method");
    let state = then(&with("data", json!([seed()["data"]])));
    assert_eq!((status(&state), state.events), (Some("ok"), 2));
}

#[test]
fn case_26_look_alike_topics() {
    let mut host = Host::new(Rules::default());
    assert_eq!(say(&mut host, "a-b", seed().to_string()), "why, invalid sn");
    assert_eq!(say(&mut host, "日本", seed().to_string()), "why, invalid sn");
    assert_eq!(say(&mut host, "", seed().to_string()), "why, invalid sn");
    for topic in [
        "thing/product/a/b/events",
        "/thing/product/x/events",
        "thing/product/x/events/",
        "thing/product/events",
        "xthing/product/x/events",
        "thing/product/x/events_reply",
        "$share/g/thing/product/x/events",
        "thing/product/x/Events",
    ] {
        let outcome = host.publish(topic, seed().to_string().as_bytes());
        let nothing = outcome.replies.is_empty() && outcome.record.is_none();
        assert!(nothing && outcome.counted.is_empty() && outcome.heard.is_none(), "{topic}");
    }
    assert_eq!((host.history.len(), host.tasks()), (0, 0));
}
