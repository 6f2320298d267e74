//! The envelope of an event: `tid`, `bid`, `method`, `need_reply` and the rest around `data`
//! (DJI Cloud API, "Topic definition", common fields).
//!
//! Everything borrows from the payload, and what is echoed in a reply is kept as the JSON text it
//! came as: a number stays that number, an escape stays that escape.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::progress::{Data, Progress, integer};

/// The longest `tid` or `bid` that is echoed, in bytes of JSON text without its quotes.
pub const ID_BYTES_AT_MOST: usize = 1024;

/// Nesting beyond this is refused, as `serde_json` itself does where it recurses.
const DEPTH_AT_MOST: usize = 128;

/// Why a payload is not an event that can be answered. The names are label values of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Invalid {
    /// Not a JSON object in UTF-8: truncated, too deep, a key twice at the top, `NaN`, empty.
    Json,
    /// Without a usable `tid`, `bid` or `method`: nothing that a reply could be matched by.
    Schema,
    /// Longer than an event may be, or with a `tid` or `bid` over [`ID_BYTES_AT_MOST`].
    TooLarge,
}

impl Invalid {
    /// Every reason, to initialise a metric.
    pub const ALL: [Self; 3] = [Self::Json, Self::Schema, Self::TooLarge];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Schema => "schema",
            Self::TooLarge => "too_large",
        }
    }
}

/// What `need_reply` says. DJI prints 0, 1 and `true`; devices and simulators send more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeedReply {
    /// `1`, `1.0`, `"1"`, `true`.
    Yes,
    /// `0`, `0.0`, `false`.
    No,
    /// No such key, or `null`.
    Absent,
    /// Anything else; taken as absent.
    Junk,
}

/// The envelope of one event.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// Transaction id, as JSON text: a string that is not empty, or a number. Without one there is nothing
    /// that a reply could be matched by.
    pub tid: Result<&'a RawValue, Invalid>,
    /// Business id, as JSON text; absent is a device's error that is forgiven, one that is too long is not.
    pub bid: Result<Option<&'a RawValue>, Invalid>,
    /// What kind of event.
    pub method: Cow<'a, str>,
    /// Whether the device waits for a reply.
    pub need_reply: NeedReply,
    /// Serial number of the gateway that sent it, if it says so as a string.
    pub gateway: Option<Cow<'a, str>>,
    /// The device's clock as it says, milliseconds since 1970; not checked for sense.
    pub device_ms: Option<u64>,
    /// What the method is about, as JSON text; none after [`Envelope::parse_event`].
    pub data: Option<&'a RawValue>,
}

/// With `data` as the reader wants it.
#[derive(Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
struct Wire<'a, D> {
    #[serde(borrow, default)]
    tid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    need_reply: Option<&'a RawValue>,
    #[serde(borrow, default)]
    gateway: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    data: Option<D>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a payload.
    ///
    /// # Errors
    /// No JSON object, or one without a method.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Invalid> {
        let text = object(payload)?;
        if too_deep(payload) {
            return Err(Invalid::Json);
        }
        let wire = Wire::<&RawValue>::read(text)?;
        let data = wire.data;
        Ok(Self { data, ..Self::of(&wire)? })
    }

    /// Reads the envelope of an event, and in the same pass what it says of a flight task; its `data` is not kept.
    ///
    /// # Errors
    /// As [`Envelope::parse`].
    pub fn parse_event(payload: &'a [u8]) -> Result<(Self, Progress<'a>), Invalid> {
        let text = object(payload)?;
        if too_deep(payload) {
            return Err(Invalid::Json);
        }
        let wire = Wire::with_data(text)?;
        Ok((Self::of(&wire)?, wire.into_progress()))
    }

    /// The envelope without its `data`.
    fn of<D>(wire: &Wire<'a, D>) -> Result<Self, Invalid> {
        let method = wire.method.and_then(string).filter(|method| !method.is_empty());
        Ok(Self {
            tid: wire.tid.filter(|tid| tid.get() != "\"\"").ok_or(Invalid::Schema).and_then(id),
            bid: wire.bid.map(id).transpose(),
            method: method.ok_or(Invalid::Schema)?,
            need_reply: need_reply(wire.need_reply),
            gateway: wire.gateway.and_then(string),
            device_ms: wire.timestamp.and_then(millis),
            data: None,
        })
    }
}

impl<'a> Wire<'a, &'a RawValue> {
    fn read(text: &'a str) -> Result<Self, Invalid> {
        serde_json::from_str(text).map_err(|_| Invalid::Json)
    }
}

impl<'a> Wire<'a, Data<'a>> {
    fn with_data(text: &'a str) -> Result<Self, Invalid> {
        if let Ok(wire) = serde_json::from_str(text) {
            return Ok(wire);
        }
        // Either it is no event, or its `data` must be read with more care.
        let Wire { tid, bid, method, need_reply, gateway, timestamp, data } = Wire::read(text)?;
        let data = data.map(|data: &RawValue| Data::carefully(data.get()));
        Ok(Self { tid, bid, method, need_reply, gateway, timestamp, data })
    }

    fn into_progress(self) -> Progress<'a> {
        let timestamp = self.timestamp.and_then(millis);
        self.data.unwrap_or_default().into_progress(self.bid.map(RawValue::get), timestamp)
    }
}

/// What a payload says of a flight task, whether or not it can be answered; what is not one JSON object says nothing.
pub(crate) fn progress(payload: &[u8]) -> Progress<'_> {
    let wire = object(payload).and_then(Wire::with_data);
    wire.map(Wire::into_progress).unwrap_or_default()
}

/// The text of a payload that may be one JSON object.
fn object(payload: &[u8]) -> Result<&str, Invalid> {
    let text = std::str::from_utf8(payload).map_err(|_| Invalid::Json)?;
    // Derived structs would also read from an array; an event is an object.
    let is_object = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    if is_object { Ok(text) } else { Err(Invalid::Json) }
}

/// A string or a number of bounded length.
fn id(raw: &RawValue) -> Result<&RawValue, Invalid> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"' | b'-' | b'0'..=b'9') if text.len() <= ID_BYTES_AT_MOST + 2 => Ok(raw),
        Some(b'"' | b'-' | b'0'..=b'9') => Err(Invalid::TooLarge),
        _ => Err(Invalid::Schema),
    }
}

/// Milliseconds since 1970, as a number or as a text of one.
pub(crate) fn millis(raw: &RawValue) -> Option<u64> {
    integer(raw.get()).and_then(|ms| u64::try_from(ms).ok())
}

fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    text(raw.get())
}

/// What a JSON string says; `None` if the value is none.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    if let Some(inner) = json.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

fn need_reply(raw: Option<&RawValue>) -> NeedReply {
    let Some(raw) = raw else { return NeedReply::Absent };
    match raw.get() {
        "1" | "true" | "\"1\"" => NeedReply::Yes,
        "0" | "false" => NeedReply::No,
        number => match number.parse::<f64>() {
            Ok(1.0) => NeedReply::Yes,
            Ok(0.0) => NeedReply::No,
            _ => NeedReply::Junk,
        },
    }
}

/// Whether brackets nest deeper than [`DEPTH_AT_MOST`]. Few brackets in all cannot, and counting
/// them is far cheaper than following them.
fn too_deep(payload: &[u8]) -> bool {
    // One bit tells `[` from `{`; few enough at once that the sum fits a byte, which many are added up with at once.
    let opening = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    let opening = payload.chunks(255).map(|bytes| usize::from(opening(bytes))).sum::<usize>();
    opening > DEPTH_AT_MOST && depth(payload) > DEPTH_AT_MOST
}

fn depth(payload: &[u8]) -> usize {
    let (mut now, mut deepest) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in payload {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
