//! Broken and hostile clients: their connection ends, nobody else notices.

use dockside_broker::config::LiveLog;
use dockside_mqtt::packet::Packet;
use dockside_mqtt::{QoS, Version, codec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::peer::{Peer, TestBroker, VERSIONS, at, connect, publish};

/// Good packets, to be damaged.
fn packets(version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    for packet in [
        Packet::Connect(Box::new(connect(version, "hostile"))),
        Packet::Publish(publish("thing/product/X/events", b"{\"tid\":1}", QoS::AtLeastOnce, 1)),
        Packet::Publish(publish("a/b", b"x", QoS::ExactlyOnce, 2)),
        Packet::Pingreq,
    ] {
        codec::encode(&mut out, &packet, version);
    }
    out.extend_from_slice(match version {
        Version::V5 => b"\x82\x07\0\x03\0\0\x01t\x01\xa2\x06\0\x04\0\0\x01t",
        _ => b"\x82\x06\0\x03\0\x01t\x01\xa2\x05\0\x04\0\x01t",
    });
    out
}

async fn attack(broker: &TestBroker, bytes: &[u8]) {
    let mut peer = broker.socket(Version::V311).await;
    peer.send_bytes_perhaps(bytes).await;
}

async fn is_served(witness: &mut Peer) {
    witness.publish("w", b"still here", QoS::AtLeastOnce).await;
    assert_eq!(witness.receive().await.payload, b"still here");
}

#[test]
fn random_and_damaged_packets_harm_nobody_else() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(TestBroker::start());
    let mut witness = runtime.block_on(broker.connect(Version::V5, "witness"));
    runtime.block_on(witness.subscribe("w", at(QoS::AtLeastOnce)));
    let witness = tokio::sync::Mutex::new(witness);
    let mut runner = TestRunner::new(Config { cases: 1_500, ..Config::default() });
    let version = prop::sample::select(VERSIONS.to_vec());
    let damage = (any::<prop::sample::Index>(), any::<u8>());
    let strategy = (
        version,
        proptest::collection::vec(damage, 0..6),
        proptest::collection::vec(any::<u8>(), 0..60),
    );
    runner
        .run(&strategy, |(version, damages, tail)| {
            let mut bytes = packets(version);
            for (at, to) in damages {
                let at = at.index(bytes.len());
                bytes[at] = to;
            }
            bytes.extend(tail);
            runtime.block_on(async {
                attack(&broker, &bytes).await;
                is_served(&mut *witness.lock().await).await;
            });
            Ok(())
        })
        .unwrap();
    runtime.block_on(broker.stop());
}

#[tokio::test]
async fn a_subscriber_that_never_reads_costs_the_others_nothing() {
    let broker = TestBroker::start_with(|config| {
        config.limits.mailbox_messages = 100;
        config.limits.mailbox_bytes = 1 << 20;
    })
    .await;
    let mut stuck = broker.connect(Version::V5, "stuck").await;
    stuck.subscribe("w", at(QoS::AtLeastOnce)).await;
    let mut witness = broker.connect(Version::V311, "witness").await;
    witness.subscribe("w", at(QoS::AtLeastOnce)).await;
    // Far more than the sockets' buffers and the mailbox hold.
    let large = vec![0; 500_000];
    for _ in 0..60 {
        witness.publish("w", &large, QoS::AtLeastOnce).await;
        assert_eq!(witness.receive().await.payload.len(), large.len());
    }
    is_served(&mut witness).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_acknowledgements_is_read_no_further() {
    let broker = TestBroker::start().await;
    let mut flooder = broker.connect(Version::V311, "flooder").await;
    let pings = b"\xc0\0".repeat(1 << 24);
    // The broker stops reading when 256 KiB of answers wait: the write never ends.
    let wrote = flooder.send_bytes_perhaps(&pings);
    let mut witness = broker.connect(Version::V311, "witness").await;
    witness.subscribe("w", at(QoS::AtLeastOnce)).await;
    tokio::select! {
        () = wrote => panic!("32 MiB of pings were read from a client that reads no answers"),
        () = async { for _ in 0..2_000 { is_served(&mut witness).await } } => {}
    }
}

/// A reader that pauses gets everything when it goes on, without anything else to wake it.
#[tokio::test]
async fn a_slow_reader_gets_everything_when_it_reads_again() {
    let broker = TestBroker::start().await;
    let mut slow = broker.connect(Version::V311, "slow").await;
    slow.subscribe("w", at(QoS::AtMostOnce)).await;
    let mut sender = broker.connect(Version::V311, "sender").await;
    let (small, large) = (vec![1; 1_000], vec![2; 600_000]);
    for n in 0..5_000 {
        let payload = if n % 250 == 0 { &large } else { &small };
        sender.publish("w", payload, QoS::AtLeastOnce).await;
    }
    for n in 0..5_000 {
        let expected = if n % 250 == 0 { large.len() } else { small.len() };
        assert_eq!(slow.receive().await.payload.len(), expected, "message {n}");
    }
}

/// A packet full of filters costs its sender the connection and nobody else anything.
#[tokio::test]
async fn a_subscription_bomb_is_defused() {
    let broker = TestBroker::start().await;
    let mut witness = broker.connect(Version::V5, "witness").await;
    witness.subscribe("w", at(QoS::AtLeastOnce)).await;
    let filters = vec![("a", at(QoS::AtMostOnce)); 250_000];
    let bomb = dockside_mqtt::packet::Subscribe {
        packet_id: dockside_mqtt::PacketId::MIN,
        properties: dockside_mqtt::property::Properties::EMPTY,
        filters,
    };
    for _ in 0..20 {
        let mut bomber = broker.connect(Version::V5, "bomber").await;
        bomber.send(&Packet::Subscribe(bomb.clone())).await;
        bomber.expect_ended(dockside_mqtt::ReasonCode::QuotaExceeded).await;
    }
    is_served(&mut witness).await;
}

/// As many wills as clients, all at once: more than the live log holds.
#[tokio::test]
async fn a_storm_of_wills_does_not_overflow_the_live_log() {
    let broker = TestBroker::start_with(|config| {
        config.live_log = LiveLog::smallest();
    })
    .await;
    let mut witness = broker.connect(Version::V5, "witness").await;
    witness.subscribe("w", at(QoS::AtLeastOnce)).await;
    let payload = vec![0; 15_000];
    let will = dockside_mqtt::packet::Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "w",
        payload: &payload,
        properties: dockside_mqtt::property::Properties::EMPTY,
    };
    let mut peers = Vec::new();
    for n in 0..300 {
        let mut peer = broker.socket(Version::V311).await;
        let id = n.to_string();
        let asks =
            dockside_mqtt::packet::Connect { will: Some(will), ..connect(Version::V311, &id) };
        peer.connect(asks).await;
        peers.push(peer);
    }
    drop(peers);
    for _ in 0..300 {
        assert_eq!(witness.receive().await.payload.len(), payload.len());
    }
    is_served(&mut witness).await;
}
