//! Where everything that concerns a session from outside its own task arrives: messages from the
//! dispatcher, completions from the writer, commands from the broker. One lock, one waker.
//!
//! It is also the queue of a session that has no connection: [`Mailbox::deliver`] appends,
//! [`Mailbox::take`] reads what the connection has not read yet, and what was sent but not
//! acknowledged is with the session ([`dockside_mqtt::session::Outgoing`]). What is stored is left to the
//! store when there is no connection, or no room (`stored`).

mod asleep_bytes;
mod command;
mod measured;
mod stored;
mod undelivered;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use dockside_mqtt::QoS;
use dockside_store::Seq;
use tokio::sync::oneshot;

pub(crate) use self::asleep_bytes::AsleepBytes;
pub(crate) use self::command::Command;
pub(crate) use self::measured::Measured;
pub(crate) use self::stored::Chunk;
pub(crate) use self::undelivered::Undelivered;
use crate::config::Limits;
use crate::message::{Delivery, Origin};

/// Counts the jobs a connection has given to the writer.
pub(crate) type Ticket = u64;

/// What becomes of messages.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Mode {
    /// The session ends with its connection: too many QoS 1 and 2 messages end both.
    #[default]
    Ephemeral,
    /// The session is kept: too many messages cost it its oldest.
    Kept,
    /// As kept, and without a connection: QoS 0 is dropped.
    Asleep,
    /// The session has ended.
    Closed,
}

/// A session's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    messages_at_most: usize,
    bytes_at_most: usize,
    retained_at_most: usize,
    asleep: Arc<AsleepBytes>,
    /// The session that it is of, once that has begun; 0 before.
    session: AtomicU64,
    /// Whether there is a connection, to be asked without the lock.
    online: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// Deliveries of retained messages among them, which have a bound of their own: their bytes are
    /// the retained messages' anyway.
    retained: usize,
    completed: Ticket,
    command: Option<Command>,
    review: bool,
    /// Somebody wants to know how the session stands.
    asked: Option<oneshot::Sender<Measured>>,
    /// A shared message found no room and waits in its group.
    refused_shared: bool,
    /// The session has to read from the store up to here before what is stored among the deliveries:
    /// it had no connection, or no room.
    read_to: Option<Seq>,
    /// What it has read from there.
    chunk: Option<Chunk>,
    waker: Option<Waker>,
}

impl State {
    /// Whether the connection ends whatever waits for it.
    fn is_told_to_go(&self) -> bool {
        self.command.is_some_and(Command::ends)
    }
}

/// What a connection finds in its mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    /// Every job up to this one is done.
    pub(crate) completed: Ticket,
    pub(crate) command: Option<Command>,
    /// Whether it should look at what it may do.
    pub(crate) review: bool,
    /// Whether its groups have something for it, now that it has room.
    pub(crate) refused_shared: bool,
    /// Where it has to read to from the store, behind what it has.
    pub(crate) read_to: Option<Seq>,
    /// Whether somebody wants to know how it stands ([`Mailbox::asked`]).
    pub(crate) is_asked: bool,
}

impl Mailbox {
    pub(crate) fn new(limits: &Limits, asleep: &Arc<AsleepBytes>) -> Self {
        Self {
            state: Mutex::default(),
            messages_at_most: limits.mailbox_messages,
            bytes_at_most: limits.mailbox_bytes,
            // The largest answer to one SUBSCRIBE always fits.
            retained_at_most: limits.retained_messages.saturating_mul(2),
            asleep: Arc::clone(asleep),
            session: AtomicU64::new(0),
            online: AtomicBool::new(true),
        }
    }

    /// Puts messages in and says which could not be.
    pub(crate) fn deliver(&self, deliveries: &mut Vec<Delivery>, undelivered: &mut Undelivered) {
        let mut state = self.state();
        for delivery in deliveries.drain(..) {
            match state.mode {
                Mode::Asleep | Mode::Closed if delivery.is_shared() => {
                    undelivered.shared.push(delivery);
                }
                Mode::Closed => {}
                Mode::Asleep if delivery.qos == QoS::AtMostOnce => undelivered.offline += 1,
                Mode::Asleep if delivery.is_stored() => state.read_to = Some(delivery.message.seq),
                _ => self.put(&mut state, delivery, undelivered),
            }
        }
        wake(state);
    }

    /// Puts one in, or says what there was no room for.
    fn put(&self, state: &mut State, delivery: Delivery, undelivered: &mut Undelivered) {
        if delivery.origin == Origin::Retained && state.mode != Mode::Asleep {
            if state.retained >= self.retained_at_most {
                // It subscribes on and on without reading.
                state.command = state.command.max(Some(Command::SlowConsumer));
                undelivered.no_room(delivery.qos);
            } else {
                self.push(state, delivery);
            }
            return;
        }
        while self.is_full(state, delivery.message.size()) {
            let keeps = matches!(state.mode, Mode::Kept | Mode::Asleep);
            if keeps && delivery.is_stored() {
                // Slowness costs it nothing but delay: it reads all this from the store.
                return self.leave_stored(state, delivery.message.seq);
            }
            if delivery.is_shared() && delivery.qos != QoS::AtMostOnce {
                // Another member may have room.
                state.refused_shared = true;
                undelivered.shared.push(delivery);
                return;
            }
            if delivery.qos == QoS::AtMostOnce || !keeps {
                if delivery.qos != QoS::AtMostOnce {
                    state.command = state.command.max(Some(Command::SlowConsumer));
                }
                undelivered.no_room(delivery.qos);
                return;
            }
            match self.pop_oldest(state) {
                Some(oldest) if oldest.is_shared() => undelivered.shared.push(oldest),
                Some(oldest) => undelivered.no_room(oldest.qos),
                None => undelivered.no_room(delivery.qos),
            }
        }
        self.push(state, delivery);
    }

    /// Whether there is no room for so many bytes; one message passes, however large.
    fn is_full(&self, state: &State, size: usize) -> bool {
        let mine = state.deliveries.len() - state.retained >= self.messages_at_most
            || (state.bytes > 0 && state.bytes + size > self.bytes_at_most);
        let others = state.mode == Mode::Asleep && self.asleep.is_full(state.bytes, size);
        mine || (others && state.bytes > 0)
    }

    fn push(&self, state: &mut State, delivery: Delivery) {
        if delivery.origin == Origin::Retained {
            state.retained += 1;
        } else {
            self.count(state, delivery.message.size(), true);
        }
        state.deliveries.push_back(delivery);
    }

    /// Takes the oldest that counts.
    fn pop_oldest(&self, state: &mut State) -> Option<Delivery> {
        let counts = |delivery: &Delivery| delivery.origin != Origin::Retained;
        let at = state.deliveries.iter().position(counts)?;
        let delivery = state.deliveries.remove(at)?;
        self.count(state, delivery.message.size(), false);
        Some(delivery)
    }

    fn count(&self, state: &mut State, size: usize, add: bool) {
        let asleep = state.mode == Mode::Asleep;
        if add {
            state.bytes += size;
            self.asleep.add(if asleep { size } else { 0 });
        } else {
            state.bytes -= size;
            self.asleep.subtract(if asleep { size } else { 0 });
        }
    }

    /// The session is kept when its connection ends.
    pub(crate) fn keep(&self) {
        self.state().mode = Mode::Kept;
    }

    /// Whether the session has a connection and room for a message of `size` bytes behind `more` that
    /// are on their way.
    pub(crate) fn takes_shared(&self, more: usize, size: usize) -> bool {
        if !self.online.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state();
        let counted = state.deliveries.len() - state.retained;
        let room = counted + more < self.messages_at_most
            && !self.is_full(&state, size)
            && !state.is_told_to_go();
        state.refused_shared |= !room;
        room
    }

    /// Retained messages that one SUBSCRIBE may still bring.
    pub(crate) fn retained_room(&self) -> usize {
        let state = self.state();
        let gone = state.mode == Mode::Closed || state.is_told_to_go();
        if gone { 0 } else { self.retained_at_most - state.retained.min(self.retained_at_most) }
    }

    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        self.state().deliveries.len()
    }

    /// The session goes on without a connection, which gives back what it has not sent. Returns what
    /// could not be kept, and what others may have: the shared messages.
    pub(crate) fn fall_asleep(&self, unsent: VecDeque<Delivery>) -> Undelivered {
        self.online.store(false, Ordering::Relaxed);
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.deliveries);
        (state.bytes, state.retained, state.waker) = (0, 0, None);
        state.mode = Mode::Asleep;
        let chunk = state.chunk.take().map(|chunk| chunk.deliveries).unwrap_or_default();
        let mut undelivered = Undelivered::default();
        for mut delivery in unsent.into_iter().chain(chunk).chain(waiting) {
            if delivery.is_stored() {
                state.read_to = state.read_to.max(Some(delivery.message.seq));
            } else if delivery.is_shared() {
                undelivered.shared.push(delivery);
            } else if delivery.qos == QoS::AtMostOnce {
                undelivered.offline += 1;
            } else {
                // From here on it is as any other that waits.
                if delivery.origin == Origin::Retained {
                    delivery.origin = Origin::Unread;
                }
                self.put(&mut state, delivery, &mut undelivered);
            }
        }
        undelivered
    }

    /// The session has ended; what others may have of it comes back.
    pub(crate) fn close(&self, unsent: VecDeque<Delivery>) -> Vec<Delivery> {
        let waiting = self.empty(Mode::Closed);
        unsent.into_iter().chain(waiting).filter(Delivery::is_shared).collect()
    }

    /// Takes over what waits in the mailbox that the session had before, ahead of its own.
    pub(crate) fn inherit(&self, before: &Self) {
        let read_to = before.state().read_to;
        let mut inherited = before.empty(Mode::Closed);
        let mut state = self.state();
        state.read_to = state.read_to.max(read_to);
        inherited.extend(std::mem::take(&mut state.deliveries));
        if state.mode == Mode::Asleep {
            self.asleep.subtract(state.bytes);
        }
        (state.bytes, state.retained) = (0, 0);
        for delivery in inherited {
            self.push(&mut state, delivery);
        }
        wake(state);
    }

    fn empty(&self, mode: Mode) -> VecDeque<Delivery> {
        let mut state = self.state();
        if state.mode == Mode::Asleep {
            self.asleep.subtract(state.bytes);
        }
        self.online.store(false, Ordering::Relaxed);
        state.mode = mode;
        (state.bytes, state.retained) = (0, 0);
        std::mem::take(&mut state.deliveries)
    }

    /// The writer has done every job up to `ticket`.
    pub(crate) fn complete(&self, ticket: Ticket) {
        let mut state = self.state();
        state.completed = state.completed.max(ticket);
        wake(state);
    }

    /// Tells the connection something; a stronger command stands. It looks at this before it looks at what is
    /// done.
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
    /// `cursor` is the last message from the store that the session has; it moves on.
    pub(crate) fn take(
        &self,
        backlog: &mut VecDeque<Delivery>,
        cursor: &mut Seq,
        waker: &Waker,
    ) -> Taken {
        let mut state = self.state();
        if backlog.is_empty() {
            self.hand_over(&mut state, backlog, cursor);
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        let review = std::mem::take(&mut state.review);
        let emptied = state.deliveries.is_empty();
        let refused_shared = emptied && std::mem::take(&mut state.refused_shared);
        let read_to = state.read_to.filter(|_| state.chunk.is_none());
        Taken {
            completed: state.completed,
            command: state.command,
            review,
            refused_shared,
            read_to,
            is_asked: state.asked.is_some(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.empty(Mode::Closed);
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
mod tests;
