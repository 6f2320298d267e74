//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 sections 3.8 to 3.11, 4.7).

use dockside_broker::config::LiveLog;
use dockside_mqtt::packet::{Ack, Codes, Packet, SubscriptionOptions, Unsubscribe};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{TestBroker, VERSIONS, at, id};
use crate::retained::retain;

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
#[tokio::test]
async fn every_filter_gets_its_code_in_order() {
    let broker = TestBroker::start().await;
    let filters = [
        ("a", at(QoS::AtMostOnce)),
        ("a/#/b", at(QoS::AtLeastOnce)),
        ("+/b", at(QoS::AtLeastOnce)),
        ("$share/g/a", at(QoS::AtLeastOnce)),
        ("#", at(QoS::ExactlyOnce)),
    ];
    let mut peer = broker.connect(Version::V5, "a").await;
    let reasons = peer.subscribe_all(&filters, Properties::EMPTY).await;
    use ReasonCode as R;
    assert_eq!(
        reasons,
        [R::Success, R::TopicFilterInvalid, R::GrantedQos1, R::GrantedQos1, R::GrantedQos2]
    );
    let mut peer = broker.connect(Version::V311, "b").await;
    let reasons = peer.subscribe_all(&filters, Properties::EMPTY).await;
    let failed = R::UnspecifiedError;
    assert_eq!(reasons, [R::Success, failed, R::GrantedQos1, R::GrantedQos1, R::GrantedQos2]);
}

/// Which takes many turns, and where something is retained waits for its share of the way again and again: each filter
/// looks at it.
#[tokio::test]
async fn a_long_packet_is_answered_whole_and_what_is_behind_it_waits() {
    for (live_log, retained) in
        [(LiveLog::default(), 0), (LiveLog::default(), 100), (LiveLog::smallest(), 100)]
    {
        let broker = TestBroker::start_with(|config| config.live_log = live_log).await;
        long_packet(&broker, retained).await;
    }
}

async fn long_packet(broker: &TestBroker, retained: usize) {
    let mut sender = broker.connect(Version::V5, "s").await;
    for n in 0..retained {
        retain(&mut sender, &format!("r/{n}"), b"x", QoS::AtLeastOnce).await;
    }
    let filters: Vec<_> = (0..1_000).map(|n| format!("{n}/{}", ["x", "+", "#/x"][n % 3])).collect();
    let packet = Packet::Subscribe(dockside_mqtt::packet::Subscribe {
        packet_id: id(7),
        properties: Properties::EMPTY,
        filters: filters.iter().map(|filter| (filter.as_str(), at(QoS::AtLeastOnce))).collect(),
    });
    use ReasonCode as R;
    for version in VERSIONS {
        let invalid =
            if version == Version::V5 { R::TopicFilterInvalid } else { R::UnspecifiedError };
        let reasons = [R::GrantedQos1, R::GrantedQos1, invalid].into_iter().cycle();
        let reasons = reasons.take(filters.len()).collect();
        let mut peer = broker.connect(version, "a").await;
        let mut bytes = Vec::new();
        dockside_mqtt::codec::encode(&mut bytes, &packet, version);
        dockside_mqtt::codec::encode(&mut bytes, &Packet::Pingreq, version);
        peer.send_bytes(&bytes).await;
        let (packet_id, properties) = (id(7), Properties::EMPTY);
        peer.expect(Packet::Suback(Codes { packet_id, properties, reasons })).await;
        peer.expect(Packet::Pingresp).await;
        sender.publish("999/x", b"1", QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.topic, "999/x");
    }
}

#[tokio::test]
async fn the_limit_of_subscriptions_is_told() {
    let broker = TestBroker::start_with(|config| config.limits.subscriptions = 2).await;
    let mut peer = broker.connect(Version::V5, "a").await;
    let qos = at(QoS::AtMostOnce);
    let reasons = peer.subscribe_all(&[("a", qos), ("b", qos)], Properties::EMPTY).await;
    assert_eq!(reasons, [ReasonCode::Success; 2]);
    let reasons = peer.subscribe_all(&[("c", qos), ("a", qos)], Properties::EMPTY).await;
    assert_eq!(reasons, [ReasonCode::QuotaExceeded, ReasonCode::Success]);
    // More in one packet than could ever be granted is not looked at.
    peer.send(&Packet::Subscribe(dockside_mqtt::packet::Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        filters: vec![("a", qos); 3],
    }))
    .await;
    peer.expect_ended(ReasonCode::QuotaExceeded).await;
}

/// [MQTT-4.7.2-1] [MQTT-3.3.2-3]
#[tokio::test]
async fn wildcards_do_not_match_topics_of_the_server() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        peer.subscribe("#", at(QoS::AtMostOnce)).await;
        peer.subscribe("+/x", at(QoS::AtMostOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        sender.publish("$own/x", b"hidden", QoS::AtLeastOnce).await;
        sender.publish("日本/x", b"seen", QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.payload, b"seen");
        peer.expect_nothing().await;
    }
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4]
#[tokio::test]
async fn overlapping_subscriptions_are_one_delivery_with_all_identifiers() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    for (filter, qos, id) in [("a/#", QoS::AtMostOnce, 7), ("a/+", QoS::AtLeastOnce, 300)] {
        let mut list = PropertyList::new();
        list.number(PropertyId::SubscriptionIdentifier, id);
        peer.subscribe_all(&[(filter, at(qos))], list.as_properties()).await;
    }
    let mut sender = broker.connect(Version::V311, "s").await;
    sender.publish("a/b", b"x", QoS::ExactlyOnce).await;
    let received = peer.receive().await;
    assert_eq!((received.qos, received.subscription_ids), (QoS::AtLeastOnce, vec![7, 300]));
    peer.expect_nothing().await;
}

/// [MQTT-3.8.3-3]
#[tokio::test]
async fn no_local_keeps_a_clients_own_messages_from_it() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    let no_local = SubscriptionOptions { no_local: true, ..at(QoS::AtLeastOnce) };
    peer.subscribe("t", no_local).await;
    peer.publish("t", b"own", QoS::AtLeastOnce).await;
    peer.publish("t", b"own", QoS::AtMostOnce).await;
    let mut other = broker.connect(Version::V5, "b").await;
    other.publish("t", b"other's", QoS::AtLeastOnce).await;
    assert_eq!(peer.receive().await.payload, b"other's");
    peer.expect_nothing().await;
}

/// [MQTT-3.8.4-3]
#[tokio::test]
async fn a_second_subscription_to_a_filter_replaces_the_first() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        peer.subscribe("t", at(QoS::ExactlyOnce)).await;
        peer.subscribe("t", at(QoS::AtMostOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        sender.publish("t", b"x", QoS::ExactlyOnce).await;
        assert_eq!(peer.receive().await.qos, QoS::AtMostOnce);
        peer.expect_nothing().await;
    }
}

/// [MQTT-2.2.1-6] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1]
/// [MQTT-3.11.3-2]
#[tokio::test]
async fn one_unsuback_with_a_code_a_filter() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        peer.subscribe("t", at(QoS::AtMostOnce)).await;
        peer.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: id(4),
            properties: Properties::EMPTY,
            filters: vec!["t", "never", "a#"],
        }))
        .await;
        peer.expect(Packet::Unsuback(Codes {
            packet_id: id(4),
            properties: Properties::EMPTY,
            reasons: vec![
                ReasonCode::Success,
                ReasonCode::NoSubscriptionExisted,
                ReasonCode::TopicFilterInvalid,
            ],
        }))
        .await;
        peer.publish("t", b"x", QoS::AtLeastOnce).await;
        peer.expect_nothing().await;
    }
}

/// [MQTT-3.10.4-3]
#[tokio::test]
async fn a_delivery_that_has_begun_goes_on_after_an_unsubscribe() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        peer.subscribe("t", at(QoS::ExactlyOnce)).await;
        peer.publish("t", b"x", QoS::AtMostOnce).await;
        peer.receive().await;
        let mut sender = broker.connect(version, "s").await;
        sender.publish("t", b"y", QoS::ExactlyOnce).await;
        let begun = peer.receive_only().await;
        let properties = Properties::EMPTY;
        let packet_id = id(4);
        peer.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters: vec!["t"] }))
            .await;
        let reasons = vec![ReasonCode::Success];
        peer.expect(Packet::Unsuback(Codes { packet_id, properties, reasons })).await;
        let ack = Ack::new(begun.packet_id.unwrap(), ReasonCode::Success);
        peer.send(&Packet::Pubrec(ack)).await;
        peer.expect(Packet::Pubrel(ack)).await;
        peer.send(&Packet::Pubcomp(ack)).await;
        peer.expect_nothing().await;
    }
}

/// What is published after a SUBACK is delivered, at once: no matter which lane it takes.
#[tokio::test]
async fn a_subscription_holds_from_its_suback_on() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V311, "a").await;
    for n in 0..200 {
        let topic = format!("t/{n}");
        peer.subscribe(&topic, at(QoS::AtLeastOnce)).await;
        peer.publish(&topic, b"0", QoS::AtMostOnce).await;
        assert_eq!(peer.receive().await.topic, topic);
    }
}

/// A SUBSCRIBE is done before the packet behind it is looked at, whatever lane that takes.
#[tokio::test]
async fn a_publish_right_behind_a_subscribe_finds_the_subscription() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V311, "a").await;
    for n in 0..200u8 {
        // SUBSCRIBE to t/<n>, then PUBLISH there with QoS 0, in one segment.
        let topic = [b't', b'/', b'0' + n / 100, b'0' + n / 10 % 10, b'0' + n % 10];
        let subscribe = [b"\x82\x0a\0\x09\0\x05" as &[u8], &topic, b"\0"].concat();
        let publish = [b"\x30\x08\0\x05" as &[u8], &topic, b"x"].concat();
        peer.send_bytes(&[subscribe, publish].concat()).await;
        peer.expect(Packet::Suback(Codes {
            packet_id: id(9),
            properties: Properties::EMPTY,
            reasons: vec![ReasonCode::Success],
        }))
        .await;
        assert_eq!(peer.receive().await.topic.as_bytes(), topic);
    }
}
