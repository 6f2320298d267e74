//! A client that speaks in packets or in bytes.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use dockside_mqtt::codec::{self, decode, split};
use dockside_mqtt::packet::{
    Ack, Codes, Connack, Connect, Disconnect, Packet, PacketId, Publish, Subscribe,
    SubscriptionOptions,
};
use dockside_mqtt::property::{Properties, PropertyId};
use dockside_mqtt::{QoS, ReasonCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use crate::broker::TestBroker;

/// A test that waits longer than this for a packet has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// A client, one packet at a time.
pub(crate) struct Peer {
    socket: TcpStream,
    pub(crate) version: Version,
    input: Vec<u8>,
    /// Messages that came before an acknowledgement that was waited for.
    early: VecDeque<Vec<u8>>,
    /// QoS 2 messages that have not been released.
    received: HashSet<PacketId>,
}

impl Peer {
    /// A connection that has said nothing yet.
    pub(crate) fn new(socket: TcpStream, version: Version) -> Self {
        Self {
            socket,
            version,
            input: Vec::new(),
            early: VecDeque::new(),
            received: HashSet::new(),
        }
    }

    /// Sends a CONNECT and returns the CONNACK's reason; in 3.1.1 the nearest one.
    pub(crate) async fn connect(&mut self, connect: Connect<'_>) -> ReasonCode {
        match self.connack(connect).await {
            (false, reason) => reason,
            (true, _) => panic!("a session where none was asked for"),
        }
    }

    /// Sends a CONNECT and returns what the CONNACK says: whether a session was there, and how it
    /// went.
    pub(crate) async fn connack(&mut self, connect: Connect<'_>) -> (bool, ReasonCode) {
        self.send(&Packet::Connect(Box::new(connect))).await;
        let bytes = self.packet().await;
        match read(&bytes, self.version) {
            Packet::Connack(Connack { session_present, reason, .. }) => (session_present, reason),
            other => unexpected(&other),
        }
    }

    pub(crate) async fn send(&mut self, packet: &Packet<'_>) {
        let mut out = Vec::new();
        codec::encode(&mut out, packet, self.version);
        self.send_bytes(&out).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends what the other end may refuse to take any more.
    pub(crate) async fn send_bytes_perhaps(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next packet, as bytes; the release of a message that was received is completed on the way.
    pub(crate) async fn packet(&mut self) -> Vec<u8> {
        loop {
            let early = self.early.pop_front();
            let bytes = match early {
                Some(early) => early,
                None => self.any_packet().await,
            };
            match read(&bytes, self.version) {
                Packet::Pubrel(ack) if self.received.remove(&ack.packet_id) => {
                    let pubcomp = Ack::new(ack.packet_id, ReasonCode::Success);
                    self.send(&Packet::Pubcomp(pubcomp)).await;
                }
                _ => return bytes,
            }
        }
    }

    async fn any_packet(&mut self) -> Vec<u8> {
        loop {
            if let Some((_, length)) = split(&self.input, u32::MAX).unwrap() {
                let rest = self.input.split_off(length);
                return std::mem::replace(&mut self.input, rest);
            }
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.input));
            let count = read.await.expect("a packet in time").unwrap();
            assert_ne!(count, 0, "closed where a packet was expected");
        }
    }

    /// The next packet is exactly this; a sentence for people may stand beside a code.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "reads as a conversation")]
    pub(crate) fn expect(&mut self, expected: Packet<'_>) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let mut out = Vec::new();
        codec::encode(&mut out, &expected, self.version);
        let described = format!("{expected:?}");
        async move {
            let bytes = self.packet().await;
            let found = read(&bytes, self.version);
            let mut encoded = Vec::new();
            codec::encode(&mut encoded, &without_sentence(&found), self.version);
            assert_eq!(encoded, out, "at {caller}: expected {described}, found {found:?}");
        }
    }

    /// The connection ends without another packet.
    pub(crate) async fn expect_closed(&mut self) {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut rest)).await;
        // A reset is an end as well.
        let _ = read.expect("closed in time");
        rest.splice(..0, self.input.drain(..));
        assert!(rest.is_empty(), "bytes where an end was expected: {rest:?}");
    }

    /// The broker ends the connection; a 5.0 client is told why.
    pub(crate) async fn expect_ended(&mut self, reason: ReasonCode) {
        if self.version.is_v5() {
            let properties = Properties::EMPTY;
            self.expect(Packet::Disconnect(Disconnect { reason, properties })).await;
        }
        self.expect_closed().await;
    }

    /// PINGREQ and its answer [MQTT-3.12.4-1]: everything sent before has been handled.
    pub(crate) async fn ping(&mut self) {
        self.send(&Packet::Pingreq).await;
        self.expect(Packet::Pingresp).await;
    }

    /// Takes `count` packets, and no other has come by the next PINGRESP.
    pub(crate) async fn ping_after(&mut self, count: usize) {
        for _ in 0..count {
            self.packet().await;
        }
        self.ping().await;
    }

    /// Nothing is on its way to this client: a message of its own, sent now, comes first.
    pub(crate) async fn expect_nothing(&mut self) {
        let fence = format!("fence/{}", self.port());
        self.subscribe(&fence, at(QoS::AtMostOnce)).await;
        self.publish(&fence, b"", QoS::AtLeastOnce).await;
        let received = self.receive().await;
        assert_eq!(received.topic, fence, "a message that should not have come: {received:?}");
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, options: SubscriptionOptions) {
        let reasons = self.subscribe_all(&[(filter, options)], Properties::EMPTY).await;
        assert_eq!(reasons[0].wire(), options.qos.bits());
    }

    pub(crate) async fn subscribe_all(
        &mut self,
        filters: &[(&str, SubscriptionOptions)],
        properties: Properties<'_>,
    ) -> Vec<ReasonCode> {
        let (packet_id, filters) = (id(9), filters.to_vec());
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters })).await;
        let bytes = self.packet().await;
        match read(&bytes, self.version) {
            Packet::Suback(Codes { packet_id, reasons, .. }) if packet_id == id(9) => reasons,
            other => unexpected(&other),
        }
    }

    /// Publishes and goes through the whole exchange [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11].
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        let id = id(77);
        let publish = publish(topic, payload, qos, 77);
        self.send(&Packet::Publish(publish)).await;
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => {
                self.expect_answer(Packet::Puback(Ack::new(id, ReasonCode::Success))).await;
            }
            QoS::ExactlyOnce => {
                self.expect_answer(Packet::Pubrec(Ack::new(id, ReasonCode::Success))).await;
                self.send(&Packet::Pubrel(Ack::new(id, ReasonCode::Success))).await;
                self.expect_answer(Packet::Pubcomp(Ack::new(id, ReasonCode::Success))).await;
            }
        }
    }

    /// The next packet but messages, which may come before an acknowledgement, is exactly this.
    #[track_caller]
    fn expect_answer(&mut self, expected: Packet<'static>) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut bytes = self.any_packet().await;
            while matches!(read(&bytes, self.version), Packet::Publish(_)) {
                self.early.push_back(bytes);
                bytes = self.any_packet().await;
            }
            assert_eq!(read(&bytes, self.version), expected, "at {caller}");
        }
    }

    /// The next packet is a PUBLISH, which is acknowledged to its end.
    pub(crate) async fn receive(&mut self) -> Received {
        let received = self.receive_only().await;
        self.acknowledge(&received).await;
        received
    }

    /// The payloads of the next messages, which are acknowledged.
    pub(crate) async fn receive_payloads(&mut self, count: usize) -> Vec<String> {
        let mut payloads = Vec::new();
        for _ in 0..count {
            payloads.push(String::from_utf8(self.receive().await.payload).unwrap());
        }
        payloads
    }

    /// The next packet is a PUBLISH, which is not acknowledged.
    pub(crate) async fn receive_only(&mut self) -> Received {
        let bytes = self.packet().await;
        match read(&bytes, self.version) {
            Packet::Publish(publish) => Received::of(&publish),
            other => unexpected(&other),
        }
    }

    /// The messages that come before the answer to a PINGREQ, acknowledged.
    pub(crate) async fn receive_until_pong(&mut self) -> Vec<Received> {
        self.send(&Packet::Pingreq).await;
        let mut all = Vec::new();
        loop {
            let bytes = self.packet().await;
            match read(&bytes, self.version) {
                Packet::Pingresp => return all,
                Packet::Publish(publish) => {
                    let received = Received::of(&publish);
                    self.acknowledge(&received).await;
                    all.push(received);
                }
                other => unexpected(&other),
            }
        }
    }

    /// Acknowledges a message; a QoS 2 one is released on the way to the next packet.
    pub(crate) async fn acknowledge(&mut self, received: &Received) {
        let ack = |id| Ack::new(id, ReasonCode::Success);
        match (received.qos, received.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => self.send(&Packet::Puback(ack(id))).await,
            (QoS::ExactlyOnce, Some(id)) => {
                self.received.insert(id);
                self.send(&Packet::Pubrec(ack(id))).await;
            }
            _ => {}
        }
    }

    /// Bytes that come before the connection ends.
    pub(crate) async fn bytes_to_the_end(&mut self) -> usize {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut rest)).await;
        // A reset is an end as well.
        let _ = read.expect("closed in time");
        self.input.len() + rest.len()
    }

    /// Nothing has come so far; behind a [`fence`](Self::fence) of another client this says something.
    pub(crate) fn is_silent(&self) -> bool {
        let nothing = self.socket.try_read(&mut [0]);
        let blocks = nothing.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        blocks && self.input.is_empty() && self.early.is_empty()
    }

    /// The broker has read, and its writer has seen, what others sent before: a subscription of this client,
    /// which is not kept, went the same way. Twice, as what came at the same time as the first may be behind it.
    pub(crate) async fn fence(&mut self) {
        for _ in 0..2 {
            self.subscribe("fence", at(QoS::AtMostOnce)).await;
        }
    }

    /// The client's end of the connection.
    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Ends the connection without DISCONNECT.
    pub(crate) fn vanish(self) {}
}

/// A message as a subscriber got it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
    pub(crate) subscription_ids: Vec<u32>,
}

impl Received {
    fn of(publish: &Publish<'_>) -> Self {
        Self {
            dup: publish.dup,
            packet_id: publish.packet_id,
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            properties: publish.properties.raw().to_vec(),
            subscription_ids: publish
                .properties
                .iter()
                .filter(|p| p.id == PropertyId::SubscriptionIdentifier)
                .map(|p| p.value)
                .map(|value| match value {
                    dockside_mqtt::property::Value::Number(n) => n,
                    _ => 0,
                })
                .collect(),
        }
    }
}

pub(crate) fn read(bytes: &[u8], version: Version) -> Packet<'_> {
    let (frame, _) = split(bytes, u32::MAX).unwrap().unwrap();
    decode(&frame, version).unwrap()
}

/// The packet without its reason string, if that is all the properties it has.
fn without_sentence<'a>(packet: &Packet<'a>) -> Packet<'a> {
    let mut packet = packet.clone();
    let properties = match &mut packet {
        Packet::Puback(ack) | Packet::Pubrec(ack) => &mut ack.properties,
        Packet::Disconnect(disconnect) => &mut disconnect.properties,
        _ => return packet,
    };
    if properties.iter().all(|property| property.id == PropertyId::ReasonString) {
        *properties = Properties::EMPTY;
    }
    packet
}

#[track_caller]
fn unexpected(packet: &Packet<'_>) -> ! {
    panic!("unexpected packet {packet:?}")
}

pub(crate) fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

pub(crate) fn connect(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

pub(crate) fn publish<'a>(
    topic: &'a str,
    payload: &'a [u8],
    qos: QoS,
    packet_id: u16,
) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        packet_id: (qos != QoS::AtMostOnce).then(|| id(packet_id)),
        topic,
        properties: Properties::EMPTY,
        payload,
    }
}

pub(crate) fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions::qos(qos)
}
