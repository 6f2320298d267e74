//! Which client a session is. Looked up once for each session: to find one, all are gone through.

use std::collections::HashMap;
use std::sync::Arc;

use crate::record::Instance;
use crate::registry::Registry;

/// Sessions whose client is known; beyond it all are looked up again.
const KNOWN_AT_MOST: usize = 10_000;

/// One that was not connected may be again: when it is looked for again.
const AGAIN_AFTER_MS: u64 = 1_000;

#[derive(Default)]
pub(super) struct Names {
    /// With the time of the look.
    known: HashMap<Instance, (Option<Arc<str>>, u64)>,
}

impl Names {
    /// The client identifier of a session that is connected, or was when it was looked for.
    pub(super) fn of(
        &mut self,
        instance: Instance,
        now_ms: u64,
        registry: &Registry,
    ) -> Option<Arc<str>> {
        if instance == 0 {
            return None;
        }
        match self.known.get(&instance) {
            Some((Some(name), _)) => return Some(Arc::clone(name)),
            Some((None, looked_ms)) if now_ms.saturating_sub(*looked_ms) < AGAIN_AFTER_MS => {
                return None;
            }
            _ => {}
        }
        if self.known.len() >= KNOWN_AT_MOST {
            self.known.clear();
        }
        let name = registry.name_of(instance);
        self.known.insert(instance, (name.clone(), now_ms));
        name
    }
}
