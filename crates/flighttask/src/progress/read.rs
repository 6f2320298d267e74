//! Reading a [`Progress`]: down the few objects that matter, past everything else.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Progress, TEXT_BYTES_AT_MOST};

/// What the JSON object `text` says; `None` if it is not one.
pub(super) fn read(text: &str) -> Option<Progress<'_>> {
    // The quick walk fails at some things that are JSON, such as half a surrogate pair or 1e999 where
    // an object should be. The careful one passes over them, at the cost of reading objects twice.
    let found = walk(text, false).or_else(|| walk(text, true))?;
    Some(found.into_progress())
}

fn walk(text: &str, careful: bool) -> Option<Found<'_>> {
    let mut found = Found::default();
    let mut json = serde_json::Deserializer::from_str(text);
    Walk { at: At::Payload, nested: false, careful, found: &mut found }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .ok()?;
    Some(found)
}

/// An object on the way.
#[derive(Clone, Copy)]
enum At {
    Payload,
    Data,
    Output,
    Ext,
    BreakPoint,
    Progress,
}

/// A value that is kept.
#[derive(Clone, Copy)]
enum Field {
    Bid,
    Timestamp,
    Result,
    Status,
    FlightId,
    Track,
    Waypoint,
    Wayline,
    MissionState,
    MediaCount,
    BreakReason,
    Step,
    Percent,
}

enum Key {
    Object(At),
    Field(Field),
    Other,
}

impl At {
    fn key(self, key: &[u8]) -> Key {
        match (self, key) {
            (Self::Payload, b"data") => Key::Object(Self::Data),
            (Self::Payload, b"bid") => Key::Field(Field::Bid),
            (Self::Payload, b"timestamp") => Key::Field(Field::Timestamp),
            (Self::Data, b"output") => Key::Object(Self::Output),
            (Self::Data, b"result") => Key::Field(Field::Result),
            (Self::Data | Self::Output, b"ext") => Key::Object(Self::Ext),
            (Self::Data | Self::Output, b"progress") => Key::Object(Self::Progress),
            (Self::Data | Self::Output, b"status") => Key::Field(Field::Status),
            (Self::Ext, b"flight_id") => Key::Field(Field::FlightId),
            (Self::Ext, b"track_id") => Key::Field(Field::Track),
            (Self::Ext, b"current_waypoint_index") => Key::Field(Field::Waypoint),
            (Self::Ext, b"wayline_id") => Key::Field(Field::Wayline),
            (Self::Ext, b"wayline_mission_state") => Key::Field(Field::MissionState),
            (Self::Ext, b"media_count") => Key::Field(Field::MediaCount),
            (Self::Ext, b"break_point") => Key::Object(Self::BreakPoint),
            (Self::BreakPoint, b"break_reason") => Key::Field(Field::BreakReason),
            (Self::Progress, b"current_step") => Key::Field(Field::Step),
            (Self::Progress, b"percent") => Key::Field(Field::Percent),
            _ => Key::Other,
        }
    }
}

/// Keys are read as bytes: the only way in which `serde_json` takes half a surrogate pair.
impl<'de> DeserializeSeed<'de> for At {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Key, D::Error> {
        key.deserialize_bytes(self)
    }
}

impl Visitor<'_> for At {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Key, E> {
        Ok(self.key(key))
    }
}

/// The JSON text of what was found: directly under `data`, and in `data.output`.
#[derive(Default)]
struct Found<'a> {
    direct: Progress<'a>,
    output: Progress<'a>,
    bid: Option<Cow<'a, str>>,
}

impl<'a> Found<'a> {
    fn keep(&mut self, nested: bool, field: Field, json: &'a str) {
        let parts = if nested { &mut self.output } else { &mut self.direct };
        match field {
            Field::Bid => self.bid = id(json),
            Field::Timestamp => {
                parts.timestamp = integer(json).and_then(|ms| u64::try_from(ms).ok());
            }
            Field::Result => parts.result = integer(json),
            Field::Status => parts.status = text(json),
            Field::FlightId => parts.task = id(json),
            Field::Track => parts.track = text(json),
            Field::Waypoint => parts.waypoint = integer(json),
            Field::Wayline => parts.wayline = integer(json),
            Field::MissionState => parts.mission_state = integer(json),
            Field::MediaCount => parts.media_count = integer(json),
            Field::BreakReason => parts.break_reason = integer(json),
            Field::Step => parts.step = integer(json),
            Field::Percent => parts.percent = number(json),
        }
    }

    fn into_progress(self) -> Progress<'a> {
        let Self { direct, output, bid } = self;
        Progress {
            task: output.task.or(direct.task).or(bid),
            status: output.status.or(direct.status),
            step: output.step.or(direct.step),
            percent: output.percent.or(direct.percent),
            waypoint: output.waypoint.or(direct.waypoint),
            wayline: output.wayline.or(direct.wayline),
            mission_state: output.mission_state.or(direct.mission_state),
            media_count: output.media_count.or(direct.media_count),
            break_reason: output.break_reason.or(direct.break_reason),
            result: direct.result,
            track: output.track.or(direct.track),
            timestamp: direct.timestamp,
        }
    }
}

/// One object, or whatever stands in its place.
struct Walk<'f, 'a> {
    at: At,
    /// Whether it is `data.output` or in it.
    nested: bool,
    careful: bool,
    found: &'f mut Found<'a>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key_seed(self.at)? {
            match key {
                Key::Object(at) => {
                    let nested = self.nested || matches!(at, At::Output);
                    let inner = Walk { at, nested, careful: self.careful, found: self.found };
                    if !self.careful {
                        map.next_value_seed(inner)?;
                        continue;
                    }
                    let json = map.next_value::<&RawValue>()?.get();
                    if json.starts_with('{') {
                        inner
                            .deserialize(&mut serde_json::Deserializer::from_str(json))
                            .map_err(serde::de::Error::custom)?;
                    }
                }
                Key::Field(field) => {
                    let json = map.next_value::<&RawValue>()?.get();
                    self.found.keep(self.nested, field, json);
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What stands between the quotes of a string, escapes unresolved.
fn quoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// A string that is neither empty nor longer than [`TEXT_BYTES_AT_MOST`].
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = quoted(json)?;
    // The longest escape, `\u0041`, is six bytes for one: what is longer now will not become short.
    if inner.len() > 6 * TEXT_BYTES_AT_MOST {
        return None;
    }
    let text = if inner.contains('\\') { unescaped(json)?.into() } else { Cow::Borrowed(inner) };
    (!text.is_empty() && text.len() <= TEXT_BYTES_AT_MOST).then_some(text)
}

/// A text, or the JSON text of a number: some devices count their tasks.
fn id(json: &str) -> Option<Cow<'_, str>> {
    let digits = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if digits && json.len() <= TEXT_BYTES_AT_MOST { Some(json.into()) } else { text(json) }
}

fn integer(json: &str) -> Option<i64> {
    /// Beyond this a float no longer tells one integer from the next.
    const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
    if let Ok(integer) = quoted(json).unwrap_or(json).parse() {
        return Some(integer);
    }
    number(json).filter(|n| n.fract() == 0.0 && n.abs() <= EXACT).map(|n| n as i64)
}

fn number(json: &str) -> Option<f64> {
    // Rust also reads "inf" and "NaN", and makes one of "1e999".
    quoted(json).unwrap_or(json).parse().ok().filter(|number: &f64| number.is_finite())
}

/// A string with its escapes resolved, half a surrogate pair as U+FFFD.
fn unescaped(json: &str) -> Option<String> {
    struct Unescape;

    impl Visitor<'_> for Unescape {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_bytes(Unescape).ok()
}
