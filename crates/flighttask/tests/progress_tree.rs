//! What an event says of its task is what a reading by way of a tree finds.

use dockside_flighttask::topic::Kind;
use dockside_flighttask::{Progress, Rules, answer};
use proptest::prelude::*;
use serde_json::{Value, json};

/// For texts and numbers that are near no limit.
fn naive(event: &Value) -> Progress<'_> {
    let int = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    };
    let float = |value: &Value| match value {
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        value => value.as_f64(),
    };
    let text =
        |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(|t| t.to_owned().into());
    let id = |value: &Value| value.as_i64().map(|n| n.to_string().into()).or_else(|| text(value));
    let data = &event["data"];
    let places = [&data["output"], data];
    macro_rules! first {
        ($read:ident $($key:literal)+) => { places.iter().find_map(|place| $read(&place$([$key])+)) };
    }
    Progress {
        task: first!(id "ext" "flight_id").or_else(|| id(&event["bid"])),
        status: first!(text "status"),
        step: first!(int "progress" "current_step"),
        percent: first!(float "progress" "percent"),
        waypoint: first!(int "ext" "current_waypoint_index"),
        wayline: first!(int "ext" "wayline_id"),
        mission_state: first!(int "ext" "wayline_mission_state"),
        media_count: first!(int "ext" "media_count"),
        break_reason: first!(int "ext" "break_point" "break_reason"),
        result: int(&data["result"]),
        track: first!(text "ext" "track_id"),
        timestamp: int(&event["timestamp"]).and_then(|ms: i64| ms.try_into().ok()),
    }
}

fn leaf() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1_000i32..1_000).prop_map(|n| json!(f64::from(n) + 0.5)),
        (-100i64..100).prop_map(|n| json!(n.to_string())),
        "[a-z\\\\\"\u{0}\u{e9}\u{4efb}\u{1f681}]{0,12}".prop_map(Value::from),
    ]
    .boxed()
}

/// Objects of the keys that matter, wherever they come, and now and then a list.
fn tree() -> BoxedStrategy<Value> {
    let keys = "bid data timestamp output result ext progress status flight_id track_id \
        current_waypoint_index wayline_id wayline_mission_state media_count break_point \
        break_reason current_step percent";
    let keys: Vec<String> = keys.split_whitespace().map(String::from).collect();
    let key = proptest::sample::select(keys);
    leaf()
        .prop_recursive(5, 200, 18, move |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from);
            let object = proptest::collection::btree_map(key.clone(), inner, 0..18)
                .prop_map(|map| Value::Object(map.into_iter().collect()));
            prop_oneof![9 => object, 1 => list]
        })
        .boxed()
}

/// What stands directly under `data`, or in `data.output`, with any value for each part.
fn parts() -> BoxedStrategy<Value> {
    let parts = proptest::collection::vec(prop_oneof![9 => leaf(), 1 => tree()], 10);
    let parts = parts.prop_map(|part| {
        json!({
            "ext": {
                "flight_id": part[0], "track_id": part[1], "current_waypoint_index": part[2],
                "wayline_id": part[3], "wayline_mission_state": part[4], "media_count": part[5],
                "break_point": {"break_reason": part[6]}
            },
            "progress": {"current_step": part[7], "percent": part[8]},
            "status": part[9]
        })
    });
    parts.boxed()
}

/// As devices send it, with any value for each part.
fn event() -> BoxedStrategy<Value> {
    let output = prop_oneof![3 => parts(), 1 => leaf()];
    let event = (parts(), output, leaf(), leaf(), leaf());
    let event = event.prop_map(|(mut data, output, result, bid, timestamp)| {
        data["output"] = output;
        data["result"] = result;
        json!({"bid": bid, "data": data, "timestamp": timestamp})
    });
    event.boxed()
}

proptest! {
    #[test]
    fn it_says_what_a_tree_says(event in prop_oneof![event(), tree()]) {
        let text = event.to_string();
        prop_assert_eq!(Progress::parse(text.as_bytes()), naive(&event));
    }

    #[test]
    fn by_way_of_its_envelope_it_says_the_same(mut event in event(), is_odd: bool) {
        event["method"] = json!("flighttask_progress");
        event["tid"] = json!("t");
        if is_odd {
            event["data"]["output"] = json!({"ext": "ODD", "status": "ok"});
        }
        let expected = naive(&event);
        let text = event.to_string().replace("\"ODD\"", "1e999");
        let rules = Rules::default();
        let kind = (Kind::Events, "SIMDOCK1");
        let decision = answer(kind, text.as_bytes(), 0, &rules, &|_, _| None);
        prop_assert!(decision.method.is_some());
        // A bid that is neither text nor number is no reason not to read on.
        prop_assert_eq!(decision.progress, expected);
    }

    /// One value that only the careful walk gets past, wherever it is, changes nothing else.
    #[test]
    fn the_careful_walk_says_the_same(mut event in event(), at in 0usize..3) {
        match at {
            0 => event["data"]["output"] = json!("ODD"),
            1 => event["data"]["output"] = json!({"ext": "ODD", "status": "ok"}),
            _ => event["data"]["progress"] = json!("ODD"),
        }
        let expected = naive(&event);
        let text = event.to_string().replace("\"ODD\"", "1e999");
        prop_assert_eq!(Progress::parse(text.as_bytes()), expected);
    }
}
