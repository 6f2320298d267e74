//! The site as an operator sees it: how each flight task stands, as its events say, and its docks.
//!
//! The writer folds the events that it has kept into the tasks, a second behind them at most, and keeps the
//! result: what is shown is always in the file.

pub(crate) mod alerts;
pub(crate) mod changes;
mod conditions;
pub(crate) mod docks;
mod figures;
pub(crate) mod view;

use std::sync::{Arc, Mutex, MutexGuard};

use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;
use dockside_flighttask::tasks::UNKNOWN_TASK;
use dockside_flighttask::{Progress, TaskState, Tasks};
use dockside_interceptor::{self as interceptor, Kept};
use dockside_store::{Error, FlightTask, Store};
use tokio::sync::broadcast;

use crate::keep::Event;
use crate::metrics::TransitionMetrics;
use crate::writer::Unfollowed;

/// Tasks that are shown: beyond that those go first that are over, the one that was heard of least recently
/// before the others.
pub(crate) const TASKS: usize = 10_000;

/// Changes that somebody who looks may be behind.
const CHANGES: usize = 4_096;

/// All flight tasks.
pub(crate) struct Board {
    /// Locked while a transaction lasts.
    tasks: Mutex<Tasks>,
    /// What of it is in the file; never locked for long.
    shown: Mutex<Tasks>,
    changes: broadcast::Sender<Change>,
    transitions: TransitionMetrics,
}

/// What looks different now.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A flight task, by gateway and task.
    FlightTask(Arc<str>, Arc<str>),
    /// A dock, by serial number.
    Dock(Arc<str>),
    /// The site as a whole.
    Site,
}

/// Which tasks somebody wants to see.
#[derive(Clone, Default, Debug)]
pub(crate) struct Wanted {
    pub(crate) status: Option<String>,
    pub(crate) dock: Option<String>,
    /// Heard of since then, milliseconds since 1970.
    pub(crate) since_ms: u64,
    pub(crate) at_most: usize,
}

impl Board {
    /// `kept` are tasks as they stood, the one that was heard of least recently first.
    pub(crate) fn new(kept: Vec<FlightTask>) -> Self {
        let (mut tasks, mut shown) = (Tasks::new(TASKS), Tasks::new(TASKS));
        for task in kept {
            let state = state(task);
            shown.restore(state.clone());
            tasks.restore(state);
        }
        let (changes, _) = broadcast::channel(CHANGES);
        let transitions = TransitionMetrics::register();
        Self { tasks: Mutex::new(tasks), shown: Mutex::new(shown), changes, transitions }
    }

    /// What changes from now on. Whoever is too slow loses the oldest, and is told.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Tells whoever looks.
    pub(crate) fn changed(&self, change: Change) {
        // Nobody looks: that is no error.
        let _ = self.changes.send(change);
    }

    /// Folds what has come since, in a transaction of its own: either it stands here and in the store, or in
    /// neither.
    pub(crate) fn follow(&self, store: &mut Store, unfollowed: &Unfollowed) -> Result<(), Error> {
        store.begin()?;
        let mut tasks = self.tasks();
        tasks.begin();
        let mut statuses = Vec::new();
        let mut fold = |gateway: &str, received_ms, progress: &Progress<'_>| {
            let (state, is_new_status) = tasks.follow(gateway, progress, received_ms);
            if is_new_status {
                statuses.push(state.status.clone());
            }
        };
        let followed = match unfollowed.all() {
            Some(all) => {
                all.for_each(|event| fold(event.gateway, event.received_ms, &progress(&event)));
                store.events_followed()
            }
            None => store.follow_events(FLIGHTTASK_PROGRESS, |event| {
                fold(event.gateway, event.received_ms, &Progress::parse(event.payload));
            }),
        };
        let kept = followed
            .and_then(|()| tasks.changed().try_for_each(|state| store.flight_task(&row(state))))
            .and_then(|()| store.commit());
        if kept.is_ok() {
            self.show(&tasks);
            tasks.commit();
            statuses.iter().for_each(|status| self.transitions.count(status.as_deref()));
        } else {
            tasks.roll_back();
            store.roll_back();
        }
        kept
    }

    /// Tasks that have changed.
    fn show(&self, tasks: &Tasks) {
        let mut shown = self.shown();
        tasks.changed().for_each(|state| shown.restore(state.clone()));
        drop(shown);
        for state in tasks.changed() {
            let (gateway, task) = (Arc::clone(&state.gateway), Arc::clone(&state.task));
            self.changed(Change::FlightTask(gateway, task));
        }
    }

    /// Forgets tasks that nothing was heard of since then.
    pub(crate) fn forget(&self, before_ms: u64) {
        self.tasks().forget(before_ms);
        self.shown().forget(before_ms);
    }

    /// Those that are wanted, the one that was heard of last first.
    pub(crate) fn list(&self, wanted: &Wanted) -> Vec<TaskState> {
        let tasks = self.shown();
        let is_wanted = |state: &&TaskState| {
            wanted.status.as_deref().is_none_or(|status| state.status.as_deref() == Some(status))
                && wanted.dock.as_deref().is_none_or(|dock| &*state.gateway == dock)
                && state.last_ms >= wanted.since_ms
        };
        let found = tasks.latest_first().into_iter().filter(is_wanted);
        found.take(wanted.at_most).cloned().collect()
    }

    pub(crate) fn get(&self, gateway: &str, task: &str) -> Option<TaskState> {
        self.shown().get(gateway, task).cloned()
    }

    /// The task of a gateway that is under way, or else was heard of last.
    pub(crate) fn latest_of(&self, gateway: &str) -> Option<TaskState> {
        self.shown().latest_of(gateway).cloned()
    }

    /// Those that are not over, the one that was heard of last first, so many at most.
    pub(crate) fn under_way(&self, at_most: usize) -> Vec<TaskState> {
        let tasks = self.shown();
        let under_way = tasks.iter().rev().take_while(|state| !state.is_over());
        under_way.take(at_most).cloned().collect()
    }

    /// Looks at every task, those last that are not over.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Tasks) -> T) -> T {
        look(&self.shown())
    }

    fn shown(&self) -> MutexGuard<'_, Tasks> {
        self.shown.lock().expect("no panic while it is held")
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().expect("no panic while it is held")
    }
}

impl Kept for Board {
    fn flight_task(&self, gateway: &str, task: Option<&str>) -> Option<interceptor::FlightTask> {
        let state = match task {
            Some(task) => self.get(gateway, task),
            None => self.latest_of(gateway),
        }?;
        Some(interceptor::FlightTask {
            task: state.task.to_string(),
            status: state.status.as_deref().map(str::to_owned),
            step: state.step,
            percent: state.percent,
        })
    }
}

/// As the store names a task: an event that names none has none there.
pub(crate) fn stored_task(task: &str) -> Option<&str> {
    (task != UNKNOWN_TASK).then_some(task)
}

/// What an event says, as far as it was read.
fn progress<'a>(event: &Event<'a>) -> Progress<'a> {
    let Some(details) = event.details else { return Progress::parse(event.payload) };
    let [waypoint, wayline, mission_state, media_count, break_reason] = details.numbers();
    Progress {
        task: event.task.map(Into::into),
        status: event.status.map(Into::into),
        step: event.step,
        percent: details.percent(),
        waypoint,
        wayline,
        mission_state,
        media_count,
        break_reason,
        result: event.result,
        track: details.track.map(Into::into),
        timestamp: details.device_ms(),
    }
}

fn row(state: &TaskState) -> FlightTask {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    FlightTask {
        gateway: state.gateway.to_string(),
        task: state.task.to_string(),
        status: text(&state.status),
        step: state.step,
        percent: state.percent,
        details: [
            state.waypoint,
            state.wayline,
            state.mission_state,
            state.media_count,
            state.break_reason,
        ],
        result: state.result,
        track: text(&state.track),
        device_ms: state.device_ms,
        heard_ms: (state.first_ms, state.last_ms),
        counts: [state.events, state.late, state.reopened],
    }
}

fn state(row: FlightTask) -> TaskState {
    let [waypoint, wayline, mission_state, media_count, break_reason] = row.details;
    let [events, late, reopened] = row.counts;
    TaskState {
        gateway: row.gateway.into(),
        task: row.task.into(),
        status: row.status.map(Into::into),
        step: row.step,
        percent: row.percent,
        waypoint,
        wayline,
        mission_state,
        media_count,
        break_reason,
        result: row.result,
        track: row.track.map(Into::into),
        device_ms: row.device_ms,
        first_ms: row.heard_ms.0,
        last_ms: row.heard_ms.1,
        events,
        late,
        reopened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_comes_back_as_it_was() {
        let mut tasks = Tasks::new(1);
        let payload = br#"{"timestamp":1747224838227,"data":{"output":{"ext":{"flight_id":"f","current_waypoint_index":3,"wayline_id":2,"wayline_mission_state":6,"media_count":5,"track_id":"t","break_point":{"break_reason":4}},"progress":{"current_step":19,"percent":42.5},"status":"ok"},"result":7}}"#;
        for received_ms in [1_747_224_838_228, 1_747_224_838_229] {
            tasks.apply("SIMDOCK1", &Progress::parse(payload), received_ms);
        }
        let was = tasks.get("SIMDOCK1", "f").unwrap();
        assert!(was.break_reason == Some(4) && was.track.is_some() && was.device_ms.is_some());
        assert_eq!(state(row(was)), *was);
    }

    /// What the file does not have is not shown, and comes when it can be kept.
    #[test]
    fn what_cannot_be_kept_is_not_shown() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), dockside_store::Durability::Commit).unwrap();
        let board = Board::new(Vec::new());
        let payload = br#"{"data":{"output":{"ext":{"flight_id":"f"},"status":"sent"}}}"#;
        store.begin().unwrap();
        let event = dockside_store::Event {
            received_ms: 1,
            gateway: "SIMDOCK1",
            method: "flighttask_progress",
            tid: "t",
            task: Some("f"),
            status: None,
            step: None,
            percent: None,
            result: None,
            key: &[1; 16],
            payload,
        };
        store.event(&event).unwrap();
        store.commit().unwrap();
        let other = rusqlite::Connection::open(store.path()).unwrap();
        let sql = "CREATE TRIGGER never BEFORE INSERT ON flight_task
                   BEGIN SELECT RAISE(ABORT, 'never'); END";
        other.execute_batch(sql).unwrap();
        let all = Wanted { at_most: 10, ..Wanted::default() };
        let unfollowed = Unfollowed::new();
        for _ in 0..2 {
            assert!(board.follow(&mut store, &unfollowed).is_err());
            assert!(board.list(&all).is_empty());
        }
        other.execute_batch("DROP TRIGGER never").unwrap();
        for _ in 0..2 {
            board.follow(&mut store, &unfollowed).unwrap();
            let list = board.list(&all);
            assert_eq!((list.len(), list[0].events, list[0].is_over()), (1, 1, false));
        }
        let reader = store.reader().unwrap();
        assert_eq!(reader.kept(0, 10, 10).unwrap().flight_tasks[0], row(&board.list(&all)[0]));
    }
}
