//! What sessions hold in the store: read from it, which may take its time, and only where it may be another figure.

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::KeptMetrics;
use crate::shared::Shared;

/// Looks between two questions at least.
const EVERY: u32 = 10;

/// Asks once in a while, and waits for nothing.
#[derive(Default)]
pub(crate) struct SessionBytes {
    /// Looks since it was asked last.
    looks: u32,
    /// Sessions that are kept, and subscriptions, when it was asked last.
    counted: Option<(usize, [u64; 2])>,
    answer: Option<oneshot::Receiver<u64>>,
}

impl SessionBytes {
    /// To be called once a second.
    pub(crate) fn look(&mut self, shared: &Shared, metrics: &KeptMetrics) {
        if let Some(answer) = &mut self.answer {
            match answer.try_recv() {
                Ok(bytes) => metrics.session_bytes(bytes),
                Err(TryRecvError::Empty) => return,
                // The store could not be read: it is asked again.
                Err(TryRecvError::Closed) => self.counted = Some((usize::MAX, [0; 2])),
            }
            self.answer = None;
        }
        let counted = Some((shared.sessions.count().0, shared.sys.subscribed()));
        let is_due = self.looks >= EVERY || self.counted.is_none();
        self.looks = self.looks.saturating_add(1);
        if is_due && self.counted != counted {
            (self.looks, self.counted) = (0, counted);
            self.answer = Some(shared.reading.session_bytes());
        }
    }
}
