//! Messages that the store has: what a mailbox leaves there, and how a session reads it.
//!
//! `read_to` is the last message that the session has to read; what is stored and in the mailbox
//! is always newer, so nothing is read twice or passed over.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use dockside_store::Seq;

use super::{Mailbox, Mode, State, wake};
use crate::message::Delivery;

/// What was read from the store for a session.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) deliveries: VecDeque<Delivery>,
    /// Everything up to here is in it, or came before.
    pub(crate) up_to: Seq,
}

impl Mailbox {
    /// Leaves everything that is stored to be read from the store, up to a message.
    pub(super) fn leave_stored(&self, state: &mut State, up_to: Seq) {
        let mut stored = 0;
        state.deliveries.retain(|delivery| {
            let is_stored = delivery.is_stored();
            stored += if is_stored { delivery.message.size() } else { 0 };
            !is_stored
        });
        self.count(state, stored, false);
        state.read_to = Some(up_to);
    }

    /// Gives the connection what comes next: what was read, else what is live and not behind something
    /// that has to be read.
    pub(super) fn hand_over(
        &self,
        state: &mut State,
        backlog: &mut VecDeque<Delivery>,
        cursor: &mut Seq,
    ) {
        if let Some(chunk) = state.chunk.take() {
            *backlog = chunk.deliveries;
            *cursor = chunk.up_to.max(*cursor);
        }
        if state.read_to.is_some_and(|read_to| read_to <= *cursor) {
            state.read_to = None;
        }
        if !backlog.is_empty() {
            return;
        }
        if state.read_to.is_some() {
            // What is stored waits for what comes before it.
            let mut rest = VecDeque::new();
            for delivery in std::mem::take(&mut state.deliveries) {
                if delivery.is_stored() { &mut rest } else { &mut *backlog }.push_back(delivery);
            }
            (state.bytes, state.retained) = (0, 0);
            rest.into_iter().for_each(|delivery| self.push(state, delivery));
        } else if !state.deliveries.is_empty() {
            std::mem::swap(backlog, &mut state.deliveries);
            (state.bytes, state.retained) = (0, 0);
            let last = backlog.iter().rev().find(|delivery| delivery.is_stored());
            *cursor = last.map_or(*cursor, |last| last.message.seq.max(*cursor));
        }
    }

    /// What was read from the store for the session.
    pub(crate) fn give(&self, chunk: Chunk) {
        let mut state = self.state();
        // One that comes too late for its connection is read again for the next one.
        if state.mode == Mode::Kept {
            state.chunk = Some(chunk);
        }
        wake(state);
    }

    /// A session that was kept across a restart waits for its client, with so much in the store.
    pub(crate) fn restored(&self, read_to: Seq) {
        self.online.store(false, Ordering::Relaxed);
        let mut state = self.state();
        state.mode = Mode::Asleep;
        state.read_to = Some(read_to);
    }
}
