//! Descriptors: clients never take those that the broker needs itself, so that it does not run out of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::REFUSABLE;
use crate::config::{Limits, Problem};

/// The store, the log, certificates, and twice 64 HTTP connections.
const OWN: usize = 256;

/// Sockets that clients may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sockets {
    /// At the same time, let in or not.
    pub(crate) at_most: usize,
    /// Of them, clients that are let in.
    pub(crate) connections: usize,
    /// Of them, those whose CONNECT is not there yet.
    pub(crate) unauthenticated: usize,
}

impl Sockets {
    /// Asks the system for as many descriptors as it gives this process, and divides them.
    pub(crate) fn of(limits: &Limits) -> Self {
        if let Some(Problem { key, remedy }) = Self::shortage(limits) {
            tracing::warn!("{key}: {remedy}");
        }
        Self::among(descriptors(), limits)
    }

    /// What the system gives is less than all clients need.
    pub(crate) fn shortage(limits: &Limits) -> Option<Problem> {
        let descriptors = descriptors();
        let Self { connections, .. } = Self::among(descriptors, limits);
        (connections < limits.connections).then(|| {
            let remedy = format!(
                "the process may have {descriptors} descriptors: {connections} clients at the same time instead of {}; raise LimitNOFILE of the unit, or ulimit -n",
                limits.connections
            );
            Problem::new("limits.connections", remedy)
        })
    }

    fn among(descriptors: usize, limits: &Limits) -> Self {
        let free = descriptors - OWN.min(descriptors / 2);
        // Beside all clients there is room for those who have not said who they are, and for some that are refused.
        let others = (limits.unauthenticated + REFUSABLE).min(free / 2);
        let connections = limits.connections.min(free - others);
        let unauthenticated =
            limits.unauthenticated.min(others.saturating_sub(REFUSABLE).max(others / 2)).max(1);
        Self { at_most: connections + others, connections, unauthenticated }
    }
}

/// As many as the system lets this process have.
pub(super) fn descriptors() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let current = if current == maximum || setrlimit(Resource::Nofile, raised).is_err() {
        current
    } else {
        maximum
    };
    current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_keeps_descriptors_for_itself() {
        let limits = Limits { connections: 10_000, unauthenticated: 2_000, ..Limits::default() };
        let among = |descriptors| {
            let sockets = Sockets::among(descriptors, &limits);
            (sockets.at_most, sockets.connections, sockets.unauthenticated)
        };
        assert_eq!(among(65_536), (12_256, 10_000, 2_000));
        assert_eq!(among(1_024), (768, 384, 192));
        assert_eq!(among(256), (128, 64, 32));
    }
}
