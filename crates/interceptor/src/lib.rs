//! The contract between the broker and a plugin that sees publishes.
//!
//! An [`Interceptor`] declares topic filters once; the broker indexes them, so a publish that
//! matches none pays nothing. For each publish that matches, after the access check and before the
//! message is routed, [`Interceptor::intercept`] is called in the task of the publishing connection.
//! It must not wait, and its work must be bounded by the size of the publish. A panic in it is
//! caught and counted, and the publish goes on as if it had returned [`Verdict::Forward`] without
//! effects.

use std::borrow::Cow;
use std::fmt;

pub use dockside_mqtt::QoS;

/// A plugin that sees publishes.
pub trait Interceptor: Send + Sync {
    /// Names the plugin in logs.
    fn name(&self) -> &'static str;

    /// The topic filters it wants to see, asked for once at start. It is called once for each that
    /// matches, so they should not overlap; shared subscriptions are not allowed here.
    ///
    /// What matches is ordered with everything that is kept, whatever its QoS.
    fn filters(&self) -> Vec<String>;

    /// More of them, of traffic that must never wait for a disk: it is seen and goes its way. Of the effects
    /// only [`Effects::heard`] counts, and the verdict does not.
    fn watched(&self) -> Vec<String> {
        Vec::new()
    }

    /// Looks at one publish. Effects take hold only if this returns.
    fn intercept<'p>(&self, publish: &Intercepted<'p>, effects: &mut Effects<'p>) -> Verdict;
}

/// What the broker has kept of what was recorded, a second behind at most.
pub trait Kept {
    /// How a flight task stands that this gateway has reported; without a task its latest.
    fn flight_task(&self, gateway: &str, task: Option<&str>) -> Option<FlightTask>;
}

/// How a flight task stands.
#[derive(Clone, PartialEq, Debug)]
pub struct FlightTask {
    /// The task.
    pub task: String,
    /// Its status, once it is known.
    pub status: Option<String>,
    /// Number of its step.
    pub step: Option<i64>,
    /// Its progress, 0 to 100.
    pub percent: Option<f64>,
}

/// One publish, as accepted: the topic alias is resolved, the publisher may publish here.
#[derive(Clone, Copy)]
pub struct Intercepted<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Application message, any bytes.
    pub payload: &'a [u8],
    /// QoS it was published with.
    pub qos: QoS,
    /// Client identifier of the publisher.
    pub client_id: &'a str,
    /// Wall clock, milliseconds since 1970.
    pub now_ms: u64,
    /// What was recorded before.
    pub kept: &'a dyn Kept,
}

impl fmt::Debug for Intercepted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted")
            .field("topic", &self.topic)
            .field("client_id", &self.client_id)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// What becomes of the publish.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes to its subscribers, byte for byte.
    #[default]
    Forward,
    /// It is acknowledged and goes to nobody.
    Consume,
}

/// What the plugin wants done besides.
#[derive(Default, Debug)]
pub struct Effects<'p> {
    replies: Vec<Reply>,
    record: Option<EventRecord<'p>>,
    announcement: Option<Announcement>,
    unanswered: Option<Unanswered>,
    heard: Option<Heard<'p>>,
    audited: Option<Audited>,
}

/// A message to the publisher, and to whoever else subscribes to its topic: QoS 1 at most, never
/// retained, sent right after the acknowledgement of the publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Topic name.
    pub topic: String,
    /// Application message.
    pub payload: Vec<u8>,
    /// QoS before it is capped by the subscription.
    pub qos: QoS,
    /// What it waits for.
    pub after: After,
}

/// What a reply waits for.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum After {
    /// That the publish is kept, as far as it has to be.
    #[default]
    Kept,
    /// That a connection of this user has acknowledged the publish, besides; it is dropped when that takes
    /// too long. The acknowledgement of the publish does not wait for it.
    User(Box<str>),
    /// The same, of the client with this identifier.
    Client(Box<str>),
}

/// What is kept of an event, with its payload, before its publisher hears anything. Texts are parts of the publish where they
/// stand there as they are.
#[derive(Clone, PartialEq, Debug)]
pub struct EventRecord<'p> {
    /// Wall clock, milliseconds since 1970.
    pub received_ms: u64,
    /// Serial number of the topic.
    pub gateway: Cow<'p, str>,
    /// Method.
    pub method: Cow<'p, str>,
    /// Transaction identifier; empty without one.
    pub tid: Cow<'p, str>,
    /// Flight task.
    pub task: Option<Cow<'p, str>>,
    /// What the event says of the task.
    pub status: Option<Cow<'p, str>>,
    /// Number of the step.
    pub step: Option<i64>,
    /// Progress, 0 to 100.
    pub percent: Option<i64>,
    /// Code of the device; 0 is well.
    pub result: Option<i64>,
    /// The same for repetitions of an event, and for no other.
    pub key: [u8; 16],
    /// What else it says of the task, by whoever has read it; without, the broker reads a `flighttask_progress`
    /// itself to know how the task stands.
    pub details: Option<Details<'p>>,
}

impl EventRecord<'_> {
    /// For longer than the publish.
    #[must_use]
    pub fn into_owned(self) -> EventRecord<'static> {
        let details = self.details.map(|said| Details { track: said.track.map(owned), ..said });
        EventRecord {
            gateway: owned(self.gateway),
            method: owned(self.method),
            tid: owned(self.tid),
            task: self.task.map(owned),
            status: self.status.map(owned),
            details,
            ..self
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// What an event says of its flight task beyond what the history lists (`data.output` at DJI).
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Details<'p> {
    /// Progress as it was said, with its fraction; finite.
    pub percent: Option<f64>,
    /// Waypoint, wayline, state of the mission, files, reason of the last interruption, in this order.
    pub numbers: [Option<i64>; 5],
    /// The track that was flown.
    pub track: Option<Cow<'p, str>>,
    /// The device's clock, milliseconds since 1970, as it says.
    pub device_ms: Option<u64>,
}

/// A gateway says which aircraft are with it: its user may speak for them until it says otherwise.
/// It counts only if the publisher's user owns the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// Serial number of the gateway.
    pub gateway: String,
    /// Serial numbers of the aircraft; none means that there are none any more.
    pub aircraft: Vec<String>,
}

/// A gateway was heard of.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Heard<'p> {
    /// Serial number of the topic.
    pub gateway: Cow<'p, str>,
    /// Whether a gateway that was not heard of before is one: other devices publish on some of its topics.
    pub is_gateway: bool,
    /// Whether it was an event, and whether it is answered at once.
    pub event: Option<bool>,
    /// The device's clock, milliseconds since 1970, as it says.
    pub device_ms: Option<u64>,
    /// What it is: `domain`, `type` and `sub_type`.
    pub model: Option<[i64; 3]>,
    /// Its firmware.
    pub firmware: Option<Cow<'p, str>>,
    /// All its aircraft.
    pub aircraft: Option<Vec<Box<str>>>,
}

impl Heard<'_> {
    /// For longer than the publish.
    #[must_use]
    pub fn into_owned(self) -> Heard<'static> {
        let (gateway, firmware) = (owned(self.gateway), self.firmware.map(owned));
        Heard { gateway, firmware, ..self }
    }
}

/// What is kept for whoever wants to know later who did what: never changed, and not the payload.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Audited {
    /// What kind of thing.
    pub what: &'static str,
    /// Serial number of the topic.
    pub gateway: Box<str>,
    /// Method, or the names of properties.
    pub method: Box<str>,
    /// Transaction identifier; empty without one.
    pub tid: Box<str>,
    /// Code of the device; 0 is well.
    pub result: Option<i64>,
}

/// Why a publish that may be waiting for a reply gets none, for whoever asks the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unanswered {
    /// What is the matter.
    pub reason: Cow<'static, str>,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Replies one call may ask for; more are dropped.
const REPLIES_AT_MOST: usize = 8;

impl<'p> Effects<'p> {
    /// Asks for a reply.
    pub fn reply(&mut self, reply: Reply) {
        if self.replies.len() < REPLIES_AT_MOST {
            self.replies.push(reply);
        }
    }

    /// Asks for a record of this publish.
    pub fn record(&mut self, record: EventRecord<'p>) {
        self.record = Some(record);
    }

    /// Announces a gateway's aircraft.
    pub fn announce(&mut self, announcement: Announcement) {
        self.announcement = Some(announcement);
    }

    /// Says why there is no reply.
    pub fn leave_unanswered(&mut self, unanswered: Unanswered) {
        self.unanswered = Some(unanswered);
    }

    /// Says that a gateway was heard of.
    pub fn heard(&mut self, heard: Heard<'p>) {
        self.heard = Some(heard);
    }

    /// Asks for an entry of the audit log, with the publisher's name.
    pub fn audit(&mut self, audited: Audited) {
        self.audited = Some(audited);
    }

    /// Takes out who was heard of.
    pub fn take_heard(&mut self) -> Option<Heard<'p>> {
        self.heard.take()
    }

    /// Takes the entry of the audit log out.
    pub fn take_audited(&mut self) -> Option<Audited> {
        self.audited.take()
    }

    /// Takes the record out.
    pub fn take_record(&mut self) -> Option<EventRecord<'p>> {
        self.record.take()
    }

    /// Takes the announcement out.
    pub fn take_announcement(&mut self) -> Option<Announcement> {
        self.announcement.take()
    }

    /// Takes the reason for no reply out.
    pub fn take_unanswered(&mut self) -> Option<Unanswered> {
        self.unanswered.take()
    }

    /// Takes the replies out, in the order they were asked for.
    pub fn take_replies(&mut self) -> std::vec::Drain<'_, Reply> {
        self.replies.drain(..)
    }

    /// Forgets everything, as after a panic.
    pub fn clear(&mut self) {
        self.replies.clear();
        self.record = None;
        self.announcement = None;
        self.unanswered = None;
        self.heard = None;
        self.audited = None;
    }
}
