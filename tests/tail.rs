//! Looking on while messages pass, and publishing as an operator (docs/traffic.md).

use std::net::SocketAddr;

use dockside_mqtt::packet::{Connect, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::broker::TestBroker;
use crate::kept_failures::hold;
use crate::peer::{PATIENCE, at, connect};

/// One who looks on.
struct Tail(BufReader<TcpStream>);

impl Tail {
    async fn open(admin: SocketAddr, filter: &str) -> Self {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let head = format!("GET /api/v1/tail?filter={filter} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut tail = Self(BufReader::new(socket));
        assert_eq!(tail.next().await.0, "started");
        tail
    }

    async fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("in time");
            assert_ne!(read.unwrap(), 0, "a stream that goes on");
            if let Some(found) = line.strip_prefix("event: ") {
                found.trim_end().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }

    async fn message(&mut self) -> Value {
        let (name, data) = self.next().await;
        assert_eq!(name, "message", "{data}");
        data
    }
}

pub(crate) async fn send(admin: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(admin).await.unwrap();
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn publish(broker: &TestBroker, body: Value) -> (u16, String) {
    send(broker.admin, "POST /api/v1/publish", &body.to_string()).await
}

/// Each lane, a large message and a will: what a subscriber gets, one who looks on sees.
#[tokio::test]
async fn messages_are_shown_as_they_pass() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect(Version::V5, "camera").await;
    // Acknowledged is not yet in the log: what comes back has been.
    client.subscribe("site/before", at(QoS::AtLeastOnce)).await;
    client.publish("site/before", b"unseen", QoS::AtMostOnce).await;
    assert_eq!(client.receive().await.payload, b"unseen");
    let mut tail = Tail::open(broker.admin, "site/#").await;
    client.publish("site/text", "日".as_bytes(), QoS::AtMostOnce).await;
    let message = tail.message().await;
    assert_eq!((&message["client"], &message["text"]), (&json!("camera"), &json!("日")));
    assert_eq!((&message["qos"], &message["topic"]), (&json!(0), &json!("site/text")));
    client.publish("elsewhere", b"x", QoS::AtLeastOnce).await;
    client.publish("site/bytes", b"\xff\x00", QoS::AtLeastOnce).await;
    let message = tail.message().await;
    assert_eq!((&message["hex"], &message["text"]), (&json!("ff00"), &Value::Null));
    for n in 0..20 {
        // Beside the log: the dispatcher and one who looks on race for it.
        let large = vec![b'a' + n; 100_000];
        client.publish("site/large", &large, QoS::AtLeastOnce).await;
        let message = tail.message().await;
        assert_eq!((&message["bytes"], &message["is_cut"]), (&json!(100_000), &json!(true)));
        assert!(message["text"].as_str().unwrap().bytes().all(|byte| byte == b'a' + n));
    }
    let will = Will {
        topic: "site/will",
        payload: b"gone",
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    let mut leaver = broker.socket(Version::V5).await;
    leaver.connect(Connect { will: Some(will), ..connect(Version::V5, "leaver") }).await;
    leaver.vanish();
    assert_eq!(tail.message().await["topic"], "site/will");
    broker.stop().await;
}

/// What comes too fast is left out and counted, and costs the publisher and its subscriber nothing.
#[tokio::test]
async fn a_flood_is_told_and_delays_nobody() {
    let broker = TestBroker::start().await;
    let mut tail = Tail::open(broker.admin, "flood/+").await;
    let mut subscriber = broker.connect(Version::V5, "s").await;
    subscriber.subscribe("flood/#", at(QoS::AtLeastOnce)).await;
    let mut client = broker.connect(Version::V5, "c").await;
    let total = 1_000;
    for n in 0..total {
        client.publish("flood/a", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        let received = subscriber.receive().await;
        assert_eq!(received.payload, n.to_string().as_bytes());
        subscriber.acknowledge(&received).await;
    }
    let (mut shown, mut left_out) = (0, 0);
    while shown + left_out < total {
        match tail.next().await {
            (name, data) if name == "left_out" => {
                assert_eq!(data["batches"], 0);
                left_out += data["messages"].as_u64().unwrap();
            }
            _ => shown += 1,
        }
    }
    assert!(shown >= 200 && left_out > 0, "{shown} shown, {left_out} left out");
}

#[tokio::test]
async fn few_look_on_and_filters_are_checked() {
    let broker = TestBroker::start().await;
    for (filter, words) in [
        ("", "empty topic filter"),
        ("a/%23/b", "# before the last level"),
        ("a%2B", "wildcard that is not alone"),
        ("%24share/g/a", "leave out $share"),
    ] {
        let (status, body) =
            send(broker.admin, &format!("GET /api/v1/tail?filter={filter}"), "").await;
        assert_eq!(status, 400, "{filter}");
        assert!(body.contains(words), "{filter}: {body}");
    }
    let mut tails = Vec::new();
    for _ in 0..8 {
        tails.push(Tail::open(broker.admin, "#").await);
    }
    let (status, _) = send(broker.admin, "GET /api/v1/tail?filter=a", "").await;
    assert_eq!(status, 503);
    drop(tails);
    // Their places come back when the broker has seen that they are gone.
    let again =
        async { while send(broker.admin, "HEAD /api/v1/tail?filter=a", "").await.0 != 200 {} };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn an_operator_publishes_as_any_client_does() {
    let broker = TestBroker::start().await;
    let mut subscriber = broker.connect(Version::V5, "s").await;
    subscriber.subscribe("#", at(QoS::ExactlyOnce)).await;
    for (body, payload, qos) in [
        (json!({"topic": "a", "text": "日"}), "日".as_bytes(), QoS::AtMostOnce),
        (json!({"topic": "a", "hex": "ff00", "qos": 1}), b"\xff\x00", QoS::AtLeastOnce),
        (json!({"topic": "a", "qos": 1, "retain": true}), b"", QoS::AtLeastOnce),
    ] {
        let (status, text) = publish(&broker, body).await;
        assert_eq!(status, 200, "{text}");
        let received = subscriber.receive().await;
        assert_eq!((&*received.payload, received.qos), (payload, qos));
        subscriber.acknowledge(&received).await;
    }
    let (status, _) = publish(&broker, json!({"topic": "kept", "text": "x", "retain": true})).await;
    assert_eq!(status, 200);
    let mut late = broker.connect(Version::V5, "late").await;
    late.subscribe("kept", at(QoS::AtLeastOnce)).await;
    assert_eq!(late.receive().await.payload, b"x");
    let audit = crate::clock::ask(broker.admin, "GET /api/v1/audit", "").await;
    let audit: Value = serde_json::from_str(&audit).unwrap();
    let published: Vec<_> = audit["audit"].as_array().unwrap().iter().collect();
    assert_eq!(published.len(), 4);
    assert!(published.iter().all(|entry| entry["what"] == "publish"));
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_a_reason() {
    let broker = TestBroker::start().await;
    for (body, words) in [
        (json!({"topic": "a/#"}), "no topic to publish on"),
        (json!({"topic": ""}), "no topic to publish on"),
        (json!({"topic": "$SYS/broker/uptime"}), "only the broker itself"),
        (json!({"topic": "a\u{0}"}), "U+0000"),
        (json!({"topic": "a/".repeat(2_000)}), "limits.topic_"),
        (json!({"topic": "a", "qos": 3}), "qos is 0, 1 or 2"),
        (json!({"topic": "a", "text": "", "hex": ""}), "not both"),
        (json!({"topic": "a", "hex": "0"}), "two digits"),
    ] {
        let (status, text) = publish(&broker, body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(text.contains(words), "{body}: {text}");
    }
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(publish(&broker, json!({"topic": "a"})).await.0);
    }
    assert!(statuses.contains(&429), "so many a second at most");
    assert!(statuses[..20].iter().all(|status| *status == 200));
}

/// At QoS 1 it is answered when it is kept, and not before.
#[tokio::test]
async fn nothing_is_promised_that_is_not_kept() {
    let dir = tempfile::TempDir::new().unwrap();
    let broker = crate::kept::start(dir.path()).await;
    let lock = hold(&dir);
    let asked = publish(&broker, json!({"topic": "a", "text": "x", "qos": 1, "retain": true}));
    let mut asked = std::pin::pin!(asked);
    let is_refused = async {
        while send(broker.admin, "GET /readyz", "").await.0 != 503 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        (status, _) = &mut asked => panic!("{status} while nothing can be kept"),
        () = is_refused => {}
    }
    let (status, text) = publish(&broker, json!({"topic": "a", "qos": 1})).await;
    assert_eq!(status, 503);
    assert!(text.contains("store cannot be written"), "{text}");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(asked.await.0, 200);
}
