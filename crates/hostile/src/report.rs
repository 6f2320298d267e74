//! What an attacker says at its end, on one line of standard output.

use std::cell::Cell;
use std::fmt;

/// Counters of an attacker at work.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: Cell<u64>,
    pub(crate) handshakes: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) packets: Cell<u64>,
    pub(crate) bytes: Cell<u64>,
}

/// Adds to a counter.
pub(crate) fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get().saturating_add(count));
}

/// What it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Report {
    /// Connections that were made.
    pub(crate) connections: u64,
    /// TLS handshakes that were completed.
    pub(crate) handshakes: u64,
    /// CONNECTs that were refused, or not answered.
    pub(crate) refused: u64,
    /// Packets that were sent, whole or not.
    pub(crate) packets: u64,
    /// Bytes that the system took.
    pub(crate) bytes: u64,
    /// CPU time, milliseconds.
    pub(crate) cpu_ms: u64,
    /// Time, milliseconds.
    pub(crate) wall_ms: u64,
}

impl Report {
    /// Cores that it used.
    pub(crate) fn cores(&self) -> f64 {
        self.cpu_ms as f64 / self.wall_ms.max(1) as f64
    }

    /// From the line; none if it is no report.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("report ")?.split_whitespace();
        let mut next = |name: &str| words.next()?.strip_prefix(name)?.parse().ok();
        Some(Self {
            connections: next("connections=")?,
            handshakes: next("handshakes=")?,
            refused: next("refused=")?,
            packets: next("packets=")?,
            bytes: next("bytes=")?,
            cpu_ms: next("cpu_ms=")?,
            wall_ms: next("wall_ms=")?,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, handshakes, refused, packets, bytes, cpu_ms, wall_ms } = self;
        write!(f, "report connections={connections} handshakes={handshakes} ")?;
        write!(f, "refused={refused} packets={packets} ")?;
        write!(f, "bytes={bytes} cpu_ms={cpu_ms} wall_ms={wall_ms}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = Report {
            connections: 1,
            handshakes: 6,
            refused: 2,
            packets: 3,
            bytes: 4,
            cpu_ms: 500,
            wall_ms: 1_000,
        };
        assert_eq!(Report::read(&report.to_string()), Some(report));
        assert_eq!(Report::read("report connections=1"), None);
        assert!((report.cores() - 0.5).abs() < 1e-9);
    }
}
