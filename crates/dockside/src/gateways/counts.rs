//! What is counted of gateways' messages.

use dockside_flighttask::answer::{FLIGHTTASK_PROGRESS, Flags};
use dockside_flighttask::methods::METHODS;
use dockside_flighttask::rules::REQUEST_METHODS;
use dockside_flighttask::topic::Kind;
use dockside_flighttask::{Answer, Decision, Invalid};
use metrics::{Counter, counter, describe_counter};

/// Counters of closed sets, there from the start.
pub(super) struct Counts {
    /// In the order of [`METHODS`]; the last is every other method.
    received: Vec<Counter>,
    replied: Vec<Counter>,
    /// In the order of [`REQUEST_METHODS`]; the last is every other method.
    requests: Vec<[Counter; 2]>,
    no_reply_needed: Counter,
    unknown_method: Counter,
    invalid: [(Invalid, Counter); 3],
    invalid_serial_number: Counter,
    no_bid: Counter,
    junk_need_reply: Counter,
    gateway_mismatch: Counter,
}

impl Counts {
    pub(super) fn register() -> Self {
        describe_counter!("dockside_events_received_total", "Events of gateways, by method");
        describe_counter!("dockside_events_replied_total", "Events that were answered, by method");
        describe_counter!(
            "dockside_requests_received_total",
            "Requests and update_topo of gateways, by method and whether they were answered here"
        );
        describe_counter!("dockside_events_ignored_total", "Events that need no answer from here");
        describe_counter!("dockside_events_invalid_total", "Events that cannot be answered");
        describe_counter!(
            "dockside_events_flagged_total",
            "Events with an oddity that is forgiven"
        );
        let methods = || METHODS.iter().copied().chain(["other"]);
        let received =
            |method: &'static str| counter!("dockside_events_received_total", "method" => method);
        let replied = |method: &'static str| counter!("dockside_events_replied_total", "method" => method, "result" => "ok");
        let request = |method: &'static str| {
            ["yes", "no"].map(|answered| {
                counter!("dockside_requests_received_total", "method" => method, "answered" => answered)
            })
        };
        let ignored =
            |reason: &'static str| counter!("dockside_events_ignored_total", "reason" => reason);
        let invalid =
            |reason: &'static str| counter!("dockside_events_invalid_total", "reason" => reason);
        let flagged =
            |reason: &'static str| counter!("dockside_events_flagged_total", "reason" => reason);
        Self {
            received: methods().map(received).collect(),
            replied: methods().map(replied).collect(),
            requests: REQUEST_METHODS
                .iter()
                .map(|(_, name)| *name)
                .chain(["other"])
                .map(request)
                .collect(),
            no_reply_needed: ignored("no_reply_needed"),
            unknown_method: ignored("unknown_method"),
            invalid: Invalid::ALL.map(|reason| (reason, invalid(reason.as_str()))),
            invalid_serial_number: invalid("sn"),
            no_bid: flagged("no_bid"),
            junk_need_reply: flagged("need_reply"),
            gateway_mismatch: flagged("gateway_mismatch"),
        }
    }

    pub(super) fn no_serial_number(&self, topic: &str) {
        if topic.ends_with("/events") {
            self.received[METHODS.len()].increment(1);
            self.invalid_serial_number.increment(1);
        }
    }

    pub(super) fn decided(&self, kind: Kind, decision: &Decision<'_>) {
        let method = decision.method.as_deref().unwrap_or_default();
        let is_answered = matches!(decision.answer, Answer::Reply { .. });
        if kind != Kind::Events {
            let at = REQUEST_METHODS.iter().position(|known| *known == (kind, method));
            let [yes, no] = &self.requests[at.unwrap_or(REQUEST_METHODS.len())];
            return if is_answered { yes } else { no }.increment(1);
        }
        let at = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        self.received[at].increment(1);
        match decision.answer {
            Answer::Reply { .. } => self.replied[at].increment(1),
            Answer::NotNeeded => self.no_reply_needed.increment(1),
            Answer::NotOurs { .. } => self.unknown_method.increment(1),
            Answer::Invalid(invalid) => self.invalid(invalid),
        }
        if method == FLIGHTTASK_PROGRESS || is_answered {
            self.flagged(decision.flags);
        }
    }

    fn invalid(&self, invalid: Invalid) {
        if let Some((_, counter)) = self.invalid.iter().find(|(known, _)| *known == invalid) {
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
