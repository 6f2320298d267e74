//! How a connection ends: DISCONNECT, the will, the end of the session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::ended::Ended;
use super::kept::{shed, under_way};
use super::{BEGUN, Client, Connection};
use crate::keep::{self, Keep, KeepAside};
use crate::live_log::Aside;
use crate::mailbox::{Mailbox, Undelivered};
use crate::message::Delivery;
use crate::publish::audit_will;
use crate::record::{self, Entry, Instance};
use crate::registry::Claim;
use crate::sessions::{Asleep, Held, append_return, end_session};
use crate::shared::Shared;
use crate::will::WillMessage;
use crate::writer::{Completion, From};

/// How long a connection that the broker ends may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection to a session, which stays while it lasts [MQTT-4.1.0-1], from its beginning to its end, which comes with this value's, whatever
/// happens to the task that holds it.
pub(crate) struct SessionGuard {
    shared: Arc<Shared>,
    instance: Instance,
    /// Kept until it is published or forgotten [MQTT-3.1.2-7].
    will: Option<WillMessage>,
    connected: Gauge,
    /// Messages from and to the client that are not acknowledged.
    inflight: [u32; 2],
    /// Whether the session still ends with this.
    ends_session: bool,
    // Let go last, so that the next owner's jobs are queued behind the end of this one.
    _claim: Claim,
}

/// What a connection begins with.
pub(crate) struct Begins {
    /// A session that was there.
    pub(crate) is_resumed: bool,
    pub(crate) is_kept: bool,
    /// Since the connection was accepted.
    pub(crate) took: Duration,
    /// One that has ended for it.
    pub(crate) ended: Option<Instance>,
}

impl SessionGuard {
    /// Begins the session, or connects to one that was there.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        client: &Client,
        mailbox: &Arc<Mailbox>,
        (claim, begins): (Claim, Begins),
        will: Option<WillMessage>,
    ) -> Self {
        let number = shared.log.put_aside(Aside::Mailbox(Arc::clone(mailbox)));
        let instance = client.instance;
        mailbox.set_session(instance);
        let begin = if begins.is_resumed {
            Entry::Attach(instance, number)
        } else {
            Entry::Begin(instance, number)
        };
        let mut entry = Vec::new();
        if let Some(ended) = begins.ended {
            // Once more, where somebody waits for it: CONNACK says that it is gone.
            record::append(&mut entry, &Entry::End(ended));
        }
        if begins.is_resumed && will.is_none() {
            // That of the connection before is not wanted any more.
            keep::append_aside(&shared.log, &mut entry, KeepAside::Will(instance, None));
        }
        if let Some(will) = &will {
            let user = client.identity.user().map(|user| &**user);
            let kept = KeepAside::Will(instance, Some(will.kept(&client.id, user)));
            keep::append_aside(&shared.log, &mut entry, kept);
            audit_will(shared, client, will);
        }
        if begins.is_kept {
            let session = dockside_store::Session {
                client_id: client.id.to_string(),
                user: client.identity.user().map(|user| user.to_string()),
                expiry_s: client.session_expiry,
            };
            keep::append_aside(&shared.log, &mut entry, KeepAside::Session(instance, session));
        }
        record::append(&mut entry, &begin);
        let mailbox = Arc::clone(mailbox);
        let begun = Completion { mailbox, ticket: BEGUN, once_kept: false };
        shared.append_of(From::session(instance), &entry, 0, Some(begun));
        shared.metrics.opened(client.transport, begins.took, begins.is_resumed);
        tracing::debug!(
            client_id = ?client.id,
            user = client.user.as_deref(),
            address = %client.peer,
            listener = client.transport.as_str(),
            is_resumed = begins.is_resumed,
            "connected"
        );
        let connected = shared.metrics.connected(client.transport, client.version).clone();
        connected.increment(1.0);
        shared.sys.connected(shared.clients.load(Ordering::SeqCst));
        let shared = Arc::clone(shared);
        Self {
            shared,
            instance,
            will,
            connected,
            inflight: [0; 2],
            ends_session: true,
            _claim: claim,
        }
    }

    /// So many messages from and to the client are not acknowledged.
    pub(super) fn inflight(&mut self, now: [u32; 2]) {
        self.shared.metrics.inflight(now, std::mem::replace(&mut self.inflight, now));
    }

    /// Forgets the will if its topic is one of these.
    pub(super) fn forget_will(&mut self, which: impl Fn(&str) -> bool) {
        if let Some(will) = self.will.take_if(|will| which(&will.topic)) {
            will.forget(&self.shared, self.instance);
        }
    }

    /// Publishes the will, once [MQTT-3.1.2-10].
    pub(crate) fn publish_will(&mut self) {
        if let Some(will) = self.will.take() {
            will.publish(&self.shared, self.instance);
        }
    }

    /// When the will is published if the client does not come back; at once without a delay.
    fn delay_will(&mut self) -> Option<(u64, WillMessage)> {
        match self.will.take() {
            // A broker that stops waits for nobody.
            Some(will) if will.delay_seconds > 0 && !self.shared.stopping.is_cancelled() => {
                Some((self.shared.clock.in_seconds(will.delay_seconds), will))
            }
            will => {
                self.will = will;
                self.publish_will();
                None
            }
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.shared.docks.gone(self.instance);
        self.publish_will();
        if self.ends_session {
            end_session(&self.shared, self.instance, Vec::new());
        }
        self.connected.decrement(1.0);
        self.inflight([0; 2]);
    }
}

impl<S> Connection<S> {
    /// The session ends, or goes on without a connection.
    fn leave_session(&mut self, ended: Ended) {
        if ended == Ended::Client {
            // [MQTT-3.14.4-3]
            self.guard.forget_will(|_| true);
        }
        let unsent: VecDeque<_> = self.replies.drain(..).chain(self.backlog.drain(..)).collect();
        if let Some(first) = unsent.iter().find(|delivery| delivery.is_stored()) {
            // It reads on from here.
            self.session.cursor = self.session.cursor.min(first.message.seq - 1);
        }
        let mut returned = self.session.outgoing.take_unacknowledged(Delivery::is_shared);
        let expiry_seconds = self.client.session_expiry;
        self.guard.ends_session = false;
        if self.session.kept.is_none() || expiry_seconds == 0 || ended == Ended::UserGone {
            returned.extend(self.mailbox.close(unsent));
            self.guard.publish_will();
            end_session(&self.shared, self.client.instance, returned);
            return;
        }
        let undelivered = self.mailbox.fall_asleep(unsent);
        self.shared.metrics.undelivered(&undelivered);
        self.shared.sys.dropped(undelivered.full + undelivered.offline);
        returned.extend(undelivered.shared);
        let mut entries = Vec::new();
        append_return(&self.shared, &mut entries, returned);
        self.fall_asleep(expiry_seconds, entries);
    }

    /// [MQTT-3.1.2-23]
    fn fall_asleep(&mut self, expiry_seconds: u32, mut entries: Vec<u8>) {
        let identity = self.client.identity.clone();
        let mut session = self.session.take();
        let (held, dropped) = Held::of(&mut session.outgoing, &self.shared.sessions.bytes);
        let instance = self.client.instance;
        for (id, delivery) in &dropped {
            let step = shed(instance, *id, delivery);
            record::append(&mut entries, &Entry::Keep(Keep::Step(step)));
        }
        let dropped = dropped.len() as u64;
        let undelivered = Undelivered { full: dropped, ..Undelivered::default() };
        self.shared.metrics.undelivered(&undelivered);
        self.shared.sys.dropped(dropped);
        if self.shared.stopping.is_cancelled() {
            // After a kill QoS 1 may repeat with other identifiers; after a stop it has those it had.
            under_way(instance, &session.outgoing, &mut entries);
        }
        let expires_ms = self.shared.clock.kept_ms() + u64::from(expiry_seconds) * 1000;
        keep::append_aside(&self.shared.log, &mut entries, KeepAside::Asleep(instance, expires_ms));
        self.shared.append_ordered(&entries);
        let asleep = Asleep {
            instance: self.client.instance,
            client_id: Arc::clone(&self.client.id),
            identity,
            session,
            _unacknowledged: held,
            mailbox: Arc::clone(&self.mailbox),
            restored: false,
            expires_ms: self.shared.clock.in_seconds(expiry_seconds),
            will: self.guard.delay_will(),
        };
        self.shared.sessions.put(&self.shared, asleep);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Ends the session, tells the client why and closes. The session does not wait for the socket.
    pub(super) async fn end(mut self: Box<Self>, ended: Ended) {
        self.shared.metrics.closed(ended.label());
        if let Some(limit) = ended.limit() {
            self.shared.limits.reached(limit);
        }
        match ended.cause() {
            Some((stage, cause)) => {
                self.shared.refusals.record(self.client.whom(), stage, cause, false);
            }
            None => tracing::debug!(
                client_id = ?self.client.id,
                address = %self.client.peer,
                ?ended,
                "connection ended"
            ),
        }
        self.leave_session(ended);
        let Self { mut io, guard, accepting, unsent, client, mut answers, .. } = *self;
        drop((guard, accepting));
        if matches!(ended, Ended::Network) {
            return;
        }
        let mut farewell = unsent.bytes().to_vec();
        farewell.extend(answers.take_connack().into_iter().flatten());
        if let Some(reason) = ended.reason()
            && client.version.is_v5()
        {
            farewell.extend_from_slice(&client.disconnect(reason, ended.detail()));
        }
        // A client that does not read loses its last words.
        let write = async {
            io.write_all(&farewell).await?;
            io.flush().await
        };
        let _ = tokio::time::timeout(FAREWELL, write).await;
        linger(io).await;
    }
}

/// Closes so that the peer can read what was sent last: a socket that is closed while it holds
/// unread bytes resets the connection and takes the last words with it.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut io: S) {
    let until_closed = async {
        if io.shutdown().await.is_ok() {
            // On the heap: every connection's task would hold it all its life.
            let mut sink = vec![0; 4096];
            while matches!(io.read(&mut sink).await, Ok(count) if count > 0) {}
        }
    };
    // Bounded: whoever goes on sending is cut.
    let _ = tokio::time::timeout(FAREWELL, until_closed).await;
}
