//! The broker as it was before it was stopped or killed.

use std::collections::HashMap;
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_mqtt::packet::Will;
use dockside_mqtt::property;
use dockside_store::{Kept, KeptSession};

use crate::dispatcher::Dispatcher;
use crate::keep::{self, KeepAside, subscribed};
use crate::mailbox::Mailbox;
use crate::reading::delivery;
use crate::retained::Room;
use crate::sessions::{Asleep, Held, Orphan, Session, Window};
use crate::shared::Shared;
use crate::will::WillMessage;

/// Takes what was kept into memory: retained messages, sessions with their subscriptions, what waits in
/// groups, wills. Messages of sessions stay in the store until their clients are back.
pub(crate) fn restore(shared: &Arc<Shared>, dispatcher: &mut Dispatcher, kept: Kept) {
    let Kept { sessions, shares, retained, wills, .. } = kept;
    retain(shared, &retained);
    let mut wills: HashMap<_, _> = wills.into_iter().collect();
    for session in sessions {
        let will = wills.remove(&session.id);
        restore_session(shared, dispatcher, &session, will);
    }
    for share in &shares {
        let messages: Vec<_> =
            share.messages.iter().map(|m| delivery(m, &shared.clock).message).collect();
        dispatcher.restore_group(share.id, &messages);
    }
    for (id, will) in wills {
        let message = will_message(&will);
        let client_id: Arc<str> = will.client_id.into();
        let identity = shared.access.restored(will.user.map(Into::into), &client_id);
        shared.sessions.restore_will(Orphan {
            instance: id,
            identity: (identity, client_id),
            due_ms: will_due_ms(shared, &message),
            will: message,
        });
    }
}

fn retain(shared: &Shared, messages: &[dockside_store::KeptRetained]) {
    let mut retained = shared.retained.write().expect("no panic while it is held");
    let mut gone = Vec::new();
    for kept in messages {
        let message = delivery(kept, &shared.clock).message;
        let is_over = message.expires_ms <= shared.clock.now_ms();
        if is_over || retained.set(&message, Room::Unasked).is_err() {
            let gone_now = KeepAside::NotRetained(kept.topic.as_str().into(), kept.seq);
            keep::append_aside(&shared.log, &mut gone, gone_now);
        }
    }
    if !gone.is_empty() {
        shared.append_ordered(&gone);
    }
}

fn restore_session(
    shared: &Arc<Shared>,
    dispatcher: &mut Dispatcher,
    kept: &KeptSession,
    will: Option<dockside_store::Will>,
) {
    let client_id: Arc<str> = kept.session.client_id.as_str().into();
    let user: Option<Arc<str>> = kept.session.user.as_deref().map(Into::into);
    let mailbox = Arc::new(Mailbox::new(&shared.config.limits, &shared.sessions.bytes));
    mailbox.restored(shared.first_number);
    let limits = &shared.config.limits;
    let window =
        Window { from_client: 0, to_client: 0, bytes_to_client: limits.mailbox_bytes, aliases: 0 };
    let mut session = Session::new(Some(shared.sessions.place_again()), &window);
    // Rules may have taken something from it while it was not there to be told.
    session.narrowed = true;
    let subscriptions: Vec<_> =
        kept.subscriptions.iter().filter_map(|s| subscribed(kept.id, s)).collect();
    for subscribed in &subscriptions {
        session.subscriptions.insert(subscribed.filter, subscribed.options, subscribed.id);
    }
    dispatcher.restore_session(kept.id, &mailbox, &subscriptions);
    // It was connected when the broker ended: it has all its time.
    let wall = shared.clock.kept_ms();
    let whole_ms = u64::from(kept.session.expiry_s) * 1000;
    // No more than it was given: a clock may have been set back since.
    let left_ms = kept.expires_ms.map_or(whole_ms, |at| at.saturating_sub(wall).min(whole_ms));
    let (unacknowledged, _) = Held::of(&mut session.outgoing, &shared.sessions.bytes);
    let asleep = Asleep {
        instance: kept.id,
        identity: shared.access.restored(user, &client_id),
        client_id,
        session,
        mailbox,
        restored: true,
        expires_ms: shared.clock.now_ms() + left_ms,
        will: will.map(|will| {
            let will = will_message(&will);
            (will_due_ms(shared, &will), will)
        }),
        _unacknowledged: unacknowledged,
    };
    shared.sessions.restore(shared, asleep);
}

/// When a will is published, unless its client is back: whoever lost its connection by a restart is soon.
fn will_due_ms(shared: &Shared, will: &WillMessage) -> u64 {
    shared.clock.in_seconds(will.delay_seconds.max(shared.config.mqtt.will_grace_s))
}

fn will_message(kept: &dockside_store::Will) -> WillMessage {
    let mut will = WillMessage::new(&Will {
        topic: &kept.topic,
        payload: &kept.payload,
        qos: QoS::from_bits(kept.qos).unwrap_or(QoS::AtMostOnce),
        retain: kept.retain,
        properties: property::kept(&kept.properties),
    });
    (will.expiry_seconds, will.delay_seconds) = (kept.expiry_s, kept.delay_s);
    will
}
