//! CONNECT, CONNACK, keep alive, takeover, wills (MQTT 5.0 sections 3.1, 3.2, 3.14).

use dockside_mqtt::packet::{Connect, Disconnect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{TestBroker, VERSIONS, at, connect, read};

/// [MQTT-3.1.2-2] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.1.4-5]
#[tokio::test]
async fn every_version_is_let_in_on_one_port() {
    let broker = TestBroker::start().await;
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut peer = broker.connect(version, "a").await;
        peer.expect_nothing().await;
    }
    broker.stop().await;
}

/// [MQTT-3.1.2-2]
#[tokio::test]
async fn a_later_version_is_told_so() {
    let broker = TestBroker::start().await;
    let mut peer = broker.socket(Version::V5).await;
    peer.send_bytes(b"\x10\x0d\0\x04MQTT\x06\x02\0\x3c\0\x01c").await;
    assert_eq!(peer.packet().await, b"\x20\x03\0\x84\0");
    peer.expect_closed().await;
    let mut peer = broker.socket(Version::V311).await;
    peer.send_bytes(b"\x10\x0d\0\x04MQTT\x03\x02\0\x3c\0\x01c").await;
    assert_eq!(peer.packet().await, b"\x20\x02\0\x01");
    peer.expect_closed().await;
}

/// [MQTT-3.1.0-1] [MQTT-3.1.2-1] [MQTT-3.1.2-3] [MQTT-3.1.4-1]
#[tokio::test]
async fn what_is_no_connect_is_closed_without_a_word() {
    let broker = TestBroker::start().await;
    for bytes in [b"\xc0\0" as &[u8], b"GET / HTTP/1.1\r\n\r\n", b"\x30\x03\0\x01a"] {
        let mut peer = broker.socket(Version::V311).await;
        peer.send_bytes(bytes).await;
        peer.expect_closed().await;
    }
    // A broken CONNECT: only 5.0 has a code for it.
    let mut peer = broker.socket(Version::V5).await;
    peer.send_bytes(b"\x10\x0e\0\x04MQTT\x05\x03\0\x3c\0\0\x01c").await;
    assert_eq!(peer.packet().await, b"\x20\x03\0\x81\0");
    peer.expect_closed().await;
    let mut peer = broker.socket(Version::V311).await;
    peer.send_bytes(b"\x10\x0d\0\x04MQTT\x04\x03\0\x3c\0\x01c").await;
    peer.expect_closed().await;
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.2.2-16]
///
/// [MQTT-3.1.3-8] of 3.1.1, [MQTT-3.1.3-6] of 5.0
#[tokio::test]
async fn an_empty_client_identifier_is_assigned_or_refused() {
    let broker = TestBroker::start().await;
    let mut peer = broker.socket(Version::V5).await;
    peer.send(&Packet::Connect(Box::new(connect(Version::V5, "")))).await;
    let bytes = peer.packet().await;
    let Packet::Connack(connack) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
    assert!(connack.properties.text(PropertyId::AssignedClientIdentifier).is_some());

    let mut peer = broker.socket(Version::V311).await;
    assert_eq!(peer.connect(connect(Version::V311, "")).await, ReasonCode::Success);
    let mut peer = broker.socket(Version::V311).await;
    let kept = Connect { clean_start: false, ..connect(Version::V311, "") };
    assert_eq!(peer.connect(kept).await, ReasonCode::ClientIdentifierNotValid);
    peer.expect_closed().await;
    // 3.1 has no empty one.
    let mut peer = broker.socket(Version::V31).await;
    assert_eq!(peer.connect(connect(Version::V31, "")).await, ReasonCode::ClientIdentifierNotValid);
    peer.expect_closed().await;
}

/// [MQTT-3.1.2-28] [MQTT-3.2.2-8]
#[tokio::test]
async fn connack_says_what_is_granted() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, 60);
    let mut peer = broker.socket(Version::V5).await;
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "a") };
    peer.send(&Packet::Connect(Box::new(asks))).await;
    let bytes = peer.packet().await;
    let Packet::Connack(connack) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
    for (id, value) in [
        (PropertyId::ReceiveMaximum, 1_000),
        (PropertyId::MaximumPacketSize, 1 << 20),
        (PropertyId::TopicAliasMaximum, 16),
    ] {
        assert_eq!(connack.properties.number(id), Some(value), "{id:?}");
    }
    // What is granted as it was asked for, and what is offered anyway, is not said.
    for id in [
        PropertyId::SessionExpiryInterval,
        PropertyId::RetainAvailable,
        PropertyId::SharedSubscriptionAvailable,
        PropertyId::MaximumQos,
        PropertyId::ServerKeepAlive,
        PropertyId::AssignedClientIdentifier,
        PropertyId::ResponseInformation,
    ] {
        assert_eq!(connack.properties.number(id), None, "{id:?}");
    }
}

/// [MQTT-3.1.4-2] [MQTT-3.2.2-7]
#[tokio::test]
async fn enhanced_authentication_is_refused() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.text(PropertyId::AuthenticationMethod, "SCRAM");
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "a") };
    let mut peer = broker.socket(Version::V5).await;
    assert_eq!(peer.connect(asks).await, ReasonCode::BadAuthenticationMethod);
    peer.expect_closed().await;
}

/// [MQTT-3.2.2-6] [MQTT-3.2.2-7]
#[tokio::test]
async fn the_limit_of_connections_is_told_and_given_back() {
    let broker = TestBroker::start_with(|config| config.limits.connections = 1).await;
    for version in VERSIONS {
        let first = broker.connect(version, "a").await;
        let mut second = broker.socket(version).await;
        let refusal = second.connect(connect(version, "b")).await;
        let expected = match version {
            Version::V5 => ReasonCode::QuotaExceeded,
            _ => ReasonCode::ServerUnavailable,
        };
        assert_eq!(refusal, expected);
        first.vanish();
        // The slot comes back when the broker has noticed.
        loop {
            let mut again = broker.socket(version).await;
            if again.connect(connect(version, "c")).await == ReasonCode::Success {
                again.send(&disconnect(ReasonCode::Success)).await;
                again.expect_closed().await;
                break;
            }
        }
    }
}

/// A dock whose old connection is half open must get in again, whatever the limit says.
#[tokio::test]
async fn a_takeover_needs_no_place_of_its_own() {
    let broker = TestBroker::start_with(|config| config.limits.connections = 1).await;
    let mut first = broker.connect(Version::V5, "dock").await;
    let mut second = broker.connect(Version::V5, "dock").await;
    first.expect_ended(ReasonCode::SessionTakenOver).await;
    second.ping().await;
}

/// [MQTT-3.2.2-13]
///
/// A will needs the same permit as a publish, and is refused at CONNECT.
#[tokio::test]
async fn a_will_where_the_client_may_not_publish_is_refused() {
    let broker = TestBroker::start_with(|config| config.limits.retained_messages = 0).await;
    let properties = Properties::EMPTY;
    let will =
        |topic, retain| Will { qos: QoS::AtMostOnce, retain, topic, payload: b"", properties };
    let levels = "/".repeat(200);
    for (will, reason) in [
        (will("$SYS/fake", false), ReasonCode::NotAuthorized),
        (will("a/#", false), ReasonCode::TopicNameInvalid),
        (will(&levels, false), ReasonCode::TopicNameInvalid),
        (will("t", true), ReasonCode::RetainNotSupported),
    ] {
        let mut peer = broker.socket(Version::V5).await;
        let asks = Connect { will: Some(will), ..connect(Version::V5, "a") };
        assert_eq!(peer.connect(asks).await, reason);
        peer.expect_closed().await;
    }
}

fn disconnect(reason: ReasonCode) -> Packet<'static> {
    Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY })
}

/// [MQTT-3.1.0-2]
#[tokio::test]
async fn a_second_connect_is_a_protocol_error() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        peer.send(&Packet::Connect(Box::new(connect(version, "a")))).await;
        peer.expect_ended(ReasonCode::ProtocolError).await;
    }
}

/// [MQTT-3.1.4-3]
#[tokio::test]
async fn the_newest_connection_takes_the_session_over() {
    let broker = TestBroker::start().await;
    for old in VERSIONS {
        for new in VERSIONS {
            let mut first = broker.connect(old, "dock").await;
            first.subscribe("t", at(QoS::AtLeastOnce)).await;
            let mut second = broker.connect(new, "dock").await;
            first.expect_ended(ReasonCode::SessionTakenOver).await;
            // The subscription went with the old session.
            second.publish("t", b"x", QoS::AtLeastOnce).await;
            second.expect_nothing().await;
        }
    }
}

/// [MQTT-3.14.0-1]: each hears that it was let in before it hears that another one took over.
#[tokio::test]
async fn a_storm_of_takeovers_ends_with_one_owner() {
    let broker = TestBroker::start().await;
    let mut storm = Vec::new();
    for _ in 0..200 {
        let mut peer = broker.socket(Version::V5).await;
        storm.push(tokio::spawn(async move {
            assert_eq!(peer.connect(connect(Version::V5, "same")).await, ReasonCode::Success);
            peer
        }));
    }
    for peer in storm {
        peer.await.unwrap();
    }
    let mut last = broker.connect(Version::V5, "same").await;
    last.expect_nothing().await;
}

/// [MQTT-3.1.2-22]
#[tokio::test]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let began = tokio::time::Instant::now();
        let mut peer = broker.socket(version).await;
        let asks = Connect { keep_alive: 1, ..connect(version, "a") };
        assert_eq!(peer.connect(asks).await, ReasonCode::Success);
        peer.expect_ended(ReasonCode::KeepAliveTimeout).await;
        assert!(began.elapsed() >= std::time::Duration::from_millis(1_500));
    }
}

/// [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3]
#[tokio::test]
async fn a_will_is_published_at_every_abnormal_end_and_never_after_disconnect() {
    let broker = TestBroker::start().await;
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "will",
        payload: b"gone",
        properties: Properties::EMPTY,
    };
    for version in VERSIONS {
        let mut watcher = broker.connect(version, "watcher").await;
        watcher.subscribe("will", at(QoS::ExactlyOnce)).await;
        let with_will = || Connect { will: Some(will), ..connect(version, "dock") };

        let mut peer = broker.socket(version).await;
        peer.connect(with_will()).await;
        peer.vanish();
        let received = watcher.receive().await;
        assert_eq!((received.payload, received.qos), (b"gone".to_vec(), QoS::AtLeastOnce));

        let mut peer = broker.socket(version).await;
        peer.connect(with_will()).await;
        peer.send_bytes(b"\0\0").await;
        peer.expect_ended(ReasonCode::MalformedPacket).await;
        watcher.receive().await;

        let mut peer = broker.socket(version).await;
        peer.connect(with_will()).await;
        peer.send(&disconnect(ReasonCode::Success)).await;
        peer.expect_closed().await;
        watcher.expect_nothing().await;
    }
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("will", at(QoS::AtMostOnce)).await;
    let mut peer = broker.socket(Version::V5).await;
    peer.connect(Connect { will: Some(will), ..connect(Version::V5, "dock") }).await;
    peer.send(&disconnect(ReasonCode::DisconnectWithWill)).await;
    assert_eq!(watcher.receive().await.payload, b"gone");
}

/// [MQTT-3.14.2-1]: a client's DISCONNECT has the codes and properties of a client.
#[tokio::test]
async fn a_disconnect_that_only_a_server_sends_is_a_protocol_error() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.text(PropertyId::ServerReference, "elsewhere");
    for (reason, properties) in [
        (ReasonCode::ServerShuttingDown, Properties::EMPTY),
        (ReasonCode::SessionTakenOver, Properties::EMPTY),
        (ReasonCode::Success, list.as_properties()),
    ] {
        let mut peer = broker.connect(Version::V5, "a").await;
        peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
        peer.expect_ended(ReasonCode::ProtocolError).await;
    }
}

/// [MQTT-3.1.3-5] and beyond.
#[tokio::test]
async fn client_identifiers_of_any_length_are_taken() {
    let broker = TestBroker::start().await;
    for version in [Version::V31, Version::V311, Version::V5] {
        for length in [1, 23, 24, 1_000] {
            broker.connect(version, &"x".repeat(length)).await.ping().await;
        }
    }
}
