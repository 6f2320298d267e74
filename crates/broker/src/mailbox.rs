//! Where everything that concerns a session from outside its own task arrives: messages from the
//! dispatcher, completions from the writer, commands from the broker. One lock, one waker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use dockside_mqtt::{QoS, ReasonCode};

use crate::config::Limits;
use crate::record::Published;

/// A message, owned: what all its deliveries share.
#[derive(Debug)]
pub(crate) struct Message {
    topic_len: u16,
    properties_len: u32,
    /// Topic, properties, payload.
    bytes: Box<[u8]>,
    pub(crate) expires_ms: u64,
}

impl Message {
    pub(crate) fn new(published: &Published<'_>) -> Self {
        let parts = [published.topic.as_bytes(), published.properties, published.payload];
        Self {
            topic_len: published.topic.len() as u16,
            properties_len: published.properties.len() as u32,
            bytes: parts.concat().into_boxed_slice(),
            expires_ms: published.expires_ms,
        }
    }

    pub(crate) fn topic(&self) -> &str {
        let bytes = &self.bytes[..usize::from(self.topic_len)];
        std::str::from_utf8(bytes).expect("made from a str")
    }

    pub(crate) fn properties(&self) -> &[u8] {
        let start = usize::from(self.topic_len);
        &self.bytes[start..start + self.properties_len as usize]
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.topic_len) + self.properties_len as usize..]
    }

    /// What it counts for in a mailbox.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + 64
    }
}

/// A message for one session.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Identifiers of all subscriptions that matched.
    pub(crate) subscription_ids: Arc<[u32]>,
}

/// Counts the jobs a connection has given to the writer.
pub(crate) type Ticket = u64;

/// What the broker wants of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Command {
    /// Read no more: the broker stops.
    Quiet,
    /// Send what there is and close with [`ReasonCode::ServerShuttingDown`].
    Stop,
    /// Another connection took the session over.
    TakenOver,
    /// The client reads too slowly for the QoS 1 and 2 messages it subscribed to.
    SlowConsumer,
}

impl Command {
    /// What a 5.0 client is told.
    pub(crate) fn reason(self) -> ReasonCode {
        match self {
            Self::Quiet | Self::Stop => ReasonCode::ServerShuttingDown,
            Self::TakenOver => ReasonCode::SessionTakenOver,
            Self::SlowConsumer => ReasonCode::QuotaExceeded,
        }
    }
}

/// A session's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    messages_at_most: usize,
    bytes_at_most: usize,
}

#[derive(Debug, Default)]
struct State {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    completed: Ticket,
    command: Option<Command>,
    review: bool,
    waker: Option<Waker>,
}

/// What a connection finds in its mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    /// Every job up to this one is done.
    pub(crate) completed: Ticket,
    pub(crate) command: Option<Command>,
    /// Whether it should look at what it may do.
    pub(crate) review: bool,
}

impl Mailbox {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::default(),
            messages_at_most: limits.mailbox_messages,
            bytes_at_most: limits.mailbox_bytes,
        }
    }

    /// Puts messages in; what does not fit is dropped if it is QoS 0 (their number is returned),
    /// otherwise the client is too slow and will be disconnected.
    pub(crate) fn deliver(&self, deliveries: &mut Vec<Delivery>) -> u64 {
        let mut dropped = 0;
        let mut state = self.state();
        for delivery in deliveries.drain(..) {
            let bytes = state.bytes + delivery.message.size();
            let full = state.deliveries.len() >= self.messages_at_most
                || (bytes > self.bytes_at_most && !state.deliveries.is_empty());
            if !full {
                state.bytes = bytes;
                state.deliveries.push_back(delivery);
            } else {
                dropped += 1;
                if delivery.qos != QoS::AtMostOnce {
                    state.command = state.command.max(Some(Command::SlowConsumer));
                }
            }
        }
        wake(state);
        dropped
    }

    /// The writer has done every job up to `ticket`.
    pub(crate) fn complete(&self, ticket: Ticket) {
        let mut state = self.state();
        state.completed = state.completed.max(ticket);
        wake(state);
    }

    /// Tells the connection something; a stronger command stands.
    pub(crate) fn command(&self, command: Command) {
        let mut state = self.state();
        state.command = state.command.max(Some(command));
        wake(state);
    }

    /// Lets the connection look at what it may do.
    pub(crate) fn ask_for_review(&self) {
        let mut state = self.state();
        state.review = true;
        wake(state);
    }

    /// Lets the connection have a turn.
    pub(crate) fn wake(&self) {
        wake(self.state());
    }

    /// Empties the mailbox into `backlog` if that is empty, and wakes `waker` when there is more.
    pub(crate) fn take(&self, backlog: &mut VecDeque<Delivery>, waker: &Waker) -> Taken {
        let mut state = self.state();
        if backlog.is_empty() && !state.deliveries.is_empty() {
            std::mem::swap(backlog, &mut state.deliveries);
            state.bytes = 0;
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        let review = std::mem::take(&mut state.review);
        Taken { completed: state.completed, command: state.command, review }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }
}

fn wake(state: MutexGuard<'_, State>) {
    let waker = state.waker.clone();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(qos: QoS, bytes: usize) -> Delivery {
        let published = Published {
            publisher: 0,
            except_publisher: false,
            qos,
            retain: false,
            expires_ms: u64::MAX,
            topic: "t",
            properties: b"",
            payload: &vec![0; bytes],
        };
        let message = Arc::new(Message::new(&published));
        Delivery { message, qos, retain: false, subscription_ids: Arc::new([]) }
    }

    fn limits(mailbox_messages: usize, mailbox_bytes: usize) -> Limits {
        Limits { mailbox_messages, mailbox_bytes, ..Limits::default() }
    }

    #[test]
    fn qos_0_beyond_the_bound_is_dropped_and_counted() {
        let mailbox = Mailbox::new(&limits(2, 1 << 20));
        let mut three = vec![delivery(QoS::AtMostOnce, 1); 3];
        assert_eq!(mailbox.deliver(&mut three), 1);
        let mut backlog = VecDeque::new();
        let taken = mailbox.take(&mut backlog, Waker::noop());
        assert_eq!((backlog.len(), taken.command), (2, None));
    }

    #[test]
    fn qos_1_beyond_the_bound_ends_the_connection() {
        let mailbox = Mailbox::new(&limits(100, 300));
        mailbox
            .deliver(&mut vec![delivery(QoS::AtLeastOnce, 200), delivery(QoS::AtLeastOnce, 200)]);
        let taken = mailbox.take(&mut VecDeque::new(), Waker::noop());
        assert_eq!(taken.command, Some(Command::SlowConsumer));
    }

    #[test]
    fn one_message_passes_however_large() {
        let mailbox = Mailbox::new(&limits(100, 300));
        assert_eq!(mailbox.deliver(&mut vec![delivery(QoS::AtLeastOnce, 5_000)]), 0);
        let mut backlog = VecDeque::new();
        assert_eq!(mailbox.take(&mut backlog, Waker::noop()).command, None);
        assert_eq!(backlog.len(), 1);
    }
}
