//! What somebody should look at: the alerts of `deploy/alerts.yml` and what only the broker knows, for the page, for
//! `/api/v1/alerts` and, by a switch, as a retained message.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::changes::Before;
use crate::metrics::SiteMetrics;
use crate::shared::Shared;

/// Conditions of one kind that are named.
const OF_A_KIND: usize = 20;

/// Something that somebody should look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Condition {
    /// As in `docs/operations.md`.
    pub(crate) name: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) text: String,
    /// The dock that it is about.
    pub(crate) gateway: Option<Arc<str>>,
    /// The flight task that it is about.
    pub(crate) flight_task: Option<Arc<str>>,
    /// The file that it is about; the text names it too.
    #[serde(skip)]
    pub(crate) file: Option<Arc<str>>,
    /// Since when, milliseconds since 1970.
    pub(crate) since_ms: u64,
}

impl Condition {
    pub(super) fn warning(name: &'static str, text: String) -> Self {
        let (gateway, flight_task, file) = (None, None, None);
        Self { name, severity: "warning", text, gateway, flight_task, file, since_ms: 0 }
    }

    pub(super) fn critical(name: &'static str, text: String) -> Self {
        Self { severity: "critical", ..Self::warning(name, text) }
    }

    fn about(self, gateway: &Arc<str>) -> Self {
        Self { gateway: Some(Arc::clone(gateway)), ..self }
    }

    /// What stays the same while its text counts seconds.
    pub(super) fn key(&self) -> Key {
        let of = self.flight_task.clone().or(self.file.clone());
        (self.name, self.gateway.clone(), of)
    }
}

pub(super) type Key = (&'static str, Option<Arc<str>>, Option<Arc<str>>);

/// Since when each is there.
#[derive(Default)]
pub(super) struct Since(HashMap<Key, u64>);

impl Since {
    /// Notes it in each; `true` if other ones are there than at the last look.
    pub(super) fn note(&mut self, conditions: &mut [Condition], now_ms: u64) -> bool {
        let mut now = HashMap::with_capacity(conditions.len());
        let mut is_new = false;
        for condition in conditions {
            let key = condition.key();
            let before = self.0.get(&key).copied();
            is_new |= before.is_none();
            condition.since_ms = before.unwrap_or(now_ms);
            now.insert(key, condition.since_ms);
        }
        is_new |= now.len() != self.0.len();
        self.0 = now;
        is_new
    }
}

/// What the broker knows without its metrics.
pub(super) fn of_the_site(
    shared: &Shared,
    before: &Before,
    metrics: &SiteMetrics,
) -> Vec<Condition> {
    let mut found = Vec::new();
    if !shared.store_works.load(Ordering::Relaxed) {
        let text = "the store cannot be written: what must be kept waits unacknowledged; free space or see the log";
        found.push(Condition::critical("StoreFails", text.to_owned()));
    }
    if let Some(doubt) = shared.clock.doubt() {
        let text = format!("{doubt}: nothing expires until it is right or `dockside clock accept`");
        found.push(Condition::warning("ClockDoubted", text));
    }
    let connections = shared.clients.load(Ordering::Relaxed);
    let limit = shared.sockets.connections;
    if connections * 5 > limit * 4 {
        let text = format!("{connections} of {limit} connections; raise limits.connections");
        found.push(Condition::warning("ConnectionsNearLimit", text));
    }
    let silent: BTreeSet<_> = before.silent_tasks.iter().collect();
    more(&mut found, Condition::critical, "FlightTaskSilent", silent.len());
    for (gateway, task) in silent.into_iter().take(OF_A_KIND) {
        let heard_ms = shared.board.get(gateway, task).map_or(0, |state| state.last_ms);
        let seconds = shared.clock.kept_ms().saturating_sub(heard_ms) / 1_000;
        let text = format!(
            "flight task {task} of {gateway} is not over, and nothing has been heard of it for {seconds} s"
        );
        let silent = Condition::critical("FlightTaskSilent", text).about(gateway);
        found.push(Condition { flight_task: Some(Arc::clone(task)), ..silent });
    }
    of_docks(shared, metrics, &mut found);
    found
}

/// So many are not named.
fn more(
    found: &mut Vec<Condition>,
    condition: fn(&'static str, String) -> Condition,
    name: &'static str,
    count: usize,
) {
    if count > OF_A_KIND {
        found.push(condition(
            name,
            format!("and {} more that are not named here", count - OF_A_KIND),
        ));
    }
}

fn of_docks(shared: &Shared, metrics: &SiteMetrics, found: &mut Vec<Condition>) {
    let (now_ms, after_ms) = (shared.clock.kept_ms(), shared.docks.silent_after_ms());
    let docks = shared.docks.list();
    let online = docks.iter().filter(|dock| dock.is_online()).count();
    let silent: Vec<_> = docks.iter().filter(|dock| dock.is_silent(now_ms, after_ms)).collect();
    metrics.docks(online, silent.len());
    more(found, Condition::warning, "DockSilent", silent.len());
    for dock in silent.into_iter().take(OF_A_KIND) {
        let seconds = now_ms.saturating_sub(dock.last_ms) / 1_000;
        let text = format!("{} is connected, and has said nothing for {seconds} s", dock.gateway);
        found.push(Condition::warning("DockSilent", text).about(&dock.gateway));
    }
    let off = docks.iter().filter(|dock| dock.is_online() && dock.is_clock_off());
    more(found, Condition::warning, "DockClockOff", off.clone().count());
    for dock in off.take(OF_A_KIND) {
        let seconds = dock.offset_ms.unwrap_or(0) / 1_000;
        let text = format!(
            "the clock of {} is off by {seconds} s; docks refuse tasks from 30 s on: see to its time server",
            dock.gateway
        );
        found.push(Condition::warning("DockClockOff", text).about(&dock.gateway));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_the_same_while_its_text_counts() {
        let silent = |gateway: &str, seconds| {
            Condition::warning("DockSilent", format!("{seconds} s")).about(&gateway.into())
        };
        let mut since = Since::default();
        assert!(!since.note(&mut [], 1), "nothing is nothing new");
        let mut found = [silent("DOCK-A", 60)];
        assert!(since.note(&mut found, 2));
        let mut found = [silent("DOCK-A", 62)];
        assert!(!since.note(&mut found, 3), "the text counts");
        assert_eq!(found[0].since_ms, 2);
        let mut found = [silent("DOCK-B", 60), silent("DOCK-A", 64)];
        assert!(since.note(&mut found, 4));
        assert_eq!([found[0].since_ms, found[1].since_ms], [4, 2]);
        assert!(since.note(&mut [silent("DOCK-B", 62)], 5), "one has gone");
        assert!(since.note(&mut [silent("DOCK-A", 66)], 6), "another one has come for it");
        assert!(since.note(&mut [], 7));
    }
}
