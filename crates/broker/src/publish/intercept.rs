//! The plugins: which publishes they see, and what they want done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dockside_interceptor::{
    After, Audited, Effects, EventRecord, Intercepted, Interceptor, Verdict,
};
use dockside_mqtt::filter_tree::FilterTree;
use dockside_store::Audit;

use super::Accepted;
use crate::arrivals::Pace;
use crate::connection::Client;
use crate::keep::{self, KeepAside};
use crate::record::Instance;
use crate::shared::Shared;
use crate::will::WillMessage;

/// Lines that the log has in a second for what plugins do wrong.
const LINES_A_SECOND: u32 = 1;

/// What a call may take: in the meantime other connections of the thread wait.
const BUDGET: Duration = Duration::from_millis(1);

/// The plugins, by the topics they want to see.
pub(crate) struct Interceptors {
    wishes: FilterTree<Wish>,
    lines: Mutex<Pace>,
}

/// A plugin wants to see what matches a filter.
struct Wish {
    plugin: Arc<dyn Interceptor>,
    wants: Wants,
}

/// What for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// [`Interceptor::filters`].
    Claim,
    /// [`Interceptor::watched`].
    Watch,
}

/// What plugins want of a topic.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) is_claimed: bool,
    pub(super) is_watched: bool,
}

/// What plugins make of a publish before it goes its way.
#[derive(Default)]
pub(super) struct Seen<'p> {
    pub(super) verdict: Verdict,
    pub(super) record: Option<EventRecord<'p>>,
    pub(super) audited: Option<Audit>,
}

impl Interceptors {
    pub(crate) fn new(plugins: Vec<Arc<dyn Interceptor>>) -> Self {
        let mut wishes = FilterTree::default();
        for plugin in plugins {
            let filters = plugin.filters().into_iter().map(|filter| (filter, Wants::Claim));
            let watched = plugin.watched().into_iter().map(|filter| (filter, Wants::Watch));
            for (filter, wants) in filters.chain(watched) {
                wishes.insert(&filter, Wish { plugin: Arc::clone(&plugin), wants });
            }
        }
        Self { wishes, lines: Mutex::new(Pace::fresh(LINES_A_SECOND, 0)) }
    }

    /// Whether the log has a line for what a plugin did: it may do it with every message.
    pub(crate) fn has_line(&self, now_ms: u64) -> bool {
        let mut lines = self.lines.lock().expect("no panic while it is held");
        lines.take(LINES_A_SECOND, now_ms)
    }

    /// Whether a plugin claims a topic.
    pub(crate) fn claim(&self, topic: &str) -> bool {
        self.wanted(topic).is_claimed
    }

    pub(super) fn wanted(&self, topic: &str) -> Wanted {
        let mut wanted = Wanted::default();
        self.wishes.matches(topic, |wish| match wish.wants {
            Wants::Claim => wanted.is_claimed = true,
            Wants::Watch => wanted.is_watched = true,
        });
        wanted
    }

    /// Every plugin that wants this of a topic, once for each filter.
    fn each<'p>(&'p self, topic: &str, wants: Wants, mut see: impl FnMut(&'p dyn Interceptor)) {
        self.wishes.matches(topic, |wish| {
            if wish.wants == wants {
                see(&*wish.plugin);
            }
        });
    }
}

/// Shows it to a plugin; a panic of it is nobody else's.
fn call<'p>(
    shared: &Shared,
    plugin: &dyn Interceptor,
    publish: &Intercepted<'p>,
    effects: &mut Effects<'p>,
) -> Verdict {
    let began = Instant::now();
    let called = catch_unwind(AssertUnwindSafe(|| plugin.intercept(publish, effects)));
    let took = began.elapsed();
    if took > BUDGET {
        shared.metrics.hook_over_budget.increment(1);
        // A busy machine takes the processor away in between: no reason to warn anybody.
        tracing::debug!(plugin = plugin.name(), topic = ?publish.topic, ?took, "a plugin took long");
    }
    called.unwrap_or_else(|_| {
        effects.clear();
        shared.metrics.hook_panics.increment(1);
        if shared.interceptors.has_line(shared.clock.now_ms()) {
            tracing::error!(
                plugin = plugin.name(),
                client_id = ?publish.client_id,
                topic = ?publish.topic,
                "a plugin panicked; the publish goes on without it"
            );
        }
        Verdict::Forward
    })
}

pub(super) fn watch(shared: &Shared, publish: &Intercepted<'_>, session: Option<Instance>) {
    let mut effects = Effects::default();
    shared.interceptors.each(publish.topic, Wants::Watch, |plugin| {
        call(shared, plugin, publish, &mut effects);
        if let Some(mut heard) = effects.take_heard() {
            if shared.clock.doubt().is_some() {
                // Compared with a clock that may be wrong it tells nothing.
                heard.device_ms = None;
            }
            shared.docks.heard(&heard, session, publish.now_ms);
        }
        effects.clear();
    });
}

pub(super) fn intercept<'p>(
    shared: &Shared,
    publish: &Intercepted<'p>,
    client: &Client,
    accepted: &mut Accepted,
) -> Seen<'p> {
    let mut seen = Seen::default();
    let mut gateway = None;
    let mut effects = Effects::default();
    shared.interceptors.each(publish.topic, Wants::Claim, |plugin| {
        if call(shared, plugin, publish, &mut effects) == Verdict::Consume {
            seen.verdict = Verdict::Consume;
        }
        if let Some(heard) = effects.take_heard() {
            let session = (!client.is_operator).then_some(client.instance);
            shared.docks.heard(&heard, session, publish.now_ms);
            gateway = Some(heard.gateway);
        }
        let audited = effects.take_audited().map(|said| audit(&said, client, publish.now_ms));
        seen.audited = audited.or(seen.audited.take());
        accepted.replies.extend(effects.take_replies());
        seen.record = effects.take_record().or(seen.record.take());
        accepted.announcement = effects.take_announcement().or(accepted.announcement.take());
        accepted.unanswered = effects.take_unanswered().or(accepted.unanswered.take());
    });
    if accepted.replies.iter().any(|reply| reply.after != After::Kept) {
        accepted.gateway = gateway.map(Into::into);
    }
    seen
}

/// A will is written down when it is left: a command that is published for somebody who has gone is that one's.
pub(crate) fn audit_will(shared: &Shared, client: &Client, will: &WillMessage) {
    let publish = Intercepted {
        topic: &will.topic,
        payload: &will.payload,
        qos: will.qos,
        client_id: &client.id,
        now_ms: shared.clock.kept_ms(),
        kept: &*shared.board,
    };
    let mut effects = Effects::default();
    let mut entries = Vec::new();
    shared.interceptors.each(publish.topic, Wants::Claim, |plugin| {
        call(shared, plugin, &publish, &mut effects);
        if let Some(said) = effects.take_audited() {
            let entry = audit(&said, client, publish.now_ms);
            let entry = Audit { what: format!("will: {}", entry.what), ..entry };
            keep::append_aside(&shared.log, &mut entries, KeepAside::Audit(Box::new(entry)));
        }
        effects.clear();
    });
    if !entries.is_empty() {
        shared.append_ordered(&entries);
    }
}

fn audit(said: &Audited, client: &Client, now_ms: u64) -> Audit {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Audit {
        time_ms: now_ms,
        what: said.what.to_owned(),
        client_id: Some(client.id.to_string()),
        user: client.user.as_deref().map(str::to_owned),
        address: Some(client.peer.to_string()),
        gateway: text(&said.gateway),
        method: text(&said.method),
        tid: text(&said.tid),
        result: said.result,
    }
}
