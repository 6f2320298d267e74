//! Clients that go in odd moments and come back: let in each time, with what is theirs.

use std::sync::Arc;

use dockside_mqtt::packet::{Codes, Connect, Disconnect, Packet, Unsubscribe, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version, codec};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::serves;
use crate::peer::{Peer, TestBroker, VERSIONS, at, connect, id, publish};
use crate::sessions::leave;

fn disconnect() -> Packet<'static> {
    let properties = Properties::EMPTY;
    Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties })
}

fn will(payload: &[u8]) -> Option<Will<'_>> {
    let (qos, properties) = (QoS::AtLeastOnce, Properties::EMPTY);
    Some(Will { qos, retain: false, topic: "will", payload, properties })
}

/// As a site's clients do, for ever: in, a subscription, a message, out, and in again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_clients_that_come_back_again_and_again_are_let_in_each_time() {
    const ROUNDS: usize = 40;
    let broker = Arc::new(TestBroker::start().await);
    let mut clients = Vec::new();
    for n in 0..20 {
        let (broker, version) = (broker.clone(), VERSIONS[n % 2]);
        clients.push(tokio::spawn(async move {
            let name = format!("client{n}");
            for round in 0..ROUNDS {
                let mut peer = broker.connect(version, &name).await;
                peer.subscribe(&name, at(QoS::AtLeastOnce)).await;
                let payload = [n as u8, round as u8];
                peer.publish(&name, &payload, QoS::AtLeastOnce).await;
                assert_eq!(peer.receive().await.payload, payload);
                peer.send(&disconnect()).await;
                // Half of them do not wait for the end.
                if round % 2 == 0 {
                    peer.expect_closed().await;
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    serves(&broker, "client0").await;
    Arc::into_inner(broker).unwrap().stop().await;
}

/// Section 3.14.4: it is gone, and the others get every message, in its order.
#[tokio::test]
async fn a_subscriber_may_leave_in_the_middle_of_a_burst() {
    const BURST: u16 = 200;
    let broker = TestBroker::start().await;
    let mut reader = broker.connect(Version::V311, "reader").await;
    reader.subscribe("burst", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V5, "sender").await;
    for round in 0..30 {
        let version = VERSIONS[round % 2];
        let qos = if round % 3 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let mut leaver = broker.connect(version, "leaver").await;
        leaver.subscribe("burst", at(qos)).await;
        let mut bytes = Vec::new();
        for n in 1..=BURST {
            let payload = n.to_string();
            let message = publish("burst", payload.as_bytes(), qos, n);
            codec::encode(&mut bytes, &Packet::Publish(message), Version::V5);
        }
        sender.send_bytes(&bytes).await;
        assert_eq!(leaver.receive_only().await.payload, b"1");
        leaver.send(&disconnect()).await;
        leaver.vanish();
        if qos == QoS::AtLeastOnce {
            sender.ping_after(BURST.into()).await;
        }
        let expected: Vec<_> = (1..=BURST).map(|n| n.to_string()).collect();
        assert_eq!(reader.receive_payloads(BURST.into()).await, expected);
    }
    reader.expect_nothing().await;
    serves(&broker, "leaver").await;
}

/// A reset in the moment of the CONNECT, many times under one name.
#[tokio::test]
async fn clients_that_reset_behind_their_connect_keep_nobody_out() {
    let broker = TestBroker::start().await;
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("live", at(QoS::AtLeastOnce)).await;
    for version in VERSIONS {
        for n in 0..150 {
            let mut socket = TcpStream::connect(broker.address).await.unwrap();
            let mut bytes = Vec::new();
            let asks = Connect { will: will(b"reset"), ..connect(version, "same") };
            codec::encode(&mut bytes, &Packet::Connect(Box::new(asks)), version);
            // Sometimes in the middle of it.
            let end = if n % 5 == 0 { bytes.len() / 2 } else { bytes.len() };
            socket.write_all(&bytes[..end]).await.unwrap();
            if n % 3 == 0 && end == bytes.len() {
                // With the CONNACK unread.
                socket.readable().await.unwrap();
            }
            socket.set_zero_linger().unwrap();
        }
        serves(&broker, "same").await;
    }
    watcher.publish("live", b"x", QoS::AtLeastOnce).await;
    assert_eq!(watcher.receive().await.payload, b"x");
    watcher.expect_nothing().await;
}

/// A place comes back when the broker has noticed that its connection is gone.
async fn once_there_is_room(broker: &TestBroker, asks: &Connect<'_>) -> Peer {
    loop {
        let mut peer = broker.socket(asks.version).await;
        if peer.connect(asks.clone()).await == ReasonCode::Success {
            return peer;
        }
    }
}

/// [MQTT-3.2.2-6]: told each time, its will is nobody's, and it is let in once there is room.
#[tokio::test]
async fn a_client_that_is_refused_may_try_again_and_again() {
    let broker = TestBroker::start_with(|config| config.limits.connections = 2).await;
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("will", at(QoS::AtLeastOnce)).await;
    for version in VERSIONS {
        let holder = once_there_is_room(&broker, &connect(version, "holder")).await;
        let asks = || Connect { will: will(b"refused"), ..connect(version, "again") };
        let refusal = match version {
            Version::V5 => ReasonCode::QuotaExceeded,
            _ => ReasonCode::ServerUnavailable,
        };
        for _ in 0..50 {
            let mut peer = broker.socket(version).await;
            assert_eq!(peer.connect(asks()).await, refusal);
            peer.expect_closed().await;
        }
        watcher.expect_nothing().await;
        leave(holder).await;
        let mut peer = once_there_is_room(&broker, &asks()).await;
        peer.ping().await;
        peer.vanish();
        assert_eq!(watcher.receive().await.payload, b"refused");
    }
}

/// [MQTT-3.1.2-8] [MQTT-3.1.4-3]: the old connection's at the takeover, the new one's when that is lost.
#[tokio::test]
async fn each_connection_of_a_client_has_its_own_will() {
    let broker = TestBroker::start().await;
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("will", at(QoS::AtLeastOnce)).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, 60);
    for kept in [false, true] {
        for (old, new) in VERSIONS.iter().flat_map(|old| VERSIONS.map(|new| (*old, new))) {
            let asks = |version, payload| Connect {
                clean_start: !kept,
                will: will(payload),
                properties: if kept { list.as_properties() } else { Properties::EMPTY },
                ..connect(version, "dock")
            };
            let (mut first, _) = broker.enter(asks(old, b"first")).await;
            let (mut second, present) = broker.enter(asks(new, b"second")).await;
            assert_eq!(present, kept);
            first.expect_ended(ReasonCode::SessionTakenOver).await;
            assert_eq!(watcher.receive().await.payload, b"first");
            second.ping().await;
            watcher.expect_nothing().await;
            second.vanish();
            assert_eq!(watcher.receive().await.payload, b"second");
            leave(broker.connect(new, "dock").await).await;
            watcher.expect_nothing().await;
        }
    }
}

/// Section 4.8.2: what the only member had not acknowledged waits for it, and others are served meanwhile.
#[tokio::test]
async fn the_last_member_of_a_group_may_vanish_with_messages_unacknowledged() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut sender = broker.connect(version, "sender").await;
        let (mut member, _) = broker.session(version, "member", 60).await;
        member.subscribe("$share/g/t", at(QoS::AtLeastOnce)).await;
        for round in 0..3 {
            let name = |n| format!("{round}.{n}");
            for n in 0..5 {
                sender.publish("t", name(n).as_bytes(), QoS::AtLeastOnce).await;
            }
            for n in 0..5 {
                assert_eq!(member.receive_only().await.payload, name(n).as_bytes());
            }
            member.vanish();
            serves(&broker, "other").await;
            sender.publish("t", name(5).as_bytes(), QoS::AtLeastOnce).await;
            let present;
            (member, present) = broker.session(version, "member", 60).await;
            assert!(present);
            // It is in its group again, too.
            sender.publish("t", name(6).as_bytes(), QoS::AtLeastOnce).await;
            let expected: Vec<_> = (0..7).map(name).collect();
            assert_eq!(member.receive_payloads(7).await, expected);
            member.expect_nothing().await;
        }
        broker.connect(version, "member").await;
    }
}

/// [MQTT-3.10.4-4] [MQTT-3.10.4-6] [MQTT-3.11.3-1]: of filters that an earlier connection subscribed to.
#[tokio::test]
async fn a_session_that_is_back_unsubscribes_what_it_subscribed_before() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t/a", at(QoS::AtLeastOnce)).await;
        peer.subscribe("t/b", at(QoS::AtLeastOnce)).await;
        peer.vanish();
        let (mut peer, present) = broker.session(version, "a", 60).await;
        assert!(present);
        let (packet_id, properties) = (id(4), Properties::EMPTY);
        let filters = vec!["t/a", "never", "t/a"];
        peer.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })).await;
        use ReasonCode as R;
        let reasons = vec![R::Success, R::NoSubscriptionExisted, R::NoSubscriptionExisted];
        peer.expect(Packet::Unsuback(Codes { packet_id, properties, reasons })).await;
        let mut sender = broker.connect(version, "s").await;
        for topic in ["t/a", "t/b"] {
            sender.publish(topic, b"x", QoS::AtLeastOnce).await;
        }
        assert_eq!(peer.receive().await.topic, "t/b");
        peer.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}
