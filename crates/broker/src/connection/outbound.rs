//! What goes to the client: answers, replies, messages; and the one write of a turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dockside_interceptor::Reply;
use dockside_mqtt::packet::{Ack, Codes, Packet};
use dockside_mqtt::property::{self, Properties};
use dockside_mqtt::{PacketId, QoS, codec, topic};
use tokio::io::AsyncWrite;

use super::answers::Answer;
use super::ending::Ended;
use super::{Connection, READ_BYTES, Reading, Turn};
use crate::clock;
use crate::mailbox::{Command, Delivery, Message, Ticket};
use crate::publish::append_publish;
use crate::record::{Lane, Published};
use crate::refusals::Stage;

const NOT_SUBSCRIBED: (&str, &str) = (
    "answered, but this client has not subscribed to the reply's topic",
    "a dock subscribes to thing/product/SN/events_reply by itself; if it was refused that, see its other lines",
);

/// Bytes the socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    written: usize,
}

impl Unsent {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// The socket took `count` bytes.
    fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            *self = Self::default();
        } else if self.written >= READ_BYTES && self.written >= self.len() {
            // A socket that never takes everything must not make the buffer keep what it took.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

impl<S> Connection<S> {
    /// Sends every answer whose job is done, in order.
    pub(super) fn release_answers(
        &mut self,
        completed: Ticket,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let version = self.client.version;
        while let Some(answer) = self.answers.release(completed) {
            let properties = Properties::EMPTY;
            let packet = match answer {
                Answer::Puback(id, reason) => {
                    self.incoming.answered();
                    Packet::Puback(Ack::new(id, reason))
                }
                Answer::Pubrec(id, reason) => Packet::Pubrec(Ack::new(id, reason)),
                Answer::Suback(packet_id, reasons) => {
                    Packet::Suback(Codes { packet_id, properties, reasons })
                }
                Answer::Unsuback(packet_id, reasons) => {
                    Packet::Unsuback(Codes { packet_id, properties, reasons })
                }
                Answer::Reply(reply) => {
                    self.reply(&reply, turn)?;
                    continue;
                }
            };
            codec::encode(turn.out, &packet, version);
        }
        if self.reading == Reading::Answer && self.answers.is_empty() {
            self.reading = Reading::Open;
        }
        Ok(())
    }

    /// A plugin's reply: the session's own copy here and now, everybody else's through the writer.
    fn reply(&mut self, reply: &Reply, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if topic::check_name(&reply.topic).is_err() || reply.topic.len() > usize::from(u16::MAX) {
            tracing::warn!(client = ?self.client.id, "a plugin replied on what is no topic name");
            return Ok(());
        }
        let direct = self.subscriptions.direct(&reply.topic);
        let published = Published {
            publisher: self.client.instance,
            except_publisher: direct.is_some(),
            qos: reply.qos,
            retain: false,
            expires_ms: u64::MAX,
            topic: &reply.topic,
            properties: b"",
            payload: &reply.payload,
        };
        append_publish(&self.shared, turn.batch.entries(Lane::Writer), &published);
        let Some(direct) = direct else {
            self.note(Stage::Event, &reply.topic, NOT_SUBSCRIBED);
            return Ok(());
        };
        let delivery = Delivery {
            message: Arc::new(Message::new(&published)),
            qos: direct.qos.min(reply.qos),
            retain: false,
            subscription_ids: direct.subscription_ids,
        };
        // Replies keep their order: none overtakes one that waits for the window.
        if self.replies.is_empty() && self.send(&delivery, turn) {
            turn.counts.replies += 1;
        } else if self.replies.len() < self.shared.config.limits.mailbox_messages {
            self.replies.push_back(delivery);
        } else {
            return Err(Ended::Told(Command::SlowConsumer));
        }
        Ok(())
    }

    /// Whether nothing waits for the socket or the window.
    pub(super) fn has_sent_everything(&self) -> bool {
        self.unsent.is_empty()
            && self.answers.is_empty()
            && self.replies.is_empty()
            && self.backlog.is_empty()
    }

    /// Sends what waits, as far as the window and the socket go; `true` if anything was sent.
    pub(super) fn drain_backlog(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut sent = false;
        while self.unsent.len() + turn.out.len() < READ_BYTES {
            let from_replies = !self.replies.is_empty();
            let queue = if from_replies { &mut self.replies } else { &mut self.backlog };
            let Some(delivery) = queue.pop_front() else { break };
            if !self.send(&delivery, turn) {
                let queue = if from_replies { &mut self.replies } else { &mut self.backlog };
                queue.push_front(delivery);
                break;
            }
            sent = true;
        }
        if self.backlog.is_empty() && self.backlog.capacity() > 1024 {
            self.backlog.shrink_to(64);
        }
        sent
    }

    /// Encodes one message; `false` while the window is closed.
    fn send(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) -> bool {
        let Delivery { message, qos, retain, subscription_ids } = delivery;
        if *qos != QoS::AtMostOnce && !self.outgoing.has_room() {
            return false;
        }
        let Some(expiry) = seconds_left(message.expires_ms) else {
            turn.counts.dropped_expired += 1;
            return true;
        };
        let start = turn.out.len();
        let encoded = codec::Message {
            topic: message.topic(),
            properties: property::kept(message.properties()),
            payload: message.payload(),
            expiry,
        };
        let version = self.client.version;
        // Its length does not depend on the identifier, which is only taken once it fits.
        let placeholder = (*qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        codec::publish(turn.out, version, &encoded, (*qos, placeholder), *retain, subscription_ids);
        if (turn.out.len() - start) as u64 > u64::from(self.client.maximum_packet) {
            // [MQTT-3.1.2-25]
            turn.out.truncate(start);
            turn.counts.dropped_too_large += 1;
            return true;
        }
        if let Some(id) = self.outgoing.begin(*qos) {
            codec::set_packet_id(&mut turn.out[start..], id);
        }
        turn.counts.sent(*qos, message.payload());
        true
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Writes what the turn has gathered, behind what an earlier one could not.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if !self.unsent.is_empty() {
            self.unsent.push(turn.out);
            turn.out.clear();
            while !self.unsent.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, self.unsent.bytes()) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(0) | Err(_)) => return Err(Ended::Network),
                    Poll::Ready(Ok(count)) => {
                        turn.counts.bytes_sent += count as u64;
                        self.unsent.wrote(count);
                        self.flushed = false;
                    }
                }
            }
            return self.flush(cx);
        }
        let mut written = 0;
        while written < turn.out.len() {
            match Pin::new(&mut self.io).poll_write(cx, &turn.out[written..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => return Err(Ended::Network),
                Poll::Ready(Ok(count)) => written += count,
            }
        }
        turn.counts.bytes_sent += written as u64;
        self.flushed &= written == 0;
        self.unsent.push(&turn.out[written..]);
        turn.out.clear();
        self.flush(cx)
    }

    /// TLS takes more than the socket does: what it holds back goes out when the socket takes it.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        if !self.flushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Err(Ended::Network),
                Poll::Ready(Ok(())) => self.flushed = true,
            }
        }
        Ok(())
    }
}

/// Seconds a message has left, rounded up; `Some(None)` lives for ever, `None` is expired.
fn seconds_left(expires_ms: u64) -> Option<Option<u32>> {
    if expires_ms == u64::MAX {
        return Some(None);
    }
    let left = expires_ms.saturating_sub(clock::monotonic_ms());
    (left > 0).then(|| Some(u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_socket_took_is_not_kept_though_it_never_takes_everything() {
        let mut unsent = Unsent::default();
        for n in 0..10_000u32 {
            unsent.push(&n.to_be_bytes().repeat(256));
            // As a slow reader: always a little is left.
            let leave = 100;
            unsent.wrote(unsent.len() - leave);
            assert_eq!(unsent.bytes()[leave - 4..], n.to_be_bytes());
        }
        assert!(unsent.bytes.capacity() < 8 * READ_BYTES, "{}", unsent.bytes.capacity());
    }

    #[test]
    fn an_expiry_counts_down_in_whole_seconds() {
        assert_eq!(seconds_left(u64::MAX), Some(None));
        assert_eq!(seconds_left(0), None);
        let now = clock::monotonic_ms();
        assert_eq!(seconds_left(now + 60_000), Some(Some(60)));
    }
}
