//! What was sent, replied and witnessed during one attack. No I/O.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::verdict::Flown;

/// Ends of connections that are told; the others are counted with them.
const CUTS: usize = 5;

/// The book that dock, witness and referee share.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Book>);

impl Shared {
    /// The book, for as long as the value is held.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    sent: Instant,
    replied: Option<Duration>,
    replies: u32,
    witnessed: u32,
}

/// One attack's events.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Number of the first of them.
    first: u64,
    events: Vec<Event>,
    wrong: usize,
    cut: Vec<String>,
    is_listening: bool,
}

impl Book {
    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Whether the witness has its subscription, and the dock its first reply.
    pub(super) fn has_begun(&self) -> bool {
        self.is_listening && self.events.iter().any(|event| event.replies > 0)
    }

    /// Whether the witness has its subscription.
    pub(super) fn is_listening(&self) -> bool {
        self.is_listening
    }

    pub(super) fn listening(&mut self) {
        self.is_listening = true;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.events.push(Event { sent: now, replied: None, replies: 0, witnessed: 0 });
    }

    pub(super) fn replied(&mut self, number: u64, now: Instant) {
        if let Some(event) = self.event(number) {
            event.replies += 1;
            event.replied.get_or_insert(now.saturating_duration_since(event.sent));
        }
    }

    pub(super) fn witnessed(&mut self, number: u64) {
        if let Some(event) = self.event(number) {
            event.witnessed += 1;
        }
    }

    pub(super) fn wrong(&mut self) {
        self.wrong += 1;
    }

    pub(super) fn cut(&mut self, who: String) {
        if self.cut.len() < CUTS {
            self.cut.push(who);
        }
    }

    /// An event of this attack; what comes later belongs to one that was judged already.
    fn event(&mut self, number: u64) -> Option<&mut Event> {
        let at = number.checked_sub(self.first)?;
        self.events.get_mut(usize::try_from(at).ok()?)
    }

    /// Begins a new attack; what was not replied is forgotten.
    pub(super) fn begin(&mut self) {
        self.first = self.next();
        self.events.clear();
        self.wrong = 0;
        self.cut.clear();
    }

    /// Whether everything with a smaller number was replied and witnessed.
    pub(super) fn is_complete(&self, end: u64) -> bool {
        self.before(end).iter().all(|event| event.replies > 0 && event.witnessed > 0)
    }

    fn before(&self, end: u64) -> &[Event] {
        let count = end.saturating_sub(self.first).min(self.events.len() as u64);
        &self.events[..count as usize]
    }

    /// What came of everything with a smaller number.
    pub(super) fn flown(&self, end: u64) -> Flown {
        let events = self.before(end);
        let count = |what: fn(&Event) -> bool| events.iter().filter(|event| what(event)).count();
        let mut latencies: Vec<_> = events.iter().filter_map(|event| event.replied).collect();
        latencies.sort_unstable();
        Flown {
            events: events.len(),
            lost: count(|event| event.replies == 0),
            doubled: count(|event| event.replies > 1),
            wrong: self.wrong,
            unseen: count(|event| event.witnessed == 0),
            seen_twice: count(|event| event.witnessed > 1),
            cut: self.cut.clone(),
            latencies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_and_late_is_in_the_book() {
        let (mut book, began) = (Book::default(), Instant::now());
        let later = |ms| began + Duration::from_millis(ms);
        (0..4).for_each(|_| book.sent(began));
        book.replied(0, later(3));
        book.replied(0, later(4));
        book.replied(1, later(2));
        book.witnessed(1);
        book.witnessed(1);
        assert!(!book.is_complete(2));
        let flown = book.flown(3);
        assert_eq!((flown.events, flown.lost, flown.doubled), (3, 1, 1));
        assert_eq!((flown.unseen, flown.seen_twice), (2, 1));
        assert_eq!(flown.latencies, [2, 3].map(Duration::from_millis));
        book.begin();
        assert_eq!(book.next(), 4);
        // A reply to what was judged already.
        book.replied(2, later(9));
        book.sent(began);
        book.replied(4, later(1));
        book.witnessed(4);
        assert!(book.is_complete(5));
        assert_eq!(book.flown(5).lost, 0);
    }
}
