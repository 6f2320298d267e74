//! The course of one task: every event of it, from the first to the one that ends it.

mod way;

use self::way::{COVER_CLOSES, HOME_POINT, LANDING, SECOND_DOCK_READY, SYSTEM_READY, Way};
use super::model::{Model, NO_STEP};
use crate::flight::EXECUTING;
use crate::random::Random;

/// What a dock and its aircraft are doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// No task.
    Idle,
    /// Up to the take-off.
    Preparing,
    /// In the air.
    Flying,
    /// Landed, or given up on the ground.
    Finishing,
}

/// Where and why a flight was interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakPoint {
    /// `break_reason`.
    pub reason: i64,
    /// Waypoint before it.
    pub index: u32,
    /// How far on the way to the next one, in percent.
    pub on_the_way: u32,
}

/// What one event says of its task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Seconds since the event before.
    pub after_s: u32,
    /// What the dock is doing; not said in the event.
    pub phase: Phase,
    /// One of DJI's nine values.
    pub status: &'static str,
    /// `current_step`, in the numbers of the dock's family.
    pub step: u32,
    /// 0 to 100.
    pub percent: u32,
    /// `current_waypoint_index`.
    pub waypoint: u32,
    /// `wayline_mission_state`.
    pub mission_state: u32,
    /// `wayline_id`, 65535 before there is one.
    pub wayline: u32,
    /// `media_count`, left out by docks that say it in the last event only.
    pub media_count: Option<u32>,
    /// `data.result`.
    pub result: i64,
    /// `break_point`.
    pub break_point: Option<BreakPoint>,
}

/// How a task goes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Outcome {
    /// As planned.
    #[default]
    Done,
    /// Paused in the air for a while, then as planned.
    Paused,
    /// Interrupted at a break point and ended, then taken up again under the same id.
    Resumed,
    /// Failed on the ground.
    FailedEarly,
    /// Failed in the air; the aircraft came home.
    FailedInFlight,
    /// Came home with a part of it.
    PartiallyDone,
    /// Not accepted.
    Rejected,
    /// Ended by somebody.
    Canceled,
    /// The preparations took too long.
    TimedOut,
}

/// Docks deal from this, each from another place: a site of a few docks has seen all of it soon.
pub(super) const DECK: [Outcome; 14] = [
    Outcome::Done,
    Outcome::Resumed,
    Outcome::FailedEarly,
    Outcome::Paused,
    Outcome::Done,
    Outcome::Rejected,
    Outcome::FailedInFlight,
    Outcome::Done,
    Outcome::Canceled,
    Outcome::PartiallyDone,
    Outcome::Paused,
    Outcome::TimedOut,
    Outcome::Done,
    Outcome::Resumed,
];

/// Results of what fails on the ground: distribution, preparation, RTK, control, battery.
const ON_THE_GROUND: [i64; 6] = [314_004, 314_012, 314_019, 316_008, 316_009, 321_523];
/// Of what is not accepted: file format, dock busy, clock, emergency stop.
const NOT_ACCEPTED: [i64; 4] = [314_003, 319_016, 319_008, 316_026];
/// Of what takes too long.
const TOO_LONG: [i64; 3] = [314_008, 316_018, 319_005];
/// The events of a task that goes like this.
#[must_use]
pub fn course(random: &mut Random, model: Model, outcome: Outcome) -> Vec<Report> {
    let mut way = Way::new(random, model);
    let files = random.between(4, 40) as u32;
    match outcome {
        Outcome::Done => way.end("ok", 0, files),
        Outcome::Paused => {
            way.pause(random);
            way.end("ok", 0, files);
        }
        Outcome::Resumed => {
            let (result, _) = way.break_off(random);
            let status = if random.one_in(2) { "partially_done" } else { "failed" };
            way.end(status, result, files);
            way.resume(random, files);
        }
        Outcome::FailedEarly => {
            way.cut(random, 1, EXECUTING);
            way.end("failed", random.pick(&ON_THE_GROUND), 0);
        }
        Outcome::FailedInFlight => {
            let (result, _) = way.break_off(random);
            way.end("failed", result, files);
        }
        Outcome::PartiallyDone => {
            let (result, _) = way.break_off(random);
            way.end("partially_done", result, files);
        }
        Outcome::Rejected => {
            way.reports.truncate(random.between(0, 2) as usize);
            way.end("rejected", random.pick(&NOT_ACCEPTED), 0);
        }
        Outcome::Canceled => {
            way.cut(random, 2, EXECUTING);
            way.end("canceled", 0, 0);
        }
        Outcome::TimedOut => {
            way.time_out(random);
            way.end("timeout", random.pick(&TOO_LONG), 0);
        }
    }
    way.reports
}

/// The events of a task of two docks under one id: of the one that the aircraft leaves, and of the one
/// that it lands at. Both begin at once.
#[must_use]
pub fn hand_over(random: &mut Random, from: Model, to: Model) -> (Vec<Report>, Vec<Report>) {
    let mut way = Way::new(random, from);
    let at = way.first(HOME_POINT);
    let check = Report { step: SECOND_DOCK_READY, ..way.reports[at - 1] };
    way.reports.insert(at, check);
    let landing = way.first(LANDING);
    let mut landing_way = Way::new(random, to);
    // What the landing dock has for itself, then nothing of its own until the aircraft comes.
    landing_way.reports.truncate(landing_way.first(SYSTEM_READY));
    let mut other = Way::new(random, to);
    let waits = landing - landing_way.reports.len().min(landing);
    let last = landing_way.reports.last().copied();
    let waiting = last.map(|last| Report { step: NO_STEP, phase: Phase::Flying, ..last });
    landing_way.reports.extend(waiting.into_iter().cycle().take(waits));
    let at_home = other.first(LANDING);
    landing_way.reports.extend(other.reports.drain(at_home..));
    let covers = way.first(COVER_CLOSES);
    way.reports.drain(landing..covers);
    way.end("ok", 0, 0);
    landing_way.end("ok", 0, random.between(4, 40) as u32);
    (way.reports, landing_way.reports)
}

/// Whether an event says that the aircraft lands, of a task of two docks.
#[must_use]
pub fn is_landing(report: &Report, model: Model) -> bool {
    Some(report.step) == model.step(LANDING)
}

#[cfg(test)]
mod tests {
    use super::super::model::MODELS;
    use super::way::IN_THE_AIR;
    use super::*;

    const TERMINAL: [&str; 6] =
        ["ok", "failed", "canceled", "timeout", "partially_done", "rejected"];

    #[test]
    fn every_course_ends_as_its_outcome_says() {
        for seed in 0..200 {
            for model in MODELS {
                for outcome in DECK {
                    let reports = course(&mut Random::new(seed, 0), model, outcome);
                    let ends: Vec<_> = reports
                        .iter()
                        .map(|report| report.status)
                        .filter(|status| TERMINAL.contains(status))
                        .collect();
                    let expected: &[&str] = match outcome {
                        Outcome::Done | Outcome::Paused => &["ok"],
                        Outcome::Resumed => &ends[..1],
                        Outcome::FailedEarly | Outcome::FailedInFlight => &["failed"],
                        Outcome::PartiallyDone => &["partially_done"],
                        Outcome::Rejected => &["rejected"],
                        Outcome::Canceled => &["canceled"],
                        Outcome::TimedOut => &["timeout"],
                    };
                    match outcome {
                        Outcome::Resumed => assert_eq!(ends[1..], ["ok"], "{seed} {model:?}"),
                        _ => assert_eq!(ends, expected, "{seed} {model:?}"),
                    }
                    assert!(TERMINAL.contains(&reports[reports.len() - 1].status));
                    assert!(reports.iter().all(|report| report.percent <= 100));
                }
            }
        }
    }

    #[test]
    fn a_break_off_says_where_and_why() {
        let reports = course(&mut Random::new(3, 0), Model::Dock2, Outcome::FailedInFlight);
        let last = &reports[reports.len() - 1];
        let point = last.break_point.unwrap();
        assert!(IN_THE_AIR.contains(&(last.result, point.reason)));
        assert!(last.percent > 17 && last.percent < 85, "{}", last.percent);
        assert_eq!(last.step, 35);
    }

    #[test]
    fn a_hand_over_begins_with_one_dock_and_ends_with_the_other() {
        for seed in 0..200 {
            let random = &mut Random::new(seed, 0);
            let (from, to) = hand_over(random, Model::Dock2, Model::Dock3);
            assert!(!from.iter().any(|report| is_landing(report, Model::Dock2)));
            let landing = to.iter().position(|report| is_landing(report, Model::Dock3)).unwrap();
            let flies = from.iter().filter(|report| report.step == EXECUTING).count();
            assert!(flies >= 8 && landing > flies, "the aircraft lands when it has flown");
            assert!(from.iter().any(|report| report.step == 22));
            assert_eq!([from[from.len() - 1].status, to[to.len() - 1].status], ["ok"; 2]);
        }
    }
}
