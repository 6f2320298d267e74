//! The life of a PUBLISH inside the broker. The order of this file is the product:
//! permit, interceptors, lane.

mod intercept;
mod operator;

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use dockside_interceptor::{Announcement, EventRecord, Intercepted, Reply, Unanswered, Verdict};
use dockside_mqtt::packet::Publish;
use dockside_mqtt::property::{Properties, PropertyId, Value};
use dockside_mqtt::{ProtocolError, QoS, ReasonCode, topic};

pub(crate) use self::intercept::{Interceptors, audit_will};
use self::intercept::{Seen, Wanted, intercept, watch};
pub(crate) use self::operator::{Refused, for_operator};
use crate::access::Permit;
use crate::budget::{Counted, InTurn, OnItsWay};
use crate::config::Limits;
use crate::connection::Client;
use crate::keep::{self, Keep, KeepAside};
use crate::live_log::Aside;
use crate::metrics::Limit;
use crate::record::{self, Entry, Instance, LARGE, Lane, Published};
use crate::retained::Room;
use crate::shared::Shared;
use crate::timing::{ONE_OF, Stamp};
use crate::writer::{Completion, From};

/// Bytes a plugin may add to a publish, in the charge of the publish that it looks at.
pub(crate) const EFFECTS_BYTES: usize = 1024;

/// Messages of a batch: few enough that others have their turn soon, wherever they go.
const MESSAGES_A_BATCH: u64 = 32;

/// Which way a publish goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    pub(crate) lane: Lane,
    /// A plugin claims its topic.
    pub(crate) is_claimed: bool,
    is_watched: bool,
}

/// One read's worth of entries, by lane. Buffers are kept from turn to turn.
#[derive(Default)]
pub(crate) struct Batch {
    direct: Vec<u8>,
    direct_charge: u64,
    ordered: Vec<u8>,
    ordered_charge: u64,
    /// Charges in that sum.
    ordered_messages: u64,
    /// Messages since one was timed.
    untimed: u32,
}

impl Batch {
    /// Adds an entry that is ordered by the writer.
    pub(crate) fn order(&mut self, entry: &Entry<'_>) {
        record::append(&mut self.ordered, entry);
    }

    /// The entries of a lane, to append to.
    pub(crate) fn entries(&mut self, lane: Lane) -> &mut Vec<u8> {
        match lane {
            Lane::Direct => &mut self.direct,
            Lane::Writer => &mut self.ordered,
        }
    }

    /// Takes the charge of entries that are not publishes; `false` while there is no budget.
    pub(crate) fn charge_ordered(
        &mut self,
        shared: &Shared,
        size: usize,
        shares: &mut Shares,
        waiter: (Instance, &Waker),
    ) -> bool {
        let charge = shared.writer_budget.charge(size);
        // A SUBSCRIBE is done filter by filter, and waits for none of them.
        let taken = shared.writer_budget.take((charge, u64::MAX), &mut shares.writer, waiter);
        if taken {
            self.ordered_charge += charge;
            self.ordered_messages += 1;
        }
        taken
    }

    /// A charge goes with the batch, and comes back with its record: also that of a publish which is
    /// refused after all.
    pub(crate) fn carry_charge(&mut self, routable: &Routable<'_>) {
        match routable.way.lane {
            Lane::Direct => self.direct_charge += routable.charge,
            Lane::Writer => {
                self.ordered_charge += routable.charge;
                self.ordered_messages += 1;
            }
        }
    }

    /// When this message was read, if it is one of those that are timed.
    fn timed(&mut self) -> Option<Stamp> {
        self.untimed += 1;
        (self.untimed >= ONE_OF).then(|| {
            self.untimed = 0;
            Stamp::now()
        })
    }

    /// Whether it is handed over before more is added: the writer does all of a batch, or nothing.
    pub(crate) fn is_long(&self) -> bool {
        self.ordered_messages >= MESSAGES_A_BATCH
    }

    /// Hands both lanes over for a connection, the direct one first; `completion` hears when the writer is done. Without
    /// shares it is nobody's any more.
    pub(crate) fn hand_over(
        &mut self,
        shared: &Shared,
        (from, shares): (Instance, Option<&Shares>),
        completion: Option<Completion>,
    ) {
        if !self.direct.is_empty() {
            shared.append_direct(&self.direct, self.direct_charge);
            self.direct.clear();
            self.direct_charge = 0;
        }
        if self.ordered_charge > 0 && self.ordered.is_empty() {
            // The charge comes back with its record, and a record needs an entry.
            record::append(&mut self.ordered, &Entry::End(0));
        }
        if !self.ordered.is_empty() || completion.is_some() {
            let (charge, messages) = (self.ordered_charge, self.ordered_messages);
            let on_its_way = shares.map(|own| OnItsWay::new(&own.writer, charge, messages));
            let from = From { session: from, on_its_way };
            shared.append_of(from, &self.ordered, charge, completion);
            self.ordered.clear();
            (self.ordered_charge, self.ordered_messages) = (0, 0);
        }
    }
}

/// What the publisher is owed once the message is on its lane.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    pub(crate) replies: Vec<Reply>,
    /// Something is kept of it: the publisher hears of it afterwards.
    pub(crate) is_recorded: bool,
    /// Whose it is, if replies wait for somebody.
    pub(crate) gateway: Option<Box<str>>,
    pub(crate) announcement: Option<Announcement>,
    pub(crate) unanswered: Option<Unanswered>,
}

/// What a connection has on its way, a lane each.
#[derive(Default, Debug)]
pub(crate) struct Shares {
    direct: InTurn,
    writer: Arc<Counted>,
}

/// A publish that may be routed, and whose charge has been taken.
pub(crate) struct Routable<'a> {
    permit: Permit<'a>,
    way: Way,
    charge: u64,
}

/// Which way a publish goes. QoS 0 with nothing to keep is direct, unless it `follows` one that was not.
pub(crate) fn way(
    shared: &Shared,
    permit: &Permit<'_>,
    publish: &Publish<'_>,
    follows: bool,
) -> Way {
    let Wanted { is_claimed, is_watched } = shared.interceptors.wanted(permit.topic());
    let direct = publish.qos == QoS::AtMostOnce && !publish.retain && !follows && !is_claimed;
    Way { lane: if direct { Lane::Direct } else { Lane::Writer }, is_claimed, is_watched }
}

/// Takes the charge of a permitted publish; `None` while the lane's budget is used up (then `waker`
/// is woken when it is worth trying again). Nothing else has happened by then.
pub(crate) fn take_charge<'a>(
    shared: &Shared,
    permit: Permit<'a>,
    publish: &Publish<'_>,
    way: Way,
    (shares, waiter): (&mut Shares, (Instance, &Waker)),
) -> Option<Routable<'a>> {
    let effects = if way.is_claimed { EFFECTS_BYTES } else { 0 };
    let size =
        permit.topic().len() + publish.properties.raw().len() + publish.payload.len() + effects;
    let (charge, taken) = match way.lane {
        Lane::Direct => {
            let charge = shared.direct_budget.charge(size);
            let taken = shared.direct_budget.take((charge, u64::MAX), &mut shares.direct, waiter);
            (charge, taken)
        }
        Lane::Writer => {
            let charge = shared.writer_budget.charge(size);
            let ask = (charge, shared.writer.share());
            (charge, shared.writer_budget.take(ask, &mut shares.writer, waiter))
        }
    };
    taken.then_some(Routable { permit, way, charge })
}

/// Shows a publish to the plugins and puts it on its lane.
pub(crate) fn route(
    shared: &Shared,
    routable: &Routable<'_>,
    publish: &Publish<'_>,
    (client, room): (&Client, Room),
    batch: &mut Batch,
) -> Accepted {
    let topic = routable.permit.topic();
    let mut accepted = Accepted::default();
    let mut seen = Seen::default();
    if routable.way.is_claimed || routable.way.is_watched {
        let intercepted = Intercepted {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            client_id: &client.id,
            now_ms: shared.clock.kept_ms(),
            kept: &*shared.board,
        };
        if routable.way.is_watched {
            let session = (!client.is_operator).then_some(client.instance);
            watch(shared, &intercepted, session);
        }
        if routable.way.is_claimed {
            seen = intercept(shared, &intercepted, client, &mut accepted);
        }
    }
    batch.carry_charge(routable);
    // What is retained is there for long: how long it took would be told when it goes.
    let read = if publish.retain { None } else { batch.timed() };
    let out = batch.entries(routable.way.lane);
    if let Some(audited) = seen.audited {
        // Not obeyed before it is written down.
        accepted.is_recorded = true;
        keep::append_aside(&shared.log, out, KeepAside::Audit(Box::new(audited)));
    }
    if let Some(record) = seen.record {
        accepted.is_recorded = true;
        append_record(out, &record, publish.payload);
    }
    if seen.verdict == Verdict::Forward {
        let mut forwarded = Vec::new();
        let (properties, expiry) = forwardable(shared, publish.properties, &mut forwarded);
        let published = Published {
            publisher: client.instance,
            except_publisher: false,
            qos: publish.qos,
            retain: publish.retain,
            room,
            expires_ms: expiry,
            seq: 0,
            topic,
            read,
            properties,
            payload: publish.payload,
        };
        append_publish(shared, out, &published);
    } else {
        shared.metrics.dropped_hook.increment(1);
        // The charge comes back with its record, and a record needs an entry.
        record::append(out, &Entry::End(0));
    }
    accepted
}

/// Appends a publish, by reference if it is large.
pub(crate) fn append_publish(shared: &Shared, out: &mut Vec<u8>, published: &Published<'_>) {
    if published.size() <= LARGE {
        record::append(out, &Entry::Publish(*published));
    } else {
        append_by_reference(shared, out, published);
    }
}

/// Appends a publish whose bytes travel beside the log, and so cannot make it overflow.
pub(crate) fn append_by_reference(shared: &Shared, out: &mut Vec<u8>, published: &Published<'_>) {
    let mut entry = Vec::with_capacity(published.size());
    record::append(&mut entry, &Entry::Publish(*published));
    let number = shared.log.put_aside(Aside::Entry(Bytes::from(entry)));
    record::append(out, &Entry::Large(number, 0));
}

fn append_record(out: &mut Vec<u8>, record: &EventRecord<'_>, payload: &[u8]) {
    let details = record.details.as_ref().filter(|details| keep::can_be_written(record, details));
    let numbers = details.map(keep::numbers);
    let track = details.and_then(|details| details.track.as_deref());
    let event = keep::Event {
        received_ms: record.received_ms,
        gateway: &record.gateway,
        method: &record.method,
        tid: &record.tid,
        task: record.task.as_deref(),
        status: record.status.as_deref(),
        step: record.step,
        percent: record.percent,
        result: record.result,
        key: record.key,
        details: numbers.as_ref().map(|numbers| keep::Details { numbers, track }),
        payload,
    };
    record::append(out, &Entry::Keep(Keep::Event(event)));
}

/// The properties a subscriber gets [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
/// [MQTT-3.3.2-20], in the order they came: all but the topic alias, which is the
/// publisher's own, and the expiry, which counts down. With it when the message expires.
fn forwardable<'a>(
    shared: &Shared,
    properties: Properties<'a>,
    kept: &'a mut Vec<u8>,
) -> (&'a [u8], u64) {
    let special = |id| matches!(id, PropertyId::TopicAlias | PropertyId::MessageExpiryInterval);
    if !properties.iter().any(|property| special(property.id)) {
        return (properties.raw(), u64::MAX);
    }
    let mut expires_ms = u64::MAX;
    for property in properties.iter() {
        match (property.id, property.value) {
            (PropertyId::MessageExpiryInterval, Value::Number(seconds)) => {
                expires_ms = shared.clock.in_seconds(seconds);
            }
            (id, _) if special(id) => {}
            _ => kept.extend_from_slice(property.raw),
        }
    }
    (kept, expires_ms)
}

/// Whether a topic may be published on here at all.
pub(crate) fn check_topic(topic: &str, shared: &Shared) -> Result<(), ProtocolError> {
    topic::check_name(topic)?;
    check_size(topic, &shared.config.limits).map_err(|limit| {
        shared.limits.reached(limit);
        let detail = match limit {
            Limit::TopicLevels => "more levels than limits.topic_levels",
            _ => "longer than limits.topic_bytes",
        };
        ProtocolError::new(ReasonCode::TopicNameInvalid, detail)
    })
}

/// [`Limits::topic_bytes`] and [`Limits::topic_levels`] of a topic name or filter.
pub(crate) fn check_size(topic: &str, limits: &Limits) -> Result<(), Limit> {
    if topic.len() > usize::from(limits.topic_bytes) {
        return Err(Limit::TopicBytes);
    }
    let separators = topic.bytes().filter(|byte| *byte == b'/').count();
    if separators < limits.topic_levels { Ok(()) } else { Err(Limit::TopicLevels) }
}

/// What only a server may send, or what contradicts itself.
pub(crate) fn check(properties: Properties<'_>) -> Result<(), ProtocolError> {
    if properties.number(PropertyId::SubscriptionIdentifier).is_some() {
        // [MQTT-3.3.4-6]
        return Err(ProtocolError::protocol("subscription identifier from a client"));
    }
    if let Some(topic) = properties.text(PropertyId::ResponseTopic)
        && topic::check_name(topic).is_err()
    {
        // [MQTT-3.3.2-14]
        return Err(ProtocolError::protocol("response topic is no topic name"));
    }
    Ok(())
}

/// Whether a payload that calls itself UTF-8 is not [MQTT-3.3.2-4]; the answer is 0x99.
pub(crate) fn payload_format_lies(publish: &Publish<'_>) -> bool {
    publish.properties.number(PropertyId::PayloadFormatIndicator) == Some(1)
        && std::str::from_utf8(publish.payload).is_err()
}
