//! The accept loops. They only accept: everything else, a TLS handshake too, happens in the
//! connection's own task.

pub(crate) mod authorities;
mod bind;
mod descriptors;
mod opening;
mod proxy;
pub(crate) mod tls;
mod turns;
pub(crate) mod watched;
pub(crate) mod websocket;

pub(crate) use self::bind::bind;
pub(crate) use self::descriptors::Sockets;
pub(crate) use self::turns::Turns;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
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

/// Between two lines in the log that say that it goes on.
const SAY_AGAIN: Duration = Duration::from_secs(60);

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
    pub(crate) certificates: tls::Certificates,
}

impl Listener {
    /// One for MQTT in TCP.
    pub(crate) fn plain(socket: TcpListener) -> Self {
        let way = Way { transport: Transport::Tcp, proxy: false, tls: None };
        Self { socket, way: Arc::new(way) }
    }
}

/// Whether a listener could accept when it last tried, among those that could not.
struct Ear<'a> {
    deaf: &'a AtomicUsize,
    is_deaf: bool,
}

impl Ear<'_> {
    fn hears(&mut self, hears: bool) {
        match (hears, std::mem::replace(&mut self.is_deaf, !hears)) {
            (true, true) => drop(self.deaf.fetch_sub(1, Ordering::Relaxed)),
            (false, false) => drop(self.deaf.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

/// Accepts until it is dropped. `sockets` is what all listeners share.
pub(crate) async fn accept(
    listener: Listener,
    sockets: Arc<Semaphore>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
) {
    let mut said: Option<Instant> = None;
    let mut ear = Ear { deaf: &shared.deaf, is_deaf: false };
    loop {
        let Ok(permit) = Arc::clone(&sockets).acquire_owned().await else { return };
        match listener.socket.accept().await {
            Ok((socket, peer)) => {
                ear.hears(true);
                // A small reply must not wait for the acknowledgement of the packet before it.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "TCP_NODELAY");
                }
                shared.sys.accepted();
                keep_pace(&shared).await;
                let mut arrived = Arrived::now(peer, listener.way.transport, &shared);
                // Who is behind a proxy is not known yet, and the proxy itself may come as often as it likes.
                if !listener.way.proxy {
                    arrived.comes_from(peer, &shared);
                }
                let (way, shared) = (Arc::clone(&listener.way), Arc::clone(&shared));
                tasks.spawn(async move {
                    opening::serve(socket, way, arrived, shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                ear.hears(!is_want(&error));
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    said = Some(Instant::now());
                    tracing::warn!(
                        %error,
                        "cannot accept connections; those that are there go on, and it is tried again"
                    );
                }
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}

/// Whether the process has too little of something to accept any connection; other errors are those of the one that
/// wanted to come.
fn is_want(error: &io::Error) -> bool {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| wants.contains(&error))
}

/// Waits until the connection that was accepted may be served (`limits.connects_per_second`); meanwhile those behind it
/// wait in the system's queue.
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
