//! Whether what a gateway publishes is answered, and with what (DJI Cloud API, "Server reply").

use std::borrow::Cow;
use std::io::Write;

use serde_json::value::RawValue;

use crate::envelope::{Envelope, Invalid, NeedReply, text};
use crate::progress::Progress;
use crate::requests::{self, Standing};
use crate::rules::{Rules, WaitFor};
use crate::topic::Kind;

/// The method that Dockside answers unless it is told otherwise.
pub const FLIGHTTASK_PROGRESS: &str = "flighttask_progress";

/// What becomes of one publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is answered.
    Reply {
        /// What with.
        payload: Vec<u8>,
        /// Whose acknowledgement comes first.
        wait_for: WaitFor,
    },
    /// It asked for no reply.
    NotNeeded,
    /// No rule answers it: somebody else's business.
    NotOurs {
        /// Whether the device says that it waits for a reply.
        waits: bool,
    },
    /// It cannot be answered.
    Invalid(Invalid),
}

/// What there is to count besides the answer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// `bid` is missing.
    pub no_bid: bool,
    /// `need_reply` is neither a flag nor absent.
    pub junk_need_reply: bool,
    /// `gateway` is not the serial number of the topic.
    pub gateway_mismatch: bool,
}

/// What is known of one publish, and what becomes of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision<'a> {
    /// What becomes of it.
    pub answer: Answer,
    /// What is odd about it; only of what is answered here.
    pub flags: Flags,
    /// Its method, if it has one that can be read.
    pub method: Option<Cow<'a, str>>,
    /// Its `tid`, the text or what else stands there; empty without one.
    pub tid: Cow<'a, str>,
    /// The device's clock as it says, milliseconds since 1970; not checked for sense.
    pub device_ms: Option<u64>,
    /// What an event says of a flight task, whatever its method: only some of them mean it so.
    pub progress: Progress<'a>,
}

/// How a task stands: gateway, and task or, without one, its latest.
pub type Look<'a> = &'a dyn Fn(&str, Option<&str>) -> Option<Standing>;

/// Decides about the payload that `serial_number` published on a topic of this kind at `now_ms`
/// (milliseconds since 1970). The reply to an event never depends on what it reports: it is a receipt.
#[must_use]
pub fn answer<'a>(
    (kind, serial_number): (Kind, &str),
    payload: &'a [u8],
    now_ms: u64,
    rules: &Rules,
    look: Look<'_>,
) -> Decision<'a> {
    let invalid = |invalid| Decision {
        answer: Answer::Invalid(invalid),
        flags: Flags::default(),
        method: None,
        tid: Cow::Borrowed(""),
        device_ms: None,
        progress: Progress::default(),
    };
    if payload.len() > rules.max_event_bytes {
        return invalid(Invalid::TooLarge);
    }
    let read = match kind {
        Kind::Events => Envelope::parse_event(payload),
        _ => Envelope::parse(payload).map(|envelope| (envelope, Progress::default())),
    };
    let (envelope, progress) = match read {
        Ok(read) => read,
        Err(reason) => return invalid(reason),
    };
    let mut flags = Flags::default();
    let answer = match rules.answers(kind, serial_number, &envelope.method) {
        None => Answer::NotOurs { waits: envelope.need_reply == NeedReply::Yes },
        Some(wait_for) => {
            flags = flags_of(&envelope, serial_number);
            let data = || requests::data(kind, &envelope, &rules.site, look);
            decide((kind, wait_for), &envelope, (now_ms, rules), data)
        }
    };
    let raw = envelope.tid.map_or("", RawValue::get);
    let tid = text(raw).unwrap_or(Cow::Borrowed(raw));
    let (device_ms, method) = (envelope.device_ms, Some(envelope.method));
    Decision { answer, flags, method, tid, device_ms, progress }
}

fn flags_of(envelope: &Envelope<'_>, serial_number: &str) -> Flags {
    Flags {
        no_bid: matches!(envelope.bid, Ok(None)),
        junk_need_reply: envelope.need_reply == NeedReply::Junk,
        gateway_mismatch: envelope.gateway.as_ref().is_some_and(|sn| sn != serial_number),
    }
}

fn decide(
    (kind, wait_for): (Kind, &WaitFor),
    envelope: &Envelope<'_>,
    (now_ms, rules): (u64, &Rules),
    data: impl FnOnce() -> Result<Cow<'static, str>, Invalid>,
) -> Answer {
    let is_wanted = match envelope.need_reply {
        // Only events say whether they want one.
        _ if kind != Kind::Events => true,
        NeedReply::Yes => true,
        NeedReply::No => false,
        NeedReply::Absent | NeedReply::Junk => rules.reply_when_unasked,
    };
    let ids = envelope.tid.and_then(|tid| envelope.bid.map(|bid| (tid, bid)));
    match ids.and_then(|ids| if is_wanted { Ok(Some((ids, data()?))) } else { Ok(None) }) {
        Ok(None) => Answer::NotNeeded,
        Ok(Some((ids, data))) => Answer::Reply {
            payload: reply(ids, &envelope.method, now_ms, &data),
            wait_for: if kind == Kind::Events { wait_for.clone() } else { WaitFor::Commit },
        },
        Err(reason) => Answer::Invalid(reason),
    }
}

/// The reply: the device's own `tid` and `bid` to the letter, an integer timestamp.
fn reply(
    (tid, bid): (&RawValue, Option<&RawValue>),
    method: &str,
    now_ms: u64,
    data: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + data.len());
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    put(r#"{"tid":"#);
    put(tid.get());
    if let Some(bid) = bid {
        put(r#","bid":"#);
        put(bid.get());
    }
    write!(out, r#","timestamp":{now_ms},"method":"#).expect("writing to a Vec cannot fail");
    // Any method of an event can be answered, so it may need escapes.
    serde_json::to_writer(&mut out, method).expect("a text is JSON");
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(data.as_bytes());
    out.push(b'}');
    out
}
