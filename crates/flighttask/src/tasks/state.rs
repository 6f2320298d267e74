//! One task, and what an event does to it.

use std::sync::Arc;

use crate::progress::{Progress, is_terminal};

/// A device's clock may be ahead of the broker's by this much, in milliseconds, and its times still
/// tell the order of its events. A clock that is wrong and then set right would otherwise make every
/// event until then a late one. DJI has docks refuse a task whose time is off by as much.
const AHEAD_AT_MOST_MS: u64 = 30_000;

/// The first time with 13 digits, in 2001: what is less is seconds, or the clock of a device that was
/// never set.
const PLAUSIBLE_FROM_MS: u64 = 1_000_000_000_000;

/// How a task stands. `None` is what no event said yet; what a later event leaves out stays.
///
/// The parts that are in a [`Progress`] are described there.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct TaskState {
    /// Serial number of the gateway, from the topic.
    pub gateway: Arc<str>,
    /// `ext.flight_id`, else `bid`, else [`UNKNOWN_TASK`](super::UNKNOWN_TASK).
    pub task: Arc<str>,
    /// `status`, documented or not.
    pub status: Option<Arc<str>>,
    /// `progress.current_step`.
    pub step: Option<i64>,
    /// `progress.percent`, 0 to 100: what was outside of that is left out.
    pub percent: Option<f64>,
    /// `ext.current_waypoint_index`.
    pub waypoint: Option<i64>,
    /// `ext.wayline_id`.
    pub wayline: Option<i64>,
    /// `ext.wayline_mission_state`.
    pub mission_state: Option<i64>,
    /// `ext.media_count`; final when the task is over.
    pub media_count: Option<i64>,
    /// `ext.break_point.break_reason` of the latest interruption.
    pub break_reason: Option<i64>,
    /// `data.result`.
    pub result: Option<i64>,
    /// `ext.track_id`.
    pub track: Option<Arc<str>>,
    /// The device's own time of the event that the parts above are from, in milliseconds since 1970; of
    /// the latest such event that had a plausible one.
    pub device_ms: Option<u64>,
    /// When the task was first heard of, in milliseconds since 1970 by the broker's clock.
    pub first_ms: u64,
    /// When it was last heard of, by the same clock; a late event counts.
    pub last_ms: u64,
    /// Events of the task, late ones included.
    pub events: u64,
    /// Events that changed nothing because they were older than what was known, by the device's clock:
    /// what a dock kept back while it had no link.
    pub late: u64,
    /// How often it went on after it was over, as a flight can that is resumed at its break point.
    pub reopened: u64,
}

impl TaskState {
    /// Whether the task is over, as far as is known.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.status.as_deref().is_some_and(is_terminal)
    }

    /// How many files there are of the flight, once it is over: before that docks count what is on its way.
    #[must_use]
    pub fn final_media_count(&self) -> Option<i64> {
        self.media_count.filter(|_| self.is_over())
    }

    /// Takes in one event of the task; whether its status is another one now.
    pub(super) fn hear(&mut self, progress: &Progress<'_>, received_ms: u64) -> bool {
        self.last_ms = received_ms;
        self.events += 1;
        let plausible = PLAUSIBLE_FROM_MS..=received_ms.saturating_add(AHEAD_AT_MOST_MS);
        let device_ms = progress.timestamp.filter(|ms| plausible.contains(ms));
        let goes_on = self.is_over() && progress.status.as_deref().is_some_and(|s| !is_terminal(s));
        // Without two times to compare, events are as old as they are to arrive.
        let before = self.device_ms.filter(|ms| plausible.contains(ms));
        let late = match (device_ms, before) {
            (Some(now), Some(before)) if goes_on => now <= before,
            (Some(now), Some(before)) => now < before,
            _ => false,
        };
        if late {
            self.late += 1;
            return false;
        }
        if goes_on {
            self.reopened += 1;
            // Said of the end that it was not.
            (self.result, self.media_count, self.break_reason) = (None, None, None);
        }
        self.device_ms = device_ms.or(self.device_ms);
        self.overwrite(progress)
    }

    fn overwrite(&mut self, progress: &Progress<'_>) -> bool {
        set(&mut self.step, progress.step);
        set(&mut self.percent, progress.percent_in_range());
        set(&mut self.waypoint, progress.waypoint);
        set(&mut self.wayline, progress.wayline);
        set(&mut self.mission_state, progress.mission_state);
        set(&mut self.media_count, progress.media_count);
        set(&mut self.break_reason, progress.break_reason);
        set(&mut self.result, progress.result);
        set_text(&mut self.track, progress.track.as_deref());
        set_text(&mut self.status, progress.status.as_deref())
    }
}

fn set<T>(part: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *part = said;
    }
}

/// Most events say of a text what the one before did: that costs nothing. Whether this one does not.
fn set_text(part: &mut Option<Arc<str>>, said: Option<&str>) -> bool {
    let is_new = said.is_some() && part.as_deref() != said;
    if is_new {
        *part = said.map(Into::into);
    }
    is_new
}
