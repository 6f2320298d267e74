//! The broker stops in order: nobody new, nothing more is read, everything accepted is delivered, clients are told, the
//! writer ends.

use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::board::changes;
use crate::live_log::Aside;
use crate::mailbox::Command;
use crate::record::{self, Entry};
use crate::shared::Shared;

pub(crate) async fn stop_in_order(shared: &Shared, connections: &TaskTracker) {
    connections.close();
    shared.accepting.close();
    shared.stopping.cancel();
    shared.registry.command_all(Command::Quiet);
    shared.sessions.publish_wills(shared);
    shared.sessions.save_exchanges(shared);
    changes::look_at_docks(shared, true);
    let deadline = shared.config.mqtt.stop_timeout();
    // Each step has the whole time: one that is late must not cost the next one its own.
    let quiet = timeout(deadline, shared.accepting.wait()).await;
    let dispatched = timeout(deadline, barrier(shared)).await;
    if quiet.is_err() || dispatched.is_err() {
        tracing::error!("what was accepted last could not be dispatched in time");
    }
    // Acknowledgements that have arrived are seen by the runtime now, and read before the end.
    tokio::task::yield_now().await;
    shared.registry.command_all(Command::Stop);
    if timeout(deadline, connections.wait()).await.is_err() {
        tracing::warn!("clients that did not read in time were cut off");
    }
}

/// Waits until everything the writer has been given so far is dispatched.
async fn barrier(shared: &Shared) {
    let (passed, passing) = oneshot::channel();
    let number = shared.log.put_aside(Aside::Barrier(passed));
    let mut entry = Vec::new();
    record::append(&mut entry, &Entry::Barrier(number));
    shared.append_ordered(&entry);
    // An error means that the dispatcher is gone, and with it everything to wait for.
    let _ = passing.await;
}

pub(crate) async fn end_writer(shared: &Shared, writer: JoinHandle<()>, wait: bool) {
    shared.writer.close();
    if wait {
        // A panic of the writer has been printed by its thread.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    }
}
