//! Sessions that are kept, and whoever takes them over: what is there after a kill or a restart.

use dockside_mqtt::packet::{Connect, Packet, Will};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kept::{copy_of_running, rows, start};
use crate::peer::{Peer, TestBroker, VERSIONS, at, connect, read};
use crate::sessions::leave;

/// A broker on the files as a kill of this one leaves them.
async fn killed(broker: TestBroker, from: &TempDir) -> (TestBroker, TempDir) {
    let copy = TempDir::new().unwrap();
    copy_of_running(from.path(), copy.path());
    broker.stop().await;
    (start(copy.path()).await, copy)
}

#[tokio::test]
async fn a_clean_start_has_erased_the_session_when_its_connack_is_out() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        leave(peer).await;
        let mut sender = broker.connect(version, "s").await;
        sender.publish("t", b"x", QoS::AtLeastOnce).await;
        let _clean = broker.connect(version, "a").await;
        let (broker, copy) = killed(broker, &dir).await;
        let (mut peer, present) = broker.session(version, "a", 3600).await;
        assert!(!present);
        peer.expect_nothing().await;
        broker.stop().await;
        assert_eq!(rows(copy.path(), "SELECT count(*) || '' FROM message"), ["0"]);
    }
}

/// A group's messages are its own until they are acknowledged.
#[tokio::test]
async fn what_a_member_did_not_acknowledge_before_a_kill_goes_to_another() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut member, _) = broker.session(version, "member", 3600).await;
        member.subscribe("$share/g/t", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        sender.publish("t", b"1", QoS::AtLeastOnce).await;
        assert_eq!(member.receive_only().await.payload, b"1");
        // Whatever the broker keeps of that is kept behind this.
        member.subscribe("fence", at(QoS::AtMostOnce)).await;
        let (broker, _copy) = killed(broker, &dir).await;
        let mut other = broker.connect(version, "other").await;
        other.subscribe("$share/g/t", at(QoS::AtLeastOnce)).await;
        assert_eq!(other.receive_payloads(1).await, ["1"]);
        other.ping().await;
        let (mut member, present) = broker.session(version, "member", 3600).await;
        assert!(present);
        member.expect_nothing().await;
        other.expect_nothing().await;
    }
}

#[tokio::test]
async fn groups_of_one_name_have_their_own_messages_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut keeper, _) = broker.session(Version::V5, "keeper", 3600).await;
    for filter in ["$share/g/t/1", "$share/g/t/2"] {
        keeper.subscribe(filter, at(QoS::AtLeastOnce)).await;
    }
    leave(keeper).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for topic in ["t/1", "t/2", "t/2", "t/1"] {
        sender.publish(topic, topic.as_bytes(), QoS::AtLeastOnce).await;
    }
    broker.stop().await;
    let broker = start(dir.path()).await;
    for topic in ["t/2", "t/1"] {
        let mut member = broker.connect(Version::V5, topic).await;
        member.subscribe(&format!("$share/g/{topic}"), at(QoS::AtLeastOnce)).await;
        assert_eq!(member.receive_payloads(2).await, [topic, topic]);
        member.expect_nothing().await;
    }
}

/// A session that is kept, with a will; its connection lasts as long as the broker.
async fn with_will(broker: &TestBroker, name: &str, delay_seconds: u32) -> Peer {
    let (mut delay, mut hour) = (PropertyList::new(), PropertyList::new());
    delay.number(PropertyId::WillDelayInterval, delay_seconds);
    hour.number(PropertyId::SessionExpiryInterval, 3600);
    let will = Will {
        topic: "w",
        payload: name.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: delay.as_properties(),
    };
    let properties = hour.as_properties();
    let asks =
        Connect { clean_start: false, will: Some(will), properties, ..connect(Version::V5, name) };
    broker.enter(asks).await.0
}

/// A kill is a lost connection: a delay counts from the start, and is some seconds at least.
#[tokio::test]
async fn the_will_of_a_kept_session_waits_for_its_client_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut before = Vec::new();
    for (name, delay_seconds) in [("none", 0), ("sixty", 60), ("back", 0), ("back-later", 60)] {
        before.push(with_will(&broker, name, delay_seconds).await);
    }
    let (broker, copy) = killed(broker, &dir).await;
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("w", at(QoS::AtLeastOnce)).await;
    let back = broker.session(Version::V5, "back", 3600).await;
    assert!(back.1);
    broker.pass(10);
    watcher.expect_nothing().await;
    broker.pass(25);
    assert_eq!(watcher.receive_payloads(1).await, ["none"]);
    watcher.expect_nothing().await;
    let later = broker.session(Version::V5, "back-later", 3600).await;
    assert!(later.1);
    broker.pass(30);
    assert_eq!(watcher.receive_payloads(1).await, ["sixty"]);
    broker.pass(100);
    watcher.expect_nothing().await;
    broker.stop().await;
    assert_eq!(rows(copy.path(), "SELECT count(*) || '' FROM will"), ["0"]);
}

/// What becomes of one of many that connect with one client identifier: whether it stays, and whether its
/// session is a new one.
async fn stays(mut peer: Peer, mut others_gone: watch::Receiver<()>) -> (bool, bool) {
    let (mut is_in, mut is_new) = (false, false);
    loop {
        tokio::select! {
            bytes = peer.packet() => match read(&bytes, Version::V5) {
                Packet::Connack(connack) => {
                    assert!(!is_in && connack.reason == ReasonCode::Success);
                    (is_in, is_new) = (true, !connack.session_present);
                }
                Packet::Disconnect(disconnect) => {
                    assert_eq!(disconnect.reason, ReasonCode::SessionTakenOver);
                    peer.expect_closed().await;
                    return (false, is_new);
                }
                other => panic!("{other:?}"),
            },
            _ = others_gone.changed(), if is_in => {
                peer.ping().await;
                return (true, is_new);
            }
        }
    }
}

#[tokio::test]
async fn of_many_connections_with_one_client_identifier_one_stays() {
    const MANY: usize = 200;
    let broker = TestBroker::start().await;
    for kept_seconds in [0, 3600] {
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, kept_seconds);
        let (gone, others_gone) = watch::channel(());
        let mut all = JoinSet::new();
        let mut sockets = Vec::new();
        for _ in 0..MANY {
            sockets.push(broker.socket(Version::V5).await);
        }
        for mut peer in sockets {
            let properties = list.as_properties();
            let asks = Connect { clean_start: false, properties, ..connect(Version::V5, "one") };
            peer.send(&Packet::Connect(Box::new(asks))).await;
            all.spawn(stays(peer, others_gone.clone()));
        }
        let mut sessions = 0;
        for _ in 1..MANY {
            let (stays, is_new) = all.join_next().await.unwrap().unwrap();
            assert!(!stays, "more than one");
            sessions += usize::from(is_new);
        }
        gone.send(()).unwrap();
        let (stays, is_new) = all.join_next().await.unwrap().unwrap();
        assert!(stays, "nobody");
        sessions += usize::from(is_new);
        if kept_seconds > 0 {
            assert_eq!(sessions, 1, "each takes over what the one before had");
        }
    }
}

/// A client that reads nothing keeps nobody out.
#[tokio::test]
async fn a_takeover_does_not_wait_for_the_socket_of_the_one_before() {
    const MESSAGES: usize = 16;
    const BYTES: usize = 4 << 20;
    let broker = TestBroker::start_with(|config| config.limits.packet_bytes = 8 << 20).await;
    for version in VERSIONS {
        let (mut deaf, _) = broker.session(version, "a", 3600).await;
        deaf.subscribe("t", at(QoS::AtMostOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for _ in 0..MESSAGES {
            sender.publish("t", &vec![0; BYTES], QoS::AtMostOnce).await;
        }
        // All of it has been dispatched: what the socket does not take is unsent.
        sender.expect_nothing().await;
        let (mut second, present) = broker.session(version, "a", 3600).await;
        assert!(present);
        second.ping().await;
        let taken = deaf.bytes_to_the_end().await;
        assert!(taken < MESSAGES * BYTES, "the socket took all: nothing was unsent");
        broker.connect(version, "a").await;
    }
}
