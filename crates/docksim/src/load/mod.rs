//! `docksim load`: docks in a closed loop, applications that must get every event.
//!
//! One thread, so that it can be pinned and its own share of a core is known. Every reply is parsed
//! and checked, every delivery is matched to the event it carries.

mod app;
mod dock;
mod report;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use dockside_mqtt::QoS;
use tokio::task::LocalSet;
use tokio::time::Instant;

pub use self::report::Report;
use crate::target::Target;

/// How long the last replies and deliveries may take after the load has ended.
const GRACE: Duration = Duration::from_secs(3);

/// What to do.
#[derive(Clone)]
pub struct Plan {
    /// The broker.
    pub broker: Target,
    /// Docks that send events.
    pub docks: u32,
    /// Applications that subscribe to every event.
    pub apps: u32,
    /// Events a dock may have unanswered.
    pub window: u16,
    /// QoS of events and subscriptions.
    pub qos: QoS,
    /// How long events are sent.
    pub time: Duration,
}

/// What docks and applications write down.
struct Ledger {
    report: Report,
    /// Events sent, by dock.
    sent: Vec<u64>,
    /// Docks that have finished.
    finished: u32,
    /// Events that an application has, summed over applications.
    delivered: u64,
}

type Shared = Rc<RefCell<Ledger>>;

/// Runs the plan.
///
/// # Errors
/// A connection fails.
pub async fn run(plan: Plan) -> io::Result<Report> {
    LocalSet::new().run_until(run_local(plan)).await
}

async fn run_local(plan: Plan) -> io::Result<Report> {
    let ledger: Shared = Rc::new(RefCell::new(Ledger {
        report: Report::new(&plan)?,
        sent: vec![0; plan.docks as usize],
        finished: 0,
        delivered: 0,
    }));
    let mut apps = Vec::new();
    for number in 0..plan.apps {
        let app = app::App::connect(&plan, number, Rc::clone(&ledger)).await?;
        apps.push(tokio::task::spawn_local(app.run()));
    }
    let mut docks = Vec::new();
    for number in 0..plan.docks {
        docks.push(dock::Dock::connect(&plan, number, Rc::clone(&ledger)).await?);
    }
    let began = Instant::now();
    let until = began + plan.time;
    let running: Vec<_> =
        docks.into_iter().map(|dock| tokio::task::spawn_local(dock.run(until, GRACE))).collect();
    for dock in running {
        dock.await.map_err(io::Error::other)??;
    }
    for app in apps {
        let app = tokio::time::timeout(GRACE, app).await;
        match app {
            Ok(ended) => ended.map_err(io::Error::other)??,
            // It still waits for events: they are counted as missing below.
            Err(_) => continue,
        }
    }
    let mut ledger = ledger.borrow_mut();
    let expected = ledger.sent.iter().sum::<u64>() * u64::from(plan.apps);
    ledger.report.not_delivered = expected.saturating_sub(ledger.delivered);
    Ok(ledger.report.clone())
}

/// CPU time of the thread that began the process: the load tools have no other that works.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Serial number of a dock, made up.
#[must_use]
pub fn serial_number(dock: u32) -> String {
    format!("SIMDOCK{dock:07}")
}

/// `tid` of an event: 36 characters, as a UUID, from which dock and number can be read back.
#[must_use]
pub fn tid(dock: u32, number: u64) -> String {
    format!("{dock:08x}-d0c5-4000-8000-{number:012x}")
}

/// Dock and number of a `tid`.
#[must_use]
pub fn read_tid(tid: &str) -> Option<(u32, u64)> {
    let dock = u32::from_str_radix(tid.get(..8)?, 16).ok()?;
    let number = u64::from_str_radix(tid.get(24..36)?, 16).ok()?;
    (tid.len() == 36).then_some((dock, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tid_says_which_event_it_is() {
        assert_eq!(read_tid(&tid(49, 1_234_567)), Some((49, 1_234_567)));
        assert_eq!(tid(49, 1_234_567).len(), 36);
        assert_eq!(read_tid("short"), None);
    }
}
