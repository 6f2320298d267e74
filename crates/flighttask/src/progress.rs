//! What a `flighttask_progress` says of its task (DJI Cloud API, "Device report the flight task
//! progress and status", `data`).
//!
//! Nothing here is ever an error: a part that is missing, of another type or out of range is `None`,
//! and whatever else the event says still counts. Texts borrow from the payload.

mod read;
mod scalar;

use std::borrow::Cow;

use crate::envelope;

pub(crate) use self::read::Data;

/// The longest text that is kept, in bytes after its escapes are resolved; DJI's ids have 36.
///
/// A longer one is left out, not cut: a cut id would name a task that nobody has, and could be two
/// tasks' at once.
pub const TEXT_BYTES_AT_MOST: usize = 256;

/// The values of `status` after which a task is over.
pub const TERMINAL: [&str; 6] =
    ["ok", "failed", "canceled", "timeout", "partially_done", "rejected"];

/// Whether a task of this `status` is over. A value that DJI does not document is not.
#[must_use]
pub fn is_terminal(status: &str) -> bool {
    TERMINAL.contains(&status)
}

/// What one event says of its task; `None` is what it does not say, or not in a form that is known.
///
/// DJI's tables list `ext`, `progress` and `status` directly under `data`, its examples nest them in
/// `data.output`: both are read, and each part is taken from `output` if it is there. Of a key that
/// comes twice in them the last one counts; with one twice around `data` it is no event.
///
/// Numbers are read from numbers and, as DJI prints some of them so, from texts of a number. They are
/// what was said, whether or not it makes sense: every list of values at DJI grew with the firmware.
/// A text that is empty is `None`, as the `track_id` of a flight without a track.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Progress<'a> {
    /// The task: `ext.flight_id`, else `bid`, which names the task in Cloud API 1.1 but is a random
    /// one with some devices. An integer is taken as its digits. Half an escaped surrogate pair
    /// comes out as U+FFFD.
    pub task: Option<Cow<'a, str>>,
    /// `status`: `sent`, `in_progress`, `paused` or one of [`TERMINAL`], or something new.
    pub status: Option<Cow<'a, str>>,
    /// `progress.current_step`. Its numbering is the dock's and its firmware's, and not comparable.
    pub step: Option<i64>,
    /// `progress.percent`: 0 to 100 and integer at DJI, a fraction with other devices; finite.
    /// Not done at 100, and seldom 100 where a flight failed.
    pub percent: Option<f64>,
    /// `ext.current_waypoint_index`, from 0.
    pub waypoint: Option<i64>,
    /// `ext.wayline_id`, from 0; 65535 before there is one.
    pub wayline: Option<i64>,
    /// `ext.wayline_mission_state`: 0 to 9, 6 being on its way.
    pub mission_state: Option<i64>,
    /// `ext.media_count`: files of the flight, right in its last event only. 0 is not absence.
    pub media_count: Option<i64>,
    /// `ext.break_point.break_reason`: why the flight was interrupted.
    pub break_reason: Option<i64>,
    /// `data.result`: 0, or a device's error code of six digits.
    pub result: Option<i64>,
    /// `ext.track_id`: the track that was flown; not a task.
    pub track: Option<Cow<'a, str>>,
    /// `timestamp` by the device's clock, in milliseconds since 1970; not checked for sense.
    pub timestamp: Option<u64>,
}

impl<'a> Progress<'a> {
    /// Reads the payload of a `flighttask_progress`, as [`Envelope::parse_event`](crate::Envelope::parse_event) does
    /// before it is answered, but whether or not it can be. What is not one JSON object says nothing.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Self {
        envelope::progress(payload)
    }

    /// `percent` if it is one: from 0 to 100.
    #[must_use]
    pub fn percent_in_range(&self) -> Option<f64> {
        self.percent.filter(|percent| (0.0..=100.0).contains(percent))
    }
}

/// The integer that stands in a JSON text, be it as a number or as a text of one.
pub(crate) fn integer(json: &str) -> Option<i64> {
    scalar::Scalar::from_json(json).integer()
}
