//! What an operator sees of sessions, and ends.

use dockside_mqtt::packet::Connect;
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};

use crate::admin::{ask, look};
use crate::peer::{Peer, TestBroker, VERSIONS, at, connect};
use crate::retained::retain;
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

/// MQTT 5.0 section 3.14.2.1: 0x98; a session that is kept waits for its client.
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

/// Live subscribers get the empty message that clears it, as from any client; a restart does not bring it back.
#[tokio::test]
async fn a_removed_retained_message_is_gone_for_everybody() {
    let dir = tempfile::TempDir::new().unwrap();
    let start =
        async || TestBroker::start_with(|config| config.data.dir = dir.path().join("data")).await;
    let broker = start().await;
    let mut peer = broker.connect(Version::V5, "p").await;
    retain(&mut peer, "t/a", b"x", QoS::AtLeastOnce).await;
    retain(&mut peer, "t/b", b"y", QoS::AtLeastOnce).await;
    let mut live = broker.connect(Version::V311, "live").await;
    live.subscribe("t/a", at(QoS::AtLeastOnce)).await;
    assert_eq!(live.receive().await.payload, b"x");
    let (code, _) = ask(broker.admin, REMOVE, &json!({"topic": "t/a"})).await;
    assert_eq!(code, 200);
    assert_eq!(live.receive().await.payload, b"");
    let (code, _) = ask(broker.admin, REMOVE, &json!({"topic": "t/a"})).await;
    assert_eq!(code, 404);
    broker.stop().await;
    let broker = start().await;
    assert_eq!(topics(&broker, "", 9).await, ["t/b"]);
}

const REMOVE: &str = "POST /api/v1/retained/remove";

async fn topics(broker: &TestBroker, filter: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let target = format!("/api/v1/retained?filter={filter}&after={after}&limit={limit}");
        let page = look(broker.admin, &target).await;
        let retained = page["retained"].as_array().unwrap();
        assert!(retained.len() <= limit);
        all.extend(retained.iter().map(|one| one["topic"].as_str().unwrap().to_owned()));
        match &page["next"] {
            Value::String(next) => after.clone_from(next),
            _ => return all,
        }
    }
}

/// More than are looked at at once are taken over, listed once each, and what is here stays unless it is replaced.
#[tokio::test]
async fn retained_messages_are_taken_over_and_listed_page_by_page() {
    const COUNT: usize = 600;
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "p").await;
    retain(&mut peer, "t/000", b"here", QoS::AtLeastOnce).await;
    let expected: Vec<_> = (0..COUNT).map(|number| format!("t/{number:03}")).collect();
    let messages =
        expected.iter().map(|topic| json!({"topic": topic, "qos": 2, "payload": "eA=="}));
    let messages: Vec<_> = messages.collect();
    let take = async |replace: bool| {
        let body = json!({"from": "x", "replace": replace, "messages": messages});
        ask(broker.admin, "POST /api/v1/retained", &body).await.1
    };
    let told = take(false).await;
    assert_eq!(told, json!({"taken": COUNT - 1, "already_here": 1, "refused": []}));
    let mut reader = broker.connect(Version::V311, "r").await;
    reader.subscribe("t/000", at(QoS::ExactlyOnce)).await;
    assert_eq!(reader.receive().await.payload, b"here");
    for limit in [7, 256, 1_000] {
        assert_eq!(topics(&broker, "", limit).await, expected, "{limit} at once");
    }
    assert_eq!(topics(&broker, "t/599", 3).await, ["t/599"]);
    assert_eq!(take(true).await["taken"], COUNT);
    assert_eq!(reader.receive().await.payload, b"x");
}

/// What there is no room for, or may not be here, is told by topic.
#[tokio::test]
async fn what_cannot_be_retained_is_refused_alone() {
    let broker = TestBroker::start_with(|config| config.limits.retained_messages = 2).await;
    let one = |topic: &str, payload: &str| json!({"topic": topic, "qos": 1, "payload": payload});
    let messages = [
        one("a", "eA=="),
        one("a/+", "eA=="),
        one("$SYS/x", "eA=="),
        one("a\0", "eA=="),
        one("thing/product/SIMDOCK1/services", "eA=="),
        one("b", ""),
        one("c", "no base64"),
        one("d", "eA=="),
        one("e", "eA=="),
    ];
    let body = json!({"from": "x", "replace": false, "messages": messages});
    let (_, told) = ask(broker.admin, "POST /api/v1/retained", &body).await;
    assert_eq!(told["taken"], 2);
    let refused = told["refused"].as_array().unwrap().iter();
    let refused: Vec<_> = refused.map(|one| one["topic"].as_str().unwrap()).collect();
    assert_eq!(
        refused,
        ["a/+", "$SYS/x", "a\0", "thing/product/SIMDOCK1/services", "b", "c", "e"],
        "{told}"
    );
    assert_eq!(topics(&broker, "", 9).await, ["a", "d"]);
}
