//! An event on its way to the writer.
//!
//! ```text
//! event   = received u64 | step, percent, result i64 | key 16 bytes | lengths of gateway, method,
//!           tid, task, status, track u16 | whether it has details u8 | these six | [details] | payload
//! details = percent f64 | five numbers i64 | the device's clock u64
//! ```

use dockside_flighttask::progress::TEXT_BYTES_AT_MOST;
use dockside_interceptor as interceptor;

/// An event of a gateway that is recorded.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) received_ms: u64,
    pub(crate) gateway: &'a str,
    pub(crate) method: &'a str,
    pub(crate) tid: &'a str,
    pub(crate) task: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
    pub(crate) step: Option<i64>,
    pub(crate) percent: Option<i64>,
    pub(crate) result: Option<i64>,
    pub(crate) key: [u8; 16],
    /// None if nobody has read them yet.
    pub(crate) details: Option<Details<'a>>,
    pub(crate) payload: &'a [u8],
}

/// [`interceptor::Details`], which are seldom looked at: as they are written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Details<'a> {
    pub(crate) numbers: &'a Numbers,
    pub(crate) track: Option<&'a str>,
}

/// Percent, five numbers, the device's clock.
type Numbers = [u8; DETAILS];

const HEAD: usize = 61;
const DETAILS: usize = 56;

/// Whether details come back as they were: a number is what stands for none, or a text longer than a flight task
/// takes, in no event but a hostile one, whose payload is read again then.
pub(crate) fn can_be_written(
    record: &interceptor::EventRecord<'_>,
    details: &interceptor::Details<'_>,
) -> bool {
    let numbers = [record.step, record.result].into_iter().chain(details.numbers);
    let texts = [&record.task, &record.status, &details.track];
    numbers.flatten().all(|number| number != NONE)
        && texts.into_iter().flatten().all(|text| text.len() <= TEXT_BYTES_AT_MOST)
}

/// The numbers of details, as they are written.
pub(crate) fn numbers(said: &interceptor::Details<'_>) -> Numbers {
    let mut out = [0; DETAILS];
    out[..8].copy_from_slice(&said.percent.unwrap_or(f64::NAN).to_le_bytes());
    for (place, number) in out[8..48].as_chunks_mut().0.iter_mut().zip(said.numbers) {
        *place = number.unwrap_or(NONE).to_le_bytes();
    }
    out[48..].copy_from_slice(&said.device_ms.unwrap_or(u64::MAX).to_le_bytes());
    out
}

impl Details<'_> {
    pub(crate) fn percent(&self) -> Option<f64> {
        let percent = f64::from_le_bytes(*self.numbers.first_chunk()?);
        (!percent.is_nan()).then_some(percent)
    }

    pub(crate) fn numbers(&self) -> [Option<i64>; 5] {
        [8, 16, 24, 32, 40].map(|at| number(self.numbers, at))
    }

    pub(crate) fn device_ms(&self) -> Option<u64> {
        let ms = u64::from_le_bytes(*self.numbers.last_chunk()?);
        (ms != u64::MAX).then_some(ms)
    }
}

const NONE: i64 = i64::MIN;
const NO_TEXT: u16 = u16::MAX;

/// Longer texts of an event are cut: the payload has them whole.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(1_024)]
}

pub(super) fn append(out: &mut Vec<u8>, event: &Event<'_>) {
    out.extend_from_slice(&event.received_ms.to_le_bytes());
    for number in [event.step, event.percent, event.result] {
        out.extend_from_slice(&number.unwrap_or(NONE).to_le_bytes());
    }
    out.extend_from_slice(&event.key);
    let texts = [
        Some(event.gateway),
        Some(event.method),
        Some(event.tid),
        event.task,
        event.status,
        event.details.and_then(|details| details.track),
    ];
    for text in texts {
        let length = text.map_or(NO_TEXT, |text| cut(text).len() as u16);
        out.extend_from_slice(&length.to_le_bytes());
    }
    out.push(u8::from(event.details.is_some()));
    texts.iter().flatten().for_each(|text| out.extend_from_slice(cut(text).as_bytes()));
    if let Some(details) = &event.details {
        out.extend_from_slice(details.numbers);
    }
    out.extend_from_slice(event.payload);
}

pub(super) fn parse(body: &[u8]) -> Option<Event<'_>> {
    let (head, rest) = body.split_at_checked(HEAD)?;
    let number = |at: usize| number(head, at);
    let lengths: [Option<usize>; 6] = std::array::from_fn(|index| {
        let at = 48 + 2 * index;
        let length = u16::from_le_bytes([head[at], head[at + 1]]);
        (length != NO_TEXT).then_some(usize::from(length))
    });
    let (texts, mut rest) = rest.split_at_checked(lengths.iter().flatten().sum())?;
    // All at once: many short texts cost more.
    let mut texts = std::str::from_utf8(texts).ok()?;
    let mut text = |index: usize| {
        let (text, behind) = texts.split_at_checked(lengths[index]?)?;
        texts = behind;
        Some(text)
    };
    let (gateway, method, tid) = (text(0)?, text(1)?, text(2)?);
    let (task, status, track) = (text(3), text(4), text(5));
    let mut details = None;
    if head[HEAD - 1] == 1 {
        let (numbers, payload) = rest.split_first_chunk()?;
        rest = payload;
        details = Some(Details { numbers, track });
    }
    Some(Event {
        received_ms: u64::from_le_bytes(head[..8].try_into().ok()?),
        gateway,
        method,
        tid,
        task,
        status,
        step: number(8),
        percent: number(16),
        result: number(24),
        key: head[32..48].try_into().ok()?,
        details,
        payload: rest,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<i64> {
    let number = i64::from_le_bytes(bytes[at..at + 8].try_into().ok()?);
    (number != NONE).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Event<'static> {
        /// One of many, all of the same flight task.
        pub(crate) fn numbered(number: u64) -> Self {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_be_bytes());
            Event {
                received_ms: 1,
                gateway: "SIMDOCK1",
                method: "flighttask_progress",
                tid: "t",
                task: Some("f"),
                status: None,
                step: None,
                percent: None,
                result: None,
                key,
                details: None,
                payload: b"{}",
            }
        }
    }

    #[test]
    fn what_would_not_come_back_is_not_written() {
        let record = || interceptor::EventRecord {
            received_ms: 1,
            gateway: "SIMDOCK1".into(),
            method: "m".into(),
            tid: "t".into(),
            task: Some("f".repeat(TEXT_BYTES_AT_MOST).into()),
            status: None,
            step: Some(NONE + 1),
            percent: None,
            result: None,
            key: [0; 16],
            details: None,
        };
        let details =
            || interceptor::Details { numbers: [Some(i64::MAX); 5], ..Default::default() };
        assert!(can_be_written(&record(), &details()));
        let long = Some("f".repeat(TEXT_BYTES_AT_MOST + 1).into());
        for (record, details) in [
            (interceptor::EventRecord { task: long.clone(), ..record() }, details()),
            (interceptor::EventRecord { result: Some(NONE), ..record() }, details()),
            (record(), interceptor::Details { track: long, ..details() }),
            (record(), interceptor::Details { numbers: [Some(NONE); 5], ..details() }),
        ] {
            assert!(!can_be_written(&record, &details), "{record:?} {details:?}");
        }
    }
}
