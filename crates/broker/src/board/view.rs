//! Docks and flight tasks as JSON, the same wherever somebody looks at them.

use std::sync::Arc;

use dockside_flighttask::TaskState;
use dockside_flighttask::names::{
    Model, StepFamily, break_reason_text, family_of, mission_state_name, model_name, phase,
    result_text, step_name,
};
use serde::Serialize;

use super::docks::Dock;
use crate::shared::Shared;

/// A flight task; `docs/flight-tasks.md` says what its members are.
#[derive(Serialize)]
pub(crate) struct FlightTask {
    dock: Arc<str>,
    task: Arc<str>,
    status: Option<Arc<str>>,
    is_over: bool,
    is_silent: bool,
    step: Option<i64>,
    step_name: Option<&'static str>,
    phase: Option<&'static str>,
    percent: Option<f64>,
    waypoint: Option<i64>,
    wayline: Option<i64>,
    mission_state: Option<i64>,
    mission_state_name: Option<&'static str>,
    media_count: Option<i64>,
    break_reason: Option<i64>,
    break_reason_text: Option<&'static str>,
    result: Option<i64>,
    result_text: Option<&'static str>,
    track: Option<Arc<str>>,
    device_ms: Option<u64>,
    first_ms: u64,
    last_ms: u64,
    events: u64,
    late: u64,
    reopened: u64,
}

/// A dock; `docs/flight-tasks.md` says what its members are.
#[derive(Serialize)]
pub(crate) struct DockView {
    dock: Arc<str>,
    is_online: bool,
    is_silent: bool,
    model: Option<ModelView>,
    firmware: Option<Arc<str>>,
    aircraft: Arc<[Box<str>]>,
    first_ms: u64,
    last_ms: u64,
    clock_offset_ms: Option<i64>,
    is_clock_off: bool,
    events: u64,
    replies: u64,
    flight_task: Option<FlightTask>,
}

#[derive(Serialize)]
struct ModelView {
    domain: i64,
    #[serde(rename = "type")]
    kind: i64,
    sub_type: i64,
    name: Option<&'static str>,
}

/// Whether a task that is not over has not been heard of for so long that somebody should look.
pub(crate) fn is_silent(state: &TaskState, now_ms: u64, after_ms: u64) -> bool {
    !state.is_over() && now_ms.saturating_sub(state.last_ms) > after_ms
}

/// A task as it is shown now.
pub(crate) fn flight_task(shared: &Shared, state: TaskState) -> FlightTask {
    let config = &shared.config.flight_task;
    let family = family(shared, &state.gateway);
    let is_over = state.is_over();
    let media_count = state.final_media_count();
    let after_ms = u64::from(config.silent_after_s) * 1_000;
    FlightTask {
        is_silent: is_silent(&state, shared.clock.kept_ms(), after_ms),
        step_name: family.zip(state.step).and_then(|(family, step)| step_name(family, step)),
        phase: family
            .zip(state.step)
            .and_then(|(family, step)| phase(family, step))
            .map(|phase| phase.as_str()),
        dock: state.gateway,
        task: state.task,
        status: state.status,
        is_over,
        step: state.step,
        percent: state.percent,
        waypoint: state.waypoint,
        wayline: state.wayline,
        mission_state: state.mission_state,
        mission_state_name: state.mission_state.and_then(mission_state_name),
        media_count,
        break_reason: state.break_reason,
        break_reason_text: state.break_reason.and_then(break_reason_text),
        result: state.result,
        result_text: state.result.and_then(result_text),
        track: state.track,
        device_ms: state.device_ms,
        first_ms: state.first_ms,
        last_ms: state.last_ms,
        events: state.events,
        late: state.late,
        reopened: state.reopened,
    }
}

/// The numbering of a gateway's steps: by configuration, else by what it says that it is.
fn family(shared: &Shared, gateway: &str) -> Option<StepFamily> {
    let configured = shared.config.flight_task.step_families.get(gateway);
    match configured {
        Some(name) => name.parse().ok(),
        None => family_of(model(shared.docks.model(gateway)?)),
    }
}

fn model([domain, kind, sub_type]: [i64; 3]) -> Model {
    Model { domain, kind, sub_type }
}

/// A dock as it is shown now.
pub(crate) fn dock(shared: &Shared, dock: Dock) -> DockView {
    let now_ms = shared.clock.kept_ms();
    let task = shared.board.latest_of(&dock.gateway);
    DockView {
        is_online: dock.is_online(),
        is_silent: dock.is_silent(now_ms, shared.docks.silent_after_ms()),
        is_clock_off: dock.is_clock_off(),
        model: dock.model.map(|[domain, kind, sub_type]| ModelView {
            domain,
            kind,
            sub_type,
            name: model_name(model([domain, kind, sub_type])),
        }),
        dock: dock.gateway,
        firmware: dock.firmware,
        aircraft: dock.aircraft,
        first_ms: dock.first_ms,
        last_ms: dock.last_ms,
        clock_offset_ms: dock.offset_ms,
        events: dock.events,
        replies: dock.replies,
        flight_task: task.map(|state| flight_task(shared, state)),
    }
}
