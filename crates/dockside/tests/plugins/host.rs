//! A host of the plugins: it keeps what they record, as any host would, and does nothing else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dockside::commands::Commands;
use dockside::gateways::Gateways;
use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;
use dockside_flighttask::{EventKey, Known, Progress, Rules, TaskState, Tasks};
use dockside_interceptor::{
    Announcement, Audited, Effects, EventRecord, FlightTask, Heard, Intercepted, Interceptor, Kept,
    QoS, Reply, Unanswered, Verdict,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// The host's clock, milliseconds since 1970.
pub(crate) const NOW: u64 = 1_747_224_838_227;

pub(crate) struct Host {
    plugins: [Box<dyn Interceptor>; 2],
    counters: Counters,
    kept: Table,
    known: Known,
    pub(crate) now_ms: u64,
    /// What was recorded, repetitions once.
    pub(crate) history: Vec<EventRecord<'static>>,
}

/// What came of one publish.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) replies: Vec<Reply>,
    pub(crate) record: Option<EventRecord<'static>>,
    /// Whether the record was in the history already.
    pub(crate) is_known: bool,
    pub(crate) announcement: Option<Announcement>,
    pub(crate) unanswered: Option<Unanswered>,
    pub(crate) heard: Option<Heard<'static>>,
    pub(crate) audited: Option<Audited>,
    /// Counters that went up by one: name and labels.
    pub(crate) counted: Vec<String>,
}

struct Table(Tasks);

impl Kept for Table {
    fn flight_task(&self, gateway: &str, task: Option<&str>) -> Option<FlightTask> {
        let state = match task {
            Some(task) => self.0.get(gateway, task),
            None => self.0.latest_of(gateway),
        }?;
        Some(FlightTask {
            task: state.task.to_string(),
            status: state.status.as_deref().map(str::to_owned),
            step: state.step,
            percent: state.percent,
        })
    }
}

impl Host {
    pub(crate) fn new(rules: Rules) -> Self {
        let counters = Counters::default();
        let gateways = metrics::with_local_recorder(&counters, || Gateways::new(rules));
        Self {
            plugins: [Box::new(gateways), Box::new(Commands)],
            counters,
            kept: Table(Tasks::new(1_000)),
            known: Known::new(10_000),
            now_ms: NOW,
            history: Vec::new(),
        }
    }

    /// Shows a publish to every plugin that wants it, as the contract says.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> Outcome {
        let before = self.counters.values();
        let mut effects = Effects::default();
        for plugin in &self.plugins {
            let filters = [plugin.filters(), plugin.watched()].concat();
            if filters.iter().any(|filter| matches(filter, topic)) {
                let publish = Intercepted {
                    topic,
                    payload,
                    qos: QoS::AtLeastOnce,
                    client_id: "client",
                    now_ms: self.now_ms,
                    kept: &self.kept,
                };
                let verdict = plugin.intercept(&publish, &mut effects);
                assert_eq!(verdict, Verdict::Forward, "{topic}: whatever it is, it goes its way");
            }
        }
        let mut outcome = Outcome {
            replies: effects.take_replies().collect(),
            record: effects.take_record().map(EventRecord::into_owned),
            announcement: effects.take_announcement(),
            unanswered: effects.take_unanswered(),
            heard: effects.take_heard().map(Heard::into_owned),
            audited: effects.take_audited(),
            ..Outcome::default()
        };
        for (name, value) in self.counters.values() {
            match value - before.get(&name).copied().unwrap_or(0) {
                0 => {}
                1 => outcome.counted.push(name),
                more => panic!("{name} counted one message {more} times"),
            }
        }
        self.keep(&mut outcome, payload);
        outcome
    }

    fn keep(&mut self, outcome: &mut Outcome, payload: &[u8]) {
        let Some(record) = &outcome.record else { return };
        outcome.is_known = !self.known.insert_key(EventKey::from_bytes(record.key));
        if outcome.is_known {
            return;
        }
        self.history.push(record.clone());
        if &*record.method == FLIGHTTASK_PROGRESS {
            self.kept.0.apply(&record.gateway, &Progress::parse(payload), record.received_ms);
        }
    }

    /// How a task stands.
    pub(crate) fn task(&self, gateway: &str, task: &str) -> Option<&TaskState> {
        self.kept.0.get(gateway, task)
    }

    pub(crate) fn tasks(&self) -> usize {
        self.kept.0.len()
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (None, None) => return true,
            (Some(wanted), Some(level)) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
}

/// Counts, by `name label...`, without what all names begin and end with.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Counters {
    fn values(&self) -> BTreeMap<String, u64> {
        let counters = self.0.lock().unwrap();
        counters.iter().map(|(name, value)| (name.clone(), value.load(Ordering::Relaxed))).collect()
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let name = key.name().trim_start_matches("dockside_").trim_end_matches("_total");
        let labels = key.labels().map(|label| format!(" {}", label.value()));
        let name = format!("{name}{}", labels.collect::<String>());
        Counter::from_arc(self.0.lock().unwrap().entry(name).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
