//! Whoever looks on while messages pass: `GET /api/v1/tail`, `dockside tail`, the page's traffic view.
//!
//! It has a link of its own to the live log ([`Onlooker`]), takes no budget and fills no mailbox: nothing waits
//! for it. What it is too slow for is left out, and counted. While nobody looks on, the router has forgotten
//! the link, and a publish costs what it would cost without all this.

mod desk;
mod names;
mod shown;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::desk::{BYTES_A_SECOND, Desk, MESSAGES_A_SECOND, Next};
use self::names::Names;
use self::shown::{Passing, Shown};
use crate::live_log::{Aside, Dead, Onlooker, PassedBy};
use crate::record::{AsideNumber, Entries, Entry, Published, Record};
use crate::shared::Shared;

/// Who may look on at the same time; more are told to come again.
pub(crate) const READERS: usize = 8;

/// Messages beside the log that the dispatcher has fetched and nobody has seen yet: their beginnings.
const PASSED_AT_MOST: usize = 64;

/// How often what the router gave unasked is let go, until it has paused.
const LET_GO_EVERY: Duration = Duration::from_secs(10);

/// Records before other tasks get their turn.
const RECORDS_A_TURN: usize = 32;

/// Entries that are looked at in a while; the rest of a flood goes by unseen.
const ENTRIES_A_WHILE: usize = 20_000;
const WHILE: Duration = Duration::from_millis(100);

/// Who looks on.
#[derive(Default)]
pub(crate) struct Tail {
    is_watched: AtomicBool,
    watchers: Mutex<Watchers>,
    begun: Notify,
}

#[derive(Default)]
struct Watchers {
    desks: Vec<Arc<Desk>>,
    passed: VecDeque<(AsideNumber, Passing)>,
}

/// A place among those who look on; dropping it gives it back.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    pub(crate) desk: Arc<Desk>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let tail = &self.shared.tail;
        let mut watchers = tail.watchers();
        watchers.desks.retain(|desk| !Arc::ptr_eq(desk, &self.desk));
        if watchers.desks.is_empty() {
            tail.is_watched.store(false, Ordering::Release);
            self.shared.log.end_to_look();
            watchers.passed.clear();
        }
    }
}

impl Tail {
    /// Whether anybody looks on.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    /// Begins to look on: whatever is accepted from now on and matches the filter. None if too many do.
    pub(crate) fn begin(shared: &Arc<Shared>, filter: &str) -> Option<Seat> {
        let tail = &shared.tail;
        let mut watchers = tail.watchers();
        if watchers.desks.len() >= READERS {
            return None;
        }
        // Before the number is asked for: what the dispatcher fetches from then on is there for it.
        tail.is_watched.store(true, Ordering::Release);
        let desk = Arc::new(Desk::new(filter, shared.log.begin_to_look()));
        watchers.desks.push(Arc::clone(&desk));
        drop(watchers);
        tail.begun.notify_one();
        Some(Seat { shared: Arc::clone(shared), desk })
    }

    /// A message beside the log is about to be fetched: whoever looks on may not have got to it yet.
    pub(crate) fn passes(&self, number: AsideNumber, published: &Published<'_>) {
        let mut watchers = self.watchers();
        if watchers.passed.len() >= PASSED_AT_MOST {
            watchers.passed.pop_front();
        }
        watchers.passed.push_back((number, Passing::of(published)));
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().expect("no panic while it is held")
    }
}

/// Looks on for as long as the broker runs.
pub(crate) async fn run(shared: Arc<Shared>, mut log: Onlooker) {
    let mut driver = Driver { shared: Arc::clone(&shared), names: Names::default(), entries: 0 };
    // The router is gone: who reads the log properly reports it, and the process ends.
    if driver.tail(&mut log).await.is_err() {
        std::future::pending::<()>().await;
    }
}

struct Driver {
    shared: Arc<Shared>,
    names: Names,
    /// Looked at in this while.
    entries: usize,
}

impl Driver {
    async fn tail(&mut self, log: &mut Onlooker) -> Result<(), Dead> {
        let mut began = Instant::now();
        let mut records = 0;
        loop {
            if !self.shared.tail.is_watched() {
                self.rest(log).await?;
                continue;
            }
            let passed = tokio::select! {
                passed = log.next() => passed?,
                () = self.shared.tail.begun.notified() => continue,
            };
            self.look_at(&passed);
            records += 1;
            if records % RECORDS_A_TURN == 0 {
                tokio::task::yield_now().await;
            }
            let passed = began.elapsed();
            if passed >= WHILE {
                (began, self.entries) = (Instant::now(), 0);
            } else if self.entries > ENTRIES_A_WHILE {
                tokio::time::sleep(WHILE - passed).await;
            }
        }
    }

    /// Nobody looks on: lets go what the router gives until it has paused, so that no record is held.
    async fn rest(&mut self, log: &mut Onlooker) -> Result<(), Dead> {
        let shared = Arc::clone(&self.shared);
        self.names = Names::default();
        if log.is_paused() {
            shared.tail.begun.notified().await;
            return Ok(());
        }
        tokio::select! {
            () = shared.tail.begun.notified() => return Ok(()),
            () = tokio::time::sleep(LET_GO_EVERY) => {}
        }
        while let Some(left) = now_or_never(log.left_over()).await {
            let Some(passed) = left? else { break };
            // Somebody may have begun meanwhile.
            self.look_at(&passed);
        }
        Ok(())
    }

    fn look_at(&mut self, passed: &PassedBy) {
        let desks = self.shared.tail.watchers().desks.clone();
        let Some(record) = Record::parse(&passed.record).filter(|_| !desks.is_empty()) else {
            return;
        };
        let mine: Vec<_> = desks.into_iter().filter(|desk| record.number >= desk.from).collect();
        for desk in &mine {
            desk.missed(passed.missed.min(record.number - desk.from));
        }
        if mine.is_empty() {
            return;
        }
        for entry in record.entries {
            self.entries += 1;
            match entry {
                Entry::Publish(published) => self.show(&mine, &Passing::borrowed(&published)),
                Entry::Large(number, _) => match self.fetched(number) {
                    Some(passing) => self.show(&mine, &passing.as_shown()),
                    None => mine.iter().for_each(|desk| desk.missed(1)),
                },
                _ => {}
            }
        }
    }

    /// A message beside the log: it is there still, or the dispatcher has left its beginning.
    fn fetched(&self, number: AsideNumber) -> Option<Passing> {
        let there = self.shared.log.look(number, |aside| match aside {
            Aside::Entry(bytes) => first_publish(bytes).map(|published| Passing::of(&published)),
            _ => None,
        });
        there.flatten().or_else(|| {
            let mut watchers = self.shared.tail.watchers();
            let at = watchers.passed.iter().position(|(passed, _)| *passed == number)?;
            watchers.passed.remove(at).map(|(_, passing)| passing)
        })
    }

    fn show(&mut self, desks: &[Arc<Desk>], shown: &Shown<'_>) {
        let now_ms = self.shared.clock.now_ms();
        let mut json = None;
        for desk in desks.iter().filter(|desk| desk.wants(shown.topic)) {
            if !desk.has_room(now_ms) {
                continue;
            }
            let json = json.get_or_insert_with(|| {
                let client = self.names.of(shown.publisher, now_ms, &self.shared.registry);
                Arc::<str>::from(shown.json(self.shared.clock.kept_ms(), client.as_deref()))
            });
            desk.put(json, now_ms);
        }
    }
}

/// The publish in what travels beside the log.
pub(crate) fn first_publish(entries: &[u8]) -> Option<Published<'_>> {
    Entries::new(entries).find_map(|entry| match entry {
        Entry::Publish(published) => Some(published),
        _ => None,
    })
}

async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
