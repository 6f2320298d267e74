//! Every limit that a client can meet: what it is told, and that it is counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dockside::config::Config;
use dockside_broker::config::LiveLog;
use dockside_mqtt::packet::{Connect, Packet, Publish, Subscribe};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::ask;
use crate::peer::{PATIENCE, Peer, TestBroker, VERSIONS, at, connect, publish};

/// How often clients of this process have met a limit.
async fn reached(broker: &TestBroker, limit: &str) -> u64 {
    let metrics = ask(broker.admin, "GET /metrics", "").await;
    let name = format!("dockside_limits_reached_total{{limit=\"{limit}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

async fn start(change: impl FnOnce(&mut Config)) -> TestBroker {
    TestBroker::start_with(change).await
}

/// What a SUBSCRIBE to these filters at QoS 0 is told.
async fn asked(peer: &mut Peer, filters: &[&str]) -> Vec<ReasonCode> {
    let filters: Vec<_> = filters.iter().map(|filter| (*filter, at(QoS::AtMostOnce))).collect();
    peer.subscribe_all(&filters, Properties::EMPTY).await
}

/// A socket that says so much and no more.
async fn half_open(address: SocketAddr, says: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(says).await.unwrap();
    socket
}

async fn is_closed(socket: &mut TcpStream) {
    let read = tokio::time::timeout(PATIENCE, socket.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "closed without a word");
}

async fn is_open(socket: &mut TcpStream) {
    let read = socket.try_read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::WouldBlock));
}

/// Thousands of sockets that say nothing keep no dock out: the oldest of them goes.
#[tokio::test]
async fn the_oldest_silent_connection_goes_for_another_one() {
    let broker = start(|config| config.limits.unauthenticated = 3).await;
    let before = reached(&broker, "unauthenticated").await;
    let mut slow = half_open(broker.address, b"\x10").await;
    let mut dock = broker.connect(Version::V5, "dock").await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(half_open(broker.address, b"").await);
    }
    for socket in &mut silent[..8] {
        is_closed(socket).await;
    }
    // Two places are left beside the one that has begun to speak.
    for socket in &mut silent[8..] {
        is_open(socket).await;
    }
    is_open(&mut slow).await;
    dock.ping().await;
    broker.connect(Version::V311, "another").await.ping().await;
    assert!(reached(&broker, "unauthenticated").await >= before + 8);
}

/// Who dribbles bytes goes as well, when there is nobody who is silent.
#[tokio::test]
async fn without_a_silent_one_the_oldest_goes_that_is_slow() {
    let broker = start(|config| config.limits.unauthenticated = 2).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(half_open(broker.address, b"\x10\x20").await);
    }
    // Both have been heard before others come.
    let why = || ask(broker.admin, "GET /api/v1/why", "");
    broker.connect(Version::V5, "dock").await.ping().await;
    broker.connect(Version::V5, "dock").await.ping().await;
    broker.connect(Version::V5, "dock").await.ping().await;
    is_closed(&mut slow[0]).await;
    assert!(why().await.contains("limits.unauthenticated"), "an engineer is told");
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let broker = start(|config| config.limits.connections_per_address = 2).await;
    let before = reached(&broker, "connections_per_address").await;
    for version in VERSIONS {
        let (first, mut second) =
            (broker.connect(version, "a").await, broker.connect(version, "b").await);
        let mut third = broker.socket(version).await;
        let expected = match version {
            Version::V5 => ReasonCode::QuotaExceeded,
            _ => ReasonCode::ServerUnavailable,
        };
        assert_eq!(third.connect(connect(version, "c")).await, expected);
        second.ping().await;
        third.vanish();
        first.vanish();
        // A place comes back when the broker has noticed.
        loop {
            let mut again = broker.socket(version).await;
            if again.connect(connect(version, "d")).await == ReasonCode::Success {
                break;
            }
        }
        second.vanish();
        while broker.socket(version).await.connect(connect(version, "e")).await
            != ReasonCode::Success
        {}
    }
    assert!(reached(&broker, "connections_per_address").await >= before + 2);
}

#[tokio::test]
async fn one_address_may_connect_so_often() {
    for version in VERSIONS {
        let broker = start(|config| config.limits.connects_per_address_per_second = 2).await;
        let before = reached(&broker, "connects_per_address_per_second").await;
        let mut first = broker.connect(version, "a").await;
        let mut refused = 0;
        // A second's worth at once, and what is earned meanwhile.
        for _ in 0..20 {
            let mut next = broker.socket(version).await;
            match next.connect(connect(version, "b")).await {
                ReasonCode::ConnectionRateExceeded | ReasonCode::ServerUnavailable => refused += 1,
                reason => assert_eq!(reason, ReasonCode::Success),
            }
        }
        assert!(refused >= 10, "{refused}");
        first.ping().await;
        assert!(reached(&broker, "connects_per_address_per_second").await >= before + refused);
    }
}

/// Nobody is refused, and everybody waits.
#[tokio::test]
async fn so_many_connections_are_accepted_in_a_second() {
    let broker = start(|config| config.limits.connects_per_second = 20).await;
    let before = reached(&broker, "connects_per_second").await;
    let began = Instant::now();
    for _ in 0..30 {
        broker.connect(Version::V5, "a").await;
    }
    // Ten more than a second's worth.
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    assert!(reached(&broker, "connects_per_second").await > before);
}

/// A pause that begins while something else is waited for ends by itself.
#[tokio::test]
async fn what_came_with_a_subscribe_is_published_after_its_pause() {
    let broker = start(|config| config.limits.messages_per_second = 10).await;
    let mut peer = broker.connect(Version::V5, "a").await;
    let mut bytes = Vec::new();
    let mut say =
        |packet: &Packet<'_>| dockside_mqtt::codec::encode(&mut bytes, packet, Version::V5);
    for _ in 0..10 {
        say(&Packet::Publish(publish("x", b"", QoS::AtMostOnce, 0)));
    }
    say(&Packet::Subscribe(Subscribe {
        packet_id: crate::peer::id(1),
        properties: Properties::EMPTY,
        filters: vec![("t", at(QoS::AtMostOnce))],
    }));
    say(&Packet::Publish(publish("t", b"late", QoS::AtMostOnce, 0)));
    peer.send_bytes(&bytes).await;
    assert_eq!(peer.packet().await[0], 0x90, "SUBACK");
    assert_eq!(peer.receive().await.payload, b"late");
}

/// Reading pauses: nothing is lost and everything comes in its order.
#[tokio::test]
async fn a_client_publishes_so_many_messages_in_a_second() {
    let broker = start(|config| config.limits.messages_per_second = 100).await;
    let before = reached(&broker, "messages_per_second").await;
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("t", at(QoS::AtMostOnce)).await;
    let mut flooder = broker.connect(Version::V5, "flooder").await;
    let began = Instant::now();
    for n in 0..150u8 {
        flooder.publish("t", &[n], QoS::AtLeastOnce).await;
    }
    // Fifty more than a second's worth.
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    for n in 0..150u8 {
        assert_eq!(reader.receive().await.payload, [n]);
    }
    assert!(reached(&broker, "messages_per_second").await > before);
}

#[tokio::test]
async fn topics_have_so_many_bytes_and_levels() {
    let broker = start(|config| {
        config.limits.topic_bytes = 20;
        config.limits.topic_levels = 4;
    })
    .await;
    for (limit, too_much) in
        [("topic_bytes", "t23456789012345678901"), ("topic_levels", "a/b/c/d/e")]
    {
        let before = reached(&broker, limit).await;
        let mut peer = broker.connect(Version::V5, "a").await;
        let granted = [
            (too_much, ReasonCode::TopicFilterInvalid),
            ("t2345678901234567890", ReasonCode::Success),
            ("a/b/c/+", ReasonCode::Success),
        ];
        for (filter, reason) in granted {
            assert_eq!(asked(&mut peer, &[filter]).await, [reason]);
        }
        peer.send(&Packet::Publish(publish("a/b/c/d", b"", QoS::AtMostOnce, 0))).await;
        peer.receive().await;
        peer.send(&Packet::Publish(publish(too_much, b"", QoS::AtMostOnce, 0))).await;
        peer.expect_ended(ReasonCode::TopicNameInvalid).await;
        assert!(reached(&broker, limit).await >= before + 2);
    }
}

#[tokio::test]
async fn packets_have_so_many_bytes() {
    let broker = start(|config| {
        config.limits.packet_bytes = 1_000;
        config.limits.connect_packet_bytes = 1_000;
    })
    .await;
    let before =
        (reached(&broker, "packet_bytes").await, reached(&broker, "connect_packet_bytes").await);
    let mut peer = broker.connect(Version::V5, "a").await;
    peer.publish("t", &[0; 900], QoS::AtLeastOnce).await;
    let too_large = [0; 1_000];
    peer.send(&Packet::Publish(publish("t", &too_large, QoS::AtMostOnce, 0))).await;
    peer.expect_ended(ReasonCode::PacketTooLarge).await;
    let name = "a".repeat(2_000);
    let mut long = broker.socket(Version::V5).await;
    let asks = Connect { client_id: &name, ..connect(Version::V5, "") };
    assert_eq!(long.connect(asks).await, ReasonCode::PacketTooLarge);
    assert!(reached(&broker, "packet_bytes").await > before.0);
    assert!(reached(&broker, "connect_packet_bytes").await > before.1);
}

#[tokio::test]
async fn a_session_has_so_many_subscriptions_and_bytes_of_them() {
    let broker = start(|config| {
        config.limits.subscriptions = 3;
        config.limits.subscription_bytes = 30;
    })
    .await;
    let before =
        (reached(&broker, "subscriptions").await, reached(&broker, "subscription_bytes").await);
    let mut peer = broker.connect(Version::V5, "a").await;
    assert_eq!(asked(&mut peer, &["a", "b"]).await, [ReasonCode::Success; 2]);
    let full = [ReasonCode::QuotaExceeded];
    assert_eq!(asked(&mut peer, &["c23456789012345678901234567890"]).await, full);
    assert_eq!(asked(&mut peer, &["c"]).await, [ReasonCode::Success]);
    assert_eq!(asked(&mut peer, &["d"]).await, full);
    // One that it has already takes no other place.
    assert_eq!(asked(&mut peer, &["a"]).await, [ReasonCode::Success]);
    assert!(reached(&broker, "subscriptions").await > before.0);
    assert!(reached(&broker, "subscription_bytes").await > before.1);
}

#[tokio::test]
async fn what_is_under_way_has_a_bound() {
    let broker = start(|config| {
        config.limits.receive_maximum = 2;
        config.limits.retained_messages = 1;
    })
    .await;
    let before = (reached(&broker, "receive_maximum").await, reached(&broker, "retained").await);
    let mut peer = broker.connect(Version::V5, "a").await;
    let retained =
        |topic: &'static str| Publish { retain: true, ..publish(topic, b"x", QoS::AtLeastOnce, 1) };
    peer.send(&Packet::Publish(retained("a"))).await;
    assert_eq!(reason(&peer.packet().await), ReasonCode::NoMatchingSubscribers);
    peer.send(&Packet::Publish(retained("b"))).await;
    assert_eq!(reason(&peer.packet().await), ReasonCode::QuotaExceeded);
    for id in 2..=4 {
        peer.send(&Packet::Publish(publish("t", b"", QoS::ExactlyOnce, id))).await;
    }
    let mut last = peer.packet().await;
    while last[0] == 0x50 {
        last = peer.packet().await;
    }
    assert_eq!((last[0], last[2]), (0xe0, 0x93), "receive maximum exceeded");
    assert!(reached(&broker, "receive_maximum").await > before.0);
    assert!(reached(&broker, "retained").await > before.1);
}

fn reason(puback: &[u8]) -> ReasonCode {
    match crate::peer::read(puback, Version::V5) {
        Packet::Puback(ack) => match ack.reason {
            ReasonCode::Success => ReasonCode::NoMatchingSubscribers,
            reason => reason,
        },
        packet => panic!("{packet:?}"),
    }
}

/// The limits that other chapters meet are counted too.
#[tokio::test]
async fn places_have_a_bound_and_are_counted() {
    let broker = start(|config| config.limits.sessions = 1).await;
    let before = (reached(&broker, "connections").await, reached(&broker, "sessions").await);
    let (_kept, _) = broker.session(Version::V5, "a", 60).await;
    let mut refused = broker.socket(Version::V311).await;
    let asks = Connect { clean_start: false, ..connect(Version::V311, "b") };
    assert_eq!(refused.connect(asks).await, ReasonCode::ServerUnavailable);
    assert!(reached(&broker, "sessions").await > before.1);
    let broker = start(|config| config.limits.connections = 1).await;
    let _second = broker.connect(Version::V5, "c").await;
    let mut third = broker.socket(Version::V5).await;
    assert_eq!(third.connect(connect(Version::V5, "d")).await, ReasonCode::QuotaExceeded);
    assert!(reached(&broker, "connections").await > before.0);
}

/// A client that does not read and keeps no session is closed when too much waits for it.
#[tokio::test]
async fn a_mailbox_has_a_bound() {
    let broker = start(|config| {
        config.limits.mailbox_messages = 10;
        config.limits.mailbox_bytes = 1 << 20;
    })
    .await;
    let before = reached(&broker, "mailbox").await;
    let mut stuck = broker.connect(Version::V5, "stuck").await;
    stuck.subscribe("w", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V311, "sender").await;
    // What sockets take besides is a few of them.
    for _ in 0..40 {
        sender.publish("w", &[0; 500_000], QoS::AtLeastOnce).await;
    }
    assert!(reached(&broker, "mailbox").await > before);
    sender.ping().await;
}

/// A flooder that fills the way to the dispatcher leaves room for others.
#[tokio::test]
async fn a_flooder_gets_its_share_of_the_way_and_no_more() {
    let broker = start(|config| {
        config.live_log = LiveLog::smallest();
    })
    .await;
    let before = reached(&broker, "live_log_budget").await;
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("t/+", at(QoS::AtLeastOnce)).await;
    let mut flooder = broker.connect(Version::V311, "flooder").await;
    let mut bytes = Vec::new();
    for n in 0..2_000u16 {
        let payload = n.to_be_bytes();
        let packet = Packet::Publish(publish("t/f", &payload, QoS::AtMostOnce, 0));
        dockside_mqtt::codec::encode(&mut bytes, &packet, Version::V311);
    }
    flooder.send_bytes(&bytes).await;
    let mut dock = broker.connect(Version::V311, "dock").await;
    dock.publish("t/d", b"dock", QoS::AtLeastOnce).await;
    let (mut next, mut has_dock) = (0, false);
    while next < 2_000 || !has_dock {
        let received = reader.receive().await;
        if received.topic == "t/d" {
            has_dock = true;
        } else {
            assert_eq!(received.payload, u16::to_be_bytes(next), "in order, none lost");
            next += 1;
        }
    }
    assert!(reached(&broker, "live_log_budget").await > before);
}

/// What a publish was charged that ends its connection comes back.
#[tokio::test]
async fn who_retains_where_nothing_is_retained_costs_others_nothing() {
    let broker = start(|config| {
        config.limits.retained_messages = 0;
        config.live_log = LiveLog::smallest();
    })
    .await;
    let payload = vec![0; 300_000];
    for _ in 0..8 {
        let mut peer = broker.connect(Version::V5, "a").await;
        let retained = Publish { retain: true, ..publish("t", &payload, QoS::AtLeastOnce, 1) };
        peer.send(&Packet::Publish(retained)).await;
        peer.expect_ended(ReasonCode::RetainNotSupported).await;
    }
    let mut peer = broker.connect(Version::V311, "b").await;
    peer.publish("t", &payload, QoS::AtLeastOnce).await;
}
