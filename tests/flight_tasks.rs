//! The board of flight tasks, as the admin listener shows it.

use serde_json::Value;
use tempfile::TempDir;

use dockside_mqtt::{QoS, Version};

use crate::clock::ask;
use crate::kept::{copy_of_running, start};
use crate::peer::{Peer, TestBroker};

/// An event of a task at a time of the device's clock.
fn event(tid: u32, task: &str, device_ms: u64, (status, percent): (&str, f64)) -> Vec<u8> {
    format!(
        r#"{{"bid":"b","tid":"{tid}","method":"flighttask_progress","need_reply":1,"timestamp":{device_ms},"data":{{"output":{{"ext":{{"flight_id":"{task}","current_waypoint_index":3,"media_count":7}},"progress":{{"current_step":19,"percent":{percent}}},"status":"{status}"}},"result":0}}}}"#
    )
    .into_bytes()
}

async fn say(dock: &mut Peer, sn: &str, event: &[u8]) {
    dock.publish(&format!("thing/product/{sn}/events"), event, QoS::AtLeastOnce).await;
}

async fn get(broker: &TestBroker, path: &str) -> Value {
    let body = ask(broker.admin, &format!("GET /api/v1/flight-tasks{path}"), "").await;
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// Tasks, their status and the number of their events, once so many events have been folded.
async fn tasks(broker: &TestBroker, query: &str, events: u64) -> Vec<String> {
    loop {
        let list = get(broker, query).await;
        let list = list["flight_tasks"].as_array().unwrap();
        if list.iter().map(|task| task["events"].as_u64().unwrap()).sum::<u64>() == events {
            let text = |task: &Value| {
                format!("{} {} {}", task["dock"], task["task"], task["status"]).replace('"', "")
            };
            return list.iter().map(text).collect();
        }
        tokio::task::yield_now().await;
    }
}

const SN: [&str; 2] = ["SIMDOCK3000001", "SIMDOCK3000002"];
const T: u64 = 1_747_224_838_000;

/// Two docks of one mission, and one more task.
async fn fly(broker: &TestBroker) {
    let mut dock = broker.connect(Version::V311, "docks").await;
    say(&mut dock, SN[0], &event(1, "f", T, ("in_progress", 10.0))).await;
    say(&mut dock, SN[1], &event(2, "f", T, ("in_progress", 20.0))).await;
    say(&mut dock, SN[0], &event(3, "g", T, ("failed", 30.0))).await;
    say(&mut dock, SN[0], &event(4, "f", T + 2, ("ok", 100.0))).await;
    // Kept back while it had no link: it changes nothing, and is in the history.
    say(&mut dock, SN[0], &event(5, "f", T + 1, ("in_progress", 90.0))).await;
    // A repetition counts once.
    say(&mut dock, SN[1], &event(2, "f", T, ("in_progress", 20.0))).await;
}

const ALL: [&str; 3] =
    ["SIMDOCK3000001 f ok", "SIMDOCK3000001 g failed", "SIMDOCK3000002 f in_progress"];

#[tokio::test]
async fn tasks_stand_as_their_docks_said_and_survive_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    fly(&broker).await;
    // Before they have followed, most likely: the next start catches up.
    let early = TempDir::new().unwrap();
    copy_of_running(dir.path(), early.path());
    let mut shown = tasks(&broker, "", 5).await;
    assert_eq!(shown[0], ALL[0], "heard of last");
    shown.sort();
    assert_eq!(shown, ALL);
    assert_eq!(tasks(&broker, "?status=in_progress", 1).await, [ALL[2]]);
    assert_eq!(tasks(&broker, &format!("?dock={}&limit=1", SN[0]), 3).await, [ALL[0]]);
    assert_eq!(tasks(&broker, "?since=99999999999999", 0).await, [""; 0]);

    let one = get(&broker, &format!("/{}/f", SN[0])).await;
    let task = &one["flight_task"];
    assert_eq!(
        (&task["late"], &task["is_over"], &task["percent"]),
        (&1.into(), &true.into(), &100.0.into())
    );
    assert_eq!((&task["media_count"], &task["waypoint"]), (&7.into(), &3.into()));
    let tids: Vec<_> =
        one["history"].as_array().unwrap().iter().map(|e| &e["event"]["tid"]).collect();
    assert_eq!(tids, ["5", "4", "1"]);
    let going = get(&broker, &format!("/{}/f?limit=0", SN[1])).await;
    assert!(going["flight_task"]["media_count"].is_null(), "not final: {going}");
    assert_eq!(going["history"], Value::Array(Vec::new()));
    let unknown = get(&broker, &format!("/{}/none", SN[0])).await;
    assert!(unknown.as_str().is_some_and(|text| text.contains("no flight task")), "{unknown}");

    let killed = TempDir::new().unwrap();
    copy_of_running(dir.path(), killed.path());
    broker.stop().await;
    for dir in [&early, &killed, &dir] {
        let broker = start(dir.path()).await;
        let mut again = tasks(&broker, "", 5).await;
        again.sort();
        assert_eq!(again, ALL);
        broker.stop().await;
    }
}
