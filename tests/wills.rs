//! Wills: when they are published, and with what (MQTT 5.0 sections 3.1.2.5, 3.1.3.2).

use dockside_mqtt::packet::{Connect, Disconnect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{Peer, TestBroker, VERSIONS, at, connect};

fn delay(seconds: u32) -> PropertyList {
    let mut list = PropertyList::new();
    list.number(PropertyId::WillDelayInterval, seconds);
    list
}

fn expiry(seconds: u32) -> PropertyList {
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, seconds);
    list
}

fn will(properties: Properties<'_>) -> Option<Will<'_>> {
    let qos = QoS::AtLeastOnce;
    Some(Will { qos, retain: false, topic: "will", payload: b"gone", properties })
}

async fn watcher(broker: &TestBroker) -> Peer {
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("will", at(QoS::ExactlyOnce)).await;
    watcher
}

/// Connects with a will that waits `delay_seconds`, in a session that is kept `expiry_seconds`.
async fn mortal(broker: &TestBroker, delay_seconds: u32, expiry_seconds: u32) -> Peer {
    let (delay, expiry) = (delay(delay_seconds), expiry(expiry_seconds));
    let asks = Connect {
        clean_start: false,
        will: will(delay.as_properties()),
        properties: expiry.as_properties(),
        ..connect(Version::V5, "a")
    };
    broker.enter(asks).await.0
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.3-9]: the delay, or the end of the session if that is earlier.
#[tokio::test]
async fn a_will_waits_for_its_delay_or_the_end_of_the_session() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    for (delay_seconds, expiry_seconds, due) in [(60, 600, 60), (600, 60, 60), (0, 600, 0)] {
        mortal(&broker, delay_seconds, expiry_seconds).await.vanish();
        if due > 0 {
            // The broker has noticed the end once the session is asleep.
            asleep(&broker, expiry_seconds).await;
            broker.pass(due - 30);
            watcher.expect_nothing().await;
            broker.pass(31);
        }
        assert_eq!(watcher.receive().await.payload, b"gone");
        broker.pass(1_000);
        watcher.expect_nothing().await;
    }
}

/// The connection of "a" has ended: its next one would find the session. (It is not taken: the
/// CONNECT does not fit into the packets that it says it takes.)
async fn asleep(broker: &TestBroker, expiry_seconds: u32) {
    let mut list = expiry(expiry_seconds);
    list.number(PropertyId::MaximumPacketSize, 5);
    let properties = list.as_properties();
    let probe = Connect { clean_start: false, properties, ..connect(Version::V5, "a") };
    let mut peer = broker.socket(Version::V5).await;
    assert_eq!(peer.connect(probe).await, ReasonCode::PacketTooLarge);
}

/// [MQTT-3.1.3-9]
#[tokio::test]
async fn who_comes_back_in_time_is_not_mourned() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    mortal(&broker, 60, 600).await.vanish();
    let (mut peer, present) = broker.session(Version::V5, "a", 600).await;
    assert!(present);
    broker.pass(120);
    peer.ping().await;
    watcher.expect_nothing().await;
    // A clean start ends the session, and with it the waiting.
    peer.vanish();
    mortal(&broker, 60, 600).await.vanish();
    broker.connect(Version::V5, "a").await;
    assert_eq!(watcher.receive().await.payload, b"gone");
    watcher.expect_nothing().await;
}

/// It was due before the client was back, whoever noticed first.
#[tokio::test]
async fn who_comes_back_too_late_was_mourned() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    for _ in 0..20 {
        mortal(&broker, 60, 600).await.vanish();
        asleep(&broker, 600).await;
        broker.pass(61);
        let (mut peer, present) = broker.session(Version::V5, "a", 600).await;
        assert!(present);
        peer.ping().await;
        assert_eq!(watcher.receive().await.payload, b"gone");
    }
    watcher.expect_nothing().await;
}

/// A session that ends with its connection has nothing to wait for.
#[tokio::test]
async fn without_a_session_the_delay_does_not_count() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    mortal(&broker, 600, 0).await.vanish();
    assert_eq!(watcher.receive().await.payload, b"gone");
}

/// [MQTT-3.1.4-3]: the old connection has ended without DISCONNECT.
#[tokio::test]
async fn a_takeover_publishes_the_will_unless_it_waits() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    for version in VERSIONS {
        let asks = Connect { will: will(Properties::EMPTY), ..connect(version, "b") };
        let (mut first, _) = broker.enter(asks).await;
        let mut second = broker.connect(version, "b").await;
        first.expect_ended(ReasonCode::SessionTakenOver).await;
        assert_eq!(watcher.receive().await.payload, b"gone");
        second.ping().await;
        watcher.expect_nothing().await;
    }
    let mut first = mortal(&broker, 60, 600).await;
    let (mut second, _) = broker.session(Version::V5, "a", 600).await;
    first.expect_ended(ReasonCode::SessionTakenOver).await;
    second.ping().await;
    watcher.expect_nothing().await;
}

/// [MQTT-3.14.4-3] [MQTT-3.1.2-10]; 0x04 asks for it.
#[tokio::test]
async fn disconnect_decides_about_the_will() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    for (reason, published) in
        [(ReasonCode::Success, false), (ReasonCode::DisconnectWithWill, true)]
    {
        let mut peer = mortal(&broker, 0, 600).await;
        let properties = Properties::EMPTY;
        peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
        peer.expect_closed().await;
        if published {
            assert_eq!(watcher.receive().await.payload, b"gone");
        }
        broker.pass(1_000);
        watcher.expect_nothing().await;
    }
}

/// [MQTT-3.1.2-22]: silence is an abnormal end.
#[tokio::test]
async fn a_silent_client_is_ended_after_one_and_a_half_keep_alives_and_its_will_published() {
    let broker = TestBroker::start().await;
    let mut watcher = watcher(&broker).await;
    for version in VERSIONS {
        let asks =
            Connect { keep_alive: 60, will: will(Properties::EMPTY), ..connect(version, "b") };
        let (mut peer, _) = broker.enter(asks).await;
        broker.pass(85);
        peer.ping().await;
        broker.pass(85);
        watcher.expect_nothing().await;
        broker.pass(6);
        peer.expect_ended(ReasonCode::KeepAliveTimeout).await;
        assert_eq!(watcher.receive().await.payload, b"gone");
    }
}

/// [MQTT-3.1.2-9] [MQTT-3.1.2-15] [MQTT-3.1.3-10]: retained, with its own properties in their order.
#[tokio::test]
async fn a_will_carries_its_properties_and_can_be_retained() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.text(PropertyId::ContentType, "text/plain")
        .number(PropertyId::WillDelayInterval, 0)
        .number(PropertyId::PayloadFormatIndicator, 1)
        .text(PropertyId::ResponseTopic, "answers");
    let qos = QoS::AtLeastOnce;
    let properties = list.as_properties();
    let will = Will { qos, retain: true, topic: "will", payload: b"gone", properties };
    let asks = Connect { will: Some(will), ..connect(Version::V5, "a") };
    let (peer, _) = broker.enter(asks).await;
    let mut live = watcher(&broker).await;
    peer.vanish();
    let mut expected = PropertyList::new();
    expected
        .text(PropertyId::ContentType, "text/plain")
        .number(PropertyId::PayloadFormatIndicator, 1)
        .text(PropertyId::ResponseTopic, "answers");
    let expected = expected.as_properties().raw().to_vec();
    let received = live.receive().await;
    assert_eq!((received.retain, received.properties), (false, expected.clone()));
    live.vanish();
    let mut late = watcher(&broker).await;
    let received = late.receive().await;
    assert_eq!((received.retain, received.properties), (true, expected));
}

/// [MQTT-3.1.2-14]
#[tokio::test]
async fn a_will_without_the_flag_is_not_retained() {
    let broker = TestBroker::start().await;
    let mut live = watcher(&broker).await;
    mortal(&broker, 0, 0).await.vanish();
    assert_eq!(live.receive().await.payload, b"gone");
    live.vanish();
    watcher(&broker).await.expect_nothing().await;
}
