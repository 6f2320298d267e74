//! A connection of an attacker.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use dockside_mqtt::codec;
use dockside_mqtt::packet::{Connect, Packet};
use docksim::target::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::attack::Attack;
use crate::report::{Counts, add};

/// First bytes of the packets that are waited for.
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PINGRESP: u8 = 0xD0;

/// A PINGREQ, whose answer tells that everything before it was read.
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];

/// How long a connection, a CONNACK or room for more bytes is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause after a connection that could not be made.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of one read, and the longest answer that is put together.
const READ_BYTES: usize = 16 << 10;
const LONGEST: usize = 4 << 20;

/// A connection; reset or closed with the value.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    counts: Rc<Counts>,
    input: Vec<u8>,
}

fn in_time<T>(waited: Result<io::Result<T>, tokio::time::error::Elapsed>) -> io::Result<T> {
    waited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Link {
    /// Connects through the listener that is attacked, with TLS if it has that.
    ///
    /// # Errors
    /// Not in time; there was a pause then.
    pub(crate) async fn open(attack: &Attack) -> io::Result<Self> {
        attack.pace.breathe().await;
        let opened = in_time(timeout(PATIENCE, attack.door.connect()).await);
        add(&attack.counts.handshakes, u64::from(attack.arguments.tls && opened.is_ok()));
        Self::opened(attack, opened).await
    }

    /// Connects without TLS, wherever that is.
    ///
    /// # Errors
    /// Not in time; there was a pause then.
    pub(crate) async fn open_at(attack: &Attack, address: SocketAddr) -> io::Result<Self> {
        attack.pace.breathe().await;
        let opened = in_time(timeout(PATIENCE, TcpStream::connect(address)).await);
        // A byte at a time goes as a byte at a time.
        let opened = opened.and_then(|socket| socket.set_nodelay(true).map(|()| socket));
        Self::opened(attack, opened.map(|socket| Box::new(socket) as Box<dyn Stream>)).await
    }

    async fn opened(attack: &Attack, opened: io::Result<Box<dyn Stream>>) -> io::Result<Self> {
        match opened {
            Ok(stream) => {
                add(&attack.counts.connections, 1);
                Ok(Self { stream, counts: Rc::clone(&attack.counts), input: Vec::new() })
            }
            Err(error) => {
                sleep(PAUSE).await;
                Err(error)
            }
        }
    }

    /// Connects as a client and waits for the CONNACK.
    ///
    /// # Errors
    /// Not in time, or refused, which is counted; there was a pause then.
    pub(crate) async fn client(attack: &Attack, connect: Connect<'_>) -> io::Result<Self> {
        let mut link = Self::open(attack).await?;
        let version = connect.version;
        let mut bytes = Vec::new();
        codec::encode(&mut bytes, &Packet::Connect(Box::new(connect)), version);
        attack.sent(1);
        let sent = link.send(&bytes).await;
        if sent.is_ok() && link.hears(CONNACK, PATIENCE).await == Some(0) {
            return Ok(link);
        }
        add(&attack.counts.refused, 1);
        sleep(PAUSE).await;
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The broker has closed, or takes nothing for a while.
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = in_time(timeout(PATIENCE, self.stream.write(bytes)).await)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            add(&self.counts.bytes, written as u64);
            bytes = &bytes[written..];
        }
        in_time(timeout(PATIENCE, self.stream.flush()).await)
    }

    /// Waits for a packet with this first byte; others are dropped. Its second byte behind the length, 0 if it
    /// has none (a CONNACK's reason). None if the connection ends before, or nothing comes.
    pub(crate) async fn hears(&mut self, first: u8, patience: Duration) -> Option<u8> {
        loop {
            let mut used = 0;
            let mut found = None;
            while let Ok(Some((frame, length))) = codec::split(&self.input[used..], u32::MAX) {
                used += length;
                if frame.first == first {
                    found = Some(frame.body.get(1).copied().unwrap_or(0));
                    break;
                }
            }
            self.input.drain(..used);
            if found.is_some() {
                return found;
            }
            self.read(patience).await.ok()?;
        }
    }

    /// Reads until the broker closes, and drops it all.
    pub(crate) async fn outlive(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut bytes).await {}
    }

    /// Reads what has come, and drops it.
    ///
    /// # Errors
    /// The broker has closed.
    pub(crate) async fn skim(&mut self) -> io::Result<()> {
        loop {
            self.input.clear();
            self.input.reserve(READ_BYTES);
            let read = tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => read?,
                () = std::future::ready(()) => return Ok(()),
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn read(&mut self, patience: Duration) -> io::Result<()> {
        if self.input.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.input.reserve(READ_BYTES);
        match in_time(timeout(patience, self.stream.read_buf(&mut self.input)).await)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
