//! How long sessions and their messages last (MQTT 5.0 sections 3.1.2.11.2, 3.3.2.3.3).

use dockside_mqtt::packet::{Ack, Connect, Disconnect, Packet};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{TestBroker, at, connect, id};
use crate::sessions::leave;

/// [MQTT-4.1.0-2] [MQTT-3.1.2-23]
#[tokio::test]
async fn a_session_expires_and_takes_its_messages_with_it() {
    let broker = TestBroker::start().await;
    for (asked, passed, expected) in [(60, 59, true), (60, 61, false), (u32::MAX, 1 << 20, false)] {
        let (mut peer, _) = broker.session(Version::V5, "a", asked).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        leave(peer).await;
        broker.pass(passed);
        let (peer, present) = broker.session(Version::V5, "a", 0).await;
        assert_eq!(present, expected, "{passed} s of {asked}");
        leave(peer).await;
    }
    // Without clean session 3.1.1 has no end but the broker's: a week.
    for (passed, expected) in [(604_700, true), (604_900, false)] {
        let (peer, _) = broker.session(Version::V311, "b", 0).await;
        leave(peer).await;
        broker.pass(passed);
        let (peer, present) = broker.session(Version::V311, "b", 0).await;
        assert_eq!(present, expected);
        leave(peer).await;
        broker.connect(Version::V311, "b").await;
    }
}

/// [MQTT-3.14.2-2] is about servers; a client may change the expiry with its DISCONNECT (section
/// 3.14.2.2.2), but not from 0.
#[tokio::test]
async fn the_expiry_can_change_at_disconnect() {
    let broker = TestBroker::start().await;
    let goodbye = |seconds| {
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, seconds);
        list
    };
    for (asked, then, expected) in [(60, 0, false), (60, 600, true)] {
        let (mut peer, _) = broker.session(Version::V5, "a", asked).await;
        let list = goodbye(then);
        let properties = list.as_properties();
        let reason = ReasonCode::Success;
        peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
        peer.expect_closed().await;
        broker.pass(300);
        let (peer, present) = broker.session(Version::V5, "a", 0).await;
        assert_eq!(present, expected, "{asked} s, then {then} s");
        leave(peer).await;
    }
    let mut peer = broker.connect(Version::V5, "a").await;
    let list = goodbye(60);
    let properties = list.as_properties();
    let reason = ReasonCode::Success;
    peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
    peer.expect_ended(ReasonCode::ProtocolError).await;
}

/// What the broker grants is what CONNACK says.
#[tokio::test]
async fn a_longer_expiry_than_is_kept_is_told() {
    let broker = TestBroker::start_with(|config| config.limits.session_expiry_s = 100).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, 101);
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "a") };
    let mut peer = broker.socket(Version::V5).await;
    peer.send(&Packet::Connect(Box::new(asks))).await;
    let bytes = peer.packet().await;
    let Packet::Connack(connack) = crate::peer::read(&bytes, Version::V5) else { panic!() };
    assert_eq!(connack.properties.number(PropertyId::SessionExpiryInterval), Some(100));
}

/// [MQTT-4.3.3-7] [MQTT-4.3.3-13]: a delivery that has begun does not expire.
#[tokio::test]
async fn what_was_sent_before_it_expired_is_sent_again() {
    let broker = TestBroker::start().await;
    let (mut peer, _) = broker.session(Version::V5, "a", 600).await;
    peer.subscribe("t", at(QoS::ExactlyOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut list = PropertyList::new();
    list.number(PropertyId::MessageExpiryInterval, 10);
    let publish = crate::peer::publish("t", b"x", QoS::ExactlyOnce, 1);
    let properties = list.as_properties();
    sender.send(&Packet::Publish(dockside_mqtt::packet::Publish { properties, ..publish })).await;
    sender.expect(Packet::Pubrec(Ack::new(id(1), ReasonCode::Success))).await;
    let first = peer.receive_only().await;
    peer.vanish();
    broker.pass(60);
    let (mut peer, _) = broker.session(Version::V5, "a", 600).await;
    let again = peer.receive().await;
    assert_eq!((again.dup, again.packet_id, again.payload), (true, first.packet_id, first.payload));
    peer.expect_nothing().await;
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] for messages that wait.
#[tokio::test]
async fn messages_that_wait_expire_or_say_how_long_they_have_left() {
    let broker = TestBroker::start().await;
    let (mut peer, _) = broker.session(Version::V5, "a", 600).await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    leave(peer).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for (payload, seconds) in [(b"short", 10), (b"longs", 100)] {
        let mut list = PropertyList::new();
        list.number(PropertyId::MessageExpiryInterval, seconds);
        let publish = crate::peer::publish("t", payload, QoS::AtLeastOnce, 1);
        let properties = list.as_properties();
        sender
            .send(&Packet::Publish(dockside_mqtt::packet::Publish { properties, ..publish }))
            .await;
        sender.expect(Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
    }
    broker.pass(40);
    let (mut peer, _) = broker.session(Version::V5, "a", 600).await;
    let received = peer.receive().await;
    assert_eq!(received.payload, b"longs");
    let left = u32::from_be_bytes(received.properties[1..5].try_into().unwrap());
    assert!((50..=60).contains(&left), "{left}");
    peer.expect_nothing().await;
}
