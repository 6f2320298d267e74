//! What a dock has sent and what came back: which events wait for a reply, and what is wrong with a
//! reply. No clock and no network.

use std::rc::Rc;

use serde_json::Value;

use super::message::Sender;
use super::plan::Event;
use crate::event::check_reply;

/// A reply's own time may be off from the dock's by this much, in milliseconds: beyond it a dock of
/// DJI's refuses tasks.
const CLOCK_OFF_AT_MOST_MS: u64 = 30_000;

/// A right reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// To an event that had none.
    First(u32),
    /// Another one, to an event that was sent more than once.
    Again(u32),
}

struct Sent {
    task: Rc<str>,
    times: u32,
    replies: u32,
}

/// The events of one dock.
pub struct Ledger<'a> {
    sender: Sender<'a>,
    /// By number.
    events: Vec<Sent>,
    answered: usize,
}

impl<'a> Ledger<'a> {
    /// An empty one.
    #[must_use]
    pub fn new(sender: Sender<'a>) -> Self {
        Self { sender, events: Vec::new(), answered: 0 }
    }

    /// Takes note that an event is sent: for the first time only after those before it. `true` if it
    /// was sent before.
    pub fn sent(&mut self, event: &Event) -> bool {
        match self.events.get_mut(event.number as usize) {
            Some(sent) => {
                sent.times += 1;
                true
            }
            None => {
                let task = Rc::clone(&event.task);
                self.events.push(Sent { task, times: 1, replies: 0 });
                false
            }
        }
    }

    /// Takes in a payload from the dock's `events_reply`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn hear(&mut self, payload: &[u8], now_ms: u64) -> Result<Heard, String> {
        let value: Value = serde_json::from_slice(payload).map_err(|_| "a reply is no JSON")?;
        let tid = value["tid"].as_str().ok_or("a reply has no tid")?;
        let number = tid.rsplit('-').next().and_then(|tail| u32::from_str_radix(tail, 16).ok());
        let known = number.filter(|number| self.sender.tid(*number) == tid);
        let number = known.ok_or_else(|| format!("a reply has a tid of nobody's: {tid}"))?;
        let sent = self.events.get_mut(number as usize);
        let sent = sent.ok_or_else(|| format!("a reply to an event that was not sent: {tid}"))?;
        check_reply(payload, &sent.task).map_err(|wrong| format!("{tid}: {wrong}"))?;
        let time_ms = value["timestamp"].as_u64().unwrap_or(0);
        if time_ms.abs_diff(now_ms) > CLOCK_OFF_AT_MOST_MS {
            return Err(format!("{tid}: the reply's time is {time_ms}, here it is {now_ms}"));
        }
        sent.replies += 1;
        match (sent.replies, sent.times) {
            (1, _) => {
                self.answered += 1;
                Ok(Heard::First(number))
            }
            (replies, times) if replies <= times => Ok(Heard::Again(number)),
            (replies, times) => Err(format!("{tid}: {replies} replies, but sent {times} times")),
        }
    }

    /// Whether an event has its reply.
    #[must_use]
    pub fn is_answered(&self, number: u32) -> bool {
        self.events.get(number as usize).is_some_and(|sent| sent.replies > 0)
    }

    /// Whether every event that was sent has its reply.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.answered == self.events.len()
    }

    /// The events that were sent and have no reply, oldest first.
    pub fn unanswered(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.events).filter(|(_, sent)| sent.replies == 0).map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plan::{Action, plan};
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn reply(tid: &str, bid: &str) -> Value {
        json!({"tid": tid, "bid": bid, "method": "flighttask_progress", "timestamp": NOW_MS,
            "data": {"result": 0}})
    }

    #[test]
    fn every_event_takes_as_many_replies_as_it_was_sent_times() {
        let site = plan(1, 1, 60).unwrap();
        let dock = &site.docks[0];
        let sender = Sender { dock, number: 0, seed: 1 };
        let mut ledger = Ledger::new(sender);
        let events: Vec<_> = dock
            .script
            .iter()
            .filter_map(|entry| match &entry.action {
                Action::Event(event) => Some(event),
                _ => None,
            })
            .collect();
        assert!(!ledger.sent(events[0]) && !ledger.sent(events[1]));
        assert_eq!(ledger.unanswered().collect::<Vec<_>>(), [0, 1]);
        let good = reply(&sender.tid(0), &events[0].task);
        let mut hear = |value: &Value| ledger.hear(value.to_string().as_bytes(), NOW_MS + 5);
        assert_eq!(hear(&good), Ok(Heard::First(0)));
        assert!(hear(&good).is_err(), "a second reply to what was sent once");
        assert!(hear(&reply(&sender.tid(2), &events[0].task)).is_err(), "not sent yet");
        assert!(hear(&reply(&sender.tid(1), "another")).is_err(), "another bid");
        assert!(hear(&reply("x-1", &events[0].task)).is_err(), "nobody's tid");
        assert!(hear(&json!([])).is_err());
        let mut late = reply(&sender.tid(1), &events[1].task);
        late["timestamp"] = (NOW_MS - 40_000).into();
        assert!(hear(&late).is_err(), "time");
        assert!(ledger.sent(events[1]), "sent again");
        assert_eq!(ledger.unanswered().collect::<Vec<_>>(), [1]);
        let good = reply(&sender.tid(1), &events[1].task).to_string();
        assert_eq!(ledger.hear(good.as_bytes(), NOW_MS), Ok(Heard::First(1)));
        assert_eq!(ledger.hear(good.as_bytes(), NOW_MS), Ok(Heard::Again(1)));
        assert!(ledger.hear(good.as_bytes(), NOW_MS).is_err());
        assert!(ledger.is_settled());
        assert!(ledger.is_answered(1) && !ledger.is_answered(2));
    }
}
