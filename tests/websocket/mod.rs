//! MQTT in WebSockets (MQTT 5.0 section 6, RFC 6455): requests, frames, and what ends a connection.

mod page;

use dockside_broker::config::Transport;
use dockside_mqtt::packet::{Ack, Connect, Disconnect, Packet, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};
use tokio_rustls::rustls::version::{TLS12, TLS13};

pub(crate) use self::page::broker;
use self::page::{BINARY, CLOSE, PING, Page, REQUEST, encoded, frame};
use crate::peer::{TestBroker, VERSIONS, at, connect, id, publish};
use crate::tls::Secure;

/// Waits until the engineer is told this.
async fn until_why_says(broker: &TestBroker, text: &str) {
    while !crate::clock::ask(broker.admin, "GET /api/v1/why", "").await.contains(text) {
        tokio::task::yield_now().await;
    }
}

fn disconnect() -> Packet<'static> {
    let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
    Packet::Disconnect(Disconnect { reason, properties })
}

/// [MQTT-6.0.0-3] [MQTT-6.0.0-4]
#[tokio::test]
async fn mqtt_is_spoken_in_a_websocket() {
    let broker = broker(|_| {}).await;
    let mut peer = broker.connect(Version::V5, "peer").await;
    peer.subscribe("from/page", at(QoS::ExactlyOnce)).await;
    for version in VERSIONS {
        let mut page = Page::open(&broker).await;
        page.connect(connect(version, "page")).await;
        page.hears_itself("own", b"0").await;
        let message = publish("from/page", b"1", QoS::AtLeastOnce, 7);
        page.send(&Packet::Publish(message)).await;
        let expected = Ack::new(id(7), ReasonCode::Success);
        page.expect(&Packet::Puback(expected)).await;
        assert_eq!(peer.receive().await.payload, b"1");
        page.subscribe("to/page", QoS::AtMostOnce).await;
        peer.publish("to/page", b"2", QoS::AtLeastOnce).await;
        assert_eq!(page.receive().await, ("to/page".to_owned(), b"2".to_vec()));
        page.ping().await;
        page.send(&disconnect()).await;
        page.expect_close(1000).await;
    }
    broker.stop().await;
}

/// [MQTT-6.0.0-2]: packets are in parts, and many in one frame; control frames come in between.
#[tokio::test]
async fn frames_end_where_they_like() {
    let broker = broker(|_| {}).await;
    for version in VERSIONS {
        let mut page = Page::open(&broker).await;
        page.version = version;
        let whole = encoded(&Packet::Connect(Box::new(connect(version, "page"))), version);
        for byte in &whole {
            page.send_bytes(&frame(BINARY, &[*byte])).await;
        }
        page.expect_connack().await;
        let message = Packet::Publish(publish("t", b"x", QoS::AtMostOnce, 0));
        page.subscribe("t", QoS::AtMostOnce).await;
        let three = [&message, &Packet::Pingreq, &message].map(|packet| encoded(packet, version));
        page.send_bytes(&frame(BINARY, &three.concat())).await;
        for _ in 0..3 {
            page.packet().await;
        }
        // One message of several frames, empty ones too, and the bytes of the frames one by one.
        let (packet, mut bytes) = (encoded(&message, version), Vec::new());
        for part in [&frame(0x02, &packet[..1]), &frame(PING, b"in between"), &frame(0x00, b"")] {
            bytes.extend_from_slice(part);
        }
        bytes.extend(frame(0x80, &packet[1..]));
        for byte in bytes {
            page.send_bytes(&[byte]).await;
        }
        assert_eq!(page.receive().await.1, b"x");
        assert_eq!(page.pong, b"in between");
    }
}

/// What comes with the request is not lost.
#[tokio::test]
async fn a_client_need_not_wait_for_the_answer() {
    let broker = broker(|_| {}).await;
    let mut page = Page::socket(&broker).await;
    let packet = encoded(&Packet::Connect(Box::new(connect(Version::V5, "page"))), Version::V5);
    page.send_bytes(&[REQUEST.as_bytes(), &frame(BINARY, &packet)].concat()).await;
    assert!(page.response().await.starts_with("HTTP/1.1 101 "));
    page.expect_connack().await;
    page.ping().await;
}

#[tokio::test]
async fn a_mebibyte_goes_both_ways() {
    const BYTES: usize = 1 << 20;
    let payload: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
    let larger = |config: &mut dockside::config::Config| config.limits.packet_bytes = 2 << 20;
    let plain = broker(larger).await;
    let secure = Secure::start_over(Transport::Wss, larger).await;
    let mut pages = vec![Page::socket(&plain).await];
    for version in [&TLS12, &TLS13] {
        pages.push(Page::new(secure.stream(&[version]).await));
    }
    for (n, mut page) in pages.into_iter().enumerate() {
        page.upgrade().await;
        page.connect(connect(Version::V5, &format!("page{n}"))).await;
        page.hears_itself("own", &payload).await;
        let packet =
            encoded(&Packet::Publish(publish("own", &payload, QoS::AtMostOnce, 0)), Version::V5);
        let mut parts = packet.chunks(10_007).peekable();
        let mut opcode = 2;
        while let Some(part) = parts.next() {
            let fin = if parts.peek().is_none() { 0x80 } else { 0 };
            let bytes = [frame(fin | opcode, part), frame(PING, &[opcode])].concat();
            page.send_bytes(&bytes).await;
            opcode = 0;
        }
        assert!(page.receive().await.1 == payload);
        page.send(&disconnect()).await;
        page.expect_close(1000).await;
    }
    plain.stop().await;
    secure.broker.stop().await;
}

/// What breaks the protocol is named in Close, and to whoever asks why [MQTT-6.0.0-1]; before CONNECT and after it.
#[tokio::test]
async fn who_breaks_the_protocol_is_told_and_sent_away() {
    let order = [frame(0x02, b"\xc0"), frame(0x82, b"\0")].concat();
    let unmasked = [&[BINARY, 2][..], &encoded(&Packet::Pingreq, Version::V5)].concat();
    let cases: [(&[u8], u16, &str); 8] = [
        (&frame(0x81, b"\xc0\0"), 1003, "text frame"),
        (&unmasked, 1002, "without a mask"),
        (&frame(0xc2, b"\xc0\0"), 1002, "reserved bits"),
        (&frame(0x80, b"\xc0\0"), 1002, "continues nothing"),
        (&order, 1002, "within a message"),
        (&frame(PING, &[0; 126]), 1002, "control frame"),
        (&frame(0x09, b""), 1002, "control frame"),
        (&frame(0x83, b""), 1002, "unknown kind"),
    ];
    for (bytes, code, reason) in cases {
        let broker = broker(|_| {}).await;
        let mut page = Page::open(&broker).await;
        page.connect(connect(Version::V5, "page")).await;
        // What came before it holds.
        let ping = frame(BINARY, &encoded(&Packet::Pingreq, Version::V5));
        page.send_bytes(&[&ping[..], bytes, &ping].concat()).await;
        page.expect(&Packet::Pingresp).await;
        page.expect_close(code).await;
        until_why_says(&broker, reason).await;
        let mut page = Page::open(&broker).await;
        page.send_bytes(bytes).await;
        if reason != "within a message" {
            page.expect_close(code).await;
        }
        broker.stop().await;
    }
}

#[tokio::test]
async fn a_request_that_is_not_good_is_told_what_to_do() {
    let broker = broker(|_| {}).await;
    let cookies = format!("\r\nCookie: {}\r\n\r\n", "x".repeat(9_000));
    let headers = format!("\r\n{}\r\n", "X: 1\r\n".repeat(64));
    for (good, bad, status, says) in [
        // [MQTT-6.0.0-3]
        ("Sec-WebSocket-Protocol: mqtt\r\n", "", "400", "subprotocol mqtt"),
        ("Protocol: mqtt", "Protocol: chat", "400", "subprotocol mqtt"),
        ("Upgrade: websocket\r\n", "", "426", "asks for no WebSocket"),
        ("Version: 13", "Version: 8", "426", "another version"),
        ("==\r\n", "\r\n", "400", "Sec-WebSocket-Key"),
        ("GET", "POST", "400", "no HTTP/1.1 request"),
        ("\r\n\r\n", &*cookies, "431", "longer than 8 KiB"),
        ("\r\n\r\n", &*headers, "431", "more than 64 headers"),
    ] {
        let request = REQUEST.replacen(good, bad, 1);
        assert_ne!(request, REQUEST);
        let mut page = Page::socket(&broker).await;
        page.send_bytes(request.as_bytes()).await;
        let response = page.response().await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{bad}: {response}");
        if status == "426" && bad.contains("Version") {
            assert!(response.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{response}");
        }
        let body = String::from_utf8(page.bytes_to_the_end().await).unwrap();
        assert!(body.contains(says), "{body}");
        until_why_says(&broker, says).await;
    }
    // Who has old software says so.
    let mut page = Page::socket(&broker).await;
    page.send_bytes(REQUEST.replace("Protocol: mqtt", "Protocol: mqttv3.1").as_bytes()).await;
    assert!(page.response().await.contains("\r\nSec-WebSocket-Protocol: mqttv3.1\r\n"));
    broker.stop().await;
}

#[tokio::test]
async fn who_speaks_something_else_hears_nothing_and_the_engineer_everything() {
    let broker = broker(|_| {}).await;
    let mqtt = encoded(&Packet::Connect(Box::new(connect(Version::V5, "c"))), Version::V5);
    for (bytes, says) in [
        (&mqtt[..], "MQTT without WebSocket to a WebSocket listener"),
        (b"\x16\x03\x01\x02\0\x01\0", "speaks TLS to a listener without it"),
        (b"\0\0\0", "no HTTP/1.1 request"),
    ] {
        let mut page = Page::socket(&broker).await;
        page.send_bytes(bytes).await;
        assert_eq!(page.bytes_to_the_end().await, b"");
        until_why_says(&broker, says).await;
    }
    // The other way round.
    let mut peer = broker.socket(Version::V5).await;
    peer.send_bytes(REQUEST.as_bytes()).await;
    peer.expect_closed().await;
    until_why_says(&broker, "speaks HTTP or WebSocket to an MQTT listener").await;
}

/// Request and CONNECT have one time together.
#[tokio::test]
async fn an_upgrade_that_does_not_end_is_ended() {
    let broker = broker(|config| config.mqtt.connect_timeout_ms = 1_000).await;
    let mut begun = Vec::new();
    for request in [&REQUEST[..100], ""] {
        let mut page = Page::socket(&broker).await;
        page.send_bytes(request.as_bytes()).await;
        begun.push(page);
    }
    let mut page = Page::open(&broker).await;
    page.send_bytes(&frame(BINARY, b"\x10")).await;
    for mut page in begun {
        assert_eq!(page.bytes_to_the_end().await, b"");
    }
    page.expect_close(1000).await;
    for says in ["no whole WebSocket request in time", "no whole CONNECT in time"] {
        until_why_says(&broker, says).await;
    }
}

/// A Close is an end of the network connection, which is answered; the will is published unless DISCONNECT came
/// before.
#[tokio::test]
async fn a_close_is_an_end_without_disconnect() {
    let broker = broker(|_| {}).await;
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("will", at(QoS::AtMostOnce)).await;
    let mortal = || {
        let (qos, properties) = (QoS::AtMostOnce, Properties::EMPTY);
        let will = Will { qos, retain: false, topic: "will", payload: b"gone", properties };
        Connect { will: Some(will), ..connect(Version::V5, "page") }
    };
    for (sent, code) in [(&b""[..], 1000), (b"\x03\xe9going away", 1001)] {
        let mut page = Page::open(&broker).await;
        page.connect(mortal()).await;
        page.send_bytes(&frame(CLOSE, sent)).await;
        page.expect_close(code).await;
        assert_eq!(watcher.receive().await.payload, b"gone");
    }
    let mut page = Page::open(&broker).await;
    page.connect(mortal()).await;
    page.send(&disconnect()).await;
    page.expect_close(1000).await;
    watcher.expect_nothing().await;
}

/// Somebody who reads nothing but goes on pinging: neither messages nor answers are mixed up, and of pings only the
/// last needs one.
#[tokio::test]
async fn pings_of_a_client_that_does_not_read_hold_nothing_up() {
    const MESSAGES: usize = 300;
    const PINGS: u32 = 2_000;
    let broker = broker(|_| {}).await;
    let mut page = Page::open(&broker).await;
    page.connect(connect(Version::V5, "slow")).await;
    page.subscribe("w", QoS::AtMostOnce).await;
    let mut sender = broker.connect(Version::V5, "sender").await;
    let payload = vec![7; 80_000];
    for n in 0..PINGS {
        if n < MESSAGES as u32 {
            sender.publish("w", &payload, QoS::AtLeastOnce).await;
        }
        page.send_bytes(&frame(PING, &n.to_be_bytes())).await;
    }
    for _ in 0..MESSAGES {
        assert!(page.receive().await == ("w".to_owned(), payload.clone()));
    }
    page.ping().await;
    while page.pong != (PINGS - 1).to_be_bytes() {
        page.ping().await;
    }
}
