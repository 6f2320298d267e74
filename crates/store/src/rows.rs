//! Rows as values.

use crate::Seq;

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// 0 to 2.
    pub qos: u8,
    /// As published.
    pub retain: bool,
    /// As on the wire.
    pub properties: &'a [u8],
    /// Application message.
    pub payload: &'a [u8],
    /// Wall clock, milliseconds.
    pub accepted_ms: u64,
    /// Wall clock, milliseconds; none lives for ever.
    pub expires_ms: Option<u64>,
}

/// How a reader gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant<'a> {
    /// 1 or 2.
    pub qos: u8,
    /// Whether the retain flag is set.
    pub retain: bool,
    /// Subscription identifiers.
    pub identifiers: &'a [u32],
}

/// A message as a reader gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queued {
    /// Its number.
    pub seq: Seq,
    /// Topic name.
    pub topic: String,
    /// As published.
    pub published_qos: u8,
    /// As published.
    pub published_retain: bool,
    /// As on the wire.
    pub properties: Vec<u8>,
    /// Application message.
    pub payload: Vec<u8>,
    /// Wall clock, milliseconds; none lives for ever.
    pub expires_ms: Option<u64>,
    /// For this reader.
    pub qos: u8,
    /// For this reader.
    pub retain: bool,
    /// Subscription identifiers.
    pub identifiers: Vec<u32>,
}

/// A message that was sent with a packet identifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// Packet identifier, never 0.
    pub packet_id: u16,
    /// 1 or 2.
    pub qos: u8,
    /// None once the client has it (PUBREC), or if it is not there any more.
    pub message: Option<Queued>,
}

/// A session that outlives its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Client identifier.
    pub client_id: String,
    /// User name, if it had to log in.
    pub user: Option<String>,
    /// How long it is kept without a connection, seconds.
    pub expiry_s: u32,
}

/// A subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// As it stands in SUBSCRIBE.
    pub filter: String,
    /// The option byte of SUBSCRIBE.
    pub options: u8,
    /// Subscription identifier; 0 is none.
    pub identifier: u32,
}

/// A will.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Whose it is.
    pub client_id: String,
    /// Whose it is.
    pub user: Option<String>,
    /// Topic name.
    pub topic: String,
    /// 0 to 2.
    pub qos: u8,
    /// Whether it is retained.
    pub retain: bool,
    /// As on the wire.
    pub properties: Vec<u8>,
    /// Application message.
    pub payload: Vec<u8>,
    /// How long it lives once it is published, seconds.
    pub expiry_s: Option<u32>,
    /// How long it waits for its client, seconds.
    pub delay_s: u32,
}

/// An event of a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// Wall clock, milliseconds.
    pub received_ms: u64,
    /// Serial number of the topic.
    pub gateway: &'a str,
    /// Method.
    pub method: &'a str,
    /// Transaction identifier.
    pub tid: &'a str,
    /// Flight task.
    pub task: Option<&'a str>,
    /// What the event says of the task.
    pub status: Option<&'a str>,
    /// Number of the step.
    pub step: Option<i64>,
    /// Progress, 0 to 100.
    pub percent: Option<i64>,
    /// Code of the device; 0 is well.
    pub result: Option<i64>,
    /// Of gateway, tid and payload.
    pub key: &'a [u8],
    /// As it came.
    pub payload: &'a [u8],
}
