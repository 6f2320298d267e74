//! As much of an MQTT 3.1.1 client as a dock or a load generator needs: whole reads, whole writes,
//! packets in between without a copy.

use std::io;

use dockside_mqtt::codec;
use dockside_mqtt::packet::{
    Ack, Connect, Disconnect, Packet, PacketId, Publish, Subscribe, SubscriptionOptions,
};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::target::{Stream, Target};

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// A connected client.
pub struct Client {
    socket: Box<dyn Stream>,
    input: Vec<u8>,
    /// Packets to be sent with the next [`Client::flush`].
    pub output: Vec<u8>,
}

fn broken(detail: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.to_string())
}

impl Client {
    /// Connects and waits for the CONNACK. Where the target asks for a login and names no user,
    /// `user` logs in.
    ///
    /// # Errors
    /// The connection fails, or the broker refuses.
    pub async fn connect(broker: &Target, client_id: &str, user: &str) -> io::Result<Self> {
        let socket = broker.connect().await?;
        let password = broker.password.as_deref();
        let user = broker.user.as_deref().unwrap_or(user);
        let mut client = Self { socket, input: Vec::with_capacity(READ_BYTES), output: Vec::new() };
        client.push(&Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: 120,
            client_id,
            will: None,
            username: password.map(|_| user),
            password: password.map(str::as_bytes),
            properties: Properties::EMPTY,
        })));
        client.flush().await?;
        let reason = client
            .expect(|packet| match packet {
                Packet::Connack(connack) => Some(connack.reason),
                _ => None,
            })
            .await?;
        if reason == ReasonCode::Success {
            return Ok(client);
        }
        let address = broker.address;
        Err(broken(format!("the broker at {address} refuses {client_id}: {reason}")))
    }

    /// Subscribes and waits for the SUBACK.
    ///
    /// # Errors
    /// The connection fails, or the subscription is refused.
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> io::Result<()> {
        let filters = vec![(filter, SubscriptionOptions::qos(qos))];
        let properties = Properties::EMPTY;
        self.push(&Packet::Subscribe(Subscribe { packet_id: PacketId::MIN, properties, filters }));
        self.flush().await?;
        let refused = self
            .expect(|packet| match packet {
                Packet::Suback(suback) => Some(suback.reasons.iter().any(|r| r.is_error())),
                _ => None,
            })
            .await?;
        if refused { Err(broken(format!("subscription to {filter} refused"))) } else { Ok(()) }
    }

    /// Puts a packet into [`Client::output`].
    pub fn push(&mut self, packet: &Packet<'_>) {
        codec::encode(&mut self.output, packet, Version::V311);
    }

    /// Puts a PUBLISH into [`Client::output`].
    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS, packet_id: Option<PacketId>) {
        self.push(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            packet_id,
            topic,
            properties: Properties::EMPTY,
            payload,
        }));
    }

    /// Sends everything in [`Client::output`].
    ///
    /// # Errors
    /// The connection fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(&self.output).await;
        self.output.clear();
        sent?;
        self.socket.flush().await
    }

    /// Says goodbye, after everything in [`Client::output`].
    ///
    /// # Errors
    /// The connection fails.
    pub async fn disconnect(mut self) -> io::Result<()> {
        let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
        self.push(&Packet::Disconnect(Disconnect { reason, properties }));
        self.flush().await
    }

    /// Waits for bytes, once. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The connection fails or ends.
    pub async fn read(&mut self) -> io::Result<()> {
        self.input.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the broker")),
            _ => Ok(()),
        }
    }

    /// Handles every whole packet that has been read; `handle` may add to the output. What the
    /// protocol asks of a receiver (PUBACK, PUBREC, PUBREL, PUBCOMP) is added by itself.
    ///
    /// # Errors
    /// Bytes that are no packet.
    pub fn packets(&mut self, mut handle: impl FnMut(&Packet<'_>, &mut Vec<u8>)) -> io::Result<()> {
        let mut used = 0;
        while let Some((frame, length)) =
            codec::split(&self.input[used..], u32::MAX).map_err(broken)?
        {
            let packet = codec::decode(&frame, Version::V311).map_err(broken)?;
            acknowledge(&packet, &mut self.output);
            handle(&packet, &mut self.output);
            used += length;
        }
        self.input.drain(..used);
        Ok(())
    }

    /// Waits for the packet that `pick` picks; others are dropped.
    async fn expect<T>(&mut self, mut pick: impl FnMut(&Packet<'_>) -> Option<T>) -> io::Result<T> {
        let mut found = None;
        loop {
            self.packets(|packet, _| found = found.take().or_else(|| pick(packet)))?;
            if let Some(found) = found {
                return Ok(found);
            }
            self.read().await?;
        }
    }
}

fn acknowledge(packet: &Packet<'_>, output: &mut Vec<u8>) {
    let answer = match packet {
        Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_id: Some(id), .. }) => {
            Packet::Puback(Ack::new(*id, ReasonCode::Success))
        }
        Packet::Publish(Publish { qos: QoS::ExactlyOnce, packet_id: Some(id), .. }) => {
            Packet::Pubrec(Ack::new(*id, ReasonCode::Success))
        }
        Packet::Pubrec(ack) => Packet::Pubrel(Ack::new(ack.packet_id, ReasonCode::Success)),
        Packet::Pubrel(ack) => Packet::Pubcomp(Ack::new(ack.packet_id, ReasonCode::Success)),
        _ => return,
    };
    codec::encode(output, &answer, Version::V311);
}
