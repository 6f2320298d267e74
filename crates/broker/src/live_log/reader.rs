//! The reading end that counts.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::early::Early;
use super::{Dead, Link};
use crate::record::Record;

/// Records that are passed over before others have their turn.
const PASSED_A_TURN: usize = 256;

/// The reading end: one, in the dispatcher.
pub(crate) struct LogReader {
    link: Link,
    early: Arc<Early>,
    expected: u64,
}

impl LogReader {
    pub(super) fn new(link: Link, early: Arc<Early>) -> Self {
        Self { link, early, expected: 0 }
    }

    /// The next record's bytes, checked to be the one behind the last. Nothing is lost if the
    /// future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Dead> {
        let mut passed = 0_usize;
        loop {
            let bytes = self.any().await?;
            if self.is_next(&bytes)? {
                return Ok(bytes);
            }
            passed += 1;
            if passed.is_multiple_of(PASSED_A_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A record that was handed over, or one of the log.
    async fn any(&mut self) -> Result<Bytes, Dead> {
        let Self { link, early, .. } = self;
        let mut of_the_log = pin!(link.next());
        std::future::poll_fn(|cx| match early.take(cx.waker()) {
            Some(record) => Poll::Ready(Ok(record)),
            None => of_the_log.as_mut().poll(cx),
        })
        .await
    }

    /// Whether it is the one behind the last: what was handed over comes from the log again.
    fn is_next(&mut self, bytes: &Bytes) -> Result<bool, Dead> {
        match Record::parse(bytes) {
            Some(record) if record.number == self.expected => {
                self.early.had(record.number);
                self.expected += 1;
                Ok(true)
            }
            Some(record) if record.number < self.expected => Ok(false),
            Some(record) => Err(Dead(format!(
                "the live log is broken: record {} came where {} was due; messages in between are lost",
                record.number, self.expected
            ))),
            None => {
                Err(Dead("the live log is broken: it returned bytes that are no record".to_owned()))
            }
        }
    }
}
