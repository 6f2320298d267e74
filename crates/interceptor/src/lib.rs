//! The contract between the broker and a plugin that sees publishes.
//!
//! An [`Interceptor`] declares topic filters once; the broker indexes them, so a publish that
//! matches none pays nothing. For each publish that matches, after the access check and before the
//! message is routed, [`Interceptor::intercept`] is called in the task of the publishing connection.
//! It must not wait, and its work must be bounded by the size of the publish. A panic in it is
//! caught and counted, and the publish goes on as if it had returned [`Verdict::Forward`] without
//! effects.

use std::borrow::Cow;

use dockside_mqtt::QoS;

/// A plugin that sees publishes.
pub trait Interceptor: Send + Sync {
    /// Names the plugin in logs.
    fn name(&self) -> &'static str;

    /// The topic filters it wants to see, asked for once at start. It is called once for each that
    /// matches, so they should not overlap; shared subscriptions are not allowed here.
    fn filters(&self) -> Vec<String>;

    /// Looks at one publish. Effects take hold only if this returns.
    fn intercept(&self, publish: &Intercepted<'_>, effects: &mut Effects) -> Verdict;
}

/// One publish, as accepted: the topic alias is resolved, the publisher may publish here.
#[derive(Clone, Copy, Debug)]
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
}

/// What becomes of the publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes to its subscribers, byte for byte.
    Forward,
    /// It is acknowledged and goes to nobody.
    Consume,
}

/// What the plugin wants done besides.
#[derive(Default, Debug)]
pub struct Effects {
    replies: Vec<Reply>,
    record: Option<EventRecord>,
    announcement: Option<Announcement>,
    unanswered: Option<Unanswered>,
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
}

/// What is kept of an event, with its payload, before its publisher hears anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRecord {
    /// Wall clock, milliseconds since 1970.
    pub received_ms: u64,
    /// Serial number of the topic.
    pub gateway: Box<str>,
    /// Method.
    pub method: &'static str,
    /// Transaction identifier.
    pub tid: Box<str>,
    /// Flight task.
    pub task: Option<Box<str>>,
    /// What the event says of the task.
    pub status: Option<Box<str>>,
    /// Number of the step.
    pub step: Option<i64>,
    /// Progress, 0 to 100.
    pub percent: Option<i64>,
    /// Code of the device; 0 is well.
    pub result: Option<i64>,
    /// The same for repetitions of an event, and for no other.
    pub key: [u8; 16],
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

impl Effects {
    /// Asks for a reply.
    pub fn reply(&mut self, reply: Reply) {
        if self.replies.len() < REPLIES_AT_MOST {
            self.replies.push(reply);
        }
    }

    /// Asks for a record of this publish.
    pub fn record(&mut self, record: EventRecord) {
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

    /// Takes the record out.
    pub fn take_record(&mut self) -> Option<EventRecord> {
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
    }
}
