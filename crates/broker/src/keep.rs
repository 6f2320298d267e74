//! What goes to the store through the writer, in one order with messages: entries that the writer
//! keeps and passes on to nobody.
//!
//! ```text
//! step  = what u8 | session u64 | packet id u16 | reader u64 | seq u64 | qos u8 | retain u8 |
//!         subscription identifiers, four bytes each
//! event = see `event`
//! ```

mod event;

use std::sync::Arc;

use dockside_mqtt::packet::SubscriptionOptions;
use dockside_mqtt::{PacketId, QoS};
use dockside_store::{Audit, Dock, ReaderId, Seq, Session, Subscription, Will};

pub(crate) use self::event::{Details, Event, can_be_written, numbers};
use crate::live_log::{Aside, LiveLog};
use crate::record::{self, AsideNumber, Entry, Instance, Subscribed};

pub(crate) const STEP: u8 = 32;
pub(crate) const EVENT: u8 = 33;
pub(crate) const ASIDE: u8 = 34;

/// Something to be kept.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Keep<'a> {
    Step(Step<'a>),
    Event(Event<'a>),
    /// [`Aside::Keep`].
    Aside(AsideNumber),
}

/// What is seldom, or large.
#[derive(Debug)]
pub(crate) enum KeepAside {
    /// A session that is kept begins, or has a connection again.
    Session(Instance, Session),
    /// It has lost its connection, and ends at that time of the wall clock.
    Asleep(Instance, u64),
    /// A connection's will; none any more.
    Will(Instance, Option<Will>),
    /// The wall clock was accepted.
    Clock,
    /// There was no room to retain this after all.
    NotRetained(Box<str>, Seq),
    /// A dock as it was last heard of.
    Dock(Box<Dock>),
    /// A dock that is not known any more.
    NoDock(Arc<str>),
    /// Somebody did something.
    Audit(Box<Audit>),
}

/// A step of a message on its way to or from a session that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) what: What,
    pub(crate) session: Instance,
    /// 0 is none.
    pub(crate) packet_id: u16,
    /// Whose queue the message was in: the session's or its group's.
    pub(crate) reader: ReaderId,
    /// 0 is none.
    pub(crate) seq: Seq,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) identifiers: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum What {
    /// The session has the message, or needs it no more.
    Done,
    /// It goes out with this packet identifier.
    Sent,
    /// PUBREC.
    Received,
    /// PUBCOMP.
    Completed,
    /// A QoS 2 message came with this packet identifier.
    Arrived,
    /// PUBREL.
    Released,
}

impl What {
    fn from_bits(bits: u8) -> Option<Self> {
        let all = [
            Self::Done,
            Self::Sent,
            Self::Received,
            Self::Completed,
            Self::Arrived,
            Self::Released,
        ];
        all.into_iter().find(|what| *what as u8 == bits)
    }
}

impl Step<'_> {
    /// A step that only names an exchange.
    pub(crate) fn of(what: What, session: Instance, packet_id: PacketId) -> Self {
        Self {
            what,
            session,
            packet_id: packet_id.get(),
            reader: session,
            seq: 0,
            qos: QoS::ExactlyOnce,
            retain: false,
            identifiers: b"",
        }
    }

    /// A reader needs a message no more.
    pub(crate) fn done(reader: ReaderId, seq: Seq) -> Self {
        Self {
            what: What::Done,
            session: reader,
            packet_id: 0,
            reader,
            seq,
            qos: QoS::AtLeastOnce,
            retain: false,
            identifiers: b"",
        }
    }
}

/// Appends the entry of something that travels beside the log.
pub(crate) fn append_aside(log: &LiveLog, entries: &mut Vec<u8>, keep: KeepAside) -> AsideNumber {
    let number = log.put_aside(Aside::Keep(Arc::new(keep)));
    record::append(entries, &Entry::Keep(Keep::Aside(number)));
    number
}

/// Appends kind and body.
pub(crate) fn append(out: &mut Vec<u8>, keep: &Keep<'_>) {
    match keep {
        Keep::Aside(number) => {
            out.push(ASIDE);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Keep::Step(step) => {
            out.extend_from_slice(&[STEP, step.what as u8]);
            out.extend_from_slice(&step.session.to_le_bytes());
            out.extend_from_slice(&step.packet_id.to_le_bytes());
            out.extend_from_slice(&step.reader.to_le_bytes());
            out.extend_from_slice(&step.seq.to_le_bytes());
            out.extend_from_slice(&[step.qos.bits(), u8::from(step.retain)]);
            out.extend_from_slice(step.identifiers);
        }
        Keep::Event(event) => {
            out.push(EVENT);
            event::append(out, event);
        }
    }
}

pub(crate) fn parse(kind: u8, body: &[u8]) -> Option<Keep<'_>> {
    if kind == EVENT {
        event::parse(body).map(Keep::Event)
    } else {
        parse_step(body).map(Keep::Step)
    }
}

fn parse_step(body: &[u8]) -> Option<Step<'_>> {
    let (head, identifiers) = body.split_at_checked(29)?;
    let number = |at: usize| Some(u64::from_le_bytes(head[at..at + 8].try_into().ok()?));
    Some(Step {
        what: What::from_bits(head[0])?,
        session: number(1)?,
        packet_id: u16::from_le_bytes(head[9..11].try_into().ok()?),
        reader: number(11)?,
        seq: number(19)?,
        qos: QoS::from_bits(head[27])?,
        retain: head[28] == 1,
        identifiers,
    })
}

/// A subscription of the store.
pub(crate) fn subscribed(session: Instance, kept: &Subscription) -> Option<Subscribed<'_>> {
    let options = SubscriptionOptions::from_bits(kept.options)?;
    Some(Subscribed { instance: session, options, id: kept.identifier, filter: &kept.filter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Entries;

    #[test]
    fn entries_come_back_as_they_were() {
        let step = Step {
            what: What::Sent,
            session: 1,
            packet_id: 2,
            reader: 3,
            seq: 4,
            qos: QoS::ExactlyOnce,
            retain: true,
            identifiers: &[1, 0, 0, 0],
        };
        let event = Event {
            tid: "日",
            task: None,
            status: Some(""),
            step: Some(-1),
            result: Some(i64::MAX),
            ..Event::numbered(7)
        };
        let said = dockside_interceptor::Details {
            percent: Some(0.5),
            numbers: [None, Some(-1), Some(2), None, Some(i64::MAX)],
            track: Some("t".into()),
            device_ms: Some(0),
        };
        let written = numbers(&said);
        let details = Details { numbers: &written, track: said.track.as_deref() };
        assert_eq!((details.percent(), details.numbers()), (said.percent, said.numbers));
        assert_eq!(details.device_ms(), said.device_ms);
        let none = numbers(&dockside_interceptor::Details::default());
        let none = Details { numbers: &none, track: None };
        assert_eq!((none.percent(), none.numbers(), none.device_ms()), (None, [None; 5], None));
        let detailed = Event { details: Some(details), ..event };
        let nothing = Event { details: Some(none), ..event };
        let all = [
            Keep::Step(step),
            Keep::Event(event),
            Keep::Event(detailed),
            Keep::Event(nothing),
            Keep::Aside(9),
        ];
        let mut bytes = Vec::new();
        all.iter().for_each(|keep| record::append(&mut bytes, &Entry::Keep(*keep)));
        assert_eq!(Entries::new(&bytes).collect::<Vec<_>>(), all.map(Entry::Keep));
    }
}
