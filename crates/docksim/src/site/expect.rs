//! How the broker's API should show the tasks of a site, from what was sent and answered.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Serialize;

use super::course::Report;
use super::plan::{Action, Aircraft, Dock};

/// After these a task is over.
const TERMINAL: [&str; 6] = ["ok", "failed", "canceled", "timeout", "partially_done", "rejected"];

/// How a task should stand, in the words of `GET /api/v1/flight-tasks`.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct FlightTask {
    /// Serial number of the dock.
    pub dock: String,
    /// `flight_id`.
    pub task: Rc<str>,
    /// Of the last event, as everything up to `percent`.
    pub status: &'static str,
    /// `current_step`.
    pub step: u32,
    /// 0 to 100.
    pub percent: f64,
    /// `data.result`.
    pub result: i64,
    /// Of the last interruption; none once the task has been taken up again.
    pub break_reason: Option<i64>,
    /// None while the task goes on.
    pub media_count: Option<u32>,
    /// Events, each counted once however often it was sent.
    pub events: u32,
}

impl FlightTask {
    fn new(dock: &str, task: &Rc<str>) -> Self {
        Self {
            dock: dock.to_owned(),
            task: Rc::clone(task),
            status: "",
            step: 0,
            percent: 0.0,
            result: 0,
            break_reason: None,
            media_count: None,
            events: 0,
        }
    }

    fn hear(&mut self, report: &Report) {
        let (was_over, is_over) =
            (TERMINAL.contains(&self.status), TERMINAL.contains(&report.status));
        if was_over && !is_over {
            self.break_reason = None;
        }
        self.status = report.status;
        self.step = report.step;
        self.percent = f64::from(report.percent);
        self.result = report.result;
        self.break_reason = report.break_point.map(|point| point.reason).or(self.break_reason);
        self.media_count = report.media_count.filter(|_| is_over);
        self.events += 1;
    }
}

/// How a dock should stand, in the words of `GET /api/v1/docks`.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct DockState {
    /// Serial number.
    pub dock: String,
    /// As its `update_topo` says.
    pub model: DockModel,
    /// As its `state` says.
    pub firmware: &'static str,
    /// The serial numbers of its latest `update_topo`.
    pub aircraft: Vec<String>,
}

/// Which product a dock is.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct DockModel {
    /// Always 3.
    pub domain: &'static str,
    /// 1, 2 or 3.
    pub r#type: u32,
    /// Always 0.
    pub sub_type: u32,
    /// As people call it.
    pub name: &'static str,
}

/// How the tasks of a dock should stand, in the order in which they began; `is_answered` tells of the
/// number of an event whether it has a reply.
pub fn flight_tasks(dock: &Dock, is_answered: impl Fn(u32) -> bool) -> Vec<FlightTask> {
    let mut tasks: Vec<FlightTask> = Vec::new();
    let mut places = HashMap::new();
    for entry in &dock.script {
        let Action::Event(event) = &entry.action else { continue };
        if !is_answered(event.number) {
            continue;
        }
        let place = *places.entry(&*event.task).or_insert_with(|| {
            tasks.push(FlightTask::new(&dock.sn, &event.task));
            tasks.len() - 1
        });
        tasks[place].hear(&event.report);
    }
    tasks
}

/// How a dock should stand that has `aircraft`.
#[must_use]
pub fn dock_state(dock: &Dock, aircraft: Option<&Aircraft>) -> DockState {
    let model = dock.model;
    DockState {
        dock: dock.sn.clone(),
        model: DockModel {
            domain: "3",
            r#type: model.type_code(),
            sub_type: 0,
            name: model.name(),
        },
        firmware: model.firmware(),
        aircraft: aircraft.map(|aircraft| aircraft.sn.clone()).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::course::{Outcome, course};
    use super::super::model::Model;
    use super::super::plan::plan;
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_task_that_is_taken_up_again_forgets_its_end() {
        let reports = course(&mut Random::new(9, 0), Model::Dock2, Outcome::Resumed);
        let end = reports.iter().position(|report| TERMINAL.contains(&report.status)).unwrap();
        let mut task = FlightTask::new("SIMDOCK1", &Rc::from("f"));
        reports[..=end].iter().for_each(|report| task.hear(report));
        assert!(task.break_reason.is_some() && task.result != 0 && task.media_count.is_some());
        task.hear(&reports[end + 1]);
        assert_eq!((task.break_reason, task.result, task.media_count), (None, 0, None));
        reports[end + 2..].iter().for_each(|report| task.hear(report));
        assert_eq!((task.status, task.percent), ("ok", 100.0));
        assert_eq!(task.events as usize, reports.len());
    }

    #[test]
    fn what_has_no_reply_is_not_expected() {
        let site = plan(1, 1, 120).unwrap();
        let dock = &site.docks[0];
        assert!(flight_tasks(dock, |_| false).is_empty());
        let all: u32 = flight_tasks(dock, |_| true).iter().map(|task| task.events).sum();
        let some: u32 = flight_tasks(dock, |number| number < 5).iter().map(|t| t.events).sum();
        assert!(all > 60 && some == 5, "{all} {some}");
    }
}
