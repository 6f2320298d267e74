//! What holds for both halves of a session, whatever is done with it in whatever order. The bytes are the steps.

mod incoming;
mod outgoing;

/// The first byte picks the half, the rest are steps.
///
/// # Panics
/// If a step does something else than MQTT says, or anything panics.
pub(crate) fn holds(input: &[u8]) {
    let Some((pick, steps)) = input.split_first() else { return };
    let steps = Steps(steps);
    if pick % 2 == 0 { outgoing::holds(steps) } else { incoming::holds(steps) }
}

/// Bytes that decide what is done next.
struct Steps<'a>(&'a [u8]);

impl Steps<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// 0 behind the end.
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
}
