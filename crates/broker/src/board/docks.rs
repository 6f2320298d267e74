//! The gateways of the site: who is there, since when, what it is, and whether its clock is right.
//!
//! A gateway is one that has said so itself: with an event, a request, or its status. Whoever publishes only
//! telemetry is somebody's aircraft.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use dockside_interceptor::Heard;

use crate::record::Instance;

/// Gateways that are known. Beyond that one goes that has no connection, the one that was heard of least
/// recently, or the new one is left out.
pub(crate) const DOCKS: usize = 10_000;

/// A device's clock that is further off was never set, and tells nothing.
const OFFSET_AT_MOST_MS: i64 = 100 * 365 * 24 * 3_600_000;

/// Docks refuse a task whose time is off by 30 s ("Dock wayline management"); from here on it is told.
pub(crate) const OFFSET_FLAGGED_MS: i64 = 10_000;

/// How often what has only been heard of again is told, and kept: telemetry alone is no reason to write.
const TELL_AGAIN_MS: u64 = 5_000;
const KEEP_AGAIN_MS: u64 = 60_000;

/// A gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Dock {
    pub(crate) gateway: Arc<str>,
    pub(crate) model: Option<[i64; 3]>,
    pub(crate) firmware: Option<Arc<str>>,
    pub(crate) aircraft: Arc<[Box<str>]>,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    /// Its clock less the broker's.
    pub(crate) offset_ms: Option<i64>,
    pub(crate) events: u64,
    pub(crate) replies: u64,
    /// The session that it spoke through last, while that is connected.
    connection: Option<Instance>,
    /// Something is new that was not told.
    is_new: bool,
    told_ms: u64,
    kept_ms: u64,
    was_silent: bool,
}

/// What is to be done about gateways.
#[derive(Default)]
pub(crate) struct Changed {
    /// Those that look different than they did.
    pub(crate) told: Vec<Arc<str>>,
    /// Those that are to be kept as they are.
    pub(crate) kept: Vec<Dock>,
    /// Those that are not known any more.
    pub(crate) forgotten: Vec<Arc<str>>,
}

impl Dock {
    pub(crate) fn is_online(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether it is connected and says nothing.
    pub(crate) fn is_silent(&self, now_ms: u64, after_ms: u64) -> bool {
        self.is_online() && now_ms.saturating_sub(self.last_ms) > after_ms
    }

    pub(crate) fn is_clock_off(&self) -> bool {
        self.offset_ms.is_some_and(|offset| offset.abs() > OFFSET_FLAGGED_MS)
    }
}

/// All of them.
pub(crate) struct Docks {
    inner: Mutex<Inner>,
    silent_after_ms: u64,
}

#[derive(Default)]
struct Inner {
    docks: HashMap<Arc<str>, Dock>,
    speaks_for: HashMap<Instance, HashSet<Arc<str>>>,
    events: u64,
    replies: u64,
    forgotten: Vec<Arc<str>>,
}

impl Docks {
    pub(crate) fn new(kept: Vec<dockside_store::Dock>, silent_after_s: u32) -> Self {
        let docks = kept.into_iter().map(|kept| {
            let gateway: Arc<str> = kept.gateway.into();
            let dock = Dock {
                gateway: Arc::clone(&gateway),
                model: kept.model,
                firmware: kept.firmware.map(Into::into),
                aircraft: kept.aircraft.into_iter().map(String::into_boxed_str).collect(),
                first_ms: kept.heard_ms.0,
                last_ms: kept.heard_ms.1,
                offset_ms: kept.offset_ms,
                events: kept.counts[0],
                replies: kept.counts[1],
                connection: None,
                is_new: false,
                told_ms: 0,
                kept_ms: kept.heard_ms.1,
                was_silent: false,
            };
            (gateway, dock)
        });
        let inner = Inner { docks: docks.collect(), ..Inner::default() };
        Self { inner: Mutex::new(inner), silent_after_ms: u64::from(silent_after_s) * 1_000 }
    }

    /// A gateway was heard of through a session; none is an operator's, which makes nobody online.
    pub(crate) fn heard(&self, heard: &Heard, session: Option<Instance>, now_ms: u64) {
        let mut inner = self.inner();
        if let Some(is_replied) = heard.event {
            inner.events += 1;
            inner.replies += u64::from(is_replied);
        }
        let is_known = inner.hear(heard, session, now_ms);
        if !is_known && heard.is_gateway && inner.add(&heard.gateway, now_ms) {
            inner.hear(heard, session, now_ms);
        }
    }

    /// An event of a gateway is answered after all.
    pub(crate) fn replied(&self, gateway: &str) {
        let mut inner = self.inner();
        inner.replies += 1;
        if let Some(dock) = inner.docks.get_mut(gateway) {
            dock.replies += 1;
        }
    }

    /// A session has lost its connection.
    pub(crate) fn gone(&self, session: Instance) {
        let mut inner = self.inner();
        for gateway in inner.speaks_for.remove(&session).unwrap_or_default() {
            if let Some(dock) = inner.docks.get_mut(&gateway)
                && dock.connection == Some(session)
            {
                dock.connection = None;
                dock.is_new = true;
            }
        }
    }

    /// Every gateway, by serial number.
    pub(crate) fn list(&self) -> Vec<Dock> {
        let mut docks: Vec<_> = self.inner().docks.values().cloned().collect();
        docks.sort_by(|a, b| a.gateway.cmp(&b.gateway));
        docks
    }

    pub(crate) fn get(&self, gateway: &str) -> Option<Dock> {
        self.inner().docks.get(gateway).cloned()
    }

    pub(crate) fn model(&self, gateway: &str) -> Option<[i64; 3]> {
        self.inner().docks.get(gateway)?.model
    }

    /// Events that came, and those that were answered.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.events, inner.replies)
    }

    /// What has changed since the last time; all that is not kept yet where it is the `last` time.
    pub(crate) fn take_changed(&self, now_ms: u64, is_last: bool) -> Changed {
        let mut inner = self.inner();
        let forgotten = std::mem::take(&mut inner.forgotten);
        let mut changed = Changed { forgotten, ..Changed::default() };
        for dock in inner.docks.values_mut() {
            let is_silent = dock.is_silent(now_ms, self.silent_after_ms);
            // A clock that was set back makes it new as well.
            let is_again = |since_ms: u64, every_ms| {
                dock.last_ms < since_ms || dock.last_ms >= since_ms.saturating_add(every_ms)
            };
            let is_heard_again = is_again(dock.told_ms, TELL_AGAIN_MS);
            let keep_again_ms = if is_last { 1 } else { KEEP_AGAIN_MS };
            let is_kept_again = is_again(dock.kept_ms, keep_again_ms);
            if dock.is_new || is_heard_again || is_silent != dock.was_silent {
                dock.told_ms = dock.last_ms;
                changed.told.push(Arc::clone(&dock.gateway));
            }
            if dock.is_new || is_kept_again {
                dock.kept_ms = dock.last_ms;
                changed.kept.push(dock.clone());
            }
            (dock.is_new, dock.was_silent) = (false, is_silent);
        }
        changed
    }

    pub(crate) fn silent_after_ms(&self) -> u64 {
        self.silent_after_ms
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while it is held")
    }
}

impl Inner {
    /// Whether there is a place for one more.
    fn add(&mut self, gateway: &str, now_ms: u64) -> bool {
        if self.docks.len() >= DOCKS {
            let offline = self.docks.values().filter(|dock| !dock.is_online());
            let Some(oldest) = offline.min_by_key(|dock| dock.last_ms) else { return false };
            let oldest = Arc::clone(&oldest.gateway);
            self.docks.remove(&oldest);
            self.forgotten.push(oldest);
        }
        let gateway: Arc<str> = gateway.into();
        let dock = Dock {
            gateway: Arc::clone(&gateway),
            model: None,
            firmware: None,
            aircraft: Arc::default(),
            first_ms: now_ms,
            last_ms: now_ms,
            offset_ms: None,
            events: 0,
            replies: 0,
            connection: None,
            is_new: true,
            told_ms: 0,
            kept_ms: 0,
            was_silent: false,
        };
        self.docks.insert(gateway, dock);
        true
    }

    /// `false` if it is not known.
    fn hear(&mut self, heard: &Heard, session: Option<Instance>, now_ms: u64) -> bool {
        let Some(dock) = self.docks.get_mut(&*heard.gateway) else { return false };
        (dock.first_ms, dock.last_ms) = (dock.first_ms.min(now_ms), now_ms);
        if let Some(is_replied) = heard.event {
            dock.events += 1;
            dock.replies += u64::from(is_replied);
        }
        if let Some(session) = session.filter(|session| dock.connection != Some(*session)) {
            // One that another connection spoke for last is none of that one's any more.
            if let Some(before) =
                dock.connection.and_then(|session| self.speaks_for.get_mut(&session))
            {
                before.remove(&dock.gateway);
            }
            self.speaks_for.entry(session).or_default().insert(Arc::clone(&dock.gateway));
            (dock.connection, dock.is_new) = (Some(session), true);
        }
        if let Some(model) = heard.model.filter(|model| dock.model != Some(*model)) {
            (dock.model, dock.is_new) = (Some(model), true);
        }
        if let Some(firmware) =
            heard.firmware.as_deref().filter(|f| dock.firmware.as_deref() != Some(*f))
        {
            (dock.firmware, dock.is_new) = (Some(firmware.into()), true);
        }
        if let Some(aircraft) = heard.aircraft.as_deref().filter(|a| **a != *dock.aircraft) {
            (dock.aircraft, dock.is_new) = (aircraft.into(), true);
        }
        // What a dock kept back while it had no link is as old as it is; telemetry is of now.
        if let Some(device_ms) = heard.device_ms.filter(|_| !heard.is_gateway) {
            let offset = i128::from(device_ms) - i128::from(now_ms);
            let was_off = dock.is_clock_off();
            let offset = i64::try_from(offset).ok();
            dock.offset_ms = offset.filter(|o| o.abs() < OFFSET_AT_MOST_MS).or(dock.offset_ms);
            dock.is_new |= was_off != dock.is_clock_off();
        }
        true
    }
}

/// As the store has it.
pub(crate) fn row(dock: &Dock) -> dockside_store::Dock {
    dockside_store::Dock {
        gateway: dock.gateway.to_string(),
        model: dock.model,
        firmware: dock.firmware.as_deref().map(str::to_owned),
        aircraft: dock.aircraft.iter().map(|sn| sn.to_string()).collect(),
        heard_ms: (dock.first_ms, dock.last_ms),
        offset_ms: dock.offset_ms,
        counts: [dock.events, dock.replies],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docks() -> Docks {
        Docks::new(Vec::new(), 60)
    }

    fn heard(gateway: &str) -> Heard {
        Heard { gateway: gateway.into(), is_gateway: true, ..Heard::default() }
    }

    #[test]
    fn a_gateway_is_online_while_the_session_that_it_spoke_through_is_connected() {
        let docks = docks();
        docks.heard(&heard("SIMDOCK1"), Some(1), 1_000);
        assert!(docks.get("SIMDOCK1").unwrap().is_online());
        docks.gone(2);
        assert!(docks.get("SIMDOCK1").unwrap().is_online());
        // It came back before anybody noticed that it had gone.
        docks.heard(&heard("SIMDOCK1"), Some(3), 2_000);
        docks.gone(1);
        assert!(docks.get("SIMDOCK1").unwrap().is_online());
        docks.heard(&heard("SIMDOCK1"), None, 2_500);
        assert!(docks.get("SIMDOCK1").unwrap().is_online(), "an operator spoke for it");
        docks.gone(3);
        assert!(!docks.get("SIMDOCK1").unwrap().is_online());
        docks.heard(&heard("SIMDOCK1"), Some(3), 3_000);
        assert!(docks.get("SIMDOCK1").unwrap().is_online());
    }

    #[test]
    fn telemetry_makes_no_gateway_and_tells_of_one() {
        let docks = docks();
        let osd = |gateway: &str| Heard { is_gateway: false, ..heard(gateway) };
        docks.heard(&osd("SIMDRONE1"), Some(1), 1_000);
        assert!(docks.list().is_empty());
        docks.heard(&heard("SIMDOCK1"), Some(1), 1_000);
        docks.heard(&osd("SIMDOCK1"), Some(1), 9_000);
        assert_eq!(docks.get("SIMDOCK1").unwrap().last_ms, 9_000);
    }

    #[test]
    fn whoever_is_connected_and_says_nothing_is_silent_and_that_is_told_once() {
        let docks = docks();
        docks.heard(&heard("SIMDOCK1"), Some(1), 1_000);
        let told = |now_ms| docks.take_changed(now_ms, false).told.len();
        let is_silent = |now_ms| docks.get("SIMDOCK1").unwrap().is_silent(now_ms, 60_000);
        assert_eq!(told(1_000), 1);
        assert_eq!((told(61_000), is_silent(61_000)), (0, false));
        assert_eq!((told(61_001), is_silent(61_001)), (1, true));
        assert_eq!(told(61_002), 0);
        docks.gone(1);
        assert_eq!((told(61_003), is_silent(61_003)), (1, false));
    }

    #[test]
    fn what_is_only_heard_of_again_is_told_and_kept_now_and_then() {
        let docks = docks();
        let changed = |now_ms, is_last| {
            docks.heard(&heard("SIMDOCK1"), Some(1), now_ms);
            let changed = docks.take_changed(now_ms, is_last);
            (changed.told.len(), changed.kept.len())
        };
        assert_eq!(changed(1_000_000, false), (1, 1));
        assert_eq!(changed(1_004_999, false), (0, 0));
        assert_eq!(changed(1_005_000, false), (1, 0));
        assert_eq!(changed(1_060_000, false), (1, 1));
        assert_eq!(changed(1_060_001, false), (0, 0));
        assert_eq!(changed(1_060_002, true), (0, 1));
        assert_eq!(docks.take_changed(1_060_003, true).kept.len(), 0);
        let said = Heard { firmware: Some("1".into()), ..heard("SIMDOCK1") };
        docks.heard(&said, Some(1), 1_060_004);
        let changed = docks.take_changed(1_060_004, false);
        assert_eq!((changed.told.len(), changed.kept.len()), (1, 1));
    }

    #[test]
    fn a_clock_that_is_off_is_flagged() {
        let docks = docks();
        let says = |device_ms| Heard {
            device_ms: Some(device_ms),
            is_gateway: false,
            ..heard("SIMDOCK1")
        };
        let now = 1_700_000_000_000;
        docks.heard(&Heard { device_ms: Some(1), ..heard("SIMDOCK1") }, Some(1), now);
        assert_eq!(docks.get("SIMDOCK1").unwrap().offset_ms, None, "it may be an old one");
        for (device_ms, is_off) in [(now + 10_000, false), (now - 10_001, true), (now, false)] {
            docks.heard(&says(device_ms), Some(1), now);
            assert_eq!(docks.get("SIMDOCK1").unwrap().is_clock_off(), is_off);
        }
        docks.heard(&says(u64::MAX), Some(1), now);
        assert_eq!(docks.get("SIMDOCK1").unwrap().offset_ms, Some(0));
    }

    #[test]
    fn there_are_so_many_and_the_oldest_without_a_connection_goes() {
        let docks = docks();
        for n in 0..DOCKS as u64 {
            docks.heard(&heard(&format!("SIMDOCK{n}")), Some(n), 1_000 + n);
        }
        docks.heard(&heard("SIMNEW"), Some(0), 1);
        assert!(docks.get("SIMNEW").is_none(), "all are connected");
        docks.heard(&heard("SIMDOCK7"), Some(5), 900_000);
        docks.gone(7);
        assert!(docks.get("SIMDOCK7").unwrap().is_online(), "another speaks for it now");
        docks.heard(&heard("SIMDOCK7"), Some(7), 900_000);
        docks.gone(5);
        docks.gone(4);
        docks.heard(&heard("SIMNEW"), Some(0), 1);
        assert!(docks.get("SIMNEW").is_some() && docks.get("SIMDOCK4").is_none());
        assert_eq!(docks.list().len(), DOCKS);
        assert_eq!(docks.take_changed(1, false).forgotten, ["SIMDOCK4".into()]);
    }
}
