//! How a session stands, told by its connection in its next turn: only that knows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dockside_mqtt::Version;
use tokio::sync::oneshot;

use super::{Mailbox, wake};
use crate::config::Transport;
use crate::record::Instance;

/// A session with its connection, at one instant.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) instance: Instance,
    /// The user that its session belongs to.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) peer: SocketAddr,
    pub(crate) version: Version,
    pub(crate) transport: Transport,
    /// Monotonic.
    pub(crate) began_ms: u64,
    pub(crate) is_kept: bool,
    pub(crate) subscriptions: usize,
    /// Messages, and their bytes, that wait in memory and were not sent.
    pub(crate) queued: (usize, usize),
    /// Messages from and to the client that are not acknowledged.
    pub(crate) inflight: [u32; 2],
}

impl Mailbox {
    /// Asks its connection; an error comes of it when that has ended, and of the question before if there was one.
    pub(crate) fn ask(&self) -> oneshot::Receiver<Measured> {
        let (tell, told) = oneshot::channel();
        let mut state = self.state();
        state.asked = Some(tell);
        wake(state);
        told
    }

    /// Who asks, with the messages that wait here and their bytes.
    pub(crate) fn asked(&self) -> Option<(oneshot::Sender<Measured>, (usize, usize))> {
        let mut state = self.state();
        let asked = state.asked.take()?;
        let retained = state.deliveries.iter().filter(|d| d.origin == super::Origin::Retained);
        let bytes = state.bytes + retained.map(|d| d.message.size()).sum::<usize>();
        Some((asked, (state.deliveries.len(), bytes)))
    }

    /// It is of this session from now on.
    pub(crate) fn set_session(&self, session: Instance) {
        self.session.store(session, Ordering::Relaxed);
    }

    /// The session that it is of, once that has begun; 0 before.
    pub(crate) fn session(&self) -> Instance {
        self.session.load(Ordering::Relaxed)
    }

    /// Messages that wait for a session without a connection, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.deliveries.len(), state.bytes)
    }
}
