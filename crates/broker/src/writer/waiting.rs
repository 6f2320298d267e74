//! How much waits for each reader, and when that is too much.

use std::collections::HashMap;

use dockside_store::ReaderId;

use crate::config::Limits;
use crate::dispatcher::groups;

/// What waits for one reader.
#[derive(Clone, Copy, Default, Debug)]
struct Waiting {
    messages: usize,
    bytes: usize,
}

/// What waits for all.
pub(super) struct AllWaiting {
    readers: HashMap<ReaderId, Waiting>,
    all: Waiting,
    /// Those of groups, which are in memory too.
    group_bytes: usize,
    /// To be taken back if the transaction fails.
    changes: Vec<(ReaderId, i64, i64)>,
    messages_at_most: usize,
    bytes_at_most: usize,
    group_bytes_at_most: usize,
    /// What each group may hold whatever the others do.
    each_bytes: usize,
}

impl AllWaiting {
    /// `kept` are messages and bytes by reader.
    pub(super) fn new(kept: &HashMap<ReaderId, (usize, usize)>, limits: &Limits) -> Self {
        let waiting = |(reader, &(messages, bytes)): (&ReaderId, &(usize, usize))| {
            (*reader, Waiting { messages, bytes })
        };
        let all = kept.values().fold(Waiting::default(), |all, (messages, bytes)| Waiting {
            messages: all.messages + messages,
            bytes: all.bytes + bytes,
        });
        Self {
            readers: kept.iter().map(waiting).collect(),
            all,
            group_bytes: kept
                .iter()
                .filter(|(reader, _)| groups::is_group(**reader))
                .map(|(_, (_, bytes))| bytes)
                .sum(),
            changes: Vec::new(),
            messages_at_most: limits.mailbox_messages,
            bytes_at_most: limits.mailbox_bytes,
            group_bytes_at_most: limits.session_bytes,
            each_bytes: limits.session_bytes / limits.sessions.max(1),
        }
    }

    pub(super) fn commit(&mut self) {
        self.changes.clear();
    }

    pub(super) fn roll_back(&mut self) {
        for (reader, messages, bytes) in std::mem::take(&mut self.changes) {
            self.count(reader, -messages, -bytes);
        }
    }

    /// Whether a reader must lose its oldest; one message passes, however large.
    pub(super) fn is_beyond(&self, reader: ReaderId) -> bool {
        let own = self.readers.get(&reader).copied().unwrap_or_default();
        let all = groups::is_group(reader)
            && self.group_bytes > self.group_bytes_at_most
            && own.bytes > self.each_bytes;
        let mine = own.messages > self.messages_at_most || own.bytes > self.bytes_at_most;
        own.messages > 1 && (mine || all)
    }

    /// Messages that wait for anybody, and their bytes.
    pub(super) fn all(&self) -> (usize, usize) {
        (self.all.messages, self.all.bytes)
    }

    /// Who most waits for.
    pub(super) fn largest(&self) -> Option<ReaderId> {
        let largest = self.readers.iter().max_by_key(|(_, waiting)| waiting.bytes);
        largest.map(|(reader, _)| *reader)
    }

    /// Nothing waits for a reader any more; whether something did.
    pub(super) fn forget(&mut self, reader: ReaderId) -> bool {
        let Some(Waiting { messages, bytes }) = self.readers.get(&reader).copied() else {
            return false;
        };
        self.change(reader, -(messages as i64), -(bytes as i64));
        true
    }

    pub(super) fn change(&mut self, reader: ReaderId, messages: i64, bytes: i64) {
        if messages < 0 && !self.readers.contains_key(&reader) {
            // It has ended, and what is left of it counts no more.
            return;
        }
        self.changes.push((reader, messages, bytes));
        self.count(reader, messages, bytes);
    }

    fn count(&mut self, reader: ReaderId, messages: i64, bytes: i64) {
        let own = self.readers.entry(reader).or_default();
        for waiting in [&mut *own, &mut self.all] {
            waiting.messages = waiting.messages.saturating_add_signed(messages as isize);
            waiting.bytes = waiting.bytes.saturating_add_signed(bytes as isize);
        }
        if groups::is_group(reader) {
            self.group_bytes = self.group_bytes.saturating_add_signed(bytes as isize);
        }
        if own.messages == 0 {
            self.readers.remove(&reader);
        }
    }
}
