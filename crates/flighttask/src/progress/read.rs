//! Reading a [`Progress`]: down the few objects that matter, past everything else.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::Progress;
use super::scalar::Scalar;

/// What the `data` of an event says, read where it stands: quickly, which fails at some things that are JSON, such as
/// half a surrogate pair or 1e999 in the place of a part.
#[derive(Default)]
pub(crate) struct Data<'a>(Found<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut found = Found::default();
        let walk = Walk { at: At::Data, nested: false, careful: false, found: &mut found };
        walk.deserialize(json)?;
        Ok(Self(found))
    }
}

impl<'a> Data<'a> {
    /// As text that is JSON: nothing fails, at the cost of reading objects twice.
    pub(crate) fn carefully(text: &'a str) -> Self {
        let mut found = Found::default();
        let walk = Walk { at: At::Data, nested: false, careful: true, found: &mut found };
        let is_read = walk.deserialize(&mut serde_json::Deserializer::from_str(text)).is_ok();
        Self(if is_read { found } else { Found::default() })
    }

    /// With what stands beside it: `bid` as JSON, `timestamp`.
    pub(crate) fn into_progress(
        self,
        bid: Option<&'a str>,
        timestamp: Option<u64>,
    ) -> Progress<'a> {
        let mut progress = self.0.into_progress();
        progress.task = progress.task.or_else(|| Scalar::from_json(bid?).id());
        progress.timestamp = timestamp;
        progress
    }
}

/// A place on the way: an object that is entered, or a part that is kept.
#[derive(Clone, Copy)]
enum At {
    Data,
    Output,
    Ext,
    BreakPoint,
    Progress,
    Part(Part),
}

#[derive(Clone, Copy)]
enum Part {
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

impl At {
    fn inner(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::Data, b"output") => Self::Output,
            (Self::Data, b"result") => Self::Part(Part::Result),
            (Self::Data | Self::Output, b"ext") => Self::Ext,
            (Self::Data | Self::Output, b"progress") => Self::Progress,
            (Self::Data | Self::Output, b"status") => Self::Part(Part::Status),
            (Self::Ext, b"flight_id") => Self::Part(Part::FlightId),
            (Self::Ext, b"track_id") => Self::Part(Part::Track),
            (Self::Ext, b"current_waypoint_index") => Self::Part(Part::Waypoint),
            (Self::Ext, b"wayline_id") => Self::Part(Part::Wayline),
            (Self::Ext, b"wayline_mission_state") => Self::Part(Part::MissionState),
            (Self::Ext, b"media_count") => Self::Part(Part::MediaCount),
            (Self::Ext, b"break_point") => Self::BreakPoint,
            (Self::BreakPoint, b"break_reason") => Self::Part(Part::BreakReason),
            (Self::Progress, b"current_step") => Self::Part(Part::Step),
            (Self::Progress, b"percent") => Self::Part(Part::Percent),
            _ => return None,
        })
    }
}

fn is_control(byte: &u8) -> bool {
    *byte < b' '
}

/// A key in an object. Keys are read as bytes: the only way in which `serde_json` takes half a surrogate pair, and
/// control characters, which JSON does not have.
struct Key {
    object: At,
    careful: bool,
}

/// The place under it.
impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<At>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Option<At>, D::Error> {
        key.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<At>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    /// As it stands.
    fn visit_borrowed_bytes<E: Error>(self, key: &'de [u8]) -> Result<Option<At>, E> {
        match self.object.inner(key) {
            None if key.iter().any(is_control) => Err(E::custom("no JSON")),
            at => Ok(at),
        }
    }

    /// With its escapes resolved: a control character may have been one, or not.
    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Option<At>, E> {
        match self.object.inner(key) {
            None if !self.careful && key.iter().any(is_control) => {
                Err(E::custom("not read quickly"))
            }
            at => Ok(at),
        }
    }
}

/// What was found directly under `data`, and in `data.output`.
#[derive(Default)]
struct Found<'a> {
    direct: Progress<'a>,
    output: Progress<'a>,
}

impl<'a> Found<'a> {
    fn into_progress(self) -> Progress<'a> {
        let Self { direct, output } = self;
        Progress {
            task: output.task.or(direct.task),
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
            timestamp: None,
        }
    }
}

/// What stands in a place.
struct Walk<'f, 'a> {
    at: At,
    /// Whether it is `data.output` or in it.
    nested: bool,
    careful: bool,
    found: &'f mut Found<'a>,
}

impl<'a> Walk<'_, 'a> {
    fn keep(self, said: Scalar<'a>) {
        let At::Part(part) = self.at else { return };
        let parts = if self.nested { &mut self.found.output } else { &mut self.found.direct };
        match part {
            Part::Result => parts.result = said.integer(),
            Part::Status => parts.status = said.text(),
            Part::FlightId => parts.task = said.id(),
            Part::Track => parts.track = said.text(),
            Part::Waypoint => parts.waypoint = said.integer(),
            Part::Wayline => parts.wayline = said.integer(),
            Part::MissionState => parts.mission_state = said.integer(),
            Part::MediaCount => parts.media_count = said.integer(),
            Part::BreakReason => parts.break_reason = said.integer(),
            Part::Step => parts.step = said.integer(),
            Part::Percent => parts.percent = said.float(),
        }
    }

    fn read_carefully(self, json: &'a str) -> serde_json::Result<()> {
        if json.starts_with('{') {
            return self.deserialize(&mut serde_json::Deserializer::from_str(json));
        }
        self.keep(Scalar::from_json(json));
        Ok(())
    }
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
        while let Some(inner) = map.next_key_seed(Key { object: self.at, careful: self.careful })? {
            let Some(at) = inner else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let nested = self.nested || matches!(at, At::Output);
            let inner = Walk { at, nested, careful: self.careful, found: self.found };
            if self.careful {
                let json = map.next_value::<&RawValue>()?;
                inner.read_carefully(json.get()).map_err(M::Error::custom)?;
            } else {
                map.next_value_seed(inner)?;
            }
        }
        self.keep(Scalar::Other);
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.keep(Scalar::Other);
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.keep(Scalar::from_text(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.keep(Scalar::from_text(text.to_owned()));
        Ok(())
    }

    fn visit_i64<E>(self, integer: i64) -> Result<(), E> {
        self.keep(Scalar::Integer(integer));
        Ok(())
    }

    fn visit_u64<E>(self, integer: u64) -> Result<(), E> {
        self.keep(i64::try_from(integer).map_or(Scalar::Float(integer as f64), Scalar::Integer));
        Ok(())
    }

    fn visit_f64<E>(self, float: f64) -> Result<(), E> {
        self.keep(Scalar::Float(float));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.keep(Scalar::Other);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.keep(Scalar::Other);
        Ok(())
    }
}
