//! `dockside tasks [DOCK]`: how flight tasks stand.

use std::process::ExitCode;

use dockside::config::Config;
use serde::Deserialize;

use super::{encoded, shown, table};
use crate::admin::{Admin, understood};
use crate::why::time;

/// The admin listener's answer, as far as it is shown.
#[derive(Deserialize)]
struct List {
    flight_tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    dock: String,
    task: String,
    status: Option<String>,
    is_silent: bool,
    step: Option<i64>,
    step_name: Option<String>,
    percent: Option<f64>,
    result: Option<i64>,
    result_text: Option<String>,
    break_reason_text: Option<String>,
    last_ms: i64,
    events: u64,
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) dock: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
    pub(crate) limit: usize,
}

/// Asks and shows.
pub(crate) fn tasks(
    config: &Config,
    wanted: &Wanted<'_>,
    json: bool,
) -> Result<ExitCode, ExitCode> {
    let mut path = format!("/api/v1/flight-tasks?limit={}", wanted.limit);
    for (name, value) in [("dock", wanted.dock), ("status", wanted.status)] {
        path += &value.map_or(String::new(), |value| format!("&{name}={}", encoded(value)));
    }
    let text = Admin::of(config)?.get(&path)?;
    let list: List = understood(&text)?;
    if json {
        println!("{text}");
    } else if list.flight_tasks.is_empty() {
        println!("no such flight task was heard of");
    } else {
        let rows: Vec<_> = list.flight_tasks.into_iter().map(row).collect();
        let heads = ["DOCK", "TASK", "STATUS", "STEP", "DONE", "HEARD OF", "EVENTS", "RESULT"];
        table(heads, &rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(task: Task) -> [String; 8] {
    let none = || "-".to_owned();
    let status = task.status.map_or_else(none, |status| shown(&status, 24));
    let result = match (task.result, task.result_text) {
        (None, _) => none(),
        (Some(0), _) => "0".to_owned(),
        (Some(code), text) => format!("{code} {}", text.unwrap_or_default()),
    };
    let broken = task.break_reason_text.map_or(String::new(), |text| format!("; {text}"));
    [
        shown(&task.dock, 32),
        shown(&task.task, 40),
        if task.is_silent { format!("{status} (SILENT)") } else { status },
        task.step_name.or(task.step.map(|step| step.to_string())).unwrap_or_else(none),
        task.percent.map_or_else(none, |percent| format!("{percent}%")),
        time(task.last_ms),
        task.events.to_string(),
        result + &broken,
    ]
}
