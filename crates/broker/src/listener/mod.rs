//! The accept loops. They only accept: everything else, a TLS handshake too, happens in the
//! connection's own task.

mod opening;
pub(crate) mod tls;
pub(crate) mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::config::Transport;
use crate::connect::Arrived;
use crate::metrics::Limit;
use crate::shared::Shared;

/// Sockets beyond `limits.connections` that are held long enough to be refused in words.
pub(crate) const REFUSABLE: usize = 256;

/// Pause after a failed accept, so that a process out of descriptors does not spin.
const BACKOFF: Duration = Duration::from_millis(100);

/// How often certificate files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A bound listener.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) way: Arc<Way>,
}

/// What stands between a socket and MQTT.
pub(crate) struct Way {
    pub(crate) transport: Transport,
    /// Whether a PROXY protocol header comes first.
    pub(crate) proxy: bool,
    pub(crate) tls: Option<Tls>,
}

/// What a TLS listener needs besides.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) pair: Arc<tls::Pair>,
}

impl Listener {
    /// One for MQTT in TCP.
    pub(crate) fn plain(socket: TcpListener) -> Self {
        let way = Way { transport: Transport::Tcp, proxy: false, tls: None };
        Self { socket, way: Arc::new(way) }
    }
}

/// Accepts until it is dropped. `sockets` is what all listeners share.
pub(crate) async fn accept(
    listener: Listener,
    sockets: Arc<Semaphore>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
) {
    let mut failing = false;
    loop {
        let Ok(permit) = Arc::clone(&sockets).acquire_owned().await else { return };
        keep_pace(&shared).await;
        match listener.socket.accept().await {
            Ok((socket, peer)) => {
                failing = false;
                // A small reply must not wait for the acknowledgement of the packet before it.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "TCP_NODELAY");
                }
                shared.sys.accepted();
                let arrived = Arrived::now(peer, listener.way.transport, &shared);
                let (way, shared) = (Arc::clone(&listener.way), Arc::clone(&shared));
                tasks.spawn(async move {
                    opening::serve(socket, way, arrived, shared).await;
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

/// Waits until another connection may be accepted (`limits.connects_per_second`); meanwhile clients wait in the
/// system's queue.
async fn keep_pace(shared: &Shared) {
    let per_second = shared.config.limits.connects_per_second;
    if per_second == 0 {
        return;
    }
    let mut is_new = true;
    loop {
        let wait_ms = {
            let mut pace = shared.pace.lock().expect("no panic while it is held");
            if pace.take(per_second, shared.clock.now_ms()) {
                return;
            }
            pace.wait_ms(per_second)
        };
        if std::mem::take(&mut is_new) {
            shared.limits.reached(Limit::ConnectsPerSecond);
        }
        tokio::time::sleep(Duration::from_millis(wait_ms.max(1))).await;
    }
}

/// Looks at the certificate's files and reads them again when they are others, until it is dropped.
pub(crate) async fn watch(pair: Arc<tls::Pair>) {
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let pair = Arc::clone(&pair);
        // Files may be on a disk that is slow.
        let looked = tokio::task::spawn_blocking(move || {
            if pair.has_changed() {
                reload(&pair);
            }
        });
        if looked.await.is_err() {
            tracing::error!("looking at a certificate failed; it is tried again");
        }
    }
}

/// Reads a certificate again and says what came of it; whether it is the new one that is used.
pub(crate) fn reload(pair: &tls::Pair) -> bool {
    let certificate = pair.certificate().display();
    let outcome = pair.reload();
    match &outcome {
        Ok(()) => tracing::info!("{certificate} was read again"),
        Err(error) => tracing::error!("{error}; the certificate that was read before stays in use"),
    }
    outcome.is_ok()
}
