//! What the metrics say is what clients have counted.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use dockside_mqtt::packet::{
    Ack, Connect, Disconnect, Publish, Subscribe, SubscriptionOptions, Unsubscribe,
};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{Packet, PacketId, QoS, ReasonCode, Version, codec};

use crate::broker::Process;

const NO_PROPERTIES: Properties<'static> = Properties::EMPTY;

/// A client that counts packets, by the type in their first byte.
struct Client {
    socket: TcpStream,
    input: Vec<u8>,
    sent: BTreeMap<u8, u64>,
    received: BTreeMap<u8, u64>,
    bytes: [u64; 2],
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (sent, received) = (BTreeMap::new(), BTreeMap::new());
        Self { socket, input: Vec::new(), sent, received, bytes: [0; 2] }
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut out = Vec::new();
        codec::encode(&mut out, packet, Version::V311);
        *self.sent.entry(out[0] >> 4).or_default() += 1;
        self.bytes[0] += out.len() as u64;
        self.socket.write_all(&out).unwrap();
    }

    /// Reads up to a packet of this type, and answers what wants an answer.
    fn hear(&mut self, wanted: u8) {
        loop {
            while let Some((_, length)) = codec::split(&self.input, u32::MAX).unwrap() {
                let bytes: Vec<u8> = self.input.drain(..length).collect();
                let kind = bytes[0] >> 4;
                *self.received.entry(kind).or_default() += 1;
                self.bytes[1] += bytes.len() as u64;
                let (frame, _) = codec::split(&bytes, u32::MAX).unwrap().unwrap();
                match codec::decode(&frame, Version::V311).unwrap() {
                    Packet::Publish(Publish {
                        qos: QoS::AtLeastOnce, packet_id: Some(id), ..
                    }) => {
                        self.send(&Packet::Puback(Ack::new(id, ReasonCode::Success)));
                    }
                    Packet::Publish(Publish {
                        qos: QoS::ExactlyOnce, packet_id: Some(id), ..
                    }) => {
                        self.send(&Packet::Pubrec(Ack::new(id, ReasonCode::Success)));
                    }
                    Packet::Pubrec(ack) => {
                        self.send(&Packet::Pubrel(Ack::new(ack.packet_id, ReasonCode::Success)));
                    }
                    Packet::Pubrel(ack) => {
                        self.send(&Packet::Pubcomp(Ack::new(ack.packet_id, ReasonCode::Success)));
                    }
                    _ => {}
                }
                if kind == wanted {
                    return;
                }
            }
            let mut buffer = [0; 4096];
            let count = self.socket.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "closed before a packet of type {wanted}");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }
}

fn connect(client_id: &str) -> Packet<'_> {
    Packet::Connect(Box::new(Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive: 60,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: NO_PROPERTIES,
    }))
}

/// Everything that 3.1.1 has: messages of every quality to itself.
fn converse(broker: &Process) -> Client {
    let mut client = Client::new(broker.mqtt);
    client.send(&connect("counts"));
    client.hear(2);
    let id = PacketId::new(1).unwrap();
    let filters = vec![("t", SubscriptionOptions::qos(QoS::ExactlyOnce))];
    client.send(&Packet::Subscribe(Subscribe {
        packet_id: id,
        properties: NO_PROPERTIES,
        filters,
    }));
    client.hear(9);
    for (qos, last) in [(QoS::AtMostOnce, 3), (QoS::AtLeastOnce, 3), (QoS::ExactlyOnce, 6)] {
        let packet_id = (qos != QoS::AtMostOnce).then_some(id);
        let (topic, payload) = ("t", &b"12345"[..]);
        let properties = NO_PROPERTIES;
        let publish =
            Publish { dup: false, qos, retain: false, packet_id, topic, properties, payload };
        client.send(&Packet::Publish(publish));
        client.hear(last);
    }
    let unsubscribe = Unsubscribe { packet_id: id, properties: NO_PROPERTIES, filters: vec!["t"] };
    client.send(&Packet::Unsubscribe(unsubscribe));
    client.hear(11);
    client.send(&Packet::Pingreq);
    client.hear(13);
    let (reason, properties) = (ReasonCode::Success, NO_PROPERTIES);
    client.send(&Packet::Disconnect(Disconnect { reason, properties }));
    client
}

#[test]
fn packets_and_bytes_are_those_that_a_client_counts() {
    const TYPES: [&str; 15] = [
        "connect",
        "connack",
        "publish",
        "puback",
        "pubrec",
        "pubrel",
        "pubcomp",
        "subscribe",
        "suback",
        "unsubscribe",
        "unsuback",
        "pingreq",
        "pingresp",
        "disconnect",
        "auth",
    ];
    let broker = Process::start();
    let client = converse(&broker);
    while broker.metric("dockside_connections_closed_total{reason=\"client\"}") < 1.0 {
        std::thread::yield_now();
    }
    for (kind, name) in (1..).zip(TYPES) {
        for (direction, counted) in [("received", &client.sent), ("sent", &client.received)] {
            let series = format!("dockside_packets_{direction}_total{{type=\"{name}\"}}");
            let expected = counted.get(&kind).copied().unwrap_or(0);
            assert_eq!(broker.metric(&series), expected as f64, "{series}");
        }
    }
    let [sent, received] = client.bytes;
    // CONNECT is read before it is known whose it is.
    let connect = {
        let mut out = Vec::new();
        codec::encode(&mut out, &connect("counts"), Version::V311);
        out.len() as u64
    };
    assert_eq!(broker.metric("dockside_bytes_received_total"), (sent - connect) as f64);
    assert_eq!(broker.metric("dockside_bytes_sent_total"), received as f64);
    for series in ["in", "out"] {
        let series = format!("dockside_inflight_messages{{direction=\"{series}\"}}");
        assert_eq!(broker.metric(&series), 0.0, "{series}");
    }
    for (series, expected) in [
        ("dockside_connect_duration_seconds_count", 1.0),
        ("dockside_sessions_resumed_total", 0.0),
        ("dockside_messages_redelivered_total", 0.0),
        ("dockside_queued_messages", 0.0),
        ("dockside_queued_bytes", 0.0),
        ("dockside_flight_task_transitions_total{status=\"ok\"}", 0.0),
    ] {
        assert_eq!(broker.metric(series), expected, "{series}");
    }
}
