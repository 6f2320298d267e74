//! The whole program but its log and its signal, over the wire.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, Publish, QoS};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;

/// A test that waits longer than this for a message has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const ASK: &str = "site/panel/SIMDOCK1/ask";

/// The defaults, on ports and in a directory that nobody else has.
fn config(dir: &TempDir) -> Config {
    let mut config = Config::default();
    config.mqtt.listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
    config.admin.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.data.dir = dir.path().into();
    config
}

fn client(name: &str, broker: SocketAddr) -> (AsyncClient, EventLoop) {
    AsyncClient::new(MqttOptions::new(name, "127.0.0.1", broker.port()), 10)
}

/// The next packet that `wanted` picks something of.
async fn next<T>(events: &mut EventLoop, wanted: impl Fn(&Incoming) -> Option<T>) -> T {
    loop {
        let event = timeout(PATIENCE, events.poll()).await.expect("in time").unwrap();
        if let Event::Incoming(packet) = event
            && let Some(found) = wanted(&packet)
        {
            return found;
        }
    }
}

async fn message(events: &mut EventLoop) -> Publish {
    let publish = |packet: &Incoming| match packet {
        Incoming::Publish(publish) => Some(publish.clone()),
        _ => None,
    };
    next(events, publish).await
}

async fn get(admin: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_panel_asks_and_is_answered_and_nobody_else_hears_of_it() {
    let dir = TempDir::new().unwrap();
    let broker = bind(&config(&dir)).await.unwrap();
    let (_, mqtt) = broker.mqtt_addresses().next().unwrap();
    let admin = broker.admin_address();
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(broker.run(async { stopped.await.unwrap_or_default() }));

    let (panel, mut at_panel) = client("panel", mqtt);
    panel.subscribe("site/#", QoS::AtLeastOnce).await.unwrap();
    next(&mut at_panel, |packet| matches!(packet, Incoming::SubAck(_)).then_some(())).await;
    let (dock, mut at_dock) = client("dock", mqtt);
    let event = r#"{"tid":"t","bid":"b","method":"flighttask_progress","data":{"output":{"status":"in_progress","ext":{"flight_id":"f"}},"result":0}}"#;
    let events = "thing/product/SIMDOCK1/events";
    dock.publish(events, QoS::AtLeastOnce, false, event).await.unwrap();
    next(&mut at_dock, |packet| matches!(packet, Incoming::PubAck(_)).then_some(())).await;

    // How the task stands is known a moment after its event.
    for asked in 1.. {
        panel.publish(ASK, QoS::AtLeastOnce, true, format!(r#"{{"id":"{asked}"}}"#)).await.unwrap();
        let answer = message(&mut at_panel).await;
        assert_eq!(answer.topic, "site/panel/SIMDOCK1/answer", "the question goes to nobody");
        assert!(!answer.retain);
        let said: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(said["id"], asked.to_string());
        if said["is_flying"] == true {
            break;
        }
    }

    assert!(!get(admin, "/api/v1/retained").await.contains("site/panel"), "nor is it retained");
    panel.publish(ASK, QoS::AtLeastOnce, false, "what?").await.unwrap();
    next(&mut at_panel, |packet| matches!(packet, Incoming::PubAck(_)).then_some(())).await;
    assert!(get(admin, "/api/v1/why").await.contains("a panel's question was not answered"));
    let metrics = get(admin, "/metrics").await;
    assert!(metrics.contains(r#"site_panel_asks_total{result="invalid"} 1"#), "{metrics}");
    assert!(!metrics.contains(r#"site_panel_asks_total{result="answered"} 0"#), "{metrics}");

    stop.send(()).unwrap();
    timeout(PATIENCE, running).await.expect("stops").unwrap().unwrap();
}
