//! A course in the making: a whole flight, and what can come between.

use super::{BreakPoint, Phase, Report};
use crate::flight::{EXECUTING, RESULT, STEPS};
use crate::random::Random;
use crate::site::model::Model;

/// Results of what fails in the air, with its `break_reason`: obstacle, boundary, battery, signal, user.
pub(super) const IN_THE_AIR: [(i64, i64); 5] =
    [(321_517, 517), (321_519, 519), (321_773, 773), (321_775, 775), (322_283, 1283)];

/// What a Dock 2 calls the steps that a course turns on.
const PAIRING: u32 = 8;
pub(super) const SYSTEM_READY: u32 = 9;
const RTK: u32 = 10;
pub(super) const SECOND_DOCK_READY: u32 = 22;
pub(super) const HOME_POINT: u32 = 23;
pub(super) const LANDING: u32 = 27;
pub(super) const COVER_CLOSES: u32 = 28;

/// A course in the making.
pub(super) struct Way {
    model: Model,
    pub(super) reports: Vec<Report>,
}

impl Way {
    /// A whole flight without its end.
    pub(super) fn new(random: &mut Random, model: Model) -> Self {
        let legs = random.between(8, 24) as u32;
        let mut way = Self { model, reports: Vec::new() };
        let mut from = 0;
        for &(step, _, to, count) in STEPS.iter().filter(|(step, ..)| *step != RESULT) {
            if step == SYSTEM_READY && model == Model::Dock3 {
                way.push(PAIRING, from + 1, 0);
            }
            let count = if step == EXECUTING { legs } else { count };
            for n in 1..=count {
                let waypoint = if step == EXECUTING { n - 1 } else { 0 };
                way.push(step, from + (to - from) * n / count, waypoint);
            }
            from = to;
        }
        way
    }

    fn push(&mut self, step: u32, percent: u32, waypoint: u32) {
        let last = self.reports.last().map_or(0, |last| last.waypoint);
        let Some(number) = self.model.step(step) else { return };
        self.reports.push(Report {
            after_s: 1,
            phase: match step {
                0..24 => Phase::Preparing,
                24..COVER_CLOSES => Phase::Flying,
                _ => Phase::Finishing,
            },
            status: if step == 0 { "sent" } else { "in_progress" },
            step: number,
            percent,
            waypoint: if step > EXECUTING { last } else { waypoint },
            mission_state: match step {
                18 => 3,
                24 => 4,
                EXECUTING if waypoint == 0 => 5,
                EXECUTING => 6,
                26.. => 9,
                _ => 2,
            },
            wayline: if step < EXECUTING { 65_535 } else { 0 },
            media_count: (self.model != Model::Dock1).then_some(0),
            result: 0,
            break_point: None,
        });
    }

    /// Index of the first event of what a Dock 2 calls `step`, or of the end.
    pub(super) fn first(&self, step: u32) -> usize {
        let is = |report: &Report| Some(report.step) == self.model.step(step);
        self.reports.iter().position(is).unwrap_or(self.reports.len())
    }

    /// Leaves out what comes after some event between the first of these steps and the second.
    pub(super) fn cut(&mut self, random: &mut Random, from: u32, to: u32) {
        let (from, to) = (self.first(from) as u64, self.first(to) as u64);
        self.reports.truncate(random.between(from + 1, to - 1) as usize);
    }

    /// Holds still in the air.
    pub(super) fn pause(&mut self, random: &mut Random) {
        let (from, to) = (self.first(EXECUTING) as u64 + 2, self.first(26) as u64 - 1);
        let at = random.between(from, to) as usize;
        let before = self.reports[at - 1];
        let count = random.between(3, 12) as usize;
        let goes_on = Report { mission_state: 8, ..before };
        let paused = Report { status: "paused", mission_state: 7, ..before };
        let held = std::iter::repeat_n(paused, count).chain([goes_on]);
        self.reports.splice(at..at, held);
    }

    /// Flies home from the middle of the flight: the result of that, and the percent it came to.
    pub(super) fn break_off(&mut self, random: &mut Random) -> (i64, u32) {
        let (from, to) = (self.first(EXECUTING) as u64 + 2, self.first(26) as u64 - 2);
        let at = random.between(from, to) as usize;
        let (result, reason) = random.pick(&IN_THE_AIR);
        let (percent, index) = (self.reports[at - 1].percent, self.reports[at - 1].waypoint);
        let on_the_way = random.between(0, 99) as u32;
        let home = self.first(26);
        self.reports.drain(at..home);
        for report in &mut self.reports[at..] {
            (report.percent, report.waypoint, report.mission_state) = (percent, index, 7);
            report.result = result;
            report.break_point = Some(BreakPoint { reason, index, on_the_way });
        }
        (result, percent)
    }

    /// Begins again and goes on where it broke off, then ends well.
    pub(super) fn resume(&mut self, random: &mut Random, files: u32) {
        let index = self.reports.last().map_or(0, |last| last.waypoint);
        let mut again = Self::new(random, self.model);
        for report in &mut again.reports {
            report.waypoint = report.waypoint.max(if report.wayline == 0 { index } else { 0 });
        }
        again.reports[0].after_s = random.between(4, 10) as u32;
        again.end("ok", 0, files + random.between(1, 9) as u32);
        self.reports.append(&mut again.reports);
    }

    /// Waits for RTK, and waits.
    pub(super) fn time_out(&mut self, random: &mut Random) {
        let at = self.first(RTK) + 1;
        self.reports.truncate(at);
        let waiting = self.reports[at - 1];
        self.reports.extend(std::iter::repeat_n(waiting, random.between(5, 15) as usize));
    }

    /// The last event. What ends well is at 100 %, anything else where it was.
    pub(super) fn end(&mut self, status: &'static str, result: i64, files: u32) {
        if self.reports.is_empty() {
            self.push(0, 0, 0);
        }
        let Some(last) = self.reports.last().copied() else { return };
        let is_done = status == "ok";
        self.reports.push(Report {
            after_s: 1,
            phase: Phase::Finishing,
            status,
            step: self.model.step(RESULT).unwrap_or(RESULT),
            percent: if is_done { 100 } else { last.percent },
            mission_state: if is_done { 9 } else { last.mission_state },
            media_count: Some(files),
            result,
            ..last
        });
    }
}
