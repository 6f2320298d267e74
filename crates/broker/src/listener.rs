//! The accept loop. It only accepts: everything else happens in the connection's own task.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::connect;
use crate::shared::Shared;

/// Sockets beyond `limits.connections` that are held long enough to be refused in words.
const REFUSABLE: usize = 256;

/// Pause after a failed accept, so that a process out of descriptors does not spin.
const BACKOFF: Duration = Duration::from_millis(100);

/// Accepts until it is dropped.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let sockets = Arc::new(Semaphore::new(shared.config.limits.connections + REFUSABLE));
    let mut failing = false;
    loop {
        let Ok(permit) = Arc::clone(&sockets).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                failing = false;
                // A small reply must not wait for the acknowledgement of the packet before it.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "TCP_NODELAY");
                }
                let shared = Arc::clone(&shared);
                tasks.spawn(async move {
                    connect::serve(socket, peer, shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept connections");
                }
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}
