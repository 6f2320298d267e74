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

    /// One of each, to itself.
    fn publish_of_every_quality(&mut self, topic: &str, payload: &[u8]) {
        for (qos, last) in [(QoS::AtMostOnce, 3), (QoS::AtLeastOnce, 3), (QoS::ExactlyOnce, 6)] {
            let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
            let properties = NO_PROPERTIES;
            let publish =
                Publish { dup: false, qos, retain: false, packet_id, topic, properties, payload };
            self.send(&Packet::Publish(publish));
            self.hear(last);
        }
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
    client.publish_of_every_quality("t", b"12345");
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

/// Clients at the same time, and rounds of three messages each of them makes.
const CLIENTS: usize = 8;
const ROUNDS: usize = 250;

/// Many clients at once lose the metrics nothing: every sum is that of what they have counted.
#[test]
fn sums_under_load_are_those_that_clients_count() {
    let broker = Process::start();
    let address = broker.mqtt;
    let working = (0..CLIENTS).map(|n| {
        std::thread::spawn(move || {
            let mut client = Client::new(address);
            let name = format!("load-{n}");
            client.send(&connect(&name));
            client.hear(2);
            let filters = vec![(&*name, SubscriptionOptions::qos(QoS::ExactlyOnce))];
            let (packet_id, properties) = (PacketId::MIN, NO_PROPERTIES);
            client.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters }));
            client.hear(9);
            for _ in 0..ROUNDS {
                client.publish_of_every_quality(&name, b"1234567");
            }
            // What was acknowledged to it has been counted when this is answered.
            client.send(&Packet::Pingreq);
            client.hear(13);
            client
        })
    });
    let working: Vec<_> = working.collect();
    let clients: Vec<_> = working.into_iter().map(|thread| thread.join().unwrap()).collect();
    let all = (CLIENTS * ROUNDS) as f64;
    // The last acknowledgements of a client are for nobody to wait for but the broker.
    while broker.metric("dockside_inflight_messages{direction=\"out\"}") != 0.0 {}
    for qos in 0..3 {
        for (direction, each) in [("received", 1.0), ("sent", 1.0)] {
            let messages = format!("dockside_messages_{direction}_total{{qos=\"{qos}\"}}");
            assert_eq!(broker.metric(&messages), each * all, "{messages}");
            let bytes = format!("dockside_message_bytes_{direction}_total{{qos=\"{qos}\"}}");
            assert_eq!(broker.metric(&bytes), each * all * 7.0, "{bytes}");
        }
    }
    for (kind, name) in
        [(3, "publish"), (4, "puback"), (5, "pubrec"), (6, "pubrel"), (7, "pubcomp")]
    {
        let sum = |of: fn(&Client) -> &BTreeMap<u8, u64>| -> u64 {
            clients.iter().map(|client| of(client).get(&kind).copied().unwrap_or(0)).sum()
        };
        for (direction, counted) in
            [("received", sum(|client| &client.sent)), ("sent", sum(|client| &client.received))]
        {
            let series = format!("dockside_packets_{direction}_total{{type=\"{name}\"}}");
            assert_eq!(broker.metric(&series), counted as f64, "{series}");
        }
    }
    let dropped = broker.get("/metrics");
    let dropped =
        dropped.lines().filter(|line| line.starts_with("dockside_messages_dropped_total"));
    assert!(dropped.clone().count() >= 11 && dropped.clone().all(|line| line.ends_with(" 0")));
    // One in 64 of those that a thread of the broker reads is timed, from its first 64 on.
    let timed = broker.metric("dockside_delivery_duration_seconds_count");
    assert!(timed >= 1.0 && timed <= 3.0 * all / 64.0, "{timed} of {}", 3.0 * all);
    assert!(broker.metric("dockside_delivery_duration_seconds_sum") > 0.0);
}

/// What the store holds is told by what it is for, also of what was there at the start.
#[test]
fn bytes_in_the_store_are_told_by_kind() {
    let of = |broker: &Process, kind: &str| {
        broker.metric(&format!("dockside_storage_bytes{{kind=\"{kind}\"}}"))
    };
    let mut broker = Process::start();
    for kind in ["retained", "queue", "sessions"] {
        assert_eq!(of(&broker, kind), 0.0, "{kind}");
    }
    let text = broker.get("/metrics");
    assert_eq!(text.matches("\ndockside_storage_bytes{").count(), 3, "no kind is missing");
    let mut client = Client::new(broker.mqtt);
    let Packet::Connect(kept) = connect("kept") else { unreachable!() };
    client.send(&Packet::Connect(Box::new(Connect { clean_start: false, ..*kept })));
    client.hear(2);
    let filters = vec![("waits/+", SubscriptionOptions::qos(QoS::AtLeastOnce))];
    let (packet_id, properties) = (PacketId::MIN, NO_PROPERTIES);
    client.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters }));
    client.hear(9);
    drop(client);
    while broker.metric("dockside_sessions{state=\"offline\"}") != 1.0 {}
    let named = ("kept".len() + "waits/+".len()) as f64;
    assert_eq!(of(&broker, "sessions"), named);
    let mut sender = Client::new(broker.mqtt);
    sender.send(&connect("sender"));
    sender.hear(2);
    let (dup, qos, topic, payload) = (false, QoS::AtLeastOnce, "waits/1", &[7; 5_000][..]);
    let packet_id = Some(PacketId::MIN);
    let publish = Publish { dup, qos, retain: true, packet_id, topic, properties, payload };
    sender.send(&Packet::Publish(publish));
    sender.hear(4);
    while of(&broker, "queue") < 5_000.0 || of(&broker, "retained") < 5_000.0 {}
    broker.signal("TERM");
    assert_eq!(broker.wait(), Some(0));
    let again = broker.start_again();
    while of(&again, "queue") < 5_000.0 || of(&again, "retained") < 5_000.0 {}
    assert_eq!(of(&again, "sessions"), named);
}
