//! The docks of the site and what changes on it, as the admin listener shows them.

use dockside::config::Config;
use dockside_mqtt::{QoS, Version};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clock::ask;
use crate::kept::{copy_of_running, start};
use crate::peer::{PATIENCE, Peer, TestBroker, at};

const SN: &str = "SIMDOCK5000001";

async fn get(broker: &TestBroker, path: &str) -> Value {
    let body = ask(broker.admin, &format!("GET /api/v1/{path}"), "").await;
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// The time by the broker's wall clock, which is this machine's.
fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

fn update_topo(aircraft: &[&str]) -> Vec<u8> {
    let devices: Vec<_> = aircraft.iter().map(|sn| json!({"sn": sn, "domain": "0"})).collect();
    json!({"tid": "t", "bid": "b", "timestamp": now_ms(), "method": "update_topo", "data":
        {"domain": "3", "type": 2, "sub_type": 0, "sub_devices": devices}})
    .to_string()
    .into_bytes()
}

fn progress(task: &str, status: &str, step: i64, tid: &str) -> Vec<u8> {
    json!({"tid": tid, "bid": "b", "timestamp": now_ms(), "method": "flighttask_progress",
        "need_reply": 1, "data": {"result": if status == "failed" { 314_004 } else { 0 }, "output":
            {"status": status, "ext": {"flight_id": task, "wayline_mission_state": 6},
             "progress": {"current_step": step, "percent": 40}}}})
    .to_string()
    .into_bytes()
}

async fn report(dock: &mut Peer, sn: &str) {
    let status = format!("sys/product/{sn}/status");
    dock.publish(&status, &update_topo(&["SIMDRONE1"]), QoS::AtLeastOnce).await;
    let osd = json!({"timestamp": now_ms() - 15_000, "data": {"firmware_version": "10.01.16.04"}});
    let topic = format!("thing/product/{sn}/osd");
    dock.publish(&topic, osd.to_string().as_bytes(), QoS::AtMostOnce).await;
    let drone = "thing/product/SIMDRONE1/osd";
    dock.publish(drone, osd.to_string().as_bytes(), QoS::AtMostOnce).await;
    dock.ping().await;
}

/// Everything that is told of a dock, from its first message to after a kill.
#[tokio::test]
async fn a_dock_is_known_by_what_it_says_and_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    assert_eq!(get(&broker, "docks").await, json!({"docks": []}));
    let mut dock = broker.connect(Version::V311, "d").await;
    report(&mut dock, SN).await;
    let list = get(&broker, "docks").await;
    let docks = list["docks"].as_array().unwrap();
    assert_eq!(docks.len(), 1, "an aircraft is no dock: {list}");
    let one = &docks[0];
    assert_eq!((&one["dock"], &one["is_online"]), (&json!(SN), &json!(true)));
    assert_eq!(one["model"], json!({"domain": 3, "type": 2, "sub_type": 0, "name": "Dock 2"}));
    assert_eq!(one["firmware"], "10.01.16.04");
    assert_eq!(one["aircraft"], json!(["SIMDRONE1"]));
    let offset = one["clock_offset_ms"].as_i64().unwrap();
    assert!((-17_000..=-14_900).contains(&offset), "{offset}");
    assert_eq!(one["is_clock_off"], true);
    assert!(one["flight_task"].is_null());

    let events = format!("thing/product/{SN}/events");
    dock.publish(&events, &progress("f", "in_progress", 25, "1"), QoS::AtLeastOnce).await;
    dock.publish(&events, &progress("g", "failed", 35, "2"), QoS::AtLeastOnce).await;
    let hms = json!({"tid": "3", "method": "hms", "data": {}}).to_string();
    dock.publish(&events, hms.as_bytes(), QoS::AtLeastOnce).await;
    let told = loop {
        let told = get(&broker, &format!("docks/{SN}")).await;
        if told["flight_tasks"].as_array().unwrap().len() == 2 {
            break told;
        }
    };
    let task = &told["dock"]["flight_task"];
    assert_eq!((&task["task"], &task["step"]), (&json!("f"), &json!(25)), "the one under way");
    assert_eq!((&task["phase"], &task["is_silent"]), (&json!("flying"), &json!(false)));
    assert!(task["step_name"].is_string() && task["mission_state_name"].is_string(), "{task}");
    assert_eq!(told["flight_tasks"][0]["result"], 314_004);
    assert!(told["flight_tasks"][0]["result_text"].is_string());
    assert_eq!((&told["dock"]["events"], &told["dock"]["replies"]), (&json!(3), &json!(2)));
    let unknown = get(&broker, "docks/SIMNONE").await;
    assert!(unknown.as_str().is_some_and(|text| text.contains("no dock")), "{unknown}");

    dock.vanish();
    while get(&broker, &format!("docks/{SN}")).await["dock"]["is_online"] == true {}
    // Kept a second later at most.
    let kept = "SELECT aircraft || ' ' || firmware || ' ' || events FROM dock";
    while crate::kept::rows(dir.path(), kept) != ["SIMDRONE1 10.01.16.04 3"] {
        tokio::task::yield_now().await;
    }
    let killed = TempDir::new().unwrap();
    copy_of_running(dir.path(), killed.path());
    broker.stop().await;
    let broker = start(killed.path()).await;
    let again = get(&broker, &format!("docks/{SN}")).await["dock"].clone();
    assert_eq!((&again["is_online"], &again["model"]["name"]), (&json!(false), &json!("Dock 2")));
    assert_eq!(again["flight_task"]["step_name"], task["step_name"], "the family is known again");
}

/// A step has a name only where it is known what the dock is.
#[tokio::test]
async fn a_step_is_named_where_the_dock_is_known_or_configured() {
    let broker = TestBroker::start_with(|config: &mut Config| {
        let families = &mut config.flight_task.step_families;
        families.insert("SIMDOCK5000003".to_owned(), "shared".to_owned());
    })
    .await;
    let mut dock = broker.connect(Version::V5, "d").await;
    let topic = "sys/product/SIMDOCK5000002/status";
    dock.publish(topic, &update_topo(&[]), QoS::AtLeastOnce).await;
    for sn in ["SIMDOCK5000001", "SIMDOCK5000002", "SIMDOCK5000003"] {
        let topic = format!("thing/product/{sn}/events");
        dock.publish(&topic, &progress("f", "in_progress", 23, sn), QoS::AtLeastOnce).await;
    }
    let list = loop {
        let list = get(&broker, "flight-tasks").await;
        if list["flight_tasks"].as_array().unwrap().len() == 3 {
            break list;
        }
    };
    let phases: Vec<_> =
        list["flight_tasks"].as_array().unwrap().iter().map(|task| &task["phase"]).collect();
    // The last one first: a landing with the numbers of 1.7, a home point with those of Dock 2.
    assert_eq!(phases, [&json!("returning"), &json!("preparing"), &Value::Null]);
}

/// A stream of server-sent events.
struct Stream(Lines<BufReader<TcpStream>>);

impl Stream {
    async fn open(broker: &TestBroker) -> Self {
        let mut socket = TcpStream::connect(broker.admin).await.unwrap();
        let head = "GET /api/v1/changes HTTP/1.0\r\nHost: localhost\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        Self(BufReader::new(socket).lines())
    }

    /// The data of the next event of this name.
    async fn next(&mut self, name: &str) -> Value {
        let mut is_it = false;
        loop {
            let line = timeout(PATIENCE, self.0.next_line()).await.expect("in time");
            let line = line.unwrap().expect("a stream that goes on");
            if let Some(event) = line.strip_prefix("event: ") {
                is_it = event == name;
            } else if let Some(data) = line.strip_prefix("data: ").filter(|_| is_it) {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// The next event of this name that is as it should be.
    async fn until(&mut self, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        loop {
            let data = self.next(name).await;
            if is_right(&data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let broker = TestBroker::start_with(|config: &mut Config| {
        (config.flight_task.silent_after_s, config.dock.silent_after_s) = (100, 200);
    })
    .await;
    let mut dock = broker.connect(Version::V311, "d").await;
    report(&mut dock, SN).await;
    let mut stream = Stream::open(&broker).await;
    let snapshot = stream.next("snapshot").await;
    assert_eq!(snapshot["docks"][0]["dock"], SN);
    assert_eq!(snapshot["flight_tasks"], json!([]));
    let events = format!("thing/product/{SN}/events");
    dock.publish(&events, &progress("f", "in_progress", 25, "1"), QoS::AtLeastOnce).await;
    let task = stream.next("flight_task").await;
    assert_eq!((&task["dock"], &task["task"]), (&json!(SN), &json!("f")));
    assert_eq!(task, get(&broker, "flight-tasks").await["flight_tasks"][0], "as the API shows it");
    let site = stream.next("site").await;
    assert_eq!((&site["is_ready"], &site["connections"]), (&json!(true), &json!(1)));
    assert_eq!(site["version"], env!("CARGO_PKG_VERSION"));

    // Nothing is heard of it any more: first the task is silent, then the dock.
    broker.pass(101);
    stream.until("flight_task", |task| task["is_silent"] == true).await;
    let named = |name: &'static str| {
        move |site: &Value| site["conditions"].as_array().unwrap().iter().any(|c| c["name"] == name)
    };
    stream.until("site", named("FlightTaskSilent")).await;
    broker.pass(100);
    stream.until("dock", |dock| dock["is_silent"] == true).await;
    stream.until("site", named("DockSilent")).await;
    dock.publish(&events, &progress("f", "ok", 35, "2"), QoS::AtLeastOnce).await;
    stream.until("flight_task", |task| task["is_over"] == true).await;
    stream
        .until("site", |site| !named("FlightTaskSilent")(site) && !named("DockSilent")(site))
        .await;
    dock.vanish();
    stream.until("dock", |dock| dock["is_online"] == false).await;
    let mut late = Stream::open(&broker).await;
    assert_eq!(late.next("snapshot").await["flight_tasks"][0]["status"], "ok");
    broker.stop().await;
    while stream.0.next_line().await.unwrap().is_some() {}
}

/// Readers are bounded, and the place of one that goes is another's.
#[tokio::test]
async fn so_many_read_changes() {
    let broker = TestBroker::start().await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        let mut stream = Stream::open(&broker).await;
        stream.next("snapshot").await;
        streams.push(stream);
    }
    let refused = get(&broker, "changes").await;
    assert!(refused.as_str().is_some_and(|text| text.contains("too many readers")), "{refused}");
    drop(streams);
    let mut stream = Stream::open(&broker).await;
    while !stream.0.next_line().await.unwrap().unwrap_or_default().contains("200 OK") {
        stream = Stream::open(&broker).await;
    }
    stream.next("snapshot").await;
}

/// For applications that would rather subscribe than ask.
#[tokio::test]
async fn how_tasks_stand_is_published_where_that_is_wanted() {
    let broker = TestBroker::start_with(|config: &mut Config| {
        config.flight_task.publish_state = true;
    })
    .await;
    let mut dock = broker.connect(Version::V311, "d").await;
    let events = format!("thing/product/{SN}/events");
    dock.publish(&events, &progress("f", "in_progress", 25, "1"), QoS::AtLeastOnce).await;
    let mut app = broker.connect(Version::V5, "app").await;
    app.subscribe("dockside/flight-tasks/+", at(QoS::AtLeastOnce)).await;
    let message = app.receive().await;
    assert_eq!(message.topic, format!("dockside/flight-tasks/{SN}"));
    let task: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((&task["task"], &task["status"]), (&json!("f"), &json!("in_progress")));
    dock.publish(&events, &progress("f", "ok", 25, "2"), QoS::AtLeastOnce).await;
    let task: Value = serde_json::from_slice(&app.receive().await.payload).unwrap();
    assert_eq!(task["status"], "ok");
    let mut late = broker.connect(Version::V5, "late").await;
    late.subscribe("dockside/flight-tasks/+", at(QoS::AtLeastOnce)).await;
    assert!(late.receive().await.retain);
}
