//! What the live log carries: records of entries, as bytes.
//!
//! ```text
//! record  = number u64 | lane u8 | charge u64 | entry*
//! entry   = length u32 | kind u8 | body           (length counts kind and body)
//! publish = flags u8 | publisher u64 | expires u64 | seq u64 | topic u16 | properties u32 |
//!           [read u64 if the flags say so] | bytes of the three: topic, properties, payload
//! ```
//! Integers are little endian. The writer fills `seq` in, and keeps entries back that are for the
//! store only (`keep`). The bytes never leave the process, so there is no version.

use dockside_mqtt::QoS;
use dockside_mqtt::packet::SubscriptionOptions;

use dockside_store::Seq;

use crate::keep::{self, Keep};
use crate::retained::Room;
use crate::timing::Stamp;

/// Which way a record went, and so whose budget its charge belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// QoS 0 with nothing to keep: appended by the connection itself.
    Direct,
    /// Everything else, in the writer's order.
    Writer,
}

/// One session, from its beginning to its end, through all its connections.
pub(crate) type Instance = u64;

/// The number of something that travels beside the log, see [`crate::live_log::Aside`].
pub(crate) type AsideNumber = u64;

/// One thing that happened, in the order it was accepted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Entry<'a> {
    Publish(Published<'a>),
    /// A publish of more than [`LARGE`] bytes, or a will, and its [`Published::seq`].
    Large(AsideNumber, Seq),
    /// A session begins; its mailbox travels beside the log.
    Begin(Instance, AsideNumber),
    /// A session has a new connection, with a mailbox that takes over what waits in the old one.
    Attach(Instance, AsideNumber),
    End(Instance),
    Subscribe(Subscribed<'a>),
    Unsubscribe(Instance, &'a str),
    /// Everything before it has been dispatched: somebody waits to hear that.
    Barrier(AsideNumber),
    /// Shared messages that a session which has left did not acknowledge: others may have them.
    Return(AsideNumber),
    /// A session has room again for what waits in its shared groups.
    Awake(Instance),
    /// A session loses these subscriptions: any number of filters, beside the log.
    Revoke(Instance, AsideNumber),
    /// For the writer, which keeps it and passes it on to nobody.
    Keep(Keep<'a>),
}

/// A message with all that the dispatcher needs to know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Published<'a> {
    /// Who published; 0 is the broker itself.
    pub(crate) publisher: Instance,
    /// The publisher has been served already: everybody but it gets this.
    pub(crate) except_publisher: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Whether there is room to retain it, as far as was asked.
    pub(crate) room: Room,
    /// Monotonic milliseconds after which it is not delivered any more; `u64::MAX` is never.
    pub(crate) expires_ms: u64,
    /// Its number in the store; 0 if it is not there.
    pub(crate) seq: Seq,
    pub(crate) topic: &'a str,
    /// When it was read, if it is one of those that are timed.
    pub(crate) read: Option<Stamp>,
    /// Properties that are passed on as they are.
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscribed<'a> {
    pub(crate) instance: Instance,
    pub(crate) options: SubscriptionOptions,
    /// Subscription identifier; 0 is none.
    pub(crate) id: u32,
    pub(crate) filter: &'a str,
}

/// An entry larger than this goes through the log by reference.
pub(crate) const LARGE: usize = 64 << 10;

/// Where the number of a publish stands in its entry, and in one by reference.
const SEQ_AT: usize = 22;
const LARGE_SEQ_AT: usize = 13;

/// In the flags of a publish: it carries when it was read.
const TIMED: u8 = 0x80;

/// Bytes of a record before its first entry.
pub(crate) const RECORD_HEADER: usize = 17;

impl<'a> Published<'a> {
    /// A message of the broker's own.
    pub(crate) fn by_broker(topic: &'a str, qos: QoS, payload: &'a [u8]) -> Self {
        Self {
            publisher: 0,
            except_publisher: false,
            qos,
            retain: false,
            room: Room::Unasked,
            expires_ms: u64::MAX,
            seq: 0,
            topic,
            read: None,
            properties: b"",
            payload,
        }
    }

    /// Bytes of the entry.
    pub(crate) fn size(&self) -> usize {
        let read = if self.read.is_some() { 8 } else { 0 };
        5 + 1
            + 8
            + 8
            + 8
            + 2
            + 4
            + read
            + self.topic.len()
            + self.properties.len()
            + self.payload.len()
    }
}

/// Appends an entry.
pub(crate) fn append(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match entry {
        Entry::Publish(p) => {
            out.reserve(p.size());
            out.push(0);
            let flags = u8::from(p.retain) << 2 | u8::from(p.except_publisher) << 3;
            let timed = if p.read.is_some() { TIMED } else { 0 };
            out.push(p.qos.bits() | flags | (p.room as u8) << 4 | timed);
            out.extend_from_slice(&p.publisher.to_le_bytes());
            out.extend_from_slice(&p.expires_ms.to_le_bytes());
            out.extend_from_slice(&p.seq.to_le_bytes());
            out.extend_from_slice(&(p.topic.len() as u16).to_le_bytes());
            out.extend_from_slice(&(p.properties.len() as u32).to_le_bytes());
            if let Some(Stamp(read)) = p.read {
                out.extend_from_slice(&read.to_le_bytes());
            }
            out.extend_from_slice(p.topic.as_bytes());
            out.extend_from_slice(p.properties);
            out.extend_from_slice(p.payload);
        }
        Entry::Large(number, seq) => {
            number_entry(out, 1, *number);
            out.extend_from_slice(&seq.to_le_bytes());
        }
        Entry::Begin(instance, number) => {
            number_entry(out, 2, *instance);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Entry::End(instance) => number_entry(out, 3, *instance),
        Entry::Attach(instance, number) => {
            number_entry(out, 7, *instance);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Entry::Return(number) => number_entry(out, 8, *number),
        Entry::Awake(instance) => number_entry(out, 9, *instance),
        Entry::Revoke(instance, number) => {
            number_entry(out, 10, *instance);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Entry::Subscribe(s) => {
            number_entry(out, 4, s.instance);
            out.push(s.options.bits());
            out.extend_from_slice(&s.id.to_le_bytes());
            out.extend_from_slice(s.filter.as_bytes());
        }
        Entry::Unsubscribe(instance, filter) => {
            number_entry(out, 5, *instance);
            out.extend_from_slice(filter.as_bytes());
        }
        Entry::Barrier(number) => number_entry(out, 6, *number),
        Entry::Keep(keep) => keep::append(out, keep),
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Gives the publish in this entry its number; other entries have none.
pub(crate) fn set_seq(entry: &mut [u8], seq: Seq) {
    let at = match entry.get(4) {
        Some(0) => SEQ_AT,
        Some(1) => LARGE_SEQ_AT,
        _ => return,
    };
    if let Some(place) = entry.get_mut(at..at + 8) {
        place.copy_from_slice(&seq.to_le_bytes());
    }
}

fn number_entry(out: &mut Vec<u8>, kind: u8, number: u64) {
    out.push(kind);
    out.extend_from_slice(&number.to_le_bytes());
}

/// A record as it comes out of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) number: u64,
    pub(crate) lane: Lane,
    pub(crate) charge: u64,
    pub(crate) entries: Entries<'a>,
}

impl<'a> Record<'a> {
    /// The header in front of a record's entries.
    pub(crate) fn header(number: u64, lane: Lane, charge: u64) -> [u8; RECORD_HEADER] {
        let mut header = [0; RECORD_HEADER];
        header[..8].copy_from_slice(&number.to_le_bytes());
        header[8] = u8::from(lane == Lane::Writer);
        header[9..].copy_from_slice(&charge.to_le_bytes());
        header
    }

    /// `None` if the bytes are no record: the log gave back what nobody put in.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, entries) = bytes.split_at_checked(RECORD_HEADER)?;
        Some(Self {
            number: u64::from_le_bytes(header[..8].try_into().ok()?),
            lane: if header[8] == 1 { Lane::Writer } else { Lane::Direct },
            charge: u64::from_le_bytes(header[9..].try_into().ok()?),
            entries: Entries { rest: entries },
        })
    }
}

/// The entries of a record, or of any run of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes whole entries off the front, at most `bytes` of them but at least one.
    pub(crate) fn take_up_to(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let mut end = 0;
        while let Some(length) = self.rest.get(end..end + 4) {
            let next = end + 4 + u32::from_le_bytes(length.try_into().ok()?) as usize;
            if end > 0 && next > bytes {
                break;
            }
            end = next;
        }
        let (taken, rest) = self.rest.split_at_checked(end).filter(|_| end > 0)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let entry = self.take_up_to(0)?;
        parse_entry(&entry[4..])
    }
}

/// Whether a whole entry is an event, which is not parsed for that.
pub(crate) fn is_event(entry: &[u8]) -> bool {
    entry.get(4) == Some(&keep::EVENT)
}

/// One whole entry, as [`Entries::take_up_to`] gives it.
pub(crate) fn parse(entry: &[u8]) -> Option<Entry<'_>> {
    parse_entry(entry.get(4..)?)
}

fn parse_entry(bytes: &[u8]) -> Option<Entry<'_>> {
    let (&kind, body) = bytes.split_first()?;
    if kind == 0 {
        return parse_publish(body).map(Entry::Publish);
    }
    if kind == keep::STEP || kind == keep::EVENT {
        return keep::parse(kind, body).map(Entry::Keep);
    }
    let (number, rest) = body.split_at_checked(8)?;
    let number = u64::from_le_bytes(number.try_into().ok()?);
    Some(match kind {
        1 => Entry::Large(number, u64::from_le_bytes(rest.try_into().ok()?)),
        2 => Entry::Begin(number, u64::from_le_bytes(rest.try_into().ok()?)),
        3 => Entry::End(number),
        4 => {
            let (head, filter) = rest.split_at_checked(5)?;
            Entry::Subscribe(Subscribed {
                instance: number,
                options: SubscriptionOptions::from_bits(head[0])?,
                id: u32::from_le_bytes(head[1..].try_into().ok()?),
                filter: std::str::from_utf8(filter).ok()?,
            })
        }
        5 => Entry::Unsubscribe(number, std::str::from_utf8(rest).ok()?),
        6 => Entry::Barrier(number),
        7 => Entry::Attach(number, u64::from_le_bytes(rest.try_into().ok()?)),
        8 => Entry::Return(number),
        9 => Entry::Awake(number),
        10 => Entry::Revoke(number, u64::from_le_bytes(rest.try_into().ok()?)),
        keep::ASIDE => Entry::Keep(Keep::Aside(number)),
        _ => return None,
    })
}

fn parse_publish(body: &[u8]) -> Option<Published<'_>> {
    let (head, rest) = body.split_at_checked(31)?;
    let topic = usize::from(u16::from_le_bytes(head[25..27].try_into().ok()?));
    let properties = u32::from_le_bytes(head[27..31].try_into().ok()?) as usize;
    let is_timed = head[0] & TIMED != 0;
    let (read, rest) = rest.split_at_checked(if is_timed { 8 } else { 0 })?;
    let (topic, rest) = rest.split_at_checked(topic)?;
    let (properties, payload) = rest.split_at_checked(properties)?;
    Some(Published {
        publisher: u64::from_le_bytes(head[1..9].try_into().ok()?),
        except_publisher: head[0] & 0b1000 != 0,
        qos: QoS::from_bits(head[0] & 0b11)?,
        retain: head[0] & 0b100 != 0,
        room: Room::from_bits((head[0] & !TIMED) >> 4)?,
        expires_ms: u64::from_le_bytes(head[9..17].try_into().ok()?),
        seq: u64::from_le_bytes(head[17..25].try_into().ok()?),
        topic: std::str::from_utf8(topic).ok()?,
        read: read.try_into().ok().map(|read| Stamp(u64::from_le_bytes(read))),
        properties,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        let publish = Published {
            publisher: 7,
            except_publisher: true,
            qos: QoS::ExactlyOnce,
            retain: true,
            room: Room::Promised,
            expires_ms: 99,
            seq: 98,
            topic: "a/日",
            read: Some(Stamp(96)),
            properties: b"\x26pp",
            payload: b"payload",
        };
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: false,
            retain_handling: 2,
        };
        let entries = [
            Entry::Publish(publish),
            Entry::Publish(Published { read: None, ..publish }),
            Entry::Large(1, 97),
            Entry::Begin(2, 3),
            Entry::End(4),
            Entry::Subscribe(Subscribed { instance: 5, options, id: 6, filter: "a/#" }),
            Entry::Unsubscribe(5, "a/#"),
            Entry::Barrier(8),
            Entry::Attach(9, 10),
            Entry::Return(11),
            Entry::Awake(12),
            Entry::Revoke(13, 14),
        ];
        let mut bytes = Record::header(11, Lane::Writer, 12).to_vec();
        entries.iter().for_each(|entry| append(&mut bytes, entry));
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.number, record.lane, record.charge), (11, Lane::Writer, 12));
        assert_eq!(record.entries.collect::<Vec<_>>(), entries);
    }

    #[test]
    fn runs_are_cut_between_entries() {
        let mut bytes = Vec::new();
        (0..10).for_each(|n| append(&mut bytes, &Entry::End(n)));
        let mut entries = Entries::new(&bytes);
        let mut sizes = Vec::new();
        while let Some(run) = entries.take_up_to(40) {
            sizes.push(run.len());
        }
        assert_eq!(sizes, [39, 39, 39, 13]);
        assert_eq!(Entries::new(&bytes).take_up_to(1).map(<[u8]>::len), Some(13));
    }
}
