//! A client of another broker, as far as one is needed to read what it retains: MQTT 3.1.1, which every broker
//! speaks, without TLS, one call after the other. The codec is that of the broker itself; a client library would bring a
//! runtime and an event loop for one SUBSCRIBE.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use dockside_mqtt::codec::{self, decode, split};
use dockside_mqtt::packet::{
    Codes, Connack, Connect, Disconnect, Packet, PacketId, Subscribe, SubscriptionOptions,
};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};

const VERSION: Version = Version::V311;

/// How long the other may take for a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A packet larger than this ends it.
const PACKET_BYTES: u32 = 16 << 20;

const READ_BYTES: usize = 64 << 10;

/// Messages that may come before the SUBACK.
const EARLY: usize = 100_000;

/// The packet identifier of the only SUBSCRIBE.
const SUBSCRIBE: PacketId = PacketId::MIN;

/// A connection to it.
pub(crate) struct OtherBroker {
    socket: TcpStream,
    input: Vec<u8>,
    /// What of the input is read.
    used: usize,
    /// Messages that came before the SUBACK.
    early: VecDeque<Message>,
}

/// A retained message of it.
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What came, as far as it matters.
enum Came {
    Connack(ReasonCode),
    Suback(bool),
    Retained(Message),
    Other,
}

impl OtherBroker {
    /// Connects and logs in; an error is a sentence for people.
    pub(crate) fn connect(address: &str, login: Option<(&str, &str)>) -> Result<Self, String> {
        let with_port = match address.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && port.parse::<u16>().is_ok() => {
                address.to_owned()
            }
            _ => format!("{address}:1883"),
        };
        let unknown = |error| format!("no such host: {error}");
        let mut error = "no such host".to_owned();
        for address in with_port.to_socket_addrs().map_err(unknown)? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(socket) => return Self::log_in(socket, login),
                Err(failed) => error = format!("no connection: {failed}"),
            }
        }
        Err(error)
    }

    fn log_in(socket: TcpStream, login: Option<(&str, &str)>) -> Result<Self, String> {
        let mut other = Self { socket, input: Vec::new(), used: 0, early: VecDeque::new() };
        let client_id = format!("dockside-pull-{}", std::process::id());
        other.send(&Packet::Connect(Box::new(Connect {
            version: VERSION,
            clean_start: true,
            keep_alive: 0,
            client_id: &client_id,
            will: None,
            username: login.map(|(user, _)| user),
            password: login.map(|(_, password)| password.as_bytes()),
            properties: Properties::EMPTY,
        })))?;
        let until = Instant::now() + PATIENCE;
        match other.packet(until)? {
            Some(Came::Connack(ReasonCode::Success)) => Ok(other),
            Some(Came::Connack(reason)) => Err(format!("it refuses the login: {reason:?}")),
            Some(_) => Err("its first packet is no CONNACK: is it an MQTT broker?".to_owned()),
            None => Err(format!("no CONNACK in {} s", PATIENCE.as_secs())),
        }
    }

    /// Subscribes; an error is a sentence for people.
    pub(crate) fn subscribe(&mut self, filter: &str) -> Result<(), String> {
        // At QoS 1 and 2 mosquitto drops, and does not tell, what is beyond its queue of 1,000.
        let filters = vec![(filter, SubscriptionOptions::qos(QoS::AtMostOnce))];
        let subscribe = Subscribe { packet_id: SUBSCRIBE, properties: Properties::EMPTY, filters };
        self.send(&Packet::Subscribe(subscribe))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.packet(until)? {
                Some(Came::Suback(true)) => return Ok(()),
                Some(Came::Suback(false)) => return Err("it does not let us subscribe".to_owned()),
                // Some brokers send them first.
                Some(Came::Retained(message)) if self.early.len() < EARLY => {
                    self.early.push_back(message);
                }
                Some(Came::Retained(_)) => return Err("it sends, and answers nothing".to_owned()),
                Some(_) => {}
                None => return Err(format!("no SUBACK in {} s", PATIENCE.as_secs())),
            }
        }
    }

    /// The next retained message; none if none has come by then. Live ones are passed over.
    pub(crate) fn next_retained(&mut self, until: Instant) -> Result<Option<Message>, String> {
        if let Some(message) = self.early.pop_front() {
            return Ok(Some(message));
        }
        loop {
            match self.packet(until)? {
                Some(Came::Retained(message)) => return Ok(Some(message)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Says good-bye, if it still listens.
    pub(crate) fn disconnect(mut self) {
        let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
        // It has nothing more for us either way.
        let _ = self.send(&Packet::Disconnect(Disconnect { reason, properties }));
    }

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let mut out = Vec::new();
        codec::encode(&mut out, packet, VERSION);
        self.socket.write_all(&out).map_err(|error| format!("the connection is lost: {error}"))
    }

    /// The next packet; none by then.
    fn packet(&mut self, until: Instant) -> Result<Option<Came>, String> {
        let broken =
            |error: dockside_mqtt::ProtocolError| format!("it breaks the protocol: {error}");
        loop {
            if Instant::now() >= until {
                return Ok(None);
            }
            if let Some((frame, length)) =
                split(&self.input[self.used..], PACKET_BYTES).map_err(broken)?
            {
                let packet = decode(&frame, VERSION).map_err(broken)?;
                let came = read(&packet);
                self.used += length;
                return Ok(Some(came));
            }
            self.input.drain(..std::mem::take(&mut self.used));
            if !self.read_some(until)? {
                return Ok(None);
            }
        }
    }

    /// `false` if nothing has come by then.
    fn read_some(&mut self, until: Instant) -> Result<bool, String> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let lost = |error| format!("the connection is lost: {error}");
        self.socket.set_read_timeout(Some(left)).map_err(lost)?;
        let mut buffer = vec![0; READ_BYTES];
        match self.socket.read(&mut buffer) {
            Ok(0) => Err("it has ended the connection".to_owned()),
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(lost(error)),
        }
    }
}

/// What a packet is.
fn read(packet: &Packet<'_>) -> Came {
    match packet {
        Packet::Connack(Connack { reason, .. }) => Came::Connack(*reason),
        Packet::Suback(Codes { reasons, .. }) => {
            Came::Suback(reasons.first().is_some_and(|reason| reason.wire() < 0x80))
        }
        Packet::Publish(publish) if publish.retain => Came::Retained(Message {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
        }),
        _ => Came::Other,
    }
}
