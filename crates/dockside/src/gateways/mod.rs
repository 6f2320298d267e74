//! The plugin that answers gateways, in the broker: `flighttask_progress` events, and by rules of the
//! configuration whatever else needs no application.
//!
//! What is answered, and with what, is decided by `dockside_flighttask`; this joins it to the broker's plugin
//! contract and counts.

mod counts;

use std::borrow::Cow;

use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;
use dockside_flighttask::methods::METHODS;
use dockside_flighttask::telemetry::Telemetry;
use dockside_flighttask::topic::{Kind, TELEMETRY_FILTERS, telemetry_serial_number};
use dockside_flighttask::topology::{Topology, update_topo};
use dockside_flighttask::{
    Answer, Decision, Invalid, Progress, Rules, Standing, WaitFor, answer, known,
};
use dockside_interceptor::{
    After, Announcement, Details, Effects, EventRecord, Heard, Intercepted, Interceptor, Kept, QoS,
    Reply, Unanswered, Verdict,
};

use self::counts::Counts;

/// Answers gateways, records what they say of flight tasks, and says who was heard of.
pub struct Gateways {
    rules: Rules,
    counts: Counts,
}

impl Gateways {
    /// The plugin with these rules; registers its metrics.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, counts: Counts::register() }
    }
}

impl Interceptor for Gateways {
    fn name(&self) -> &'static str {
        "gateways"
    }

    fn filters(&self) -> Vec<String> {
        Kind::ALL.map(|kind| kind.filter().to_owned()).to_vec()
    }

    fn watched(&self) -> Vec<String> {
        TELEMETRY_FILTERS.map(str::to_owned).to_vec()
    }

    fn intercept<'p>(&self, publish: &Intercepted<'p>, effects: &mut Effects<'p>) -> Verdict {
        if let Some(gateway) = telemetry_serial_number(publish.topic) {
            effects.heard(telemetry(gateway, publish.payload));
            return Verdict::Forward;
        }
        let of = |kind: Kind| Some((kind, kind.serial_number(publish.topic)?));
        match Kind::ALL.into_iter().find_map(of) {
            Some((kind, gateway)) => self.message((kind, gateway), publish, effects),
            None => {
                self.counts.no_serial_number(publish.topic);
                effects.leave_unanswered(Unanswered {
                    reason: "not answered: its topic holds no serial number".into(),
                    remedy: "a serial number is 1 to 64 letters and digits",
                });
            }
        }
        Verdict::Forward
    }
}

impl Gateways {
    fn message<'p>(
        &self,
        (kind, gateway): (Kind, &'p str),
        publish: &Intercepted<'p>,
        effects: &mut Effects<'p>,
    ) {
        let look = |gateway: &str, task: Option<&str>| standing(publish.kept, gateway, task);
        let decision = answer((kind, gateway), publish.payload, publish.now_ms, &self.rules, &look);
        self.counts.decided(kind, &decision);
        let Decision { answer, method, tid, device_ms, progress, .. } = decision;
        let mut heard =
            Heard { gateway: gateway.into(), is_gateway: true, device_ms, ..Heard::default() };
        if kind == Kind::Status
            && let Some(Topology { model, aircraft }) = update_topo(publish.payload)
        {
            heard.model = model.map(|model| [model.domain, model.kind, model.sub_type]);
            heard.aircraft = Some(aircraft.iter().map(|sn| sn.as_str().into()).collect());
            effects.announce(Announcement { gateway: gateway.to_owned(), aircraft });
        }
        let is_answered = matches!(answer, Answer::Reply { .. });
        let at_once = matches!(answer, Answer::Reply { wait_for: WaitFor::Commit, .. });
        heard.event = (kind == Kind::Events).then_some(at_once);
        effects.heard(heard);
        let method = method.unwrap_or_default();
        // What a flight task is doing counts, whether or not somebody is told that it was heard.
        let is_progress = method == FLIGHTTASK_PROGRESS;
        if kind == Kind::Events && (is_progress || is_answered) {
            let of = (gateway, method.clone(), tid);
            effects.record(record(of, is_progress.then_some(progress), publish));
        }
        match answer {
            Answer::Reply { payload, wait_for } => {
                let after = match wait_for {
                    WaitFor::Commit => After::Kept,
                    WaitFor::User(user) => After::User(user.into()),
                    WaitFor::Client(client) => After::Client(client.into()),
                };
                let topic = kind.reply_topic(gateway);
                effects.reply(Reply { topic, payload, qos: QoS::AtLeastOnce, after });
            }
            Answer::NotOurs { waits: true } => {
                effects.leave_unanswered(not_ours(&method));
            }
            Answer::NotNeeded | Answer::NotOurs { waits: false } => {}
            Answer::Invalid(invalid) => effects.leave_unanswered(unreadable(kind, invalid)),
        }
    }
}

fn standing(kept: &dyn Kept, gateway: &str, task: Option<&str>) -> Option<Standing> {
    let task = kept.flight_task(gateway, task)?;
    Some(Standing {
        task: task.task,
        status: task.status?,
        step: task.step.unwrap_or(0),
        percent: task.percent.unwrap_or(0.0),
    })
}

fn telemetry<'p>(gateway: &'p str, payload: &'p [u8]) -> Heard<'p> {
    let Telemetry { device_ms, firmware } = Telemetry::parse(payload);
    Heard { gateway: gateway.into(), device_ms, firmware, ..Heard::default() }
}

/// What is kept of an event, of one that tells of a flight task with what it says of it.
fn record<'p>(
    (gateway, method, tid): (&'p str, Cow<'p, str>, Cow<'p, str>),
    progress: Option<Progress<'p>>,
    publish: &Intercepted<'p>,
) -> EventRecord<'p> {
    let key = known::key(gateway, &tid, publish.payload).to_bytes();
    let has_details = progress.is_some();
    let progress = progress.unwrap_or_default();
    EventRecord {
        received_ms: publish.now_ms,
        gateway: gateway.into(),
        method,
        key,
        tid,
        step: progress.step,
        percent: progress.percent_in_range().map(|percent| percent as i64),
        result: progress.result,
        details: has_details.then(|| details(&progress)),
        task: progress.task,
        status: progress.status,
    }
}

fn details<'p>(progress: &Progress<'p>) -> Details<'p> {
    Details {
        percent: progress.percent,
        numbers: [
            progress.waypoint,
            progress.wayline,
            progress.mission_state,
            progress.media_count,
            progress.break_reason,
        ],
        track: progress.track.clone(),
        device_ms: progress.timestamp,
    }
}

fn not_ours(method: &str) -> Unanswered {
    let known = METHODS.iter().find(|known| **known == method);
    let method = known.copied().unwrap_or("of a method unknown to the DJI Cloud API");
    Unanswered {
        reason: format!("event {method} not answered: it asks for a reply that is not Dockside's")
            .into(),
        remedy: "an application must answer it on thing/product/SN/events_reply, or a rule under [[answer]] has Dockside do it",
    }
}

fn unreadable(kind: Kind, invalid: Invalid) -> Unanswered {
    let what = match kind {
        Kind::Events => "event",
        Kind::Requests => "request",
        Kind::Status => "status",
    };
    let (reason, remedy) = match invalid {
        Invalid::Json => (
            "its payload is no JSON object",
            "look at what the device sends; it is forwarded as it is",
        ),
        // Of an event the data is nobody's reason: the reply is a receipt.
        Invalid::Schema if kind == Kind::Requests => (
            "no tid or no method that a reply could name, or data that its method does not have",
            "the device must send tid, method and the data of the method (DJI Cloud API, requests)",
        ),
        Invalid::Schema => (
            "no tid or no method that a reply could name",
            "the device must send tid and method (DJI Cloud API, events)",
        ),
        Invalid::TooLarge => (
            "its payload, tid or bid is too long",
            "if it is meant, raise flight_task.max_event_bytes",
        ),
    };
    Unanswered { reason: format!("{what} not answered: {reason}").into(), remedy }
}
