//! What a reader that has read everything is handed at once, as it is appended. The router hands it over too, by way
//! of its own thread: of a message that comes alone two changes of thread are a quarter of what it costs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::task::Waker;

use bytes::Bytes;

use crate::record::LARGE;

/// What waits to be taken: whoever is further behind reads many at a time from the log.
const RECORDS: usize = 64;

/// Records in their order, without a gap behind those that the reader has had.
#[derive(Default)]
pub(super) struct Early(Mutex<State>);

#[derive(Default)]
struct State {
    records: VecDeque<Bytes>,
    bytes: usize,
    /// The number of the record behind these.
    next: u64,
    waker: Option<Waker>,
}

impl Early {
    /// Hands a record over, if all before it have been had or wait here. Whether it was.
    pub(super) fn hand(&self, number: u64, record: &Bytes) -> bool {
        let mut state = self.state();
        let is_full = state.records.len() >= RECORDS || state.bytes + record.len() > 2 * LARGE;
        if number != state.next || is_full {
            return false;
        }
        state.next += 1;
        state.bytes += record.len();
        state.records.push_back(record.clone());
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    /// The next record; whoever waits is woken when there is one.
    pub(super) fn take(&self, waker: &Waker) -> Option<Bytes> {
        let mut state = self.state();
        match state.records.pop_front() {
            Some(record) => {
                state.bytes -= record.len();
                Some(record)
            }
            None => {
                if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    state.waker = Some(waker.clone());
                }
                None
            }
        }
    }

    /// The reader has had the record of this number, from the log or from here.
    pub(super) fn had(&self, number: u64) {
        let mut state = self.state();
        state.next = state.next.max(number + 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is held")
    }
}
