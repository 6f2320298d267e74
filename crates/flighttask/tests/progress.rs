//! What events say of their tasks, however they say it: in the odd forms of the hard cases.
//! Their numbers are those of docs/flight-tasks.md.

use dockside_flighttask::progress::{TERMINAL, TEXT_BYTES_AT_MOST, is_terminal};
use dockside_flighttask::topic::Kind;
use dockside_flighttask::{Answer, Invalid, Progress, Rules, answer};
use proptest::prelude::*;

/// Of DJI's documentation for Cloud API 1.1.
const FIRST: &str = r#"{"bid":"000f3949-01fe-4778-9b75-76a9ac5c4ed6","data":{"output":{"ext":{"current_waypoint_index":3,"media_count":6,"track_id":"track_id"},"progress":{"current_step":19,"percent":100},"status":"ok"},"result":0},"method":"flighttask_progress","tid":"da927f3a-b408-4b2a-9ce8-f4d57c913909","timestamp":1654065677966}"#;

/// As a Dock 2 sends it.
const DOCK_2: &str = r#"{"bid":"3c6c35c3-ae56-436f-ad3f-f202f28b50b7","data":{"output":{"ext":{"break_point":{"break_reason":529,"index":1},"current_waypoint_index":0,"flight_id":"flight","media_count":0,"track_id":"","wayline_id":65535,"wayline_mission_state":2},"progress":{"current_step":35,"percent":15},"status":"failed"},"result":314004},"method":"flighttask_progress","need_reply":1,"tid":"431e5b9d-ea56-48fa-a98e-5afcee7e96d8","timestamp":1747224838227,"gateway":"SIMDOCK2000001"}"#;

/// Where the envelope can be read it says the same by way of that.
fn parse(text: &str) -> Progress<'_> {
    let is_read = by_envelope(text, |said| assert_eq!(said, Progress::parse(text.as_bytes())));
    assert!(is_read || !text.contains("tid"), "{text}");
    if let Some(rest) = text.strip_prefix('{').filter(|rest| !is_read && !rest.starts_with('}')) {
        let event = format!(r#"{{"method":"flighttask_progress","tid":"t",{rest}"#);
        by_envelope(&event, |said| assert_eq!(said, Progress::parse(event.as_bytes())));
    }
    Progress::parse(text.as_bytes())
}

fn by_envelope(event: &str, check: impl FnOnce(Progress<'_>)) -> bool {
    let rules = Rules::default();
    let decision = answer((Kind::Events, "SIMDOCK1"), event.as_bytes(), 0, &rules, &|_, _| None);
    let is_read = decision.method.is_some();
    if is_read {
        check(decision.progress);
    }
    is_read
}

/// An event with this `data.output`.
fn output(output: &str) -> String {
    format!(r#"{{"bid":"b","data":{{"output":{output},"result":7}}}}"#)
}

#[test]
fn the_documented_example_is_read() {
    let expected = Progress {
        task: Some("000f3949-01fe-4778-9b75-76a9ac5c4ed6".into()),
        status: Some("ok".into()),
        step: Some(19),
        percent: Some(100.0),
        waypoint: Some(3),
        media_count: Some(6),
        result: Some(0),
        track: Some("track_id".into()),
        timestamp: Some(1_654_065_677_966),
        ..Progress::default()
    };
    assert_eq!(parse(FIRST), expected);
}

/// Hard cases 14, 16 and 18.
#[test]
fn a_failed_flight_is_read() {
    let expected = Progress {
        task: Some("flight".into()),
        status: Some("failed".into()),
        step: Some(35),
        percent: Some(15.0),
        waypoint: Some(0),
        wayline: Some(65_535),
        mission_state: Some(2),
        media_count: Some(0),
        break_reason: Some(529),
        result: Some(314_004),
        track: None,
        timestamp: Some(1_747_224_838_227),
    };
    assert_eq!(parse(DOCK_2), expected);
}

#[test]
fn parts_directly_under_data_are_read_where_output_has_none() {
    let text = r#"{"data":{"status":"paused","progress":{"percent":4,"current_step":2},
        "ext":{"flight_id":"direct","media_count":1},
        "output":{"status":"ok","progress":{"percent":5},"ext":{"flight_id":7,"media_count":[]}}}}"#;
    let progress = parse(text);
    assert_eq!(progress.status.as_deref(), Some("ok"));
    assert_eq!((progress.percent, progress.step), (Some(5.0), Some(2)));
    assert_eq!(progress.task.as_deref(), Some("7"));
    assert_eq!(progress.media_count, Some(1));
}

/// Hard cases 15 and 17, and numbers as DJI prints some of them.
#[test]
fn numbers_are_read_from_what_they_come_as() {
    let int =
        |json: &str| parse(&output(&format!(r#"{{"progress":{{"current_step":{json}}}}}"#))).step;
    for (json, expected) in [
        ("65535", Some(65_535)),
        ("1048575", Some(1_048_575)),
        ("-1", Some(-1)),
        ("\"23\"", Some(23)),
        ("23.0", Some(23)),
        ("2.3e1", Some(23)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("99999999999999999999999999", None),
        ("1e999", None),
        ("15.5", None),
        ("\"\"", None),
        ("\"ok\"", None),
        ("\"NaN\"", None),
        ("null", None),
        ("true", None),
        ("[1]", None),
        ("{\"a\":1}", None),
    ] {
        assert_eq!(int(json), expected, "{json}");
    }
    let percent =
        |json: &str| parse(&output(&format!(r#"{{"progress":{{"percent":{json}}}}}"#))).percent;
    for (json, expected) in [
        ("15.5", Some(15.5)),
        ("101", Some(101.0)),
        ("-1", Some(-1.0)),
        ("\"50\"", Some(50.0)),
        ("\"inf\"", None),
        ("\"NaN\"", None),
        ("1e999", None),
        ("null", None),
    ] {
        assert_eq!(percent(json), expected, "{json}");
    }
    for (json, expected) in
        [("\"1654065677966\"", Some(1_654_065_677_966)), ("-1", None), ("0", Some(0))]
    {
        assert_eq!(parse(&format!(r#"{{"timestamp":{json}}}"#)).timestamp, expected, "{json}");
    }
}

/// Hard case 21.
#[test]
fn texts_are_read_in_every_script() {
    let task = |json: &str| {
        let text = output(&format!(r#"{{"ext":{{"flight_id":{json}}},"status":"ok"}}"#));
        let progress = parse(&text);
        assert_eq!(progress.status.as_deref(), Some("ok"), "{json}");
        progress.task.unwrap().into_owned()
    };
    for (json, expected) in [
        (r#""任务一""#, "任务一"),
        (r#""\u4efb\u52a1""#, "任务"),
        (r#""🚁""#, "🚁"),
        (r#""\ud83d\ude81""#, "🚁"),
        (r#""a\u0000\n\"b""#, "a\0\n\"b"),
        (r#""a\ud83db""#, "a\u{fffd}\u{fffd}\u{fffd}b"),
        ("123", "123"),
        ("-7", "-7"),
        // What is no id leaves the task to `bid`.
        (r#""""#, "b"),
        ("null", "b"),
        ("true", "b"),
        ("1.5", "b"),
        ("{}", "b"),
    ] {
        assert_eq!(task(json), expected, "{json}");
    }
    let longest = "é".repeat(TEXT_BYTES_AT_MOST / 2);
    assert_eq!(task(&format!("\"{longest}\"")), longest);
    assert_eq!(task(&format!("\"{}\"", "\\u00e9".repeat(TEXT_BYTES_AT_MOST / 2))), longest);
    assert_eq!(task(&format!("\"{longest}x\"")), "b");
    assert_eq!(task(&format!("\"{}x\"", "\\u00e9".repeat(TEXT_BYTES_AT_MOST / 2))), "b");
    assert_eq!(task(&"1".repeat(TEXT_BYTES_AT_MOST + 1)), "b");
}

#[test]
fn plain_texts_are_borrowed() {
    let progress = parse(DOCK_2);
    assert!(matches!(progress.task, Some(std::borrow::Cow::Borrowed(_))));
    assert!(matches!(progress.status, Some(std::borrow::Cow::Borrowed(_))));
}

/// Hard cases 17, 19 to 22: what cannot be read takes nothing else with it, unless it is no JSON.
#[test]
fn what_is_missing_or_odd_leaves_the_rest() {
    for odd in [
        "null",
        "[]",
        "[[{}]]",
        "7",
        "true",
        "\"ok\"",
        r#""\ud800""#,
        "1e999",
        "-1",
        "1.5",
        "{}",
        r#"{"\ud800":1}"#,
    ] {
        let text = format!(r#"{{"data":{odd},"bid":"b"}}"#);
        assert_eq!(
            parse(&text),
            Progress { task: Some("b".into()), ..Progress::default() },
            "{odd}"
        );
        let with_result =
            Progress { task: Some("b".into()), result: Some(7), ..Progress::default() };
        assert_eq!(parse(&output(odd)), with_result, "{odd}");
        let text = output(&format!(r#"{{"ext":{odd},"progress":{odd},"status":"ok"}}"#));
        assert_eq!(parse(&text), Progress { status: Some("ok".into()), ..with_result }, "{odd}");
    }
    let twice = parse(r#"{"bid":"b","data":{"result":1,"result":2}}"#);
    assert_eq!((twice.task.as_deref(), twice.result), (Some("b"), Some(2)));
    let no_event = r#"{"bid":"a","bid":"b","data":{"result":1}}"#;
    assert_eq!(parse(no_event), Progress::default(), "as it is not answered either");
    for odd in ["{}", "[]", "null", "true", "\"\"", r#"{"x":1e999}"#] {
        let text = output(&format!(r#"{{"status":"ok","status":{odd}}}"#));
        assert_eq!(parse(&text).status, None, "{odd}");
    }
    let deep = format!(r#"{{"bid":"b","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(parse(&deep).task.as_deref(), Some("b"));
    for text in [
        "",
        "[]",
        "7",
        "{",
        r#"{"bid":"b""#,
        r#"{"bid":"b"} x"#,
        r#"{"bid":"b","data":NaN}"#,
        "\u{feff}{\"bid\":\"b\"}",
    ] {
        assert_eq!(parse(text), Progress::default(), "{text}");
    }
    assert_eq!(Progress::parse(b"{\"bid\":\"b\",\"x\":\"\xff\"}"), Progress::default());
}

/// Before an event is answered all of it is looked at: what a reader of JSON refuses is no event.
#[test]
fn a_key_with_a_control_character_is_no_json_and_one_with_its_escape_is() {
    let event = |key: &str| {
        format!(r#"{{"method":"flighttask_progress","tid":"t","data":{{"{key}":1,"result":7}}}}"#)
    };
    let rules = Rules::default();
    let decide = |event: &str| {
        let decision =
            answer((Kind::Events, "SIMDOCK1"), event.as_bytes(), 0, &rules, &|_, _| None);
        (decision.answer, decision.progress.result)
    };
    for key in ["\u{0}", "\u{1f}x", "a\nb", "\\n\n", "\\u0001\u{1}"] {
        assert_eq!(decide(&event(key)), (Answer::Invalid(Invalid::Json), None), "{key:?}");
    }
    for key in ["\\n", "\\u0001", "\u{7f}", "\\\"", "\\ud800"] {
        let (answered, result) = decide(&event(key));
        assert_eq!(result, Progress::parse(event(key).as_bytes()).result);
        assert!(matches!(answered, Answer::Reply { .. }), "{key:?} {answered:?}");
        assert_eq!(result, Some(7), "{key:?}");
    }
    assert_eq!(Progress::parse(event("\u{1}").as_bytes()), Progress::default());
}

#[test]
fn what_is_over_is_told_from_what_is_not() {
    for status in TERMINAL {
        assert!(is_terminal(status), "{status}");
    }
    for status in ["sent", "in_progress", "paused", "cancel", "OK", "", "new in 1.17"] {
        assert!(!is_terminal(status), "{status}");
    }
}

proptest! {
    #[test]
    fn it_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..DOCK_2.len(), byte: u8) {
        let _ = Progress::parse(&bytes);
        let mut event = DOCK_2.as_bytes().to_vec();
        event[cut] = byte;
        let _ = Progress::parse(&event);
        prop_assert_eq!(Progress::parse(&DOCK_2.as_bytes()[..cut]), Progress::default());
    }
}
