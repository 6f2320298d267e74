//! One application that subscribes to every event.

use std::io;
use std::time::Duration;

use dockside_mqtt::QoS;
use dockside_mqtt::packet::Packet;
use tokio::time::timeout;

use super::{Ledger, Plan, Shared, read_tid};
use crate::client::Client;

/// The user that applications log in as.
const APPLICATION: &str = "backend";

/// How often an application that gets nothing looks whether it has everything.
const LOOK_UP: Duration = Duration::from_millis(50);

/// An application that checks that it gets every event of every dock, once and in order.
pub(super) struct App {
    client: Client,
    docks: u32,
    seen: Seen,
    shared: Shared,
}

struct Seen {
    qos: QoS,
    /// The next event of each dock.
    next: Vec<u64>,
    /// Where the `tid` stands; the same in every event of a load.
    tid_at: Option<usize>,
}

impl App {
    pub(super) async fn connect(plan: &Plan, number: u32, shared: Shared) -> io::Result<Self> {
        let mut client =
            Client::connect(&plan.broker, &format!("app{number}"), APPLICATION).await?;
        client.subscribe("thing/product/+/events", plan.qos).await?;
        let seen = Seen { qos: plan.qos, next: vec![0; plan.docks as usize], tid_at: None };
        Ok(Self { client, docks: plan.docks, seen, shared })
    }

    /// Receives until every event of every dock is there.
    pub(super) async fn run(mut self) -> io::Result<()> {
        loop {
            // The last dock may finish after the last delivery: look up now and then.
            if let Ok(read) = timeout(LOOK_UP, self.client.read()).await {
                read?;
            }
            if self.receive()? {
                return self.client.flush().await;
            }
            self.client.flush().await?;
        }
    }

    /// Takes what has come; `true` once everything has.
    fn receive(&mut self) -> io::Result<bool> {
        let ledger = &mut *self.shared.borrow_mut();
        let seen = &mut self.seen;
        self.client.packets(|packet, _| {
            if let Packet::Publish(publish) = packet {
                seen.event(publish.payload, ledger);
            }
        })?;
        Ok(ledger.finished == self.docks
            && self.seen.next.iter().zip(&ledger.sent).all(|(next, sent)| next >= sent))
    }
}

impl Seen {
    fn event(&mut self, payload: &[u8], ledger: &mut Ledger) {
        let at = *self.tid_at.get_or_insert_with(|| find(payload, b"\"tid\":\"").unwrap_or(0) + 7);
        let tid = payload.get(at..at + 36).and_then(|tid| std::str::from_utf8(tid).ok());
        let event = tid.and_then(read_tid);
        let Some((next, number)) =
            event.and_then(|(dock, number)| Some((self.next.get_mut(dock as usize)?, number)))
        else {
            ledger.report.wrong += 1;
            return;
        };
        if number < *next {
            // At least once may be twice; at most and exactly once may not.
            ledger.report.delivered_twice += u64::from(self.qos != QoS::AtLeastOnce);
            return;
        }
        // A gap is counted as not delivered: what comes behind it does not make up for it.
        *next = number + 1;
        ledger.delivered += 1;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
