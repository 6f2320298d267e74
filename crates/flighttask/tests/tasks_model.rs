//! The table of tasks is a list that is copied to be rolled back.

use dockside_flighttask::progress::is_terminal;
use dockside_flighttask::{Progress, TaskState, Tasks};
use proptest::prelude::*;

const NOW: u64 = 1_747_224_838_227;

#[derive(Clone, Debug)]
enum Step {
    Apply(usize, usize, usize, Option<u64>),
    Restore(usize, usize, usize),
    Begin,
    Commit,
    RollBack,
}

const GATEWAYS: [&str; 3] = ["A", "B", "C"];
const TASKS: [&str; 5] = ["1", "2", "3", "4", "5"];
const STATUS: [&str; 5] = ["sent", "in_progress", "ok", "failed", "new in 1.17"];

fn step() -> impl Strategy<Value = Step> {
    let time = proptest::option::of(0u64..20);
    prop_oneof![
        12 => (0..3usize, 0..5usize, 0..5usize, time).prop_map(|(g, t, s, at)| Step::Apply(g, t, s, at)),
        1 => (0..3usize, 0..5usize, 0..5usize).prop_map(|(g, t, s)| Step::Restore(g, t, s)),
        1 => Just(Step::Begin),
        1 => Just(Step::Commit),
        1 => Just(Step::RollBack),
    ]
}

/// Least recently heard of first.
type Naive = Vec<TaskState>;

fn over(state: &TaskState) -> bool {
    state.status.as_deref().is_some_and(is_terminal)
}

/// Takes a task out, or the one that has to go for it.
fn take(naive: &mut Naive, at_most: usize, gateway: &str, task: &str) -> Option<TaskState> {
    let same = |state: &TaskState| &*state.gateway == gateway && &*state.task == task;
    if let Some(at) = naive.iter().position(same) {
        return Some(naive.remove(at));
    }
    if naive.len() == at_most {
        naive.remove(naive.iter().position(over).unwrap_or(0));
    }
    None
}

fn state(gateway: &str, task: &str, status: Option<&str>) -> TaskState {
    TaskState {
        gateway: gateway.into(),
        task: task.into(),
        status: status.map(Into::into),
        first_ms: NOW,
        last_ms: NOW,
        ..TaskState::default()
    }
}

fn apply(
    naive: &mut Naive,
    at_most: usize,
    gateway: &str,
    task: &str,
    said: &str,
    at: Option<u64>,
) {
    let mut state =
        take(naive, at_most, gateway, task).unwrap_or_else(|| state(gateway, task, None));
    state.events += 1;
    let at = at.map(|ms| NOW + ms);
    let reopens = over(&state) && !is_terminal(said);
    if let (Some(at), Some(before)) = (at, state.device_ms)
        && (at < before || (at == before && reopens))
    {
        state.late += 1;
    } else {
        state.reopened += u64::from(reopens);
        state.status = Some(said.into());
        state.device_ms = at.or(state.device_ms);
    }
    naive.push(state);
}

proptest! {
    #[test]
    fn it_is_a_list_that_can_be_copied(
        at_most in 1usize..8,
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut tasks = Tasks::new(at_most);
        let (mut naive, mut saved) = (Naive::new(), None::<Naive>);
        // What the open group touched, the latest at the end.
        let mut touched = Vec::<(&str, &str)>::new();
        for step in steps {
            match step {
                Step::Apply(g, t, s, at) => {
                    let (gateway, task, said) = (GATEWAYS[g], TASKS[t], STATUS[s]);
                    let timestamp = at.map(|ms| NOW + ms);
                    let (task_said, status) = (Some(task.into()), Some(said.into()));
                    let progress =
                        Progress { task: task_said, status, timestamp, ..Progress::default() };
                    let before = tasks.get(gateway, task).and_then(|state| state.status.clone());
                    let (now, is_new_status) = tasks.follow(gateway, &progress, NOW);
                    prop_assert_eq!(is_new_status, now.status != before);
                    let now = now.clone();
                    apply(&mut naive, at_most, gateway, task, said, at);
                    prop_assert_eq!(Some(&now), naive.last());
                    touched.push((gateway, task));
                }
                Step::Restore(g, t, s) => {
                    let stored = state(GATEWAYS[g], TASKS[t], Some(STATUS[s]));
                    tasks.restore(stored.clone());
                    take(&mut naive, at_most, GATEWAYS[g], TASKS[t]);
                    naive.push(stored);
                    touched.push((GATEWAYS[g], TASKS[t]));
                }
                Step::Begin => {
                    tasks.begin();
                    touched.clear();
                    naive = saved.take().unwrap_or(naive);
                    saved = Some(naive.clone());
                }
                Step::Commit => {
                    tasks.commit();
                    saved = None;
                }
                Step::RollBack => {
                    tasks.roll_back();
                    naive = saved.take().unwrap_or(naive);
                }
            }
            let is_touched = |state: &&TaskState| {
                saved.is_some() && touched.contains(&(&*state.gateway, &*state.task))
            };
            let changed: Vec<_> = naive.iter().filter(is_touched).collect();
            prop_assert_eq!(tasks.changed().collect::<Vec<_>>(), changed);
            let (ended, under_way): (Vec<_>, Vec<_>) = naive.iter().partition(|state| over(state));
            prop_assert_eq!(tasks.iter().collect::<Vec<_>>(), [ended, under_way].concat());
            for (gateway, task) in GATEWAYS.iter().flat_map(|g| TASKS.iter().map(move |t| (*g, *t))) {
                let same = |state: &&TaskState| &*state.gateway == gateway && &*state.task == task;
                prop_assert_eq!(tasks.get(gateway, task), naive.iter().find(same));
            }
        }
    }
}
