//! Which gateways each session speaks for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::record::Instance;

/// Sessions, by what they speak for; a gateway is spoken for by one.
#[derive(Default)]
pub(super) struct Speakers {
    gateways: HashMap<Instance, HashSet<Arc<str>>>,
    by_count: BTreeSet<(usize, Instance)>,
}

impl Speakers {
    /// How many gateways a session speaks for.
    pub(super) fn count(&self, session: Instance) -> usize {
        self.gateways.get(&session).map_or(0, HashSet::len)
    }

    /// It speaks for one more.
    pub(super) fn add(&mut self, session: Instance, gateway: Arc<str>) {
        let before = self.count(session);
        self.gateways.entry(session).or_default().insert(gateway);
        self.counted(session, before);
    }

    /// It speaks for this one no more.
    pub(super) fn remove(&mut self, session: Instance, gateway: &str) {
        let before = self.count(session);
        if let Some(gateways) = self.gateways.get_mut(&session) {
            gateways.remove(gateway);
            if gateways.is_empty() {
                self.gateways.remove(&session);
            }
        }
        self.counted(session, before);
    }

    /// It speaks for none; those that it spoke for.
    pub(super) fn take(&mut self, session: Instance) -> HashSet<Arc<str>> {
        let gateways = self.gateways.remove(&session).unwrap_or_default();
        self.counted(session, gateways.len());
        gateways
    }

    /// How many the session speaks for that speaks for most, and one of them.
    pub(super) fn most(&self) -> Option<(usize, &Arc<str>)> {
        let (count, session) = self.by_count.last()?;
        Some((*count, self.gateways.get(session)?.iter().next()?))
    }

    fn counted(&mut self, session: Instance, before: usize) {
        let now = self.count(session);
        if now != before {
            self.by_count.remove(&(before, session));
            if now > 0 {
                self.by_count.insert((now, session));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_that_speaks_for_most_is_known_whatever_changes() {
        let mut speakers = Speakers::default();
        assert!(speakers.most().is_none());
        let most =
            |speakers: &Speakers| speakers.most().map(|(count, one)| (count, one.to_string()));
        speakers.add(1, "A".into());
        speakers.add(2, "B".into());
        speakers.add(2, "C".into());
        speakers.add(2, "C".into());
        assert_eq!(most(&speakers).unwrap().0, 2);
        speakers.remove(2, "B");
        speakers.remove(2, "B");
        speakers.remove(1, "A");
        assert_eq!(most(&speakers), Some((1, "C".to_owned())));
        assert_eq!(speakers.take(2).len(), 1);
        assert!(speakers.most().is_none() && speakers.take(2).is_empty());
        assert!(speakers.gateways.is_empty() && speakers.by_count.is_empty());
    }
}
