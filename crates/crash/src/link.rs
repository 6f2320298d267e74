//! One connection of a client: packets in, packets out. What outlives it (`Sender`, `Receiver`) is
//! elsewhere.

use std::io;
use std::time::Duration;

use dockside_mqtt::codec;
use dockside_mqtt::packet::{Connack, Connect, Packet};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{PacketId, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::finding::Finding;
use crate::shared::Shared;

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// A client tries again so often while there is no broker: it must be there as soon as the broker is.
const AGAIN: Duration = Duration::from_millis(5);

/// Seconds that a durable session is kept.
const SESSION_EXPIRY: u32 = 3_600;

/// Who connects, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login<'a> {
    pub(crate) client_id: &'a str,
    /// The session outlives the connection; without it every connection begins a new one.
    pub(crate) durable: bool,
    /// Unacknowledged messages that the client takes.
    pub(crate) receive_maximum: u16,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    socket: TcpStream,
    input: Vec<u8>,
    /// Packets to be sent with the next [`Link::flush`].
    pub(crate) output: Vec<u8>,
    /// Kills and cuts before it began.
    pub(crate) strikes: u64,
}

pub(crate) fn broken(detail: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.to_string())
}

/// A packet identifier by its number; the numbers used here are not 0.
pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap_or(PacketId::MIN)
}

/// Appends a packet to what will be sent.
pub(crate) fn push(output: &mut Vec<u8>, packet: &Packet<'_>) {
    codec::encode(output, packet, Version::V5);
}

impl Link {
    /// Connects, as often as it takes; with it, whether the broker has a session for the client.
    pub(crate) async fn connect(shared: &Shared, login: Login<'_>) -> (Self, bool) {
        loop {
            let strikes = shared.now().strikes;
            match Self::open(shared, login, strikes).await {
                Ok(opened) => return opened,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let (client, what) = (login.client_id.to_owned(), error.to_string());
                    shared.report(Finding::Refused { client, what });
                }
                // There is no broker, or there is none any more: that shows in time if it stays so.
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn open(shared: &Shared, login: Login<'_>, strikes: u64) -> io::Result<(Self, bool)> {
        let socket = TcpStream::connect(shared.address).await?;
        socket.set_nodelay(true)?;
        let (input, output) = (Vec::with_capacity(READ_BYTES), Vec::new());
        let mut link = Self { socket, input, output, strikes };
        let mut properties = PropertyList::new();
        properties.number(PropertyId::ReceiveMaximum, login.receive_maximum.into());
        if login.durable {
            properties.number(PropertyId::SessionExpiryInterval, SESSION_EXPIRY);
        }
        let connect = Connect {
            version: Version::V5,
            clean_start: !login.durable,
            keep_alive: 0,
            client_id: login.client_id,
            will: None,
            username: None,
            password: None,
            properties: properties.as_properties(),
        };
        push(&mut link.output, &Packet::Connect(Box::new(connect)));
        link.flush().await?;
        let present = link.connack().await?;
        Ok((link, present))
    }

    /// The first packet; what is behind it stays for [`Link::packets`].
    async fn connack(&mut self) -> io::Result<bool> {
        loop {
            if let Some((frame, length)) = codec::split(&self.input, u32::MAX).map_err(broken)? {
                let present = match codec::decode(&frame, Version::V5).map_err(broken)? {
                    Packet::Connack(Connack { session_present, reason, .. })
                        if !reason.is_error() =>
                    {
                        session_present
                    }
                    other => return Err(broken(format!("{other:?}"))),
                };
                self.input.drain(..length);
                return Ok(present);
            }
            self.read().await?;
        }
    }

    /// Sends everything in [`Link::output`].
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(&self.output).await;
        self.output.clear();
        sent
    }

    /// Waits for bytes, once, unless a whole packet is there: it came together with the CONNACK.
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        if codec::split(&self.input, u32::MAX).map_err(broken)?.is_some() {
            return Ok(());
        }
        self.input.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the broker")),
            _ => Ok(()),
        }
    }

    /// Handles every whole packet that has been read; `handle` may add to the output.
    pub(crate) fn packets(
        &mut self,
        mut handle: impl FnMut(&Packet<'_>, &mut Vec<u8>),
    ) -> io::Result<()> {
        let mut used = 0;
        while let Some((frame, length)) =
            codec::split(&self.input[used..], u32::MAX).map_err(broken)?
        {
            let packet = codec::decode(&frame, Version::V5).map_err(broken)?;
            handle(&packet, &mut self.output);
            used += length;
        }
        self.input.drain(..used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::ReasonCode;
    use dockside_mqtt::property::Properties;
    use tokio::net::TcpListener;

    use super::*;
    use crate::shared::State;

    #[tokio::test]
    async fn a_packet_that_came_with_the_connack_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Shared::new(listener.local_addr().unwrap(), false, State::default());
        let login = Login { client_id: "c", durable: true, receive_maximum: 1 };
        let broker = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
            let mut both = Vec::new();
            let connack = Connack { session_present: true, reason, properties };
            push(&mut both, &Packet::Connack(connack));
            push(&mut both, &Packet::Pingresp);
            socket.write_all(&both).await.unwrap();
            socket
        };
        let ((mut link, present), _socket) = tokio::join!(Link::connect(&shared, login), broker);
        assert!(present);
        link.read().await.unwrap();
        let mut packets = 0;
        link.packets(|packet, _| packets += u32::from(*packet == Packet::Pingresp)).unwrap();
        assert_eq!(packets, 1);
    }
}
