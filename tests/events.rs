//! Flight-task events over the wire: the reply on the direct path, the original untouched, and the
//! plugin contract (DESIGN of the reply: ARCHITECTURE.md, "The reply").

use std::sync::Arc;

use dockside::config::Config;
use dockside_interceptor::{After, Effects, Intercepted, Interceptor, Reply, Verdict};
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};

use crate::peer::{Peer, TestBroker, VERSIONS, at, id, publish, read};

const EVENTS: &str = "thing/product/SIMDOCK2000001/events";
const REPLY: &str = "thing/product/SIMDOCK2000001/events_reply";

fn event(tid: &str) -> String {
    json!({
        "bid": "b", "tid": tid, "method": "flighttask_progress", "need_reply": 1,
        "timestamp": 1747224838227u64, "gateway": "SIMDOCK2000001",
        "data": {"output": {"status": "in_progress"}, "result": 0}
    })
    .to_string()
}

fn check_reply(payload: &[u8], tid: &str) {
    let reply: Value = serde_json::from_slice(payload).unwrap();
    assert_eq!(reply["tid"], tid);
    assert_eq!(reply["bid"], "b");
    assert_eq!(reply["method"], "flighttask_progress");
    assert_eq!(reply["data"], json!({"result": 0}));
    assert_eq!(reply["timestamp"].as_u64().unwrap().to_string().len(), 13);
}

/// A connected dock that waits for replies.
async fn dock(broker: &TestBroker, version: Version) -> Peer {
    let mut dock = broker.connect(version, "dock").await;
    dock.subscribe(REPLY, at(QoS::AtLeastOnce)).await;
    dock
}

/// Case 1, 23, 27: every quality, every version; the application's copy is byte for byte.
#[tokio::test]
async fn an_event_is_answered_and_forwarded() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        for app_version in VERSIONS {
            let mut app = broker.connect(app_version, "app").await;
            app.subscribe("thing/product/+/events", at(QoS::ExactlyOnce)).await;
            let mut dock = dock(&broker, version).await;
            for (qos, tid) in
                [(QoS::AtMostOnce, "t0"), (QoS::AtLeastOnce, "t1"), (QoS::ExactlyOnce, "t2")]
            {
                let message = publish(EVENTS, event(tid).leak().as_bytes(), qos, 5);
                dock.send(&Packet::Publish(message)).await;
                let ok = Ack::new(id(5), ReasonCode::Success);
                match qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => dock.expect(Packet::Puback(ok)).await,
                    QoS::ExactlyOnce => dock.expect(Packet::Pubrec(ok)).await,
                }
                // Right behind the acknowledgement.
                let reply = dock.receive().await;
                assert_eq!(
                    (&*reply.topic, reply.qos, reply.retain),
                    (REPLY, QoS::AtLeastOnce, false)
                );
                check_reply(&reply.payload, tid);
                if qos == QoS::ExactlyOnce {
                    // The message again, before its release: acknowledged, not answered twice.
                    dock.send(&Packet::Publish(Publish { dup: true, ..message })).await;
                    dock.expect(Packet::Pubrec(ok)).await;
                    dock.send(&Packet::Pubrel(ok)).await;
                    dock.expect(Packet::Pubcomp(ok)).await;
                }
                let original = app.receive().await;
                assert_eq!((&*original.topic, original.qos), (EVENTS, qos));
                assert_eq!(original.payload, event(tid).as_bytes());
            }
            dock.expect_nothing().await;
            app.expect_nothing().await;
        }
    }
}

/// The acknowledgement and the reply leave in one write: one read has both.
#[tokio::test]
async fn the_reply_comes_with_its_acknowledgement() {
    let broker = TestBroker::start().await;
    let mut dock = dock(&broker, Version::V311).await;
    let events: Vec<u8> = (1..=20u16)
        .flat_map(|n| {
            let payload = event(&n.to_string());
            let mut bytes = Vec::new();
            let message = Packet::Publish(publish(EVENTS, payload.as_bytes(), QoS::AtLeastOnce, n));
            dockside_mqtt::codec::encode(&mut bytes, &message, Version::V311);
            bytes
        })
        .collect();
    dock.send_bytes(&events).await;
    for n in 1..=20u16 {
        dock.expect(Packet::Puback(Ack::new(id(n), ReasonCode::Success))).await;
        check_reply(&dock.receive().await.payload, &n.to_string());
    }
}

/// Case 24: a reply that nobody waits for is stored for nobody, and somebody can be told why none came.
#[tokio::test]
async fn a_reply_without_a_receiver_is_not_stored() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut dock = broker.connect(version, "dock").await;
        dock.publish(EVENTS, event("early").as_bytes(), QoS::AtLeastOnce).await;
        dock.subscribe(REPLY, at(QoS::AtLeastOnce)).await;
        dock.expect_nothing().await;
        dock.publish(EVENTS, event("late").as_bytes(), QoS::AtLeastOnce).await;
        check_reply(&dock.receive().await.payload, "late");
        dock.expect_nothing().await;
    }
    let why = crate::clock::ask(broker.admin, "GET /api/v1/why", "").await;
    assert!(why.contains(REPLY) && why.contains("\"count\":2"), "{why}");
    let metrics = crate::clock::ask(broker.admin, "GET /metrics", "").await;
    let dropped = "dockside_messages_dropped_total{reason=\"no_subscriber\"}";
    let count = metrics.lines().find_map(|line| line.strip_prefix(dropped)).unwrap();
    assert!(count.trim().parse::<u64>().unwrap() >= 2, "{count}");
}

/// Case 10: a lost reply must be repairable.
#[tokio::test]
async fn the_same_event_is_answered_every_time() {
    let broker = TestBroker::start().await;
    let mut dock = dock(&broker, Version::V311).await;
    for _ in 0..3 {
        dock.publish(EVENTS, event("same").as_bytes(), QoS::AtLeastOnce).await;
        check_reply(&dock.receive().await.payload, "same");
    }
}

/// Case 24 and 25: the reply is an ordinary message for everybody else, and never retained.
#[tokio::test]
async fn others_get_the_reply_too_and_nobody_gets_it_twice() {
    let broker = TestBroker::start().await;
    let mut dock = dock(&broker, Version::V5).await;
    dock.subscribe("thing/product/+/events_reply", at(QoS::AtMostOnce)).await;
    let mut app = broker.connect(Version::V311, "app").await;
    app.subscribe("thing/#", at(QoS::ExactlyOnce)).await;
    dock.publish(EVENTS, event("t").as_bytes(), QoS::AtLeastOnce).await;
    let reply = dock.receive().await;
    assert_eq!(reply.qos, QoS::AtLeastOnce, "the highest of its subscriptions");
    dock.expect_nothing().await;
    assert_eq!(app.receive().await.topic, EVENTS);
    let reply = app.receive().await;
    assert_eq!((&*reply.topic, reply.qos), (REPLY, QoS::AtLeastOnce));
    check_reply(&reply.payload, "t");
    app.expect_nothing().await;

    // A dock that does not subscribe: the reply goes to the others, and is not kept for it.
    let mut silent = broker.connect(Version::V311, "silent").await;
    silent.publish(EVENTS, event("u").as_bytes(), QoS::AtLeastOnce).await;
    app.receive().await;
    check_reply(&app.receive().await.payload, "u");
    check_reply(&dock.receive().await.payload, "u");
    silent.subscribe(REPLY, at(QoS::AtLeastOnce)).await;
    silent.expect_nothing().await;
    // It hears from then on; another connection's event is answered through the dispatcher.
    dock.publish(EVENTS, event("v").as_bytes(), QoS::AtLeastOnce).await;
    check_reply(&silent.receive().await.payload, "v");
}

/// No-local does not apply to a reply, and identifiers of the session's subscriptions come with it.
#[tokio::test]
async fn the_publisher_of_a_reply_is_the_broker() {
    let broker = TestBroker::start().await;
    let mut dock = broker.connect(Version::V5, "dock").await;
    let options =
        dockside_mqtt::packet::SubscriptionOptions { no_local: true, ..at(QoS::AtMostOnce) };
    let mut list = PropertyList::new();
    list.number(PropertyId::SubscriptionIdentifier, 11);
    dock.subscribe_all(&[(REPLY, options)], list.as_properties()).await;
    dock.publish(EVENTS, event("t").as_bytes(), QoS::AtLeastOnce).await;
    let reply = dock.receive().await;
    assert_eq!((reply.qos, reply.subscription_ids), (QoS::AtMostOnce, vec![11]));
}

/// Cases 2, 7, 12, 13, 19, 20, 22: forwarded byte for byte, acknowledged, not answered, and the
/// connection lives.
#[tokio::test]
async fn what_is_not_answered_is_still_forwarded() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut app = broker.connect(version, "app").await;
        app.subscribe("thing/product/+/events", at(QoS::AtLeastOnce)).await;
        let mut dock = dock(&broker, version).await;
        let cut = &event("t").into_bytes()[..40];
        let payloads: [&[u8]; 9] = [
            b"",
            b"not json",
            b"\xff\xfe{}",
            b"[1,2]",
            cut,
            &b"[".repeat(10_000),
            br#"{"tid":"t","method":"flighttask_progress","need_reply":0}"#,
            br#"{"tid":"t","method":"hms","need_reply":1}"#,
            br#"{"method":"flighttask_progress","need_reply":1}"#,
        ];
        for payload in payloads {
            dock.publish(EVENTS, payload, QoS::AtLeastOnce).await;
            assert_eq!(app.receive().await.payload, payload);
        }
        dock.expect_nothing().await;
        dock.publish(EVENTS, event("alive").as_bytes(), QoS::AtLeastOnce).await;
        check_reply(&dock.receive().await.payload, "alive");
    }
}

/// Case 26
#[tokio::test]
async fn look_alike_topics_are_not_answered() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V311, "dock").await;
    peer.subscribe("#", at(QoS::AtLeastOnce)).await;
    for topic in [
        "thing/product/a/b/events",
        "/thing/product/x/events",
        "thing/product//events",
        "thing/product/x/events/",
        "xthing/product/x/events",
        "thing/product/a-b/events",
        "thing/product/x/events_reply",
    ] {
        peer.publish(topic, event("t").as_bytes(), QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.topic, topic);
    }
    peer.expect_nothing().await;
}

/// Case 6: the reply goes to the topic's serial number, whatever the payload says.
#[tokio::test]
async fn a_reply_is_routed_by_topic_never_by_payload() {
    let broker = TestBroker::start().await;
    let mut dock = dock(&broker, Version::V311).await;
    let mut other = broker.connect(Version::V311, "other").await;
    other.subscribe("thing/product/OTHER/events_reply", at(QoS::AtLeastOnce)).await;
    let payload = event("t").replace("SIMDOCK2000001", "OTHER");
    dock.publish(EVENTS, payload.as_bytes(), QoS::AtLeastOnce).await;
    check_reply(&dock.receive().await.payload, "t");
    other.expect_nothing().await;
}

/// Case 27: an alias is resolved first, a response topic is ignored.
#[tokio::test]
async fn an_event_by_topic_alias_is_answered() {
    let broker = TestBroker::start().await;
    let mut dock = dock(&broker, Version::V5).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::TopicAlias, 1).text(PropertyId::ResponseTopic, "elsewhere");
    for (topic, tid) in [(EVENTS, "first"), ("", "second")] {
        let payload = event(tid);
        let message = publish(topic, payload.as_bytes(), QoS::AtLeastOnce, 1);
        dock.send(&Packet::Publish(Publish { properties: list.as_properties(), ..message })).await;
        dock.expect(Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
        check_reply(&dock.receive().await.payload, tid);
    }
}

/// Case 23: a dock that sets the retain flag is answered like any other, in every version.
#[tokio::test]
async fn a_retained_event_is_answered_without_the_flag() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut dock = dock(&broker, version).await;
        let payload = event("t");
        let message = publish(EVENTS, payload.as_bytes(), QoS::AtMostOnce, 0);
        dock.send(&Packet::Publish(Publish { retain: true, ..message })).await;
        let reply = dock.receive().await;
        assert!(!reply.retain);
        check_reply(&reply.payload, "t");
    }
}

/// A dock whose window is full gets its replies when it has room, in order.
#[tokio::test]
async fn replies_wait_for_the_window() {
    let broker = TestBroker::start_with(|config| config.limits.inflight = 1).await;
    let mut dock = dock(&broker, Version::V311).await;
    for (n, tid) in [(1, "a"), (2, "b"), (3, "c")] {
        let payload = event(tid);
        dock.send(&Packet::Publish(publish(EVENTS, payload.as_bytes(), QoS::AtLeastOnce, n))).await;
    }
    let mut replies = Vec::new();
    for _ in 0..4 {
        let bytes = dock.packet().await;
        if let Packet::Publish(reply) = read(&bytes, Version::V311) {
            replies.push(reply.payload.to_vec());
        }
    }
    assert_eq!(replies.len(), 1, "three acknowledgements and one reply");
    check_reply(&replies[0], "a");
    dock.ping().await;
    for (n, tid) in [(1, "b"), (2, "c")] {
        dock.send(&Packet::Puback(Ack::new(id(n), ReasonCode::Success))).await;
        let bytes = dock.packet().await;
        let Packet::Publish(reply) = read(&bytes, Version::V311) else { panic!("{bytes:?}") };
        check_reply(reply.payload, tid);
    }
}

/// Case 29: a reply that waits for the window is not overtaken by one that finds it open.
#[tokio::test]
async fn replies_keep_their_order_when_the_window_opens() {
    let broker = TestBroker::start_with(|config| config.limits.inflight = 1).await;
    let mut dock = dock(&broker, Version::V311).await;
    let event_bytes = |n: u16, tid: &str| {
        let payload = event(tid);
        let mut bytes = Vec::new();
        let message = Packet::Publish(publish(EVENTS, payload.as_bytes(), QoS::AtLeastOnce, n));
        dockside_mqtt::codec::encode(&mut bytes, &message, Version::V311);
        bytes
    };
    dock.send_bytes(&[event_bytes(1, "a"), event_bytes(2, "b")].concat()).await;
    dock.ping_after(3).await;
    // The window opens and a new event comes in one segment.
    dock.send_bytes(&[b"\x40\x02\0\x01".to_vec(), event_bytes(3, "c")].concat()).await;
    let mut replies = Vec::new();
    while replies.len() < 2 {
        let bytes = dock.packet().await;
        if let Packet::Publish(reply) = read(&bytes, Version::V311) {
            let value: Value = serde_json::from_slice(reply.payload).unwrap();
            replies.push(value["tid"].as_str().unwrap().to_owned());
            let ack = Ack::new(reply.packet_id.unwrap(), ReasonCode::Success);
            dock.send(&Packet::Puback(ack)).await;
        }
    }
    assert_eq!(replies, ["b", "c"]);
}

#[tokio::test]
async fn docksim_flies_with_every_reply() {
    let broker = TestBroker::start().await;
    let pace = std::time::Duration::ZERO;
    let summary = docksim::fly::fly(&broker.address.into(), "SIMDOCK2000001", pace).await.unwrap();
    assert!(summary.is_perfect(), "{summary:?}");
    assert!(summary.events > 20);
}

#[tokio::test]
async fn docksim_notices_a_broker_that_does_not_answer_rightly() {
    struct Wrong;
    impl Interceptor for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }
        fn filters(&self) -> Vec<String> {
            vec!["thing/product/+/events".to_owned()]
        }
        fn intercept(&self, _: &Intercepted<'_>, effects: &mut Effects<'_>) -> Verdict {
            let (topic, payload) = (REPLY.to_owned(), b"{\"data\":{\"result\":1}}".to_vec());
            effects.reply(Reply { topic, payload, qos: QoS::AtLeastOnce, after: After::Kept });
            Verdict::Forward
        }
    }
    let broker = TestBroker::start_plugins(Config::default(), vec![Arc::new(Wrong)]).await;
    let pace = std::time::Duration::ZERO;
    let summary = docksim::fly::fly(&broker.address.into(), "SIMDOCK2000001", pace).await.unwrap();
    assert!(!summary.is_perfect());
    assert_eq!((summary.replies, summary.wrong), (0, summary.events));
}
