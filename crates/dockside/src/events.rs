//! The plugin that answers docks: `flighttask_progress` events, in the broker.
//!
//! What is answered, and with what, is decided by `dockside_flighttask`; this file joins it to the
//! broker's plugin contract and counts.

use std::borrow::Cow;

use dockside_flighttask::answer::Flags;
use dockside_flighttask::methods::METHODS;
use dockside_flighttask::{Answer, Invalid, Progress, Rules, answer, known, topic};
use dockside_interceptor::{
    Effects, EventRecord, Intercepted, Interceptor, Reply, Unanswered, Verdict,
};
use metrics::{Counter, counter, describe_counter};

use dockside_broker::mqtt::QoS;

/// Answers `flighttask_progress` events.
pub struct Events {
    rules: Rules,
    metrics: EventMetrics,
}

struct EventMetrics {
    /// In the order of [`METHODS`]; the last is every other method.
    received: Vec<Counter>,
    replied: Counter,
    no_reply_needed: Counter,
    unknown_method: Counter,
    invalid: [(Invalid, Counter); 3],
    invalid_serial_number: Counter,
    no_bid: Counter,
    junk_need_reply: Counter,
    gateway_mismatch: Counter,
}

impl Events {
    /// The plugin with these rules; registers its metrics.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, metrics: EventMetrics::register() }
    }
}

impl Interceptor for Events {
    fn name(&self) -> &'static str {
        "flighttask"
    }

    fn filters(&self) -> Vec<String> {
        vec![topic::EVENTS_FILTER.to_owned()]
    }

    fn intercept(&self, publish: &Intercepted<'_>, effects: &mut Effects) -> Verdict {
        let metrics = &self.metrics;
        let Some(serial_number) = topic::events_serial_number(publish.topic) else {
            metrics.received("");
            metrics.invalid_serial_number.increment(1);
            effects.leave_unanswered(Unanswered {
                reason: "event not answered: its topic holds no serial number".into(),
                remedy: "a serial number is 1 to 64 letters and digits",
            });
            return Verdict::Forward;
        };
        let (answer, flags) = answer(serial_number, publish.payload, publish.now_ms, self.rules);
        metrics.flagged(flags);
        match answer {
            Answer::Reply { payload, tid } => {
                effects.record(record(serial_number, tid, publish));
                metrics.received(dockside_flighttask::answer::FLIGHTTASK_PROGRESS);
                metrics.replied.increment(1);
                let topic = topic::events_reply(serial_number);
                effects.reply(Reply { topic, payload, qos: QoS::AtLeastOnce });
            }
            Answer::NotNeeded => {
                metrics.received(dockside_flighttask::answer::FLIGHTTASK_PROGRESS);
                metrics.no_reply_needed.increment(1);
            }
            Answer::OtherMethod { method, waits } => {
                metrics.received(&method);
                metrics.unknown_method.increment(1);
                if waits {
                    effects.leave_unanswered(other_method(&method));
                }
            }
            Answer::Invalid(invalid) => {
                metrics.received("");
                metrics.invalid(invalid);
                effects.leave_unanswered(unreadable(invalid));
            }
        }
        Verdict::Forward
    }
}

/// What is kept of an event before it is answered.
fn record(gateway: &str, tid: String, publish: &Intercepted<'_>) -> EventRecord {
    let progress = Progress::parse(publish.payload);
    let owned = |text: Option<Cow<'_, str>>| text.map(|text| text.into_owned().into_boxed_str());
    EventRecord {
        received_ms: publish.now_ms,
        gateway: gateway.into(),
        method: dockside_flighttask::answer::FLIGHTTASK_PROGRESS,
        key: known::key(gateway, &tid, publish.payload).to_bytes(),
        tid: tid.into(),
        task: owned(progress.task),
        status: owned(progress.status),
        step: progress.step,
        percent: progress.percent.map(|percent| percent as i64),
        result: progress.result,
    }
}

fn other_method(method: &str) -> Unanswered {
    let known = METHODS.iter().find(|known| **known == method);
    let method = known.copied().unwrap_or("of a method unknown to the DJI Cloud API");
    Unanswered {
        reason: format!("event {method} not answered: it asks for a reply that is not Dockside's")
            .into(),
        remedy: "a cloud application must answer it on thing/product/SN/events_reply",
    }
}

fn unreadable(invalid: Invalid) -> Unanswered {
    let (reason, remedy) = match invalid {
        Invalid::Json => (
            "event not answered: its payload is no JSON object",
            "look at what the device sends; it is forwarded as it is",
        ),
        Invalid::Schema => (
            "event not answered: no tid or no method that a reply could name",
            "the device must send tid and method (DJI Cloud API, events)",
        ),
        Invalid::TooLarge => (
            "event not answered: its payload, tid or bid is too long",
            "if it is meant, raise flight_task.max_event_bytes",
        ),
    };
    Unanswered { reason: reason.into(), remedy }
}

impl EventMetrics {
    fn register() -> Self {
        describe_counter!("dockside_events_received_total", "Events of gateways, by method");
        describe_counter!("dockside_events_replied_total", "Events that were answered");
        describe_counter!("dockside_events_ignored_total", "Events that need no answer from here");
        describe_counter!("dockside_events_invalid_total", "Events that cannot be answered");
        describe_counter!(
            "dockside_events_flagged_total",
            "Events with an oddity that is forgiven"
        );
        let received =
            |method: &'static str| counter!("dockside_events_received_total", "method" => method);
        let ignored =
            |reason: &'static str| counter!("dockside_events_ignored_total", "reason" => reason);
        let invalid =
            |reason: &'static str| counter!("dockside_events_invalid_total", "reason" => reason);
        let flagged =
            |reason: &'static str| counter!("dockside_events_flagged_total", "reason" => reason);
        Self {
            received: METHODS.iter().copied().chain(["other"]).map(received).collect(),
            replied: counter!("dockside_events_replied_total",
                "method" => dockside_flighttask::answer::FLIGHTTASK_PROGRESS, "result" => "ok"),
            no_reply_needed: ignored("no_reply_needed"),
            unknown_method: ignored("unknown_method"),
            invalid: Invalid::ALL.map(|reason| (reason, invalid(reason.as_str()))),
            invalid_serial_number: invalid("sn"),
            no_bid: flagged("no_bid"),
            junk_need_reply: flagged("need_reply"),
            gateway_mismatch: flagged("gateway_mismatch"),
        }
    }

    fn received(&self, method: &str) {
        let at = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        self.received[at].increment(1);
    }

    fn invalid(&self, reason: Invalid) {
        if let Some((_, counter)) = self.invalid.iter().find(|(known, _)| *known == reason) {
            counter.increment(1);
        }
    }

    fn flagged(&self, flags: Flags) {
        for (set, counter) in [
            (flags.no_bid, &self.no_bid),
            (flags.junk_need_reply, &self.junk_need_reply),
            (flags.gateway_mismatch, &self.gateway_mismatch),
        ] {
            if set {
                counter.increment(1);
            }
        }
    }
}
