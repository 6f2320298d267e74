//! The plugin that reads from gateways' `update_topo` which aircraft are with them, so that the rules
//! of access let their user speak for those too.

use dockside_flighttask::topology::{STATUS_FILTER, status_serial_number, update_topo};
use dockside_interceptor::{Announcement, Effects, Intercepted, Interceptor, Verdict};

/// Announces aircraft; forwards everything as it is.
pub struct Topology;

impl Interceptor for Topology {
    fn name(&self) -> &'static str {
        "topology"
    }

    fn filters(&self) -> Vec<String> {
        vec![STATUS_FILTER.to_owned()]
    }

    fn intercept(&self, publish: &Intercepted<'_>, effects: &mut Effects) -> Verdict {
        if let Some(gateway) = status_serial_number(publish.topic)
            && let Some(aircraft) = update_topo(publish.payload)
        {
            effects.announce(Announcement { gateway: gateway.to_owned(), aircraft });
        }
        Verdict::Forward
    }
}
