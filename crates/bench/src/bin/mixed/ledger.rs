//! What is sent to whom, and what came.

use std::io;
use std::time::Duration;

use dockside_mqtt::QoS;
use docksim::event::{self, Progress};
use docksim::load::{read_tid, serial_number, tid};
use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::{Arguments, TICK};

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Osd,
    State,
    Events,
    DrcUp,
    DrcDown,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Osd, Self::State, Self::Events, Self::DrcUp, Self::DrcDown];

    pub(crate) fn name(self) -> &'static str {
        ["osd", "state", "events", "drc/up", "drc/down"][self as usize]
    }

    /// With the number of its dock.
    pub(crate) fn of(topic: &str) -> Option<(Self, u32)> {
        let (sn, name) = topic.strip_prefix("thing/product/")?.split_once('/')?;
        let dock = sn.strip_prefix("SIMDOCK")?.parse().ok()?;
        Some((Self::ALL.into_iter().find(|kind| kind.name() == name)?, dock))
    }

    pub(crate) fn topic(self, sn: &str) -> String {
        format!("thing/product/{sn}/{}", self.name())
    }

    /// Ticks from one to the next: 2 Hz, 0.5 Hz, 1 Hz, 10 Hz.
    pub(crate) fn every(self) -> u64 {
        [5, 20, 10, 1, 1][self as usize]
    }

    pub(crate) fn qos(self) -> QoS {
        if self == Self::Events { QoS::AtLeastOnce } else { QoS::AtMostOnce }
    }

    /// Bytes of a payload, about what docks send.
    pub(crate) fn bytes(self) -> usize {
        [1_000, 300, 0, 200, 120][self as usize]
    }
}

pub(crate) struct Ledger {
    pub(crate) began: Instant,
    pub(crate) until: Instant,
    /// By kind, by dock.
    pub(crate) sent: [Vec<u64>; 5],
    pub(crate) replies: u64,
    pub(crate) deliveries: u64,
    pub(crate) wrong: u64,
    /// Nanoseconds from the publish.
    pub(crate) reply: Histogram<u64>,
    pub(crate) drc: Histogram<u64>,
}

impl Ledger {
    pub(crate) fn new(docks: u32) -> io::Result<Self> {
        let histogram =
            || Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other);
        Ok(Self {
            began: Instant::now(),
            until: Instant::now(),
            sent: std::array::from_fn(|_| vec![0; docks as usize]),
            replies: 0,
            deliveries: 0,
            wrong: 0,
            reply: histogram()?,
            drc: histogram()?,
        })
    }

    /// The next message of a dock and a kind, which is due at that time.
    pub(crate) fn payload(&mut self, kind: Kind, dock: u32, due: Instant) -> String {
        let number = &mut self.sent[kind as usize][dock as usize];
        let tid = tid(dock, *number);
        *number += 1;
        if kind == Kind::Events {
            let progress = Progress {
                status: "in_progress",
                step: 25,
                percent: 50,
                waypoint: 3,
                mission_state: 6,
                media_count: 0,
            };
            let sn = serial_number(dock);
            return event::event(&sn, &flight(dock), &tid, docksim::fly::now_ms(), &progress)
                .to_string();
        }
        let at = (due - self.began).as_nanos();
        let rest = "x".repeat(kind.bytes());
        format!(
            r#"{{"tid":"{tid}","at":"{at:016x}","timestamp":{},"data":{{"rest":"{rest}"}}}}"#,
            docksim::fly::now_ms()
        )
    }

    /// A message of a dock's that came to somebody who expects `next` of each.
    pub(crate) fn got(&mut self, of: (Kind, u32), payload: &[u8], next: &mut [Vec<u64>; 5]) {
        let (kind, dock) = of;
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let field =
            |name: &str, length| text.split_once(name).and_then(|(_, rest)| rest.get(..length));
        let said = field(r#""tid":""#, 36).and_then(read_tid);
        let due = said.filter(|(said, _)| *said == dock).and_then(|(_, number)| {
            let due = next[kind as usize].get_mut(dock as usize)?;
            (*due == number).then_some(due)
        });
        let Some(due) = due else {
            self.wrong += 1;
            return;
        };
        *due += 1;
        self.deliveries += 1;
        if matches!(kind, Kind::DrcUp | Kind::DrcDown)
            && let Some(at) = field(r#""at":""#, 16).and_then(|at| u64::from_str_radix(at, 16).ok())
        {
            let now = self.began.elapsed().as_nanos() as u64;
            self.drc.saturating_record(now.saturating_sub(at));
        }
    }

    /// What everybody is to get in all; and of it what was not sent in time.
    pub(crate) fn expected(&self, arguments: &Arguments) -> (u64, u64) {
        let plan = |kind: Kind| {
            (0..arguments.docks).map(|dock| planned(arguments, kind, dock)).sum::<u64>()
        };
        let sent = |kind: Kind| self.sent[kind as usize].iter().sum::<u64>();
        let not_sent = Kind::ALL.map(|kind| plan(kind).saturating_sub(sent(kind)));
        let to_all =
            [Kind::Osd, Kind::State, Kind::Events, Kind::DrcUp].map(plan).iter().sum::<u64>();
        (to_all * u64::from(arguments.apps) + plan(Kind::DrcDown), not_sent.iter().sum())
    }

    pub(crate) fn missing_replies(&self) -> u64 {
        self.sent[Kind::Events as usize].iter().sum::<u64>().saturating_sub(self.replies)
    }
}

/// When a dock begins.
pub(crate) fn phase(arguments: &Arguments, dock: u32) -> Duration {
    TICK * 10 * dock / arguments.docks
}

/// How many ticks of a dock are one: those that are flown by hand have something to say at each.
pub(crate) fn step(arguments: &Arguments, dock: u32) -> u32 {
    if dock < arguments.drc { 1 } else { 5 }
}

/// Messages of a dock and a kind that are due in the time of the load.
pub(crate) fn planned(arguments: &Arguments, kind: Kind, dock: u32) -> u64 {
    let is_drc = dock < arguments.drc;
    if !is_drc && matches!(kind, Kind::DrcUp | Kind::DrcDown) {
        return 0;
    }
    let phase = match kind {
        Kind::DrcDown => TICK / arguments.drc.min(arguments.docks) * dock,
        _ => phase(arguments, dock),
    };
    let step = step(arguments, dock);
    let left = Duration::from_secs_f64(arguments.seconds).saturating_sub(phase).as_nanos();
    let ticks = left.div_ceil((TICK * step).as_nanos()) as u64 * u64::from(step);
    ticks.div_ceil(kind.every())
}

pub(crate) fn flight(dock: u32) -> String {
    format!("f11ea5ed-0000-4000-8000-{dock:012x}")
}

pub(crate) fn nothing(docks: u32) -> [Vec<u64>; 5] {
    std::array::from_fn(|_| vec![0; docks as usize])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn what_is_lost_doubled_or_out_of_order_is_wrong() {
        let mut ledger = Ledger::new(2).unwrap();
        let sent: Vec<_> = (0..3).map(|_| ledger.payload(Kind::DrcUp, 1, Instant::now())).collect();
        let mut next = nothing(2);
        for (payload, wrong) in [(&sent[0], 0), (&sent[0], 1), (&sent[2], 2), (&sent[1], 2)] {
            ledger.got((Kind::DrcUp, 1), payload.as_bytes(), &mut next);
            assert_eq!(ledger.wrong, wrong, "{payload}");
        }
        // Another dock's.
        ledger.got((Kind::DrcUp, 0), sent[0].as_bytes(), &mut nothing(2));
        assert_eq!(ledger.wrong, 3);
        for payload in ["", "{}", r#"{"tid":"00000009-d0c5-4000-8000-000000000000"}"#] {
            let before = ledger.wrong;
            ledger.got((Kind::Osd, 1), payload.as_bytes(), &mut next);
            assert_eq!(ledger.wrong, before + 1, "{payload}");
        }
        assert_eq!((ledger.deliveries, ledger.drc.len()), (2, 2));
    }

    #[test]
    fn every_application_is_owed_everything_but_what_goes_down() {
        let told =
            ["mixed", "--broker=127.0.0.1:1", "--docks=2", "--drc=1", "--apps=3", "--seconds=1.05"];
        let arguments = Arguments::parse_from(told);
        let plan = |kind, dock| planned(&arguments, kind, dock);
        // Ticks at 0, 100, ..., 1000 ms, and at 500 and 1000.
        assert_eq!(Kind::ALL.map(|kind| plan(kind, 0)), [3, 1, 2, 11, 11]);
        assert_eq!(Kind::ALL.map(|kind| plan(kind, 1)), [2, 1, 1, 0, 0]);
        let mut ledger = Ledger::new(2).unwrap();
        let all = (3 + 1 + 2 + 11) + (2 + 1 + 1);
        assert_eq!(ledger.expected(&arguments), (all * 3 + 11, all + 11));
        Kind::ALL.into_iter().for_each(|kind| drop(ledger.payload(kind, 0, Instant::now())));
        assert_eq!(ledger.expected(&arguments), (all * 3 + 11, all + 11 - 5));
        assert_eq!(ledger.missing_replies(), 1);
        ledger.replies = 1;
        assert_eq!(ledger.missing_replies(), 0);
    }

    #[test]
    fn a_topic_says_what_it_is() {
        for kind in Kind::ALL {
            assert!(Kind::of(&kind.topic("SIMDOCK0000001")) == Some((kind, 1)));
        }
        assert!(Kind::of("thing/product/SIMDOCK1/events_reply").is_none());
    }
}
