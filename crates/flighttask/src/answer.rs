//! Whether an event is answered, and with what (DJI Cloud API, "Server reply").

use std::io::Write;

use crate::envelope::{Envelope, Invalid, NeedReply};

/// The method that Dockside answers.
pub const FLIGHTTASK_PROGRESS: &str = "flighttask_progress";

/// What the operator can decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Whether an event without `need_reply` is answered. DJI's first document replies always, and
    /// a reply nobody waits for is matched by nobody.
    pub reply_when_unasked: bool,
    /// The longest payload that is read, in bytes.
    pub max_event_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { reply_when_unasked: true, max_event_bytes: 20_480 }
    }
}

/// What becomes of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A `flighttask_progress` that is answered.
    Reply {
        /// What with.
        payload: Vec<u8>,
        /// Its `tid`: the text, or what else stands there.
        tid: String,
    },
    /// A `flighttask_progress` that asked for no reply.
    NotNeeded,
    /// Another method: somebody else's business.
    OtherMethod {
        /// Its name.
        method: String,
        /// Whether the device says that it waits for a reply.
        waits: bool,
    },
    /// Not an event that can be answered.
    Invalid(Invalid),
}

/// What there is to count about a `flighttask_progress` besides its answer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// `bid` is missing.
    pub no_bid: bool,
    /// `need_reply` is neither a flag nor absent.
    pub junk_need_reply: bool,
    /// `gateway` is not the serial number of the topic.
    pub gateway_mismatch: bool,
}

/// Decides about the payload that `serial_number` published on its events topic at `now_ms`
/// (milliseconds since 1970). The reply never depends on what the event reports: it is a receipt.
#[must_use]
pub fn answer(serial_number: &str, payload: &[u8], now_ms: u64, rules: Rules) -> (Answer, Flags) {
    if payload.len() > rules.max_event_bytes {
        return (Answer::Invalid(Invalid::TooLarge), Flags::default());
    }
    let envelope = match Envelope::parse(payload) {
        Ok(envelope) => envelope,
        Err(invalid) => return (Answer::Invalid(invalid), Flags::default()),
    };
    if envelope.method != FLIGHTTASK_PROGRESS {
        let waits = envelope.need_reply == NeedReply::Yes;
        let method = envelope.method.into_owned();
        return (Answer::OtherMethod { method, waits }, Flags::default());
    }
    let flags = Flags {
        no_bid: envelope.bid.is_none(),
        junk_need_reply: envelope.need_reply == NeedReply::Junk,
        gateway_mismatch: envelope.gateway.as_ref().is_some_and(|sn| sn != serial_number),
    };
    let wanted = match envelope.need_reply {
        NeedReply::Yes => true,
        NeedReply::No => false,
        NeedReply::Absent | NeedReply::Junk => rules.reply_when_unasked,
    };
    if !wanted {
        return (Answer::NotNeeded, flags);
    }
    let raw = envelope.tid.get();
    let tid = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
    (Answer::Reply { payload: reply(&envelope, now_ms), tid }, flags)
}

/// The reply: the device's own `tid` and `bid` to the letter, an integer timestamp, `result` 0.
fn reply(envelope: &Envelope<'_>, now_ms: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    let bid = envelope.bid.map_or("", |bid| bid.get());
    let comma = if bid.is_empty() { "" } else { r#","bid":"# };
    let tid = envelope.tid.get();
    write!(
        out,
        r#"{{"tid":{tid}{comma}{bid},"timestamp":{now_ms},"method":"{FLIGHTTASK_PROGRESS}","data":{{"result":0}}}}"#
    )
    .expect("writing to a Vec cannot fail");
    out
}
