//! What a broker that runs does not take over.

use super::Config;

impl Config {
    /// The tables and keys that differ in `new` and that only a restart takes over.
    #[must_use]
    pub fn need_restart(&self, new: &Self) -> Vec<&'static str> {
        let (old, new) = (self.as_it_runs(), new.as_it_runs());
        [
            ("mqtt", old.mqtt != new.mqtt),
            ("listeners", old.listeners != new.listeners),
            ("users.cache_ms", old.users.cache_ms != new.users.cache_ms),
            ("users.jwt", old.users.jwt != new.users.jwt),
            ("users.http", old.users.http != new.users.http),
            ("admin", old.admin != new.admin),
            ("metrics", old.metrics != new.metrics),
            ("limits", old.limits != new.limits),
            ("live_log", old.live_log != new.live_log),
            ("data", old.data != new.data),
            ("store", old.store != new.store),
            ("flight_task", old.flight_task != new.flight_task),
            ("dock", old.dock != new.dock),
            ("alerts", old.alerts != new.alerts),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}
