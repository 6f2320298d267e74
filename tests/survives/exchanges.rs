//! Exchanges in odd orders, and silence: nothing lost, nothing twice, nothing for ever.

use dockside_mqtt::packet::{Ack, Connect, Packet, Publish, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};

use super::{QUALITIES, serves};
use crate::peer::{TestBroker, VERSIONS, at, connect, id, publish};
use crate::retained::retain;
use crate::sessions::leave;

fn ok(packet_id: u16) -> Ack<'static> {
    Ack::new(id(packet_id), ReasonCode::Success)
}

/// [MQTT-4.3.3-10] [MQTT-4.3.3-12]: a release is that of its identifier, whatever else is under way.
#[tokio::test]
async fn qos_2_messages_are_released_in_any_order() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut reader = broker.connect(version, "reader").await;
        reader.subscribe("t", at(QoS::ExactlyOnce)).await;
        let mut sender = broker.connect(version, "sender").await;
        let message = |payload, packet_id| publish("t", payload, QoS::ExactlyOnce, packet_id);
        let again = Publish { dup: true, ..message(b"1", 1) };
        for packet in [message(b"1", 1), message(b"2", 2), again, message(b"3", 3), again] {
            sender.send(&Packet::Publish(packet)).await;
            sender.expect(Packet::Pubrec(ok(packet.packet_id.unwrap().get()))).await;
        }
        for packet_id in [3, 1] {
            sender.send(&Packet::Pubrel(ok(packet_id))).await;
            sender.expect(Packet::Pubcomp(ok(packet_id))).await;
        }
        // Released: another message. Not released: the same.
        for (packet, released) in [(message(b"4", 1), true), (message(b"5", 2), false)] {
            sender.send(&Packet::Publish(packet)).await;
            sender.expect(Packet::Pubrec(ok(if released { 1 } else { 2 }))).await;
        }
        sender.publish("t", b"6", QoS::ExactlyOnce).await;
        assert_eq!(reader.receive_payloads(5).await, ["1", "2", "3", "4", "6"]);
        reader.expect_nothing().await;
    }
}

/// [MQTT-4.3.3-10]: an identifier is remembered, not its message; the receive maximum of 5.0 bounds even that.
#[tokio::test]
async fn qos_2_messages_that_are_never_released_are_delivered_once() {
    const COUNT: u16 = 1_000;
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut reader = broker.connect(version, "reader").await;
        reader.subscribe("t", at(QoS::AtMostOnce)).await;
        let mut sender = broker.connect(version, "sender").await;
        for dup in [false, true] {
            for n in 1..=COUNT {
                let payload = [n.to_be_bytes(); 500].concat();
                let message = publish("t", &payload, QoS::ExactlyOnce, n);
                sender.send(&Packet::Publish(Publish { dup, ..message })).await;
                sender.expect(Packet::Pubrec(ok(n))).await;
            }
        }
        for n in 1..=COUNT {
            assert_eq!(reader.receive().await.payload, [n.to_be_bytes(); 500].concat());
        }
        reader.expect_nothing().await;
        for n in (1..=COUNT).rev() {
            sender.send(&Packet::Pubrel(ok(n))).await;
            sender.expect(Packet::Pubcomp(ok(n))).await;
        }
        sender.publish("t", b"next", QoS::ExactlyOnce).await;
        assert_eq!(reader.receive().await.payload, b"next");
    }
}

/// [MQTT-4.4.0-1] [MQTT-2.2.1-5]: what was not acknowledged comes again, in its order; acknowledgements of
/// nothing cost nothing.
#[tokio::test]
async fn acknowledgements_out_of_order_cost_a_kept_session_no_message() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut peer, _) = broker.session(version, "a", 60).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        let mut received = Vec::new();
        for n in 0..5u8 {
            sender.publish("t", &[n], QoS::AtLeastOnce).await;
            received.push(peer.receive_only().await);
        }
        for n in [3, 1] {
            peer.acknowledge(&received[n]).await;
        }
        peer.send(&Packet::Puback(ok(60_000))).await;
        peer.send(&Packet::Pubcomp(ok(60_000))).await;
        let unknown = || Ack::new(id(60_000), ReasonCode::PacketIdentifierNotFound);
        peer.send(&Packet::Pubrec(ok(60_000))).await;
        peer.expect(Packet::Pubrel(unknown())).await;
        peer.send(&Packet::Pubrel(ok(60_000))).await;
        peer.expect(Packet::Pubcomp(unknown())).await;
        leave(peer).await;
        sender.publish("t", &[5], QoS::AtLeastOnce).await;
        let (mut peer, present) = broker.session(version, "a", 60).await;
        assert!(present);
        for n in [0, 2, 4] {
            let again = peer.receive().await;
            assert!(again.dup);
            assert_eq!((again.packet_id, again.payload), (received[n].packet_id, vec![n as u8]));
        }
        let new = peer.receive().await;
        assert_eq!((new.dup, new.payload), (false, vec![5]));
        peer.expect_nothing().await;
        broker.connect(version, "a").await;
    }
}

/// Section 3.3.1.3: only an empty message that asks to be retained clears.
#[tokio::test]
async fn an_empty_message_without_the_flag_clears_nothing_retained() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut sender = broker.connect(version, "s").await;
        retain(&mut sender, "t", b"kept", QoS::AtLeastOnce).await;
        for qos in QUALITIES {
            sender.publish("t", b"", qos).await;
            sender.fence().await;
            let mut late = broker.connect(version, "late").await;
            late.subscribe("t", at(QoS::AtLeastOnce)).await;
            let received = late.receive().await;
            assert_eq!((received.retain, &*received.payload), (true, &b"kept"[..]));
            late.expect_nothing().await;
        }
    }
}

/// Section 3.1.2.10: 0 turns the keep alive off, and is no reason to refuse anybody.
#[tokio::test]
async fn a_keep_alive_of_0_ends_no_connection() {
    let broker = TestBroker::start().await;
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut silent = broker.connect(version, "silent").await;
        let asks = Connect { keep_alive: u16::MAX, ..connect(version, "other") };
        let (mut other, _) = broker.enter(asks).await;
        broker.pass(65_535 * 3 / 2 + 2);
        other.expect_ended(ReasonCode::KeepAliveTimeout).await;
        silent.expect_nothing().await;
    }
}

/// [MQTT-3.1.2-22]: what counts is what the client sends, not what it gets.
#[tokio::test]
async fn messages_do_not_keep_a_silent_client_alive() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut sender = broker.connect(version, "sender").await;
        let (mut peer, _) =
            broker.enter(Connect { keep_alive: 60, ..connect(version, "silent") }).await;
        peer.subscribe("t", at(QoS::AtMostOnce)).await;
        for _ in 0..4 {
            broker.pass(22);
            sender.publish("t", b"x", QoS::AtLeastOnce).await;
            assert_eq!(peer.receive().await.payload, b"x");
        }
        broker.pass(3);
        peer.expect_ended(ReasonCode::KeepAliveTimeout).await;
    }
}

/// [MQTT-3.1.2-22]: however much waits for it, its connection ends, and its will says so.
#[tokio::test]
async fn a_client_that_neither_reads_nor_speaks_ends_with_its_keep_alive() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut watcher = broker.connect(version, "watcher").await;
        watcher.subscribe("will", at(QoS::AtLeastOnce)).await;
        let (qos, properties) = (QoS::AtLeastOnce, Properties::EMPTY);
        let will = Will { qos, retain: false, topic: "will", payload: b"gone", properties };
        let asks = Connect { keep_alive: 60, will: Some(will), ..connect(version, "stuck") };
        let (mut stuck, _) = broker.enter(asks).await;
        stuck.subscribe("w", at(QoS::AtMostOnce)).await;
        let mut sender = broker.connect(version, "sender").await;
        // More than the sockets take.
        let large = vec![0; 1_000_000];
        for _ in 0..20 {
            sender.publish("w", &large, QoS::AtLeastOnce).await;
        }
        watcher.expect_nothing().await;
        broker.pass(91);
        assert_eq!(watcher.receive().await.payload, b"gone");
        serves(&broker, "stuck").await;
        stuck.vanish();
    }
}
