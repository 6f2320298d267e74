//! How each task stands: the latest that its gateway said of it.
//!
//! DJI documents the values of `status` but no order of them ("Device report the flight task progress
//! and status"), and after a restart or a lost event any may be the first: none is refused, and what is
//! odd about their order is counted beside the state ([`TaskState::late`], [`TaskState::reopened`]).
//!
//! In a mission of several docks two of them report one task id, each its own part of it. So a task is
//! known by its gateway and its id, and never by its id alone.

mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::progress::Progress;
pub use state::TaskState;

/// The task of an event that names none: one for each gateway.
pub const UNKNOWN_TASK: &str = "(unknown)";

/// Where a task stands among the others: those that are over before those that are not, and then the
/// one that was heard of least recently first. So the first is the one to go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    under_way: bool,
    heard: u64,
}

/// A state that was put in a place or, if it is here, was taken from it.
struct Step {
    place: Place,
    taken: Option<Box<TaskState>>,
}

/// Changes that are kept or undone as a whole.
struct Group {
    /// Oldest first. What was taken from a place where the group had put it is not among them.
    steps: Vec<Step>,
    /// [`Tasks::heard`] when it began.
    since: u64,
}

/// The tasks that were heard of latest, a bounded number of them.
///
/// Changes can be made in groups ([`Tasks::begin`]) that are kept or undone as a whole, as the database
/// transaction is that stores them. Outside a group they are final.
pub struct Tasks {
    at_most: usize,
    /// Boxed, as they change places all the time.
    states: BTreeMap<Place, Box<TaskState>>,
    /// By gateway, then by task; no gateway without a task.
    places: HashMap<Arc<str>, HashMap<Arc<str>, Place>>,
    /// Events and restored states until now: an order that no clock upsets.
    heard: u64,
    /// The open one.
    group: Option<Group>,
}

impl Tasks {
    /// A table of `at_most` tasks, or of one if that is 0. The one to go when another comes is the one that
    /// was heard of least recently among those that are over, else among all.
    ///
    /// A task takes less than 1 kB where its texts are as long as DJI's; no text is over 256 bytes.
    #[must_use]
    pub fn new(at_most: usize) -> Self {
        Self { at_most, states: BTreeMap::new(), places: HashMap::new(), heard: 0, group: None }
    }

    /// Takes in what `gateway` (serial number of the topic) said at `received_ms` (milliseconds since
    /// 1970, by the broker's clock), and tells how the task stands now.
    pub fn apply(
        &mut self,
        gateway: &str,
        progress: &Progress<'_>,
        received_ms: u64,
    ) -> &TaskState {
        self.follow(gateway, progress, received_ms).0
    }

    /// As [`Tasks::apply`], and whether the task has another status now than it had.
    pub fn follow(
        &mut self,
        gateway: &str,
        progress: &Progress<'_>,
        received_ms: u64,
    ) -> (&TaskState, bool) {
        let task = progress.task.as_deref().unwrap_or(UNKNOWN_TASK);
        let mut is_listed = false;
        let mut state = if let Some(place) = self.place(gateway, task) {
            is_listed = true;
            self.take(place)
        } else {
            self.make_room();
            let known = self.places.get_key_value(gateway).map(|(gateway, _)| gateway.clone());
            Box::new(TaskState {
                gateway: known.unwrap_or_else(|| gateway.into()),
                task: task.into(),
                first_ms: received_ms,
                ..TaskState::default()
            })
        };
        let is_new_status = state.hear(progress, received_ms);
        (self.put_last(state, is_listed), is_new_status)
    }

    /// Puts a stored state back, in the place of what is known of the task. The order of the calls is
    /// taken for the order in which the tasks were heard of: the least recent first.
    pub fn restore(&mut self, state: TaskState) {
        let place = self.place(&state.gateway, &state.task);
        match place {
            Some(place) => drop(self.take(place)),
            None => self.make_room(),
        }
        self.put_last(Box::new(state), place.is_some());
    }

    /// Forgets tasks that nothing was heard of since then (milliseconds since 1970), for good: a group that
    /// is open is kept first.
    pub fn forget(&mut self, before_ms: u64) {
        self.commit();
        let is_old = |state: &TaskState| state.last_ms < before_ms;
        let old = self.states.iter().filter(|(_, state)| is_old(state)).map(|(place, _)| *place);
        for place in old.collect::<Vec<_>>() {
            if let Some(state) = self.states.remove(&place) {
                self.unlist(&state);
            }
        }
    }

    /// How a task stands.
    #[must_use]
    pub fn get(&self, gateway: &str, task: &str) -> Option<&TaskState> {
        self.states.get(&self.place(gateway, task)?).map(|state| &**state)
    }

    /// The task of a gateway that is under way, or else was heard of last.
    #[must_use]
    pub fn latest_of(&self, gateway: &str) -> Option<&TaskState> {
        self.states.get(self.places.get(gateway)?.values().max()?).map(|state| &**state)
    }

    /// Every task: first those that are over, then the others, and of each the one first that was heard
    /// of least recently.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &TaskState> + ExactSizeIterator {
        self.states.values().map(|state| &**state)
    }

    /// Every task, the one first that was heard of last.
    #[must_use]
    pub fn latest_first(&self) -> Vec<&TaskState> {
        let mut all: Vec<_> = self.states.iter().collect();
        all.sort_by_key(|(place, _)| std::cmp::Reverse(place.heard));
        all.into_iter().map(|(_, state)| &**state).collect()
    }

    /// How many tasks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Opens a group of changes. A group that is still open was left behind by somebody who came to
    /// grief before its transaction did: it is undone.
    pub fn begin(&mut self) {
        self.roll_back();
        self.group = Some(Group { steps: Vec::new(), since: self.heard });
    }

    /// Keeps what the open group changed.
    pub fn commit(&mut self) {
        self.group = None;
    }

    /// Undoes what the open group changed, tasks that went to make room included.
    pub fn roll_back(&mut self) {
        let steps = self.group.take().map(|group| group.steps).unwrap_or_default();
        for step in steps.into_iter().rev() {
            if let Some(state) = step.taken {
                self.list(&state, step.place);
                self.states.insert(step.place, state);
            } else if let Some(state) = self.states.remove(&step.place) {
                self.unlist(&state);
            }
        }
    }

    /// Tasks that the open group has changed, the one that was heard of last at the end.
    pub fn changed(&self) -> impl Iterator<Item = &TaskState> {
        let steps = self.group.iter().flat_map(|group| &group.steps);
        let put = steps.filter(|step| step.taken.is_none());
        // Whoever was heard of again has another place now.
        put.filter_map(|step| self.states.get(&step.place).map(|state| &**state))
    }

    fn place(&self, gateway: &str, task: &str) -> Option<Place> {
        self.places.get(gateway)?.get(task).copied()
    }

    fn list(&mut self, state: &TaskState, place: Place) {
        let tasks = self.places.entry(state.gateway.clone()).or_default();
        tasks.insert(state.task.clone(), place);
    }

    fn unlist(&mut self, state: &TaskState) {
        if let Some(tasks) = self.places.get_mut(&state.gateway) {
            tasks.remove(&state.task);
            if tasks.is_empty() {
                self.places.remove(&state.gateway);
            }
        }
    }

    /// Takes a task out that is put back at once: it stays listed.
    fn take(&mut self, place: Place) -> Box<TaskState> {
        let state = self.states.remove(&place).expect("every place that is listed is taken");
        if let Some(group) = self.group.as_mut().filter(|group| place.heard <= group.since) {
            group.steps.push(Step { place, taken: Some(state.clone()) });
        }
        state
    }

    fn make_room(&mut self) {
        while self.states.len() >= self.at_most
            && let Some((place, state)) = self.states.pop_first()
        {
            self.unlist(&state);
            if let Some(group) = self.group.as_mut().filter(|group| place.heard <= group.since) {
                group.steps.push(Step { place, taken: Some(state) });
            }
        }
    }

    fn put_last(&mut self, state: Box<TaskState>, is_listed: bool) -> &TaskState {
        self.heard += 1;
        let place = Place { under_way: !state.is_over(), heard: self.heard };
        if let Some(group) = &mut self.group {
            group.steps.push(Step { place, taken: None });
        }
        let tasks = is_listed.then(|| self.places.get_mut(&*state.gateway)).flatten();
        match tasks.and_then(|tasks| tasks.get_mut(&*state.task)) {
            Some(listed) => *listed = place,
            None => self.list(&state, place),
        }
        self.states.entry(place).or_insert(state)
    }
}
