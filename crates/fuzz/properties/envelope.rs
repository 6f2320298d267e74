//! What holds for whatever devices and applications send: the plugins look at it, and what they want done is
//! sound. A reply is JSON and echoes what it answers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dockside::commands::Commands;
use dockside::gateways::Gateways;
use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;
use dockside_flighttask::progress::TEXT_BYTES_AT_MOST;
use dockside_flighttask::rules::{REQUEST_METHODS, Rule, Site, WaitFor};
use dockside_flighttask::topic::is_serial_number;
use dockside_flighttask::topology::AIRCRAFT_AT_MOST;
use dockside_flighttask::{Progress, Rules, Tasks};
use dockside_interceptor::{
    Effects, EventRecord, FlightTask, Intercepted, Interceptor, Kept, QoS, Reply, Verdict,
};
use dockside_mqtt::topic::matches;
use serde_json::Value;
use serde_json::value::RawValue;

const NOW_MS: u64 = 1_747_224_838_227;
const GATEWAY: &str = "SIMDOCK1";

/// The last one holds no serial number.
const TOPICS: [&str; 8] = [
    "thing/product/SIMDOCK1/events",
    "thing/product/SIMDOCK1/requests",
    "sys/product/SIMDOCK1/status",
    "thing/product/SIMDOCK1/osd",
    "thing/product/SIMDOCK1/state",
    "thing/product/SIMDOCK1/services",
    "thing/product/SIMDOCK1/property/set",
    "thing/product/a dock/events",
];

/// With the rules of a broker that nobody has configured, and with an answer to everything.
static GATEWAYS: LazyLock<[Gateways; 2]> = LazyLock::new(|| {
    let methods = REQUEST_METHODS.iter().map(|(_, method)| *method).chain(["*"]);
    let (gateway, methods) = ("*".to_owned(), methods.map(str::to_owned).collect());
    let everything = Rule { gateway, methods, answer: true, wait_for: WaitFor::Commit };
    let site = Site {
        organization_id: "site-1".to_owned(),
        organization_name: "A \"site\" \\ \u{1}\u{1f681}".to_owned(),
        ntp_server_host: "time.example".to_owned(),
        ntp_server_port: 123,
        callsigns: vec![(GATEWAY.to_owned(), "North\nroof".to_owned())],
        ..Site::default()
    };
    let all = Rules { rules: vec![everything], site, ..Rules::default() };
    [Rules::default(), all].map(Gateways::new)
});

struct Table(Tasks);

impl Kept for Table {
    fn flight_task(&self, gateway: &str, task: Option<&str>) -> Option<FlightTask> {
        let state = match task {
            Some(task) => self.0.get(gateway, task),
            None => self.0.latest_of(gateway),
        }?;
        Some(FlightTask {
            task: state.task.to_string(),
            status: state.status.as_deref().map(str::to_owned),
            step: state.step,
            percent: state.percent,
        })
    }
}

/// The first byte picks the rules, then come messages with 0xFF, which is in no UTF-8, between them: a byte for
/// the topic, and the payload.
///
/// # Panics
/// If a plugin does, or wants something done that is not sound.
pub(crate) fn holds(input: &[u8]) {
    let Some((pick, messages)) = input.split_first() else { return };
    let gateways = &GATEWAYS[usize::from(pick % 2)];
    let mut kept = Table(Tasks::new(4));
    for message in messages.split(|byte| *byte == 0xff).take(16) {
        let Some((topic, payload)) = message.split_first() else { continue };
        let topic = TOPICS[usize::from(topic % 8)];
        let mut effects = look(gateways, &kept, topic, payload);
        let mut again = look(gateways, &kept, topic, payload);
        let replies: Vec<_> = effects.take_replies().collect();
        assert_eq!(replies, again.take_replies().collect::<Vec<_>>(), "another reply");
        assert!(replies.len() <= 1);
        replies.iter().for_each(|reply| check_reply(topic, payload, reply));
        let record = effects.take_record();
        assert_eq!(record, again.take_record(), "another record of the same event");
        check_rest(&mut effects);
        // The table is looked at until here.
        if let Some(record) = record.map(EventRecord::into_owned) {
            check_record(topic, &record);
            fold(&mut kept.0, payload, &record);
        }
    }
}

fn look<'p>(
    gateways: &Gateways,
    kept: &'p Table,
    topic: &'p str,
    payload: &'p [u8],
) -> Effects<'p> {
    let mut effects = Effects::default();
    let plugins: [&dyn Interceptor; 2] = [gateways, &Commands];
    for plugin in plugins {
        let mut filters = plugin.filters();
        filters.extend(plugin.watched());
        if filters.iter().any(|filter| matches(filter, topic)) {
            let (qos, client_id) = (QoS::AtLeastOnce, "client");
            let publish = Intercepted { topic, payload, qos, client_id, now_ms: NOW_MS, kept };
            // Whatever it is, it goes its way.
            assert_eq!(plugin.intercept(&publish, &mut effects), Verdict::Forward);
        }
    }
    effects
}

fn members(json: &[u8]) -> BTreeMap<String, &RawValue> {
    serde_json::from_slice(json).expect("a JSON object")
}

fn check_reply(topic: &str, payload: &[u8], reply: &Reply) {
    assert_eq!((&*reply.topic, reply.qos), (&*format!("{topic}_reply"), QoS::AtLeastOnce));
    let (asked, said) = (members(payload), members(&reply.payload));
    let text = |members: &BTreeMap<String, &RawValue>, name| {
        members.get(name).map(|raw| raw.get().to_owned()).filter(|text| text != "null")
    };
    // To the letter.
    assert_eq!(text(&said, "tid"), text(&asked, "tid"));
    assert!(said.contains_key("tid"));
    assert_eq!(text(&said, "bid"), text(&asked, "bid"));
    let method = |members: &BTreeMap<String, &RawValue>| {
        serde_json::from_str::<String>(members["method"].get()).expect("a text")
    };
    assert_eq!(method(&said), method(&asked));
    assert_eq!(said["timestamp"].get(), NOW_MS.to_string());
    let known = ["tid", "bid", "timestamp", "method", "data"];
    assert!(said.keys().all(|name| known.contains(&&**name)), "{said:?}");
    let data: Value = serde_json::from_str(said["data"].get()).expect("JSON");
    assert!(data.is_object());
    if !topic.ends_with("/requests") {
        // A receipt, whatever it reports.
        assert_eq!(said["data"].get(), r#"{"result":0}"#);
    }
}

fn check_record(topic: &str, record: &EventRecord<'_>) {
    assert_eq!((topic, &*record.gateway, record.received_ms), (TOPICS[0], GATEWAY, NOW_MS));
    assert!(!record.method.is_empty());
    assert!(record.percent.is_none_or(|percent| (0..=100).contains(&percent)));
    for text in [&record.task, &record.status].into_iter().flatten() {
        assert!((1..=TEXT_BYTES_AT_MOST).contains(&text.len()));
    }
}

/// As the broker follows what was recorded.
fn fold(tasks: &mut Tasks, payload: &[u8], record: &EventRecord<'_>) {
    if &*record.method != FLIGHTTASK_PROGRESS {
        return;
    }
    let progress = Progress::parse(payload);
    let details = record.details.as_ref().expect("whoever read it says so");
    let [waypoint, wayline, mission_state, media_count, break_reason] = details.numbers;
    let said = Progress {
        task: record.task.as_deref().map(Into::into),
        status: record.status.as_deref().map(Into::into),
        step: record.step,
        percent: details.percent,
        waypoint,
        wayline,
        mission_state,
        media_count,
        break_reason,
        result: record.result,
        track: details.track.as_deref().map(Into::into),
        timestamp: details.device_ms,
    };
    assert_eq!(said, progress);
    let state = tasks.apply(&record.gateway, &progress, record.received_ms).clone();
    assert!(state.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
    assert_eq!(tasks.latest_of(GATEWAY).map(|state| &*state.gateway), Some(GATEWAY));
    assert_eq!(tasks.get(GATEWAY, &state.task), Some(&state));
    assert!(tasks.len() <= 4);
}

fn check_rest(effects: &mut Effects<'_>) {
    if let Some(announcement) = effects.take_announcement() {
        assert_eq!(announcement.gateway, GATEWAY);
        assert!(announcement.aircraft.len() <= AIRCRAFT_AT_MOST);
        assert!(announcement.aircraft.iter().all(|sn| is_serial_number(sn)));
    }
    if let Some(heard) = effects.take_heard() {
        assert_eq!(&*heard.gateway, GATEWAY);
        assert!(heard.firmware.is_none_or(|text| (1..=64).contains(&text.len())));
    }
    if let Some(audited) = effects.take_audited() {
        assert_eq!(&*audited.gateway, GATEWAY);
    }
    if let Some(unanswered) = effects.take_unanswered() {
        assert!(!unanswered.reason.contains(char::is_control), "one line of ours");
    }
}
