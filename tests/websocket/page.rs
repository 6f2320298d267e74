//! A client that speaks in frames of a WebSocket, good and bad ones.

use std::net::SocketAddr;

use dockside_broker::config::{Listener, Transport};
use dockside_mqtt::codec::{self, split};
use dockside_mqtt::packet::{Connack, Connect, Packet, Publish, Subscribe};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peer::{PATIENCE, TestBroker, at, id, publish, read};

/// First bytes of frames that are whole messages.
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// What a page of another site asks with.
pub(crate) const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nOrigin: http://elsewhere\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
    Sec-WebSocket-Protocol: mqtt\r\n\r\n";

const MASK: [u8; 4] = [0x1f, 0x02, 0xd3, 0x84];

/// TCP or TLS.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// A broker with a listener for WebSockets.
pub(crate) async fn broker(change: impl FnOnce(&mut dockside::config::Config)) -> TestBroker {
    TestBroker::start_with(|config| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listeners.push(Listener::new(listen, Transport::Ws));
        change(config);
    })
    .await
}

/// A frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    out
}

pub(crate) fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(&mut out, packet, version);
    out
}

/// A connection to a listener for WebSockets.
pub(crate) struct Page {
    io: Box<dyn Io>,
    pub(crate) version: Version,
    input: Vec<u8>,
    /// What came in binary frames.
    mqtt: Vec<u8>,
    /// What the last pong carried.
    pub(crate) pong: Vec<u8>,
}

impl Page {
    /// A connection that has said nothing yet.
    pub(crate) fn new(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (version, io) = (Version::V5, Box::new(io));
        Self { io, version, input: Vec::new(), mqtt: Vec::new(), pong: Vec::new() }
    }

    pub(crate) async fn socket(broker: &TestBroker) -> Self {
        let socket = TcpStream::connect(broker.addresses[1]).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self::new(socket)
    }

    /// A WebSocket, in which nothing has been said yet.
    pub(crate) async fn open(broker: &TestBroker) -> Self {
        let mut page = Self::socket(broker).await;
        page.upgrade().await;
        page
    }

    /// Asks as it should be, and is let in.
    pub(crate) async fn upgrade(&mut self) {
        self.send_bytes(REQUEST.as_bytes()).await;
        let response = self.response().await;
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        // [MQTT-6.0.0-4]
        assert!(response.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{response}");
        assert!(response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!response.contains("Extensions"), "{response}");
    }

    /// The head of the answer to a request.
    pub(crate) async fn response(&mut self) -> String {
        loop {
            let end = self.input.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = self.input.split_off(end + 4);
                let head = std::mem::replace(&mut self.input, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read().await, "closed where an answer was expected");
        }
    }

    /// Reads once; `false` at the end.
    async fn read(&mut self) -> bool {
        let read = timeout(PATIENCE, self.io.read_buf(&mut self.input)).await;
        // A reset, or TLS that ends without a word, is an end as well.
        matches!(read.expect("something in time"), Ok(count) if count > 0)
    }

    /// What comes before the end.
    pub(crate) async fn bytes_to_the_end(&mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.input)
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Sends a packet in a frame of its own.
    pub(crate) async fn send(&mut self, packet: &Packet<'_>) {
        self.send_bytes(&frame(BINARY, &encoded(packet, self.version))).await;
    }

    /// The next frame, first byte and payload; none at the end.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, start, end)) = whole_frame(&self.input) {
                let rest = self.input.split_off(end);
                let frame = std::mem::replace(&mut self.input, rest);
                return Some((first, frame[start..].to_vec()));
            }
            if !self.read().await {
                assert!(self.input.is_empty(), "a frame that is not whole: {:?}", self.input);
                return None;
            }
        }
    }

    /// The next packet.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        loop {
            if let Some((_, length)) = split(&self.mqtt, u32::MAX).unwrap() {
                let rest = self.mqtt.split_off(length);
                return std::mem::replace(&mut self.mqtt, rest);
            }
            match self.frame().await {
                Some((BINARY, payload)) => self.mqtt.extend(payload),
                Some((PONG, payload)) => self.pong = payload,
                other => panic!("{other:?} where a packet was expected"),
            }
        }
    }

    /// The next packet is exactly this.
    pub(crate) async fn expect(&mut self, packet: &Packet<'_>) {
        let found = self.packet().await;
        assert_eq!(read(&found, self.version), *packet);
    }

    pub(crate) async fn connect(&mut self, connect: Connect<'_>) {
        self.version = connect.version;
        self.send(&Packet::Connect(Box::new(connect))).await;
        self.expect_connack().await;
    }

    pub(crate) async fn expect_connack(&mut self) {
        let bytes = self.packet().await;
        match read(&bytes, self.version) {
            Packet::Connack(Connack { reason: ReasonCode::Success, .. }) => {}
            other => panic!("unexpected packet {other:?}"),
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) {
        let (packet_id, properties, filters) = (id(1), Properties::EMPTY, vec![(filter, at(qos))]);
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters })).await;
        let bytes = self.packet().await;
        assert!(matches!(read(&bytes, self.version), Packet::Suback(_)));
    }

    /// Topic and payload of the next packet, a PUBLISH at QoS 0.
    pub(crate) async fn receive(&mut self) -> (String, Vec<u8>) {
        let bytes = self.packet().await;
        match read(&bytes, self.version) {
            Packet::Publish(Publish { topic, payload, .. }) => (topic.to_owned(), payload.to_vec()),
            other => panic!("unexpected packet {other:?}"),
        }
    }

    /// PINGREQ and its answer.
    pub(crate) async fn ping(&mut self) {
        self.send(&Packet::Pingreq).await;
        self.expect(&Packet::Pingresp).await;
    }

    /// Publishes to itself at QoS 0, and gets it.
    pub(crate) async fn hears_itself(&mut self, topic: &str, payload: &[u8]) {
        self.subscribe(topic, QoS::AtMostOnce).await;
        self.send(&Packet::Publish(publish(topic, payload, QoS::AtMostOnce, 0))).await;
        let (found, received) = self.receive().await;
        assert!(found == topic && received == payload);
    }

    /// The broker says Close with this code, behind packets at most, and ends the connection.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        loop {
            match self.frame().await {
                Some((BINARY | PONG, _)) => {}
                Some((CLOSE, payload)) => {
                    assert_eq!(payload, code.to_be_bytes());
                    return assert_eq!(self.bytes_to_the_end().await, b"");
                }
                other => panic!("{other:?} where Close was expected"),
            }
        }
    }
}

/// First byte, start and end of the payload of the first frame; the broker's have no mask [RFC 6455, 5.1].
fn whole_frame(input: &[u8]) -> Option<(u8, usize, usize)> {
    let &[first, second, ref rest @ ..] = input else { return None };
    assert!(second & 0x80 == 0 && first & 0xf0 == 0x80, "{first:x} {second:x}");
    let (start, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(rest.get(..2)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(rest.get(..8)?.try_into().unwrap())),
        short => (2, u64::from(short)),
    };
    let end = start + usize::try_from(length).unwrap();
    (end <= input.len()).then_some((first, start, end))
}
