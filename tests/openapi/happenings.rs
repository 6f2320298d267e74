//! A site on which there is something to tell of everything that the API shows, and nothing of it as well.

use dockside::config::Config;
use dockside_mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::described::Described;
use crate::peer::{Peer, at};
use crate::site::{Site, login};

pub(super) const SN: [&str; 3] = ["SIMDOCK7000001", "SIMDOCK7000002", "SIMDOCK7000003"];

/// By the clock of a dock that is off, so that there is a condition.
fn device_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 - 20_000
}

/// A site with these docks and an application.
pub(super) async fn start() -> Site {
    let users = [SN[0], SN[1], SN[2], "backend"];
    let access = r#"groups = { applications = ["backend"] }"#;
    let silent_soon = |config: &mut Config| config.flight_task.silent_after_s = 1;
    Site::start_with(&users, access, silent_soon).await
}

/// An event of a task of which everything is said.
pub(super) fn event(tid: &str, task: &str, status: &str) -> Vec<u8> {
    let ext = json!({"flight_id": task, "current_waypoint_index": 3, "wayline_id": 0,
        "wayline_mission_state": 6, "media_count": 7, "track_id": "track",
        "break_point": {"break_reason": 1}});
    json!({"tid": tid, "bid": "b", "timestamp": device_ms(), "method": "flighttask_progress",
        "need_reply": 1, "data": {"result": if status == "failed" { 314_004 } else { 0 }, "output":
            {"status": status, "ext": ext, "progress": {"current_step": 25, "percent": 40.5}}}})
    .to_string()
    .into_bytes()
}

/// A dock of which everything is known, and its two tasks, one of which is over.
async fn known_dock(site: &Site) -> Peer {
    let mut dock = site.log_in(Version::V311, SN[0], "").await;
    let reply = format!("thing/product/{}/events_reply", SN[0]);
    dock.subscribe(&reply, at(QoS::AtLeastOnce)).await;
    announce(&mut dock, SN[0], json!({"domain": "3", "type": 2, "sub_type": 0})).await;
    let osd = json!({"timestamp": device_ms(), "data": {"firmware_version": "10.01.16.04"}});
    let topic = format!("thing/product/{}/osd", SN[0]);
    dock.publish(&topic, osd.to_string().as_bytes(), QoS::AtLeastOnce).await;
    let events = format!("thing/product/{}/events", SN[0]);
    dock.publish(&events, &event("1", "g", "failed"), QoS::AtLeastOnce).await;
    dock.publish(&events, &event("2", "f", "in_progress"), QoS::AtLeastOnce).await;
    dock
}

async fn announce(dock: &mut Peer, sn: &str, mut data: Value) {
    data["sub_devices"] = json!([{"sn": format!("SIMDRONE{}", &sn[7..]), "domain": "0"}]);
    let status = json!({"tid": "t", "bid": "b", "method": "update_topo", "data": data});
    let topic = format!("sys/product/{sn}/status");
    dock.publish(&topic, status.to_string().as_bytes(), QoS::AtLeastOnce).await;
}

/// Docks, tasks, commands and refusals; until all of it is shown.
pub(super) async fn happen(site: &mut Site, described: &Described) -> Vec<Peer> {
    let known = known_dock(site).await;
    // One that says nothing of itself, with a number that nothing can hold.
    let mut other = site.log_in(Version::V311, SN[1], "").await;
    let bare = br#"{"tid":"3","bid":"bare","method":"flighttask_progress","data":{},"x":1e999}"#;
    other.publish(&format!("thing/product/{}/events", SN[1]), bare, QoS::AtLeastOnce).await;
    // One that is something unknown and flies nothing.
    let mut third = site.log_in(Version::V311, SN[2], "").await;
    announce(&mut third, SN[2], json!({"domain": "3", "type": 999, "sub_type": 0})).await;
    command(site, &mut other).await;
    refusals(site, &mut third).await;
    let admin = site.broker.admin;
    for (path, list, count) in [
        ("flight-tasks", "flight_tasks", 3),
        ("docks", "docks", 3),
        ("audit", "audit", 4),
        ("why", "refusals", 3),
    ] {
        let path = format!("/api/v1/{path}");
        while described.get(admin, &path).await.json()[list].as_array().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }
    vec![known, other, third]
}

/// A command with its reply, one without a name, and what was done to the broker.
async fn command(site: &mut Site, dock: &mut Peer) {
    let mut app = site.log_in(Version::V5, "backend", "").await;
    let services = format!("thing/product/{}/services", SN[1]);
    let execute = br#"{"tid":"t","method":"flighttask_execute","data":{}}"#;
    app.publish(&services, execute, QoS::AtLeastOnce).await;
    app.publish(&services, b"{}", QoS::AtLeastOnce).await;
    let reply = br#"{"tid":"t","method":"flighttask_execute","data":{"result":0}}"#;
    dock.publish(&format!("{services}_reply"), reply, QoS::AtLeastOnce).await;
    site.reload(r#"groups = { applications = ["backend"] }"#);
}

/// Of a stranger, of a wrong password, of a topic of somebody else.
async fn refusals(site: &Site, dock: &mut Peer) {
    let mut stranger = TcpStream::connect(site.broker.address).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let wrong = login(Version::V311, SN[0], "wrong");
    let wrong = dockside_mqtt::packet::Connect { client_id: "wrong", ..wrong };
    site.try_connect(wrong).await;
    let others = format!("thing/product/{}/events", SN[0]);
    dock.publish(&others, b"{}", QoS::AtLeastOnce).await;
}
