//! The gateways of the site: who is there, since when, what it is, and whether its clock is right.
//!
//! A gateway is one that has said so itself: with an event, a request, or its status. Whoever publishes only
//! telemetry is somebody's aircraft.

mod speakers;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use dockside_interceptor::Heard;

use self::speakers::Speakers;
use crate::record::{AsideNumber, Instance};

/// Gateways that are known. Beyond that one goes that has no connection, the one that was heard of least recently; or else any
/// of the session that speaks for most, if the new one's would still speak for fewer; or the new one is left out.
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
    /// The store has a row of it, or will.
    is_stored: bool,
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

    fn place(&self) -> (u64, Arc<str>) {
        (self.last_ms, Arc::clone(&self.gateway))
    }

    pub(crate) fn is_clock_off(&self) -> bool {
        self.offset_ms.is_some_and(|offset| offset.abs() > OFFSET_FLAGGED_MS)
    }
}

/// All of them.
pub(crate) struct Docks {
    inner: Mutex<Inner>,
    /// The last thing that the writer was to keep of them; held by whoever hands it more, so that their order is one.
    pub(super) keeping: Mutex<Option<AsideNumber>>,
    silent_after_ms: u64,
}

#[derive(Default)]
struct Inner {
    docks: HashMap<Arc<str>, Dock>,
    /// Those that have no connection, by when they were heard of last.
    offline: BTreeSet<(u64, Arc<str>)>,
    speakers: Speakers,
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
                is_stored: true,
                was_silent: false,
            };
            (gateway, dock)
        });
        let docks: HashMap<_, _> = docks.collect();
        let offline = docks.values().map(Dock::place).collect();
        let inner = Inner { docks, offline, ..Inner::default() };
        let silent_after_ms = u64::from(silent_after_s) * 1_000;
        Self { inner: Mutex::new(inner), keeping: Mutex::default(), silent_after_ms }
    }

    /// A gateway was heard of through a session; none is an operator's, which makes nobody online.
    pub(crate) fn heard(&self, heard: &Heard<'_>, session: Option<Instance>, now_ms: u64) {
        let mut inner = self.inner();
        if let Some(is_replied) = heard.event {
            inner.events += 1;
            inner.replies += u64::from(is_replied);
        }
        let is_known = inner.hear(heard, session, now_ms);
        if !is_known && heard.is_gateway && inner.add(&heard.gateway, session, now_ms) {
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
        let inner = &mut *self.inner();
        for gateway in inner.speakers.take(session) {
            if let Some(dock) = inner.docks.get_mut(&gateway) {
                (dock.connection, dock.is_new) = (None, true);
                inner.offline.insert(dock.place());
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
                (dock.kept_ms, dock.is_stored) = (dock.last_ms, true);
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
    /// Whether there is a place for one more, of this session.
    fn add(&mut self, gateway: &str, session: Option<Instance>, now_ms: u64) -> bool {
        if self.docks.len() >= DOCKS {
            let Some(goes) = self.least(session) else { return false };
            if let Some(dock) = self.docks.remove(&goes) {
                self.offline.remove(&dock.place());
                dock.connection.iter().for_each(|session| self.speakers.remove(*session, &goes));
                if dock.is_stored {
                    self.forgotten.push(goes);
                }
            }
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
            is_stored: false,
            was_silent: false,
        };
        self.offline.insert(dock.place());
        self.docks.insert(gateway, dock);
        true
    }

    /// The one that goes for one of this session.
    fn least(&self, session: Option<Instance>) -> Option<Arc<str>> {
        if let Some((_, oldest)) = self.offline.first() {
            return Some(Arc::clone(oldest));
        }
        let (most, one) = self.speakers.most()?;
        let own = session.map_or(0, |session| self.speakers.count(session));
        (own + 1 < most).then(|| Arc::clone(one))
    }

    /// `false` if it is not known.
    fn hear(&mut self, heard: &Heard<'_>, session: Option<Instance>, now_ms: u64) -> bool {
        let Some(dock) = self.docks.get_mut(&*heard.gateway) else { return false };
        if !dock.is_online() {
            self.offline.remove(&dock.place());
        }
        (dock.first_ms, dock.last_ms) = (dock.first_ms.min(now_ms), now_ms);
        if let Some(is_replied) = heard.event {
            dock.events += 1;
            dock.replies += u64::from(is_replied);
        }
        if let Some(session) = session.filter(|session| dock.connection != Some(*session)) {
            // One that another connection spoke for last is none of that one's any more.
            if let Some(before) = dock.connection {
                self.speakers.remove(before, &dock.gateway);
            }
            self.speakers.add(session, Arc::clone(&dock.gateway));
            (dock.connection, dock.is_new) = (Some(session), true);
        }
        if !dock.is_online() {
            self.offline.insert(dock.place());
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
mod tests;
