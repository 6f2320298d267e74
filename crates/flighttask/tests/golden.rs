//! Golden files: messages of DJI's documents and of devices, each with the reply to the byte and how the task
//! stands afterwards.
//!
//! A file is one message: `topic`; `payload` as text, or `payload_hex` where it is none; `now_ms`, the
//! broker's clock; `rules` where they are not the defaults; `before`, events that came earlier. And what is
//! expected: `answer`, the `reply` with topic and payload, `flags`, and the `task` as far as anything is known
//! of it, or `topology`. What is null or left out is expected to be nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dockside_flighttask::answer::{FLIGHTTASK_PROGRESS, Flags};
use dockside_flighttask::rules::{Rule, Site};
use dockside_flighttask::topic::Kind;
use dockside_flighttask::topology::update_topo;
use dockside_flighttask::{Answer, Progress, Rules, Standing, TaskState, Tasks, WaitFor, answer};
use serde_json::{Map, Value, json};

/// Every file, so that none is lost or forgotten.
const FILES: &[&str] = &[
    "airsense-warning",
    "drone-open-string-timestamp",
    "file-upload-callback",
    "fileupload-progress-no-reply-needed",
    "flighttask-ready",
    "generic-event",
    "hms",
    "hms-by-rule",
    "hms-of-another-dock",
    "in-flight-wayline-progress-bare",
    "odd-byte-order-mark",
    "odd-empty",
    "odd-list",
    "odd-nan",
    "odd-no-utf-8",
    "odd-tid-twice",
    "odd-too-long",
    "odd-topic",
    "progress-14-digits",
    "progress-after-the-end",
    "progress-data-a-list",
    "progress-dock-2-failed",
    "progress-dock-2-no-reply-needed",
    "progress-dock-2-of-another-gateway",
    "progress-ids-in-any-script",
    "progress-junk-need-reply",
    "progress-long-tid",
    "progress-newer-firmware",
    "progress-no-data",
    "progress-numbers-as-ids",
    "progress-numbers-as-text",
    "progress-of-two-docks",
    "progress-older-than-the-end",
    "progress-parts-directly-under-data",
    "progress-percent-none",
    "progress-unasked-and-configured",
    "progress-v1.1",
    "progress-v1.1-string-timestamp",
    "progress-v1.3-need-reply-true",
    "progress-v1.3.2",
    "progress-v1.4",
    "progress-v1.7",
    "progress-v1.7-dock-1-without-method",
    "progress-without-bid",
    "progress-without-tid",
    "request-airport-bind-status",
    "request-airport-organization-bind",
    "request-airport-organization-get",
    "request-airport-organization-get-refused",
    "request-config",
    "request-data-a-list",
    "request-flight-areas-get",
    "request-offline-map-get",
    "request-progress-get-dock-2",
    "request-progress-get-dock-3",
    "request-progress-get-unknown",
    "request-storage-config-get",
    "request-without-a-rule",
    "update-topo-aircraft-off",
    "update-topo-dock-2",
    "update-topo-on-the-wrong-topic",
    "update-topo-without-a-rule",
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn payload(file: &Value) -> Vec<u8> {
    match (&file["payload"], &file["payload_hex"]) {
        (Value::String(text), Value::Null) => text.clone().into_bytes(),
        (Value::Null, Value::String(hex)) => {
            let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
            digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
        }
        _ => panic!("either payload or payload_hex"),
    }
}

fn rules(said: &Value) -> Rules {
    let mut rules = Rules::default();
    for (key, value) in said.as_object().into_iter().flatten() {
        match key.as_str() {
            "reply_when_unasked" => rules.reply_when_unasked = value.as_bool().unwrap(),
            "max_event_bytes" => rules.max_event_bytes = value.as_u64().unwrap() as usize,
            "answer" => rules.rules = value.as_array().unwrap().iter().map(rule).collect(),
            "site" => rules.site = site(value),
            _ => panic!("{key} is no rule"),
        }
    }
    rules
}

fn rule(said: &Value) -> Rule {
    let methods = said["methods"].as_array().unwrap();
    Rule {
        gateway: said["gateway"].as_str().unwrap_or("*").to_owned(),
        methods: methods.iter().map(text).collect(),
        answer: said["answer"].as_bool().unwrap_or(true),
        wait_for: match said["wait_for_user"].as_str() {
            Some(user) => WaitFor::User(user.to_owned()),
            None => WaitFor::Commit,
        },
    }
}

fn site(said: &Value) -> Site {
    let callsigns = said["callsigns"].as_object().into_iter().flatten();
    Site {
        organization_id: text(&said["organization_id"]),
        organization_name: text(&said["organization_name"]),
        binding_code: text(&said["binding_code"]),
        ntp_server_host: text(&said["ntp_server_host"]),
        ntp_server_port: said["ntp_server_port"].as_u64().unwrap_or(0) as u16,
        app_id: text(&said["app_id"]),
        app_key: text(&said["app_key"]),
        app_license: text(&said["app_license"]),
        callsigns: callsigns.map(|(sn, name)| (sn.clone(), text(name))).collect(),
    }
}

/// What is expected of the file's message, as it is.
fn found(file: &Value) -> Value {
    let (payload, now_ms) = (payload(file), file["now_ms"].as_u64().unwrap());
    let mut tasks = Tasks::new(100);
    for earlier in file["before"].as_array().into_iter().flatten() {
        let topic = text(&earlier["topic"]);
        let gateway = Kind::Events.serial_number(&topic).unwrap();
        tasks.apply(gateway, &Progress::parse(text(&earlier["payload"]).as_bytes()), now_ms);
    }
    let topic = text(&file["topic"]);
    let of = |kind: Kind| Some((kind, kind.serial_number(&topic)?));
    let Some((kind, gateway)) = Kind::ALL.into_iter().find_map(of) else {
        return json!({"answer": "no gateway's topic"});
    };
    let look = |gateway: &str, task: Option<&str>| {
        let state = match task {
            Some(task) => tasks.get(gateway, task),
            None => tasks.latest_of(gateway),
        }?;
        Some(Standing {
            task: state.task.to_string(),
            status: state.status.as_deref()?.to_owned(),
            step: state.step.unwrap_or(0),
            percent: state.percent.unwrap_or(0.0),
        })
    };
    let decision = answer((kind, gateway), &payload, now_ms, &rules(&file["rules"]), &look);
    let mut found = Map::new();
    let said = match &decision.answer {
        Answer::Reply { payload, wait_for } => {
            let payload = String::from_utf8(payload.clone()).unwrap();
            let reply = json!({"topic": kind.reply_topic(gateway), "payload": payload});
            found.insert("reply".into(), reply);
            if let WaitFor::User(user) = wait_for {
                found.insert("wait_for_user".into(), user.as_str().into());
            }
            "reply"
        }
        Answer::NotNeeded => "not needed",
        Answer::NotOurs { waits: true } => "not ours, and it waits",
        Answer::NotOurs { waits: false } => "not ours",
        Answer::Invalid(reason) => reason.as_str(),
    };
    found.insert("answer".into(), said.into());
    found.insert("flags".into(), flags(decision.flags));
    if kind == Kind::Events && decision.method.as_deref() == Some(FLIGHTTASK_PROGRESS) {
        let state = tasks.apply(gateway, &Progress::parse(&payload), now_ms);
        found.insert("task".into(), task(state));
    }
    if kind == Kind::Status {
        let topology = update_topo(&payload).map(|topology| {
            let model = topology.model.map(|model| [model.domain, model.kind, model.sub_type]);
            json!({"model": model, "aircraft": topology.aircraft})
        });
        found.insert("topology".into(), topology.into());
    }
    Value::Object(found)
}

fn flags(flags: Flags) -> Value {
    let Flags { no_bid, junk_need_reply, gateway_mismatch } = flags;
    let named = [
        (no_bid, "no_bid"),
        (junk_need_reply, "junk_need_reply"),
        (gateway_mismatch, "gateway_mismatch"),
    ];
    named.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect()
}

/// Every part of a state, so that a new one is not forgotten here.
fn task(state: &TaskState) -> Value {
    let TaskState {
        gateway,
        task,
        status,
        step,
        percent,
        waypoint,
        wayline,
        mission_state,
        media_count,
        break_reason,
        result,
        track,
        device_ms,
        first_ms: _,
        last_ms: _,
        events,
        late,
        reopened,
    } = state;
    json!({
        "gateway": gateway.as_ref(), "task": task.as_ref(), "status": status.as_deref(),
        "is_over": state.is_over(), "step": step, "percent": percent, "waypoint": waypoint,
        "wayline": wayline, "mission_state": mission_state, "media_count": media_count,
        "break_reason": break_reason, "result": result, "track": track.as_deref(),
        "device_ms": device_ms, "events": events, "late": late, "reopened": reopened
    })
}

/// Without what is nothing: files say only what there is.
fn pruned(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let is_nothing = |(key, value): &(String, Value)| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        value => value.as_u64() == Some(0) && ["late", "reopened"].contains(&key.as_str()),
    };
    let members = members.iter().map(|(key, value)| (key.clone(), pruned(value)));
    Value::Object(members.filter(|member| !is_nothing(member)).collect())
}

/// Lines that differ, with what stands before them; empty if there are none.
fn difference(expected: &Value, found: &Value) -> String {
    fn lines(value: &Value, path: &str, out: &mut BTreeSet<(String, String)>) {
        match value {
            Value::Object(members) => {
                let inner =
                    |(key, value): (&String, &Value)| lines(value, &format!("{path}/{key}"), out);
                members.iter().for_each(inner);
            }
            value => drop(out.insert((path.to_owned(), value.to_string()))),
        }
    }
    let [mut left, mut right] = [BTreeSet::new(), BTreeSet::new()];
    lines(&pruned(expected), "", &mut left);
    lines(&pruned(found), "", &mut right);
    let missing = left.difference(&right).map(|line| (line, '-'));
    let mut all: Vec<_> = missing.chain(right.difference(&left).map(|line| (line, '+'))).collect();
    all.sort_by(|((left, _), _), ((right, _), _)| left.cmp(right));
    all.iter().map(|((path, value), sign)| format!("    {sign} {path}: {value}\n")).collect()
}

#[test]
fn every_message_gets_the_reply_of_its_file() {
    let entries = std::fs::read_dir(directory()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let present: BTreeSet<_> = names.collect();
    let listed: BTreeSet<_> = FILES.iter().map(|name| format!("{name}.json")).collect();
    assert_eq!(listed.len(), FILES.len(), "a name twice");
    let missing: Vec<_> = listed.difference(&present).collect();
    let extra: Vec<_> = present.difference(&listed).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, not listed {extra:?}");
    let mut wrong = String::new();
    for name in &listed {
        let text = std::fs::read_to_string(directory().join(name)).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let known =
            ["what", "topic", "payload", "payload_hex", "now_ms", "rules", "before", "expected"];
        let odd = file.as_object().unwrap().keys().find(|key| !known.contains(&key.as_str()));
        assert_eq!(odd, None, "{name}: no such member");
        let difference = difference(&file["expected"], &found(&file));
        if !difference.is_empty() {
            wrong += &format!("{name}: {}\n{difference}", file["what"]);
        }
    }
    assert!(wrong.is_empty(), "expected (-) and found (+):\n{wrong}");
}
