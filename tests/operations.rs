//! What an operator sees of sessions, and ends.

use dockside_mqtt::packet::Connect;
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};

use crate::admin::{ask, look};
use crate::peer::{Peer, TestBroker, VERSIONS, at, connect};
use crate::site::{Site, login};

async fn kick(broker: &TestBroker, client_id: &str, forget: bool) -> (u16, Value) {
    let body = json!({"client_id": client_id, "forget": forget});
    ask(broker.admin, "POST /api/v1/sessions/kick", &body).await
}

/// Their client identifiers, page by page, so many at once.
async fn listed(broker: &TestBroker, query: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let target = format!("/api/v1/sessions?q={query}&after={after}&limit={limit}");
        let page = look(broker.admin, &target).await;
        let sessions = page["sessions"].as_array().unwrap();
        assert!(sessions.len() <= limit);
        all.extend(sessions.iter().map(|s| s["client_id"].as_str().unwrap().to_owned()));
        match &page["next"] {
            Value::String(next) => after = next.replace('\0', "%00"),
            _ => return all,
        }
    }
}

async fn one(broker: &TestBroker, query: &str) -> Value {
    let list = look(broker.admin, &format!("/api/v1/sessions?q={query}")).await;
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{list}");
    sessions[0].clone()
}

/// [MQTT-3.14.2.1]: 0x98; a session that is kept waits for its client.
#[tokio::test]
async fn a_kicked_client_is_told_and_may_come_back() {
    for version in VERSIONS {
        let broker = TestBroker::start().await;
        let (mut client, _) = broker.session(version, "c", 3_600).await;
        let (code, kicked) = kick(&broker, "c", false).await;
        let expected = json!({"client_id": "c", "was_connected": true, "forgotten": 0});
        assert_eq!((code, kicked), (200, expected));
        client.expect_ended(ReasonCode::AdministrativeAction).await;
        assert_eq!(one(&broker, "c").await["is_connected"], false);
        assert!(broker.session(version, "c", 3_600).await.1, "its session waits");
        assert_eq!(kick(&broker, "nobody", true).await.0, 404);
    }
}

#[tokio::test]
async fn a_forgotten_session_is_over_whether_it_is_connected_or_not() {
    for version in VERSIONS {
        for is_connected in [true, false] {
            let broker = TestBroker::start().await;
            let (mut client, _) = broker.session(version, "c", 3_600).await;
            client.subscribe("t", at(QoS::AtLeastOnce)).await;
            if !is_connected {
                assert_eq!(kick(&broker, "c", false).await.0, 200);
                client.expect_ended(ReasonCode::AdministrativeAction).await;
                assert_eq!(kick(&broker, "c", false).await.0, 404, "it is not connected");
            }
            let (code, kicked) = kick(&broker, "c", true).await;
            assert_eq!((code, &kicked["forgotten"]), (200, &json!(1)));
            assert_eq!(kicked["was_connected"], is_connected);
            assert!(!broker.session(version, "c", 3_600).await.1, "it is a new one");
        }
    }
}

/// Whoever has sessions of one client identifier, they are ended together; nobody else's is.
#[tokio::test]
async fn sessions_of_two_users_are_told_apart() {
    let site = Site::start(&["ann", "bob"]).await;
    for user in ["ann", "bob"] {
        for id in ["same", "other"] {
            let connect = Connect {
                client_id: id,
                clean_start: false,
                ..login(Version::V311, user, "secret")
            };
            let (mut peer, reason) = site.try_connect(connect).await;
            assert_eq!(reason, ReasonCode::Success);
            peer.send(&dockside_mqtt::packet::Packet::Disconnect(DISCONNECT)).await;
            peer.expect_closed().await;
        }
    }
    let broker = &site.broker;
    for limit in [1, 3, 10] {
        let all = listed(broker, "", limit).await;
        assert_eq!(all, ["other", "other", "same", "same"], "{limit} at once");
    }
    assert_eq!(listed(broker, "ANN", 1).await, ["other", "same"]);
    let (code, kicked) = kick(broker, "same", true).await;
    assert_eq!((code, &kicked["forgotten"]), (200, &json!(2)));
    assert_eq!(listed(broker, "", 10).await, ["other", "other"]);
}

const DISCONNECT: dockside_mqtt::packet::Disconnect<'static> = dockside_mqtt::packet::Disconnect {
    reason: ReasonCode::Success,
    properties: dockside_mqtt::property::Properties::EMPTY,
};

/// More than are looked at at once, connected and not, each once and in their order.
#[tokio::test]
async fn pages_hold_every_session_once() {
    const COUNT: usize = 600;
    let broker = TestBroker::start_with(|config| {
        config.limits.connects_per_address_per_second = 10_000;
        config.limits.connections_per_address = 10_000;
    })
    .await;
    let mut connected: Vec<Peer> = Vec::new();
    for number in 0..COUNT {
        let id = format!("c{number:03}");
        let kept = Connect { clean_start: number % 2 == 0, ..connect(Version::V311, &id) };
        let (mut peer, _) = broker.enter(kept).await;
        if number % 2 == 0 {
            connected.push(peer);
        } else {
            peer.send(&dockside_mqtt::packet::Packet::Disconnect(DISCONNECT)).await;
            peer.expect_closed().await;
        }
    }
    let expected: Vec<_> = (0..COUNT).map(|number| format!("c{number:03}")).collect();
    for limit in [7, 256, 1_000] {
        assert_eq!(listed(&broker, "", limit).await, expected, "{limit} at once");
    }
    assert_eq!(listed(&broker, "C59", 3).await, expected[590..]);
    let of_address = listed(&broker, "127.0.0.1", 1_000).await;
    assert_eq!(of_address.len(), connected.len());
}

/// What a session holds is told, connected or not.
#[tokio::test]
async fn a_session_tells_what_waits_for_it() {
    let broker = TestBroker::start().await;
    let (mut kept, _) = broker.session(Version::V5, "kept", 3_600).await;
    kept.subscribe("t", at(QoS::AtLeastOnce)).await;
    kept.subscribe("u", at(QoS::AtMostOnce)).await;
    let mut app = broker.connect(Version::V311, "app").await;
    app.publish("t", b"12345", QoS::AtLeastOnce).await;
    kept.receive_only().await;
    let told = one(&broker, "kept").await;
    for (name, value) in [
        ("protocol", json!("5.0")),
        ("transport", json!("tcp")),
        ("is_kept", json!(true)),
        ("subscriptions", json!(2)),
        ("queued_messages", json!(0)),
        ("stored_messages", json!(1)),
        ("inflight_out", json!(1)),
        ("expires_ms", Value::Null),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    assert_eq!(kick(&broker, "kept", false).await.0, 200);
    kept.expect_ended(ReasonCode::AdministrativeAction).await;
    app.publish("t", b"67890", QoS::AtLeastOnce).await;
    let told = one(&broker, "kept").await;
    assert_eq!((&told["stored_messages"], &told["address"]), (&json!(2), &Value::Null), "{told}");
    let lasts_ms = told["expires_ms"].as_u64().unwrap() - now_ms();
    assert!((3_000_000..=3_600_000).contains(&lasts_ms), "{told}");
}

fn now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}
