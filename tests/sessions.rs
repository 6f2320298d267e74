//! Sessions that outlive their connection (MQTT 5.0 sections 3.1.2.4, 3.1.2.11, 4.1, 4.4).

use dockside_mqtt::packet::{Ack, Connect, Disconnect, Packet};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{Peer, TestBroker, VERSIONS, at, connect, id};

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Says goodbye and waits for the end.
pub(crate) async fn leave(mut peer: Peer) {
    let properties = Properties::EMPTY;
    let reason = ReasonCode::Success;
    peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
    peer.expect_closed().await;
}

/// [MQTT-3.1.4-4] [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.2.2-2] [MQTT-3.2.2-3]
#[tokio::test]
async fn a_session_is_there_again_and_says_so_unless_its_client_starts_clean() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, present) = broker.session(version, "a", 60).await;
        assert!(!present, "there was none");
        peer.subscribe("t/#", at(QoS::AtLeastOnce)).await;
        leave(peer).await;
        let (mut peer, present) = broker.session(version, "a", 60).await;
        assert!(present);
        peer.publish("t/x", b"1", QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.payload, b"1", "its subscription is there");
        leave(peer).await;
        let mut peer = broker.connect(version, "a").await;
        peer.publish("t/x", b"2", QoS::AtLeastOnce).await;
        peer.expect_nothing().await;
        leave(peer).await;
        let (peer, present) = broker.session(version, "a", 0).await;
        assert!(!present, "the clean one took it with it");
        leave(peer).await;
        broker.connect(version, "a").await;
    }
}

/// [MQTT-4.1.0-1]: QoS 1 and 2 wait in their order, QoS 0 does not.
#[tokio::test]
async fn messages_wait_for_their_session() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t/1", at(QoS::AtLeastOnce)).await;
        peer.subscribe("t/2", at(QoS::ExactlyOnce)).await;
        leave(peer).await;
        let mut sender = broker.connect(version, "s").await;
        for n in 0..10 {
            for qos in QUALITIES {
                let payload = format!("{n}{}", qos.bits());
                sender.publish("t/1", payload.as_bytes(), qos).await;
                sender.publish("t/2", payload.as_bytes(), qos).await;
            }
        }
        let (mut peer, present) = broker.session(version, "a", 60).await;
        assert!(present);
        let mut got = Vec::new();
        for _ in 0..40 {
            let received = peer.receive().await;
            assert!(!received.dup, "sent for the first time");
            let payload = String::from_utf8(received.payload).unwrap();
            got.push((received.topic, payload, received.qos.bits()));
        }
        let expected: Vec<_> = (0..10)
            .flat_map(|n| {
                [1u8, 2].map(|qos| ["t/1", "t/2"].map(|t| (t.to_owned(), format!("{n}{qos}"), qos)))
            })
            .flatten()
            .map(|(topic, payload, qos)| {
                let granted = if topic == "t/1" { 1 } else { 2 };
                (topic, payload, qos.min(granted))
            })
            .collect();
        assert_eq!(got, expected);
        peer.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}

/// [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5]
/// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.3-6]: what was not acknowledged comes again, first, with
/// its identifier and DUP; what was received is only released.
#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_in_its_order() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t", at(QoS::ExactlyOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for (payload, qos) in
            [("1", 1), ("2", 2), ("3", 2), ("4", 1)].map(|(p, q)| (p, QoS::from_bits(q).unwrap()))
        {
            sender.publish("t", payload.as_bytes(), qos).await;
        }
        let mut first = Vec::new();
        for _ in 0..4 {
            first.push(peer.receive_only().await);
        }
        // The second one is received, and its PUBREL lost.
        let received = first[1].packet_id.unwrap();
        peer.send(&Packet::Pubrec(Ack::new(received, ReasonCode::Success))).await;
        peer.expect(Packet::Pubrel(Ack::new(received, ReasonCode::Success))).await;
        peer.vanish();
        sender.publish("t", b"5", QoS::AtLeastOnce).await;

        let (mut peer, present) = broker.session(version, "a", 60).await;
        assert!(present);
        for (at, expected) in first.iter().enumerate() {
            if at == 1 {
                let id = expected.packet_id.unwrap();
                peer.expect(Packet::Pubrel(Ack::new(id, ReasonCode::Success))).await;
                peer.send(&Packet::Pubcomp(Ack::new(id, ReasonCode::Success))).await;
                continue;
            }
            let again = peer.receive().await;
            assert!(again.dup);
            assert_eq!((again.packet_id, &again.payload), (expected.packet_id, &expected.payload));
        }
        let new = peer.receive().await;
        assert_eq!((new.dup, &*new.payload), (false, &b"5"[..]));
        peer.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}

/// Redelivery happens on a new connection only, never on the one that goes on.
#[tokio::test]
async fn nothing_is_sent_again_on_the_same_connection() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        peer.publish("t", b"1", QoS::AtLeastOnce).await;
        let first = peer.receive_only().await;
        broker.pass(10);
        peer.ping().await;
        peer.acknowledge(&first).await;
        peer.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}

/// The window of the new connection holds for what is sent again as well.
#[tokio::test]
async fn what_is_sent_again_keeps_to_the_new_receive_maximum() {
    let broker = TestBroker::start().await;
    let (mut peer, _) = broker.session(Version::V5, "a", 60).await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    for n in 0..5u8 {
        peer.publish("t", &[n], QoS::AtLeastOnce).await;
        // The PUBLISH may come before or behind the PUBACK; `publish` wants the PUBACK first.
        peer.receive_only().await;
    }
    peer.vanish();
    let mut list = PropertyList::new();
    list.number(PropertyId::ReceiveMaximum, 2).number(PropertyId::SessionExpiryInterval, 60);
    let properties = list.as_properties();
    let resume = Connect { clean_start: false, properties, ..connect(Version::V5, "a") };
    let (mut peer, present) = broker.enter(resume).await;
    assert!(present);
    let first = [peer.receive_only().await, peer.receive_only().await];
    peer.ping().await;
    peer.acknowledge(&first[0]).await;
    assert_eq!(peer.receive_only().await.payload, [2]);
    peer.ping().await;
}

/// [MQTT-4.3.3-10] across connections: the message is published once.
#[tokio::test]
async fn an_unreleased_qos_2_message_is_known_on_the_next_connection() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut subscriber = broker.connect(version, "s").await;
        subscriber.subscribe("t", at(QoS::ExactlyOnce)).await;
        let (mut peer, _) = broker.session(version, "a", 60).await;
        let publish = crate::peer::publish("t", b"once", QoS::ExactlyOnce, 7);
        peer.send(&Packet::Publish(publish)).await;
        peer.expect(Packet::Pubrec(Ack::new(id(7), ReasonCode::Success))).await;
        peer.vanish();
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.send(&Packet::Publish(dockside_mqtt::packet::Publish { dup: true, ..publish })).await;
        peer.expect(Packet::Pubrec(Ack::new(id(7), ReasonCode::Success))).await;
        peer.send(&Packet::Pubrel(Ack::new(id(7), ReasonCode::Success))).await;
        peer.expect(Packet::Pubcomp(Ack::new(id(7), ReasonCode::Success))).await;
        assert_eq!(subscriber.receive().await.payload, b"once");
        subscriber.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}

/// [MQTT-3.1.4-3]: the session moves, with everything that is under way.
#[tokio::test]
async fn a_takeover_takes_the_session_with_it() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut first, _) = broker.session(version, "a", 60).await;
        first.subscribe("t", at(QoS::AtLeastOnce)).await;
        first.publish("t", b"1", QoS::AtLeastOnce).await;
        let sent = first.receive_only().await;
        let (mut second, present) = broker.session(version, "a", 60).await;
        assert!(present);
        first.expect_ended(ReasonCode::SessionTakenOver).await;
        let again = second.receive().await;
        assert_eq!(
            (again.dup, again.packet_id, again.payload),
            (true, sent.packet_id, sent.payload)
        );
        second.publish("t", b"2", QoS::AtLeastOnce).await;
        assert_eq!(second.receive().await.payload, b"2");
        // A session that ends with its connection is not handed over.
        let mut clean = broker.connect(version, "a").await;
        second.expect_ended(ReasonCode::SessionTakenOver).await;
        clean.publish("t", b"3", QoS::AtLeastOnce).await;
        clean.expect_nothing().await;
        let (_, present) = broker.session(version, "a", 60).await;
        assert!(!present);
        broker.connect(version, "a").await;
    }
}

/// [MQTT-3.3.2-7]: an alias is its connection's.
#[tokio::test]
async fn a_session_does_not_remember_aliases() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.number(PropertyId::TopicAlias, 1);
    let properties = list.as_properties();
    let message = |topic| {
        let publish = crate::peer::publish(topic, b"x", QoS::AtMostOnce, 0);
        Packet::Publish(dockside_mqtt::packet::Publish { properties, ..publish })
    };
    let (mut peer, _) = broker.session(Version::V5, "a", 600).await;
    peer.send(&message("t")).await;
    peer.send(&message("")).await;
    leave(peer).await;
    let (mut peer, present) = broker.session(Version::V5, "a", 600).await;
    assert!(present);
    peer.send(&message("")).await;
    peer.expect_ended(ReasonCode::ProtocolError).await;
}

/// Whatever is published once its client has the CONNACK finds the session, in every quality.
#[tokio::test]
async fn a_session_is_awake_once_its_connack_is_out() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        leave(peer).await;
        for n in 0..50u8 {
            let (mut peer, present) = broker.session(version, "a", 60).await;
            assert!(present);
            peer.publish("t", &[n], QoS::AtMostOnce).await;
            assert_eq!(peer.receive().await.payload, [n]);
            leave(peer).await;
        }
        broker.connect(version, "a").await;
    }
}

/// A session that is full loses its oldest, others' nothing.
#[tokio::test]
async fn a_full_session_loses_its_oldest() {
    let broker = TestBroker::start_with(|config| config.limits.mailbox_messages = 3).await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        leave(peer).await;
        let mut sender = broker.connect(version, "s").await;
        for n in 0..5 {
            sender.publish("t", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        }
        let (mut peer, _) = broker.session(version, "a", 60).await;
        assert_eq!(peer.receive_payloads(3).await, ["2", "3", "4"]);
        peer.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}

/// What was sent and not acknowledged counts for what all sessions may hold, and is given back.
#[tokio::test]
async fn unacknowledged_messages_of_sleepers_have_a_bound() {
    let broker = TestBroker::start_with(|config| {
        config.limits.session_bytes = 40_000;
        config.limits.sessions = 4;
    })
    .await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for _ in 0..3 {
        let (mut peer, _) = broker.session(Version::V5, "a", 600).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        for n in 0..10u8 {
            sender.publish("t", &[n; 10_000], QoS::AtLeastOnce).await;
            peer.receive_only().await;
        }
        peer.vanish();
        let (mut peer, present) = broker.session(Version::V5, "a", 600).await;
        assert!(present);
        for n in 7..10u8 {
            let again = peer.receive().await;
            assert_eq!((again.dup, again.payload[0]), (true, n), "the last ones fit");
        }
        peer.expect_nothing().await;
        broker.connect(Version::V5, "a").await;
    }
}

#[tokio::test]
async fn the_limit_of_sessions_is_told_and_given_back() {
    let broker = TestBroker::start_with(|config| config.limits.sessions = 1).await;
    for version in VERSIONS {
        let (peer, _) = broker.session(version, "a", 60).await;
        leave(peer).await;
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, 60);
        let properties = list.as_properties();
        let asks = Connect { clean_start: false, properties, ..connect(version, "b") };
        let mut refused = broker.socket(version).await;
        let expected = match version {
            Version::V5 => ReasonCode::QuotaExceeded,
            _ => ReasonCode::ServerUnavailable,
        };
        assert_eq!(refused.connect(asks.clone()).await, expected);
        // Who needs no session gets in, and so does whose session it is.
        broker.connect(version, "c").await;
        let (peer, present) = broker.session(version, "a", 60).await;
        assert!(present);
        leave(peer).await;
        broker.connect(version, "a").await;
        let (peer, _) = broker.enter(asks).await;
        leave(peer).await;
        broker.connect(version, "b").await;
    }
}
