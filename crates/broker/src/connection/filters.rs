//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 sections 3.8 to 3.11).

use std::collections::VecDeque;

use dockside_mqtt::packet::{Subscribe, SubscriptionOptions, Unsubscribe};
use dockside_mqtt::property::PropertyId;
use dockside_mqtt::topic::Filter;
use dockside_mqtt::{PacketId, ProtocolError, QoS, ReasonCode};

use super::answers::Answer;
use super::ended::Ended;
use super::inbound::Handled;
use super::{Connection, Turn};
use crate::metrics::Limit;
use crate::publish;
use crate::record::{Entry, Subscribed};
use crate::refusals::Stage;

const NOT_ALLOWED_TO_SUBSCRIBE: (&str, &str) = (
    "not allowed to subscribe to this filter",
    "subscribe to less, or allow the whole filter under access.rules; site applications belong into the group `applications`",
);

/// Filters that a turn looks at: they take longer than other bytes.
pub(super) const TURN_FILTERS: usize = 128;

/// A SUBSCRIBE that is not done yet: what is left of it, decoded once.
pub(super) struct Subscribing {
    packet_id: PacketId,
    id: u32,
    /// Of the filters before.
    reasons: Vec<ReasonCode>,
    rest: VecDeque<(Box<str>, SubscriptionOptions)>,
}

/// What looking at one retained message counts for in the writer's budget.
const LOOK_BYTES: usize = 64;

impl<S> Connection<S> {
    /// The job goes to the writer; the next packet is read when the SUBACK [MQTT-3.8.4-1], with the same
    /// identifier [MQTT-3.8.4-2] [MQTT-2.2.1-6] and a code for each filter [MQTT-3.8.4-6], is out.
    ///
    /// A filter that looks through many retained messages is charged for that, so a packet full of them
    /// goes on filter by filter, and other clients' messages in between.
    pub(super) fn subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        self.check_count(subscribe.filters.len())?;
        if subscribe.filters.iter().any(|(filter, o)| o.no_local && filter.starts_with("$share/")) {
            // [MQTT-3.8.3-4]
            return Err(ProtocolError::protocol("no local on a shared subscription").into());
        }
        let id = subscribe.properties.number(PropertyId::SubscriptionIdentifier).unwrap_or(0);
        let rest = subscribe.filters.iter().map(|(filter, options)| ((*filter).into(), *options));
        self.subscribing = Some(Box::new(Subscribing {
            packet_id: subscribe.packet_id,
            id,
            reasons: Vec::with_capacity(subscribe.filters.len()),
            rest: rest.collect(),
        }));
        self.go_on_subscribing(turn);
        Ok(())
    }

    /// Goes on with a SUBSCRIBE that waits for its share, or was too long for a turn; `false` while it is not done.
    pub(super) fn go_on_subscribing(&mut self, turn: &mut Turn<'_>) -> bool {
        // The broker stops: what is not accepted is not acknowledged.
        let Some(mut subscribing) = self.subscribing.take().filter(|_| self.accepting.is_some())
        else {
            return true;
        };
        // One after the other [MQTT-3.8.4-5], codes in the same order [MQTT-3.9.3-1].
        while let Some((filter, options)) = subscribing.rest.front() {
            let Some(reason) = self.filter(filter, *options, subscribing.id, turn) else {
                self.subscribing = Some(subscribing);
                return false;
            };
            subscribing.reasons.push(reason);
            subscribing.rest.pop_front();
        }
        self.await_writer(Answer::Suback(subscribing.packet_id, subscribing.reasons), turn);
        true
    }

    /// Adds one subscription; its code [MQTT-3.8.4-7], none while the writer's budget is used up, or when the turn is.
    fn filter(
        &mut self,
        filter: &str,
        options: SubscriptionOptions,
        id: u32,
        turn: &mut Turn<'_>,
    ) -> Option<ReasonCode> {
        if turn.filters >= TURN_FILTERS
            || !self.charge(filter.len() + 32 + self.look(filter, options), turn)
        {
            return None;
        }
        turn.filters += 1;
        if let Err(reason) = self.grant(filter) {
            return Some(reason);
        }
        self.session.subscriptions.insert(filter, options, id);
        let instance = self.client.instance;
        turn.batch.order(&Entry::Subscribe(Subscribed { instance, options, id, filter }));
        Some(match options.qos {
            QoS::AtMostOnce => ReasonCode::Success,
            QoS::AtLeastOnce => ReasonCode::GrantedQos1,
            QoS::ExactlyOnce => ReasonCode::GrantedQos2,
        })
    }

    /// What a filter costs the dispatcher besides its own bytes; never more than a part of the budget,
    /// so that it always fits beside others' messages.
    fn look(&self, filter: &str, options: SubscriptionOptions) -> usize {
        let looks = options.retain_handling < 2
            && filter.contains(['+', '#'])
            && !filter.starts_with("$share/");
        if !looks {
            return 0;
        }
        let (messages, _) = self.shared.retained();
        let part = self.shared.config.live_log.writer_budget_bytes / 4;
        (messages * LOOK_BYTES).min(usize::try_from(part).unwrap_or(usize::MAX))
    }

    /// A packet with more filters than a session may have subscriptions ends the connection.
    fn check_count(&self, count: usize) -> Result<(), ProtocolError> {
        if count > self.shared.config.limits.subscriptions {
            self.shared.limits.reached(Limit::Subscriptions);
            let detail = "more filters in one packet than limits.subscriptions";
            return Err(ProtocolError::new(ReasonCode::QuotaExceeded, detail));
        }
        Ok(())
    }

    /// Takes a charge; `false` while the writer's budget is used up.
    fn charge(&mut self, size: usize, turn: &mut Turn<'_>) -> bool {
        let waiter = (self.client.instance, turn.waker);
        let taken = turn.batch.charge_ordered(&self.shared, size, &mut self.shares, waiter);
        self.has_share(taken);
        taken
    }

    /// Whether a subscription is possible; the reason code is the SUBACK's.
    fn grant(&self, filter: &str) -> Result<(), ReasonCode> {
        let parsed = Filter::parse(filter).map_err(|error| error.reason)?;
        let metrics = &self.shared.access.metrics;
        if self.client.identity.subscribe(parsed.levels).is_err() {
            metrics.subscribe_denied.increment(1);
            self.note(Stage::Acl, filter, NOT_ALLOWED_TO_SUBSCRIBE);
            return Err(ReasonCode::NotAuthorized);
        }
        metrics.subscribe_allowed.increment(1);
        let (limits, reached) = (&self.shared.config.limits, &self.shared.limits);
        publish::check_size(filter, limits).map_err(|limit| {
            reached.reached(limit);
            ReasonCode::TopicFilterInvalid
        })?;
        let held = &self.session.subscriptions;
        let limit = if held.len() >= limits.subscriptions {
            Limit::Subscriptions
        } else if held.bytes() + filter.len() > limits.subscription_bytes {
            Limit::SubscriptionBytes
        } else {
            return Ok(());
        };
        if !held.contains(filter) {
            reached.reached(limit);
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Handled, Ended> {
        let count = unsubscribe.filters.len();
        self.check_count(count)?;
        let bytes: usize = unsubscribe.filters.iter().map(|filter| filter.len()).sum();
        if !self.charge(bytes + count * 32, turn) {
            return Ok(Handled::Later);
        }
        // One UNSUBACK [MQTT-3.10.4-4] [MQTT-3.10.4-5] with a code for each filter, in their order
        // [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2].
        let mut reasons = Vec::with_capacity(count);
        for filter in &unsubscribe.filters {
            reasons.push(if Filter::parse(filter).is_err() {
                ReasonCode::TopicFilterInvalid
            } else if self.session.subscriptions.remove(filter) {
                turn.batch.order(&Entry::Unsubscribe(self.client.instance, filter));
                ReasonCode::Success
            } else {
                ReasonCode::NoSubscriptionExisted
            });
        }
        self.await_writer(Answer::Unsuback(unsubscribe.packet_id, reasons), turn);
        Ok(Handled::Yes)
    }
}
