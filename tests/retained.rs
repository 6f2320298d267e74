//! Retained messages (MQTT 5.0 sections 3.3.1.3, 3.8.3.1, 3.8.4).

use dockside_mqtt::packet::{Ack, Packet, Publish, SubscriptionOptions};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{Peer, TestBroker, VERSIONS, at, connect, id, publish};

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Publishes a retained message and waits until the broker has it.
pub(crate) async fn retain(peer: &mut Peer, topic: &str, payload: &[u8], qos: QoS) {
    let message = Publish { retain: true, ..publish(topic, payload, qos, 5) };
    peer.send(&Packet::Publish(message)).await;
    let ack = || Ack::new(id(5), ReasonCode::Success);
    match qos {
        QoS::AtMostOnce => peer.ping().await,
        QoS::AtLeastOnce => peer.expect(Packet::Puback(ack())).await,
        QoS::ExactlyOnce => {
            peer.expect(Packet::Pubrec(ack())).await;
            peer.send(&Packet::Pubrel(ack())).await;
            peer.expect(Packet::Pubcomp(ack())).await;
        }
    }
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-8] [MQTT-3.3.1-9]
#[tokio::test]
async fn the_last_retained_message_waits_for_whoever_subscribes() {
    for version in VERSIONS {
        let broker = TestBroker::start().await;
        let mut sender = broker.connect(version, "s").await;
        for qos in QUALITIES {
            retain(&mut sender, "t/a", b"old", qos).await;
            retain(&mut sender, "t/a", b"new", qos).await;
            // Neither replaced nor removed by a message that is not retained.
            sender.publish("t/a", b"live", QoS::AtLeastOnce).await;
            for filter in ["t/a", "t/+", "t/#", "#", "+/a"] {
                let mut peer = broker.connect(version, "r").await;
                peer.subscribe(filter, at(QoS::AtLeastOnce)).await;
                let received = peer.receive().await;
                let granted = qos.min(QoS::AtLeastOnce);
                assert_eq!(
                    (received.retain, received.qos, &*received.payload),
                    (true, granted, &b"new"[..])
                );
                peer.expect_nothing().await;
            }
        }
    }
}

/// [MQTT-3.3.1-6] [MQTT-3.3.1-7]
#[tokio::test]
async fn an_empty_retained_message_clears_and_is_delivered_as_any_other() {
    for version in VERSIONS {
        let broker = TestBroker::start().await;
        let mut sender = broker.connect(version, "s").await;
        for qos in QUALITIES {
            let mut live = broker.connect(version, "live").await;
            live.subscribe("t", at(QoS::ExactlyOnce)).await;
            retain(&mut sender, "t", b"x", qos).await;
            retain(&mut sender, "t", b"", qos).await;
            assert_eq!(live.receive_payloads(2).await, ["x", ""]);
            let mut late = broker.connect(version, "late").await;
            late.subscribe("t", at(QoS::ExactlyOnce)).await;
            late.expect_nothing().await;
        }
    }
}

/// A change of quality does not change the order: the last word on a topic counts.
#[tokio::test]
async fn the_last_word_counts_whatever_its_quality() {
    let broker = TestBroker::start().await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut live = broker.connect(Version::V5, "live").await;
    live.subscribe("t", at(QoS::AtMostOnce)).await;
    for n in 0..100u8 {
        let mut bytes = Vec::new();
        let one = |qos, retain, payload| {
            Packet::Publish(Publish { retain, ..publish("t", payload, qos, 5) })
        };
        let set = [n, 1];
        for packet in [
            one(QoS::AtLeastOnce, true, &set[..1]),
            one(QoS::AtMostOnce, true, &set),
            one(QoS::AtMostOnce, false, b"live"),
        ] {
            dockside_mqtt::codec::encode(&mut bytes, &packet, Version::V5);
        }
        sender.send_bytes(&bytes).await;
        sender.expect(Packet::Puback(Ack::new(id(5), ReasonCode::Success))).await;
        assert_eq!(live.receive().await.payload, [n]);
        assert_eq!(live.receive().await.payload, [n, 1]);
        assert_eq!(
            live.receive().await.payload,
            b"live",
            "not ahead of the retained one before it"
        );
        let mut late = broker.connect(Version::V5, "late").await;
        late.subscribe("t", at(QoS::AtMostOnce)).await;
        assert_eq!(late.receive().await.payload, [n, 1]);
    }
}

/// [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
#[tokio::test]
async fn retain_handling_says_when_they_are_sent() {
    let broker = TestBroker::start().await;
    let mut sender = broker.connect(Version::V5, "s").await;
    retain(&mut sender, "t", b"x", QoS::AtLeastOnce).await;
    for (handling, first, again) in [(0, true, true), (1, true, false), (2, false, false)] {
        let mut peer = broker.connect(Version::V5, "r").await;
        let options = SubscriptionOptions { retain_handling: handling, ..at(QoS::AtLeastOnce) };
        for sent in [first, again] {
            peer.subscribe("t", options).await;
            if sent {
                assert_eq!(peer.receive().await.payload, b"x", "retain handling {handling}");
            }
            peer.expect_nothing().await;
        }
    }
    // In 3.1.1 they are sent at every SUBSCRIBE.
    let mut peer = broker.connect(Version::V311, "r").await;
    for _ in 0..2 {
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        assert_eq!(peer.receive().await.payload, b"x");
    }
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13]
#[tokio::test]
async fn a_live_message_keeps_its_flag_only_for_who_asks_for_it() {
    let broker = TestBroker::start().await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut peer = broker.connect(Version::V5, "r").await;
    for keeps in [false, true] {
        let options = SubscriptionOptions { retain_as_published: keeps, ..at(QoS::AtLeastOnce) };
        peer.subscribe("t", options).await;
        retain(&mut sender, "t", b"x", QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.retain, keeps);
        sender.publish("t", b"y", QoS::AtLeastOnce).await;
        assert!(!peer.receive().await.retain);
        retain(&mut sender, "t", b"", QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.retain, keeps);
    }
}

/// [MQTT-3.8.4-5]: each filter of a SUBSCRIBE brings its own, with its identifier.
#[tokio::test]
async fn each_filter_of_a_subscribe_brings_its_own() {
    let broker = TestBroker::start().await;
    let mut sender = broker.connect(Version::V5, "s").await;
    retain(&mut sender, "a/b", b"x", QoS::AtLeastOnce).await;
    let mut peer = broker.connect(Version::V5, "r").await;
    let mut list = PropertyList::new();
    list.number(PropertyId::SubscriptionIdentifier, 12);
    let filters = [("a/+", at(QoS::AtMostOnce)), ("a/b", at(QoS::AtLeastOnce))];
    peer.subscribe_all(&filters, list.as_properties()).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let received = peer.receive().await;
        assert_eq!((received.qos, &*received.subscription_ids), (qos, &[12][..]));
    }
    peer.expect_nothing().await;
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
#[tokio::test]
async fn a_retained_message_expires() {
    let broker = TestBroker::start().await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut list = PropertyList::new();
    list.number(PropertyId::MessageExpiryInterval, 100);
    let message = Publish {
        retain: true,
        properties: list.as_properties(),
        ..publish("t", b"x", QoS::AtLeastOnce, 5)
    };
    sender.send(&Packet::Publish(message)).await;
    sender.expect(Packet::Puback(Ack::new(id(5), ReasonCode::Success))).await;
    broker.pass(40);
    let mut peer = broker.connect(Version::V5, "r").await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    let received = peer.receive().await;
    let left = u32::from_be_bytes(received.properties[1..5].try_into().unwrap());
    assert!((50..=60).contains(&left), "{left}");
    broker.pass(61);
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    peer.expect_nothing().await;
}

/// Every match comes, at the reader's pace, whatever the mailbox holds; and live messages behind them
/// without a gap and none twice.
#[tokio::test]
async fn any_number_of_matches_come_and_live_messages_behind_them() {
    let broker = TestBroker::start_with(|config| config.limits.mailbox_messages = 10).await;
    let mut sender = broker.connect(Version::V311, "s").await;
    let count = 3_000;
    for n in 0..count {
        let topic = format!("many/{n}");
        let message = Publish { retain: true, ..publish(&topic, b"retained", QoS::AtMostOnce, 0) };
        sender.send(&Packet::Publish(message)).await;
    }
    sender.ping().await;
    let mut peer = broker.connect(Version::V311, "r").await;
    peer.subscribe("many/#", at(QoS::AtLeastOnce)).await;
    sender.publish("many/0", b"live", QoS::AtLeastOnce).await;
    let mut topics = std::collections::HashSet::new();
    for _ in 0..count {
        let received = peer.receive().await;
        assert!(received.retain && topics.insert(received.topic));
    }
    let live = peer.receive().await;
    assert_eq!((live.retain, &*live.payload), (false, &b"live"[..]));
    peer.expect_nothing().await;
}

/// A packet full of filters, of a client that does not read: it is ended, and others are served.
#[tokio::test]
async fn who_asks_for_more_than_it_reads_is_ended() {
    let broker = TestBroker::start_with(|config| config.limits.retained_messages = 1_000).await;
    let mut sender = broker.connect(Version::V311, "s").await;
    for n in 0..1_000 {
        let topic = format!("many/{n}");
        let message = Publish { retain: true, ..publish(&topic, &[0; 1_000], QoS::AtMostOnce, 0) };
        sender.send(&Packet::Publish(message)).await;
    }
    sender.ping().await;
    let mut greedy = broker.connect(Version::V5, "greedy").await;
    let filters = vec![("#", at(QoS::AtMostOnce)); 1_000];
    let properties = Properties::EMPTY;
    let packet_id = id(1);
    greedy
        .send(&Packet::Subscribe(dockside_mqtt::packet::Subscribe {
            packet_id,
            properties,
            filters,
        }))
        .await;
    // Served meanwhile.
    sender.subscribe("live", at(QoS::AtLeastOnce)).await;
    sender.publish("live", b"x", QoS::AtLeastOnce).await;
    assert_eq!(sender.receive().await.payload, b"x");
    let mut packets = 0;
    loop {
        let bytes = greedy.packet().await;
        packets += 1;
        if let Packet::Disconnect(disconnect) = crate::peer::read(&bytes, Version::V5) {
            assert_eq!(disconnect.reason, ReasonCode::QuotaExceeded);
            break;
        }
    }
    assert!(packets < 10_000, "{packets}");
}

/// A dock waits for its answer whatever flags it sets, and however full the store is.
#[tokio::test]
async fn an_event_that_asks_to_be_retained_is_answered_all_the_same() {
    for limit in [0, 1] {
        let broker = TestBroker::start_with(|config| config.limits.retained_messages = limit).await;
        let mut dock = broker.connect(Version::V5, "dock").await;
        dock.subscribe("thing/product/SIMDOCK1/events_reply", at(QoS::AtLeastOnce)).await;
        let event =
            br#"{"tid":"t","bid":"b","method":"flighttask_progress","need_reply":1,"data":{}}"#;
        for _ in 0..2 {
            let topic = "thing/product/SIMDOCK1/events";
            let message = Publish { retain: true, ..publish(topic, event, QoS::AtLeastOnce, 3) };
            dock.send(&Packet::Publish(message)).await;
            dock.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
            assert_eq!(dock.receive().await.topic, "thing/product/SIMDOCK1/events_reply");
        }
    }
}

#[tokio::test]
async fn the_limits_are_told_where_there_is_a_code_and_never_cost_a_message() {
    let broker = TestBroker::start_with(|config| config.limits.retained_messages = 1).await;
    let mut live = broker.connect(Version::V5, "live").await;
    live.subscribe("#", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    retain(&mut sender, "a", b"1", QoS::AtLeastOnce).await;
    retain(&mut sender, "a", b"2", QoS::AtLeastOnce).await;
    // The room is asked for before the message is on its way: it must have arrived.
    assert_eq!(live.receive_payloads(2).await, ["1", "2"]);
    let message = Publish { retain: true, ..publish("b", b"3", QoS::AtLeastOnce, 5) };
    sender.send(&Packet::Publish(message)).await;
    sender.expect(Packet::Puback(Ack::new(id(5), ReasonCode::QuotaExceeded))).await;
    let mut old = broker.connect(Version::V311, "old").await;
    retain(&mut old, "b", b"4", QoS::AtLeastOnce).await;
    retain(&mut sender, "b", b"5", QoS::AtMostOnce).await;
    assert_eq!(live.receive_payloads(2).await, ["4", "5"]);
    let mut late = broker.connect(Version::V5, "late").await;
    late.subscribe("#", at(QoS::AtLeastOnce)).await;
    assert_eq!(late.receive_payloads(1).await, ["2"]);
    late.expect_nothing().await;
}

#[tokio::test]
async fn without_room_for_any_connack_says_so() {
    let broker = TestBroker::start_with(|config| config.limits.retained_messages = 0).await;
    let mut peer = broker.socket(Version::V5).await;
    peer.send(&Packet::Connect(Box::new(connect(Version::V5, "a")))).await;
    let bytes = peer.packet().await;
    let Packet::Connack(connack) = crate::peer::read(&bytes, Version::V5) else { panic!() };
    assert_eq!(connack.properties.number(PropertyId::RetainAvailable), Some(0));
    let message = Publish { retain: true, ..publish("t", b"x", QoS::AtMostOnce, 0) };
    peer.send(&Packet::Publish(message)).await;
    peer.expect_ended(ReasonCode::RetainNotSupported).await;
    // 3.1.1 has no code: the message goes to its subscribers.
    let mut old = broker.connect(Version::V311, "b").await;
    old.subscribe("t", at(QoS::AtMostOnce)).await;
    let properties = Properties::EMPTY;
    let message = Publish { retain: true, properties, ..publish("t", b"x", QoS::AtMostOnce, 0) };
    old.send(&Packet::Publish(message)).await;
    assert_eq!(old.receive().await.payload, b"x");
}
