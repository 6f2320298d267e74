//! The reading end that may lose records.

use bytes::Bytes;

use super::{Dead, Link};
use crate::record::Record;

/// Another reading end, which may lose records and holds nobody up: while it does not read, the router
/// gives it the next 200 records and then forgets it until it is ready again.
pub(crate) struct Onlooker {
    link: Link,
    expected: u64,
}

/// A record that went by, and how many went by unseen before it.
pub(crate) struct PassedBy {
    pub(crate) record: Bytes,
    pub(crate) missed: u64,
}

impl Onlooker {
    pub(super) fn new(link: Link) -> Self {
        Self { link, expected: 0 }
    }

    /// The next record that the log still has. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`Dead`]: the router is gone, which others report.
    pub(crate) async fn next(&mut self) -> Result<PassedBy, Dead> {
        loop {
            let record = self.link.next().await?;
            if let Some(passed) = self.passed(record) {
                return Ok(passed);
            }
        }
    }

    /// The next record of those that the router has given anyway; none once it has paused.
    pub(crate) async fn left_over(&mut self) -> Result<Option<PassedBy>, Dead> {
        let record = self.link.taken().await?;
        Ok(record.and_then(|record| self.passed(record)))
    }

    /// Whether the router gives nothing until somebody asks again.
    pub(crate) fn is_paused(&self) -> bool {
        self.link.paused
    }

    fn passed(&mut self, record: Bytes) -> Option<PassedBy> {
        let number = Record::parse(&record)?.number;
        let missed = number.saturating_sub(self.expected);
        self.expected = number + 1;
        Some(PassedBy { record, missed })
    }
}
