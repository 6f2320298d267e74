//! What changes by itself: silence, rates, conditions. Looked at once a second; and docks are kept from here.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dockside_flighttask::TaskState;
use dockside_interceptor::After;
use dockside_mqtt::QoS;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::conditions::{self, Condition, Since};
use super::figures::Figures;
use super::{Change, alerts, docks, view};
use crate::keep::{self, KeepAside};
use crate::live_log::LiveLog;
use crate::metrics::{self, SiteMetrics};
use crate::pulse;
use crate::record::{self, AsideNumber, Entry, Published};
use crate::refusals::{Cause, Stage, Whom};
use crate::shared::Shared;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Docks in one batch: a dock's event waits for one or two batches, not for all.
const KEPT_AT_ONCE: usize = 32;

/// Looks between two of the site as a whole.
const SITE_EVERY: u64 = 2;

/// Looks between two of the metrics, of the site's.
const FIGURES_EVERY: u64 = 14;

/// Where states of flight tasks are published, a topic a gateway.
pub(crate) const FLIGHT_TASKS: &str = "dockside/flight-tasks";

/// The site as a whole.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Site {
    now_ms: u64,
    version: &'static str,
    connections: usize,
    messages_per_s: f64,
    events_per_s: f64,
    replies_per_s: f64,
    reply_p50_us: Option<f64>,
    reply_p99_us: Option<f64>,
    is_ready: bool,
    conditions: Vec<Condition>,
}

impl Site {
    /// What somebody should look at.
    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

/// What was found at the last look.
#[derive(Default)]
pub(super) struct Before {
    pub(super) silent_tasks: HashSet<(Arc<str>, Arc<str>)>,
    totals: [u64; 3],
    since: Since,
    figures: Figures,
    of_figures: Vec<Condition>,
}

/// Looks for as long as the broker runs.
pub(crate) async fn run(shared: Arc<Shared>) {
    let metrics = SiteMetrics::register();
    let mut before = Before { totals: totals(&shared), ..Before::default() };
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut publishing = shared.config.flight_task.publish_state.then(|| shared.board.changes());
    let mut alerts = alerts::Publisher::default();
    let mut looks = 0;
    loop {
        every.tick().await;
        if let Some(changes) = &mut publishing {
            publish_states(&shared, changes);
        }
        look_at_docks(&shared, false);
        look_at_tasks(&shared, &mut before, &metrics);
        give_up_replies(&shared, &metrics);
        if looks % SITE_EVERY == 0 {
            if looks % FIGURES_EVERY == 0 {
                look_at_figures(&shared, &mut before).await;
            }
            let mut found = conditions::of_the_site(&shared, &before, &metrics);
            found.extend(before.of_figures.iter().cloned());
            let is_new = before.since.note(&mut found, shared.clock.kept_ms());
            alerts.tell(&shared, &found, is_new);
            let site = site(&shared, &mut before, found);
            *shared.site.lock().expect("no panic while it is held") = site;
            shared.board.changed(Change::Site);
        }
        looks += 1;
    }
}

/// The metrics as Prometheus would read them; reading them takes a core for a moment.
async fn look_at_figures(shared: &Shared, before: &mut Before) {
    let Ok(text) = tokio::task::spawn_blocking(metrics::text).await else { return };
    let is_believed = shared.clock.doubt().is_none();
    let wall_s = is_believed.then(|| shared.clock.kept_ms() as f64 / 1_000.0);
    before.of_figures = before.figures.look(&text, shared.clock.now_ms(), wall_s);
}

/// Tells of docks that have changed and keeps them, when those are kept that changed before; the `last` time all that
/// are not kept yet.
pub(crate) fn look_at_docks(shared: &Shared, is_last: bool) {
    let mut keeping = shared.docks.keeping.lock().expect("no panic while it is held");
    let is_at_it = |number| shared.log.look(number, |_| ()).is_some();
    if !is_last && keeping.is_some_and(is_at_it) {
        return;
    }
    let changed = shared.docks.take_changed(shared.clock.kept_ms(), is_last);
    for gateway in changed.told {
        shared.board.changed(Change::Dock(gateway));
    }
    let forgotten = changed.forgotten.into_iter().map(KeepAside::NoDock);
    // One that went may have come again.
    let kept = changed.kept.iter().map(|dock| KeepAside::Dock(Box::new(docks::row(dock))));
    for (entries, last) in batches(&shared.log, forgotten.chain(kept)) {
        shared.append_ordered(&entries);
        *keeping = last;
    }
}

/// Each with the number of its last.
fn batches(
    log: &LiveLog,
    all: impl Iterator<Item = KeepAside>,
) -> Vec<(Vec<u8>, Option<AsideNumber>)> {
    let mut batches = Vec::new();
    let mut all = all.peekable();
    while all.peek().is_some() {
        let (mut entries, mut last) = (Vec::new(), None);
        for keep in all.by_ref().take(KEPT_AT_ONCE) {
            last = Some(keep::append_aside(log, &mut entries, keep));
        }
        batches.push((entries, last));
    }
    batches
}

fn look_at_tasks(shared: &Shared, before: &mut Before, metrics: &SiteMetrics) {
    let now_ms = shared.clock.kept_ms();
    let after_ms = u64::from(shared.config.flight_task.silent_after_s) * 1_000;
    let key = |state: &TaskState| (Arc::clone(&state.gateway), Arc::clone(&state.task));
    let silent: HashSet<_> = shared.board.look(|tasks| {
        metrics.tasks(tasks.iter().map(|state| state.status.as_deref()));
        let under_way = tasks.iter().rev().take_while(|state| !state.is_over());
        under_way.filter(|state| view::is_silent(state, now_ms, after_ms)).map(key).collect()
    });
    for (gateway, task) in silent.symmetric_difference(&before.silent_tasks) {
        shared.board.changed(Change::FlightTask(Arc::clone(gateway), Arc::clone(task)));
    }
    before.silent_tasks = silent;
}

/// `dockside/flight-tasks/{sn}`, retained: the task that is under way there, or else the last one.
fn publish_states(shared: &Shared, changes: &mut Receiver<Change>) {
    let mut docks = BTreeSet::new();
    loop {
        match changes.try_recv() {
            Ok(Change::FlightTask(gateway, _)) => drop(docks.insert(gateway)),
            Ok(_) => {}
            Err(TryRecvError::Lagged(_)) => shared.board.look(|tasks| {
                docks.extend(tasks.iter().map(|state| Arc::clone(&state.gateway)));
            }),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    let mut entries = Vec::new();
    for gateway in docks {
        let Some(state) = shared.board.latest_of(&gateway) else { continue };
        let payload = serde_json::to_vec(&view::flight_task(shared, state)).unwrap_or_default();
        let topic = format!("{FLIGHT_TASKS}/{gateway}");
        let message = Published::by_broker(&topic, QoS::AtLeastOnce, &payload);
        record::append(&mut entries, &Entry::Publish(Published { retain: true, ..message }));
    }
    if !entries.is_empty() {
        shared.append_ordered(&entries);
    }
}

fn give_up_replies(shared: &Shared, metrics: &SiteMetrics) {
    let (late, more) = shared.awaited.expire(shared.clock.now_ms());
    metrics.unacknowledged(late.len() + more);
    for waited in late {
        let (address, reply) = (waited.peer, waited.reply);
        let whom = Whom { address, client_id: None, user: None, topic: Some(&reply.topic) };
        let reason = match &reply.after {
            After::User(user) => format!("user {user} did not acknowledge it in 5 s"),
            After::Client(id) => format!("client {id} did not acknowledge it in 5 s"),
            After::Kept => continue,
        };
        let reason =
            format!("event not answered: {reason}, and the [[answer]] rule waits for that").into();
        let remedy = "see to that application; the dock sends its event again";
        shared.refusals.record(whom, Stage::Event, Cause { reason, remedy }, true);
    }
}

/// Messages, events and replies until now.
fn totals(shared: &Shared) -> [u64; 3] {
    let (events, replies) = shared.docks.counts();
    [shared.sys.publishes_received(), events, replies]
}

fn site(shared: &Shared, before: &mut Before, conditions: Vec<Condition>) -> Site {
    let now = totals(shared);
    let seconds = EVERY.as_secs_f64() * SITE_EVERY as f64;
    let rate = |at: usize| now[at].saturating_sub(before.totals[at]) as f64 / seconds;
    let (rates, latency) = ([rate(0), rate(1), rate(2)], shared.latency.take());
    before.totals = now;
    Site {
        now_ms: shared.clock.kept_ms(),
        version: env!("CARGO_PKG_VERSION"),
        connections: shared.clients.load(Ordering::Relaxed),
        messages_per_s: rates[0],
        events_per_s: rates[1],
        replies_per_s: rates[2],
        reply_p50_us: latency.map(|(p50, _)| p50),
        reply_p99_us: latency.map(|(_, p99)| p99),
        is_ready: pulse::not_ready(shared).is_none(),
        conditions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live_log;
    use crate::record::Entries;

    #[test]
    fn many_docks_are_kept_in_several_batches_in_their_order() {
        let (log, _reader, _) = live_log::open(&crate::config::LiveLog::default()).unwrap();
        let gone = (0..100).map(|n| KeepAside::NoDock(format!("SIMDOCK{n}").into()));
        let mut names = Vec::new();
        let mut counts = Vec::new();
        for (batch, last) in batches(&log, gone) {
            counts.push(Entries::new(&batch).count());
            assert!(log.look(last.unwrap(), |_| ()).is_some(), "not fetched yet");
            for entry in Entries::new(&batch) {
                let Entry::Keep(keep::Keep::Aside(number)) = entry else { panic!("{entry:?}") };
                let Some(live_log::Aside::Keep(keep)) = log.fetch(number) else { panic!() };
                let KeepAside::NoDock(name) = &*keep else { panic!() };
                names.push(name.to_string());
            }
        }
        assert_eq!(counts, [32, 32, 32, 4]);
        assert_eq!(names, (0..100).map(|n| format!("SIMDOCK{n}")).collect::<Vec<_>>());
        assert!(batches(&log, std::iter::empty()).is_empty());
    }
}
