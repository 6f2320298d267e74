//! What waits for one who looks on: bounded in messages, bytes and how many of both come a second. The rest is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use dockside_mqtt::topic;
use tokio::sync::Notify;

/// Messages and bytes that one reader is shown a second.
pub(crate) const MESSAGES_A_SECOND: u32 = 200;
pub(crate) const BYTES_A_SECOND: usize = 512 << 10;

/// Messages and bytes that wait for one reader.
const MESSAGES_THAT_WAIT: usize = 500;
const BYTES_THAT_WAIT: usize = 1 << 20;

/// What was left out is told so often at most.
const TOLD_EVERY_MS: u64 = 1_000;

/// Of one reader.
pub(crate) struct Desk {
    filter: Box<str>,
    /// The first record that it sees.
    pub(super) from: u64,
    waiting: Mutex<Waiting>,
    /// Something waits.
    pub(crate) there: Notify,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Arc<str>>,
    bytes: usize,
    allowance: Allowance,
    left_out: LeftOut,
    told_ms: Option<u64>,
}

/// What a reader was not shown since it was told last.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct LeftOut {
    /// Messages that match its filter.
    pub(crate) messages: u64,
    /// Batches of messages that the live log has no more: nobody knows which they were.
    pub(crate) batches: u64,
}

/// What comes next.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// A message, as JSON.
    Message(Arc<str>),
    LeftOut(LeftOut),
}

/// What was shown in the second that began then.
#[derive(Default)]
struct Allowance {
    began_ms: u64,
    messages: u32,
    bytes: usize,
}

impl Allowance {
    fn has_some(&mut self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.began_ms) >= 1_000 {
            *self = Self { began_ms: now_ms, ..Self::default() };
        }
        self.messages < MESSAGES_A_SECOND && self.bytes < BYTES_A_SECOND
    }
}

impl Desk {
    pub(super) fn new(filter: &str, from: u64) -> Self {
        Self { filter: filter.into(), from, waiting: Mutex::default(), there: Notify::new() }
    }

    pub(super) fn wants(&self, topic: &str) -> bool {
        topic::matches(&self.filter, topic)
    }

    /// Whether a message that it wants may be put there; counts it as left out if not.
    pub(super) fn has_room(&self, now_ms: u64) -> bool {
        let mut waiting = self.waiting();
        let has_room = waiting.allowance.has_some(now_ms)
            && waiting.queue.len() < MESSAGES_THAT_WAIT
            && waiting.bytes < BYTES_THAT_WAIT;
        if !has_room {
            waiting.left_out.messages += 1;
            drop(waiting);
            self.there.notify_one();
        }
        has_room
    }

    /// Puts a message there for which there is room.
    pub(super) fn put(&self, json: &Arc<str>, now_ms: u64) {
        let mut waiting = self.waiting();
        waiting.allowance.has_some(now_ms);
        waiting.allowance.messages += 1;
        waiting.allowance.bytes += json.len();
        waiting.bytes += json.len();
        waiting.queue.push_back(Arc::clone(json));
        drop(waiting);
        self.there.notify_one();
    }

    /// So many batches are gone that nobody has looked at.
    pub(super) fn missed(&self, batches: u64) {
        if batches > 0 {
            self.waiting().left_out.batches += batches;
            self.there.notify_one();
        }
    }

    /// Takes what comes next. What was left out is told once a second, and not before its first second is over.
    pub(crate) fn take(&self, now_ms: u64) -> Option<Next> {
        let mut waiting = self.waiting();
        if waiting.left_out != LeftOut::default() {
            let told_ms = *waiting.told_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(told_ms) >= TOLD_EVERY_MS {
                waiting.told_ms = None;
                return Some(Next::LeftOut(std::mem::take(&mut waiting.left_out)));
            }
        }
        let json = waiting.queue.pop_front()?;
        waiting.bytes -= json.len();
        Some(Next::Message(json))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(desk: &Desk, count: u64, size: usize, now_ms: u64) {
        for _ in 0..count {
            if desk.has_room(now_ms) {
                desk.put(&Arc::from("x".repeat(size)), now_ms);
            }
        }
    }

    fn drain(desk: &Desk, now_ms: u64) -> (u64, LeftOut) {
        let (mut messages, mut left_out) = (0, LeftOut::default());
        while let Some(next) = desk.take(now_ms) {
            match next {
                Next::Message(_) => messages += 1,
                Next::LeftOut(told) => left_out = told,
            }
        }
        (messages, left_out)
    }

    #[test]
    fn what_comes_too_fast_is_left_out_and_told_once_a_second() {
        let desk = Desk::new("#", 0);
        offer(&desk, 1_000, 10, 5_000);
        assert_eq!(drain(&desk, 5_000), (200, LeftOut::default()), "not told at once");
        assert_eq!(drain(&desk, 5_999), (0, LeftOut::default()));
        assert_eq!(drain(&desk, 6_000), (0, LeftOut { messages: 800, batches: 0 }));
        offer(&desk, 3, 10, 6_001);
        assert_eq!(drain(&desk, 9_000), (3, LeftOut::default()), "a second has its own");
        offer(&desk, 50, BYTES_A_SECOND / 10, 10_000);
        drain(&desk, 10_000);
        let (_, left_out) = drain(&desk, 11_000);
        assert!(left_out.messages >= 39, "bytes count too: {left_out:?}");
    }

    #[test]
    fn who_does_not_read_has_so_much_and_no_more() {
        let desk = Desk::new("#", 0);
        for second in 0..100 {
            offer(&desk, 100, 10_000, second * 1_000);
        }
        let held = desk.waiting().bytes;
        assert!(held < BYTES_THAT_WAIT + 10_000, "{held}");
        desk.missed(3);
        let mut left_out = LeftOut::default();
        let mut messages = 0;
        for now_ms in [100_000, 101_000] {
            let (read, told) = drain(&desk, now_ms);
            messages += read;
            left_out = if told == LeftOut::default() { left_out } else { told };
        }
        assert_eq!(
            (messages + left_out.messages, left_out.batches),
            (10_000, 3),
            "nothing goes untold"
        );
    }

    #[test]
    fn filters_choose() {
        let desk = Desk::new("a/+", 0);
        assert!(desk.wants("a/b") && !desk.wants("b/a") && !desk.wants("$SYS/a"));
    }
}
