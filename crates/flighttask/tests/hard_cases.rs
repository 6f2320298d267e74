//! The reply column of the hard cases: which events are answered, each with its message.
//! Numbers are those of docs/flight-tasks.md.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use dockside_flighttask::answer::Flags;
use dockside_flighttask::envelope::ID_BYTES_AT_MOST;
use dockside_flighttask::topic::Kind;
use dockside_flighttask::{Answer, Invalid, Rules};
use serde_json::{Value, json};

const NOW: u64 = 1_700_000_000_123;
const SN: &str = "SIMDOCK2000001";

fn event() -> Value {
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

fn with(key: &str, value: Value) -> String {
    let mut event = event();
    event[key] = value;
    event.to_string()
}

fn without(key: &str) -> String {
    let mut event = event();
    event.as_object_mut().unwrap().remove(key);
    event.to_string()
}

/// What becomes of an event, and what is odd about it.
fn answer(sn: &str, payload: &[u8], now_ms: u64, rules: &Rules) -> (Answer, Flags) {
    let decision =
        dockside_flighttask::answer((Kind::Events, sn), payload, now_ms, rules, &|_, _| None);
    (decision.answer, decision.flags)
}

fn decide(payload: impl AsRef<[u8]>) -> Answer {
    answer(SN, payload.as_ref(), NOW, &Rules::default()).0
}

/// The reply, checked for everything that every reply has.
fn replied(payload: impl AsRef<[u8]>) -> Value {
    let Answer::Reply { payload: bytes, .. } = decide(payload.as_ref()) else {
        panic!("no reply to {}", String::from_utf8_lossy(payload.as_ref()))
    };
    let reply: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(reply["timestamp"], json!(NOW), "an integer of 13 digits");
    assert_eq!(reply["method"], "flighttask_progress");
    assert_eq!(reply["data"], json!({"result": 0}));
    let keys: Vec<_> = reply.as_object().unwrap().keys().collect();
    assert!(
        keys.iter().all(|k| ["tid", "bid", "timestamp", "method", "data"].contains(&k.as_str()))
    );
    reply
}

fn invalid(payload: impl AsRef<[u8]>, reason: Invalid) {
    assert_eq!(
        decide(payload.as_ref()),
        Answer::Invalid(reason),
        "{}",
        String::from_utf8_lossy(&payload.as_ref()[..payload.as_ref().len().min(80)])
    );
}

#[test]
fn case_01_need_reply_1_and_the_message_of_a_real_dock() {
    let reply = replied(with("need_reply", json!(1)));
    assert_eq!(reply["tid"], event()["tid"]);
    assert_eq!(reply["bid"], event()["bid"]);
    replied(
        r#"{"bid":"3c6c35c3-ae56-436f-ad3f-f202f28b50b7","data":{"output":{"ext":{"current_waypoint_index":0,"flight_id":"3c6c35c3-ae56-436f-ad3f-f202f28b50b7","media_count":0,"track_id":"","wayline_id":65535,"wayline_mission_state":2},"progress":{"current_step":35,"percent":15},"status":"failed"},"result":314004},"method":"flighttask_progress","need_reply":1,"tid":"431e5b9d-ea56-48fa-a98e-5afcee7e96d8","timestamp":1747224838227,"gateway":"SIMDOCK2000001"}"#,
    );
}

#[test]
fn case_02_need_reply_0_or_false_is_not_answered() {
    for value in [json!(0), json!(0.0), json!(false)] {
        assert_eq!(decide(with("need_reply", value)), Answer::NotNeeded);
    }
}

#[test]
fn case_03_need_reply_absent_is_answered_unless_configured() {
    replied(event().to_string());
    let rules = Rules { reply_when_unasked: false, ..Rules::default() };
    let (decided, _) = answer(SN, event().to_string().as_bytes(), NOW, &rules);
    assert_eq!(decided, Answer::NotNeeded);
}

#[test]
fn case_04_need_reply_of_other_types() {
    for value in [
        json!(true),
        json!("1"),
        json!(1.0),
        json!(null),
        json!(2),
        json!("0"),
        json!([]),
        json!({}),
    ] {
        replied(with("need_reply", value));
    }
    let junk = with("need_reply", json!(2));
    let (_, flags) = answer(SN, junk.as_bytes(), NOW, &Rules::default());
    assert!(flags.junk_need_reply);
}

#[test]
fn case_05_any_timestamp() {
    for value in [
        json!("1234567890123"),
        json!(16540656779661u64),
        json!(0),
        json!(-1),
        json!(1e30),
        json!(null),
    ] {
        replied(with("timestamp", value));
    }
    replied(without("timestamp"));
    replied(event().to_string().replace("\"timestamp\":", "\"timestamp:\":"));
    replied(event().to_string().replace("1654065677966", "1e999"));
}

#[test]
fn case_06_gateway_missing_or_of_another_device() {
    let (_, flags) = answer(SN, with("gateway", json!(SN)).as_bytes(), NOW, &Rules::default());
    assert!(!flags.gateway_mismatch);
    let other = with("gateway", json!("OTHER"));
    replied(&other);
    let (_, flags) = answer(SN, other.as_bytes(), NOW, &Rules::default());
    assert!(flags.gateway_mismatch);
    replied(with("gateway", json!(5)));
}

#[test]
fn case_07_tid_missing_or_empty_is_not_answered() {
    invalid(without("tid"), Invalid::Schema);
    for value in [json!(""), json!(null), json!(true), json!([]), json!({"a": 1})] {
        invalid(with("tid", value), Invalid::Schema);
    }
}

#[test]
fn case_08_bid_missing_is_left_out() {
    for payload in [without("bid"), with("bid", json!(null))] {
        let reply = replied(&payload);
        assert!(reply.get("bid").is_none());
        let (_, flags) = answer(SN, payload.as_bytes(), NOW, &Rules::default());
        assert!(flags.no_bid);
    }
}

#[test]
fn case_09_numbers_are_echoed_and_length_is_capped() {
    for number in ["17", "-3", "1.50", "123456789012345678901234567890"] {
        let payload =
            event().to_string().replace("\"da927f3a-b408-4b2a-9ce8-f4d57c913909\"", number);
        let Answer::Reply { payload: bytes, .. } = decide(payload) else {
            panic!("no reply to tid {number}")
        };
        assert!(String::from_utf8(bytes).unwrap().contains(&format!("\"tid\":{number},")));
    }
    replied(with("tid", json!("x".repeat(ID_BYTES_AT_MOST))));
    for key in ["tid", "bid"] {
        invalid(with(key, json!("x".repeat(ID_BYTES_AT_MOST + 1))), Invalid::TooLarge);
        invalid(with(key, json!("x".repeat(100_000))), Invalid::TooLarge);
    }
}

#[test]
fn case_10_and_11_the_same_tid_is_answered_every_time() {
    assert_eq!(replied(event().to_string()), replied(event().to_string()));
    replied(with("data", json!({"output": {"status": "failed"}})));
}

#[test]
fn case_30_two_docks_with_one_flight_are_both_answered() {
    let payload = with("data", json!({"output": {"ext": {"flight_id": "f"}, "status": "sent"}}));
    for serial_number in ["SIMDOCKA", "SIMDOCKB"] {
        let (decided, _) = answer(serial_number, payload.as_bytes(), NOW, &Rules::default());
        assert!(matches!(decided, Answer::Reply { .. }), "{serial_number}");
    }
}

#[test]
fn case_12_method_missing_is_not_answered() {
    invalid(without("method"), Invalid::Schema);
    for value in [json!(""), json!(null), json!(7)] {
        invalid(with("method", value), Invalid::Schema);
    }
}

#[test]
fn case_13_other_methods_are_somebody_elses() {
    for method in ["hms", "flighttask_ready", "flighttask_progress_get", "no_such_method"] {
        assert_eq!(decide(with("method", json!(method))), Answer::NotOurs { waits: false });
    }
    let mut waiting: Value = event();
    waiting["method"] = json!("hms");
    waiting["need_reply"] = json!(1);
    let waits = Answer::NotOurs { waits: true };
    assert_eq!(decide(waiting.to_string()), waits);
    replied(event().to_string().replace("flighttask_progress", "flighttask\\u005fprogress"));
}

#[test]
fn case_14_to_18_any_data_is_answered_with_result_0() {
    let output = |output: Value| with("data", json!({"output": output, "result": 314004}));
    for payload in [
        output(json!({"status": "levitating"})),
        output(json!({"progress": {"current_step": 1048575, "percent": 101}})),
        output(json!({"progress": {"current_step": 65535, "percent": "50"}})),
        output(
            json!({"progress": {"percent": -1.5}, "ext": {"break_point": {"break_reason": 529}}}),
        ),
        output(json!({"ext": {"track_id": "", "wayline_id": "W000000001"}})),
        output(json!({"status": "failed"})),
        output(json!(null)),
        with("data", json!({"result": "ok"})),
        with("data", json!({})),
        without("data"),
    ] {
        replied(payload);
    }
}

#[test]
fn case_19_bare_nan_is_not_json() {
    for word in ["NaN", "Infinity", "-Infinity"] {
        invalid(event().to_string().replace(":19", &format!(":{word}")), Invalid::Json);
    }
}

#[test]
fn case_20_what_is_not_an_event_is_not_answered() {
    let text = event().to_string();
    let bytes = text.as_bytes();
    for cut in 0..bytes.len() {
        invalid(&bytes[..cut], Invalid::Json);
    }
    let mut bad_utf8 = bytes.to_vec();
    let at = text.find("track_id\"").unwrap();
    bad_utf8[at] = 0xFF;
    invalid(&bad_utf8, Invalid::Json);
    invalid(format!("\u{FEFF}{text}"), Invalid::Json);
    for payload in ["", " ", "[]", "1", "\"x\"", "null", "{}{}", "\0"] {
        invalid(payload, Invalid::Json);
    }
    invalid(format!("[{text}]"), Invalid::Json);
    invalid(r#"["tid","bid","flighttask_progress"]"#, Invalid::Json);
    invalid("{}", Invalid::Schema);
    invalid(text.replacen('{', r#"{"tid":"twice","#, 1), Invalid::Json);
    invalid(text.replacen('{', r#"{"data":{},"#, 1), Invalid::Json);
    invalid(with("data", json!("x".repeat(20_480))), Invalid::TooLarge);
}

#[test]
fn case_20_deep_nesting_is_not_answered() {
    let nested = |depth: usize| {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        event().to_string().replacen("\"data\":{", &format!("\"more\":{data},\"data\":{{"), 1)
    };
    replied(nested(100));
    invalid(nested(200), Invalid::Json);
    invalid("[".repeat(20_000), Invalid::Json);
    invalid("{\"a\":".repeat(4_000), Invalid::Json);
    // Many brackets side by side, or within a string, are not deep.
    replied(with("data", json!(vec![json!({}); 500])));
    replied(with("data", json!("[".repeat(500))));
}

#[test]
fn case_21_any_text_is_echoed_equal() {
    for tid in ["任务-1", "🚁", "a\"b\\c", "line\nbreak\u{0}"] {
        assert_eq!(replied(with("tid", json!(tid)))["tid"], json!(tid));
    }
    let surrogate = event().to_string().replace("da927f3a", "\\ud83d");
    let Answer::Reply { payload: bytes, .. } = decide(surrogate) else {
        panic!("no reply to a lone surrogate")
    };
    assert!(String::from_utf8(bytes).unwrap().contains("\"tid\":\"\\ud83d-b408"));
}

#[test]
fn case_22_data_as_array_and_events_without_envelope() {
    assert_eq!(
        decide(json!({"tid": "1", "method": "airsense_warning", "data": [1, 2]}).to_string()),
        Answer::NotOurs { waits: false }
    );
    invalid(json!({"in_flight_wayline_id": "x", "status": 0}).to_string(), Invalid::Schema);
}
