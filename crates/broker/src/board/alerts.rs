//! What fires, as retained JSON on `dockside/alerts`, for whoever has no Prometheus (`alerts.publish`).

use std::sync::atomic::Ordering;

use dockside_mqtt::QoS;
use serde::Serialize;

use super::conditions::Condition;
use crate::record::{self, Entry, Published};
use crate::shared::Shared;

/// Where it is published.
pub(crate) const TOPIC: &str = "dockside/alerts";

/// All that fires; an empty list says that nothing does.
#[derive(Serialize)]
pub(crate) struct Alerts<'a> {
    /// Milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// In no order.
    pub(crate) alerts: &'a [Condition],
}

/// Publishes what fires when it is another thing than before.
#[derive(Default)]
pub(super) struct Publisher {
    /// What is retained is what fires, or nothing where nothing is published.
    is_retained: bool,
}

impl Publisher {
    /// What fires, and whether that is new.
    pub(super) fn tell(&mut self, shared: &Shared, found: &[Condition], is_new: bool) {
        if !shared.config.alerts.publish {
            if !std::mem::replace(&mut self.is_retained, true) && is_here(shared) {
                // From when it was published, or another broker's: nobody would ever change it.
                retain(shared, b"");
            }
            return;
        }
        self.is_retained &= !is_new;
        let store_works = shared.store_works.load(Ordering::Relaxed);
        if self.is_retained || !(is_new || store_works) {
            return;
        }
        let alerts = Alerts { now_ms: shared.clock.kept_ms(), alerts: found };
        let payload = serde_json::to_vec(&alerts).unwrap_or_default();
        if store_works {
            self.is_retained = true;
            retain(shared, &payload);
        } else {
            // What is retained waits for the store, and may be that it fails.
            let message = Published::by_broker(TOPIC, QoS::AtMostOnce, &payload);
            let mut entries = Vec::new();
            record::append(&mut entries, &Entry::Publish(message));
            shared.append_direct(&entries, 0);
        }
    }
}

fn is_here(shared: &Shared) -> bool {
    shared.retained.read().expect("no panic while it is held").has(TOPIC)
}

fn retain(shared: &Shared, payload: &[u8]) {
    let message = Published::by_broker(TOPIC, QoS::AtLeastOnce, payload);
    let mut entries = Vec::new();
    record::append(&mut entries, &Entry::Publish(Published { retain: true, ..message }));
    shared.append_ordered(&entries);
}
