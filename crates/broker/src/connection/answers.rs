//! What a connection owes its client, in the order of the packets that asked for it.

use std::collections::VecDeque;

use dockside_mqtt::{PacketId, ReasonCode};
use tokio::time::Instant;

use crate::mailbox::Ticket;
use crate::message::Delivery;

/// One thing that is owed.
#[derive(Debug)]
pub(super) enum Answer {
    /// The first of all [MQTT-3.2.0-1], encoded.
    Connack(Vec<u8>),
    Puback(PacketId, ReasonCode),
    Pubrec(PacketId, ReasonCode),
    Suback(PacketId, Vec<ReasonCode>),
    Unsuback(PacketId, Vec<ReasonCode>),
    Pubrel(PacketId, ReasonCode),
    Pubcomp(PacketId, ReasonCode),
    /// A plugin's reply, right behind the acknowledgement of the publish it replies to, and when that was read.
    Reply(Delivery, Instant),
}

/// The queue of outstanding answers: each is released only from the front.
#[derive(Debug, Default)]
pub(super) struct Answers {
    queue: VecDeque<(Ticket, Answer)>,
}

impl Answers {
    /// Owes an answer once the writer has done the job with this ticket; 0 waits for no job.
    pub(super) fn owe(&mut self, ticket: Ticket, answer: Answer) {
        self.queue.push_back((ticket, answer));
    }

    /// The next answer that can go out when every job up to `completed` is done.
    pub(super) fn release(&mut self, completed: Ticket) -> Option<Answer> {
        match self.queue.front() {
            Some((ticket, _)) if *ticket <= completed => {
                self.queue.pop_front().map(|(_, answer)| answer)
            }
            _ => None,
        }
    }

    /// The CONNACK, if it has not gone out: nothing else may before it [MQTT-3.14.0-1].
    pub(super) fn take_connack(&mut self) -> Option<Vec<u8>> {
        match self.queue.pop_front() {
            Some((_, Answer::Connack(connack))) => Some(connack),
            Some(other) => {
                self.queue.push_front(other);
                None
            }
            None => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overtakes_an_answer_that_waits() {
        let id = |n| PacketId::new(n).unwrap();
        let mut answers = Answers::default();
        answers.owe(0, Answer::Puback(id(1), ReasonCode::Success));
        answers.owe(3, Answer::Suback(id(2), vec![]));
        answers.owe(0, Answer::Puback(id(3), ReasonCode::NotAuthorized));
        assert!(matches!(answers.release(0), Some(Answer::Puback(n, _)) if n == id(1)));
        assert!(answers.release(2).is_none(), "the refusal waits behind the SUBACK");
        assert!(matches!(answers.release(3), Some(Answer::Suback(..))));
        assert!(matches!(answers.release(3), Some(Answer::Puback(n, _)) if n == id(3)));
        assert!(answers.is_empty());
    }
}
