//! What a load found, for people and as a last line of JSON.

use std::io;
use std::time::Duration;

use dockside_mqtt::QoS;
use hdrhistogram::Histogram;
use serde_json::json;

use super::Plan;

/// What a load found.
#[derive(Clone, Debug)]
pub struct Report {
    docks: u32,
    apps: u32,
    window: u16,
    qos: QoS,
    time: Duration,
    /// Events that were answered rightly.
    pub replies: u64,
    /// Of them, those that came when the load was over.
    pub late: u64,
    /// Replies or deliveries that were wrong.
    pub wrong: u64,
    /// Replies that came again.
    pub duplicate: u64,
    /// Events without a reply.
    pub missing: u64,
    /// Events that an application did not get, summed over applications.
    pub not_delivered: u64,
    /// Events that an application got again at QoS 0 or 2.
    pub delivered_twice: u64,
    /// Round trips, nanoseconds.
    round_trips: Histogram<u64>,
}

impl Report {
    pub(super) fn new(plan: &Plan) -> io::Result<Self> {
        let round_trips =
            Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?;
        Ok(Self {
            docks: plan.docks,
            apps: plan.apps,
            window: plan.window,
            qos: plan.qos,
            time: plan.time,
            replies: 0,
            late: 0,
            wrong: 0,
            duplicate: 0,
            missing: 0,
            not_delivered: 0,
            delivered_twice: 0,
            round_trips,
        })
    }

    pub(super) fn replied(&mut self, round_trip: Duration, is_late: bool) {
        self.replies += 1;
        self.late += u64::from(is_late);
        self.round_trips.saturating_record(round_trip.as_nanos() as u64);
    }

    /// Whether everything came back, once and right.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        let faults =
            [self.wrong, self.duplicate, self.missing, self.not_delivered, self.delivered_twice];
        self.replies > 0 && faults == [0; 5]
    }

    /// Events answered per second of the load.
    #[must_use]
    pub fn rate(&self) -> f64 {
        (self.replies - self.late) as f64 / self.time.as_secs_f64()
    }

    /// Prints it, the last line as JSON.
    pub fn print(&self) {
        let us = |quantile: f64| self.round_trips.value_at_quantile(quantile) as f64 / 1000.0;
        let max = self.round_trips.max() as f64 / 1000.0;
        let Self { docks, apps, window, qos, .. } = self;
        println!("{docks} docks, {apps} applications, window {window}, QoS {}", qos.bits());
        println!("{:.0} events/s", self.rate());
        println!(
            "round trip us: p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {max:.1}",
            us(0.5),
            us(0.9),
            us(0.99),
            us(0.999),
        );
        println!(
            "{} wrong, {} duplicate, {} missing, {} not delivered to applications, {} delivered twice",
            self.wrong, self.duplicate, self.missing, self.not_delivered, self.delivered_twice
        );
        let line = json!({
            "docks": docks, "apps": apps, "window": window, "qos": qos.bits(),
            "seconds": self.time.as_secs_f64(), "events": self.replies,
            "events_per_second": self.rate(),
            "p50_us": us(0.5), "p90_us": us(0.9), "p99_us": us(0.99), "p999_us": us(0.999),
            "max_us": max, "wrong": self.wrong, "duplicate": self.duplicate,
            "missing": self.missing, "not_delivered": self.not_delivered,
            "delivered_twice": self.delivered_twice, "tool_cpu_s": super::cpu_seconds(),
        });
        println!("{line}");
    }
}
