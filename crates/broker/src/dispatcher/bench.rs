//! What the dispatcher does with a record, without log and task.

use std::collections::VecDeque;
use std::sync::RwLock;
use std::task::Waker;

use dockside_mqtt::QoS;
use dockside_mqtt::packet::SubscriptionOptions;

use super::*;
use crate::config::Limits;
use crate::mailbox::AsleepBytes;
use crate::record;
use crate::retained::Retained;

/// A record, and sessions that want all its messages.
pub struct Dispatching {
    directory: Directory,
    outlets: Outlets,
    record: Vec<u8>,
    mailboxes: Vec<Arc<Mailbox>>,
    backlog: VecDeque<Delivery>,
}

impl Dispatching {
    /// So many sessions that subscribe to a filter, and a message for each of these topics, at QoS 0.
    #[must_use]
    pub fn new(sessions: u64, filter: &str, topics: &[String], payload: &[u8]) -> Self {
        let limits = Limits::default();
        let asleep = Arc::new(AsleepBytes::new(&limits));
        let retained = Arc::new(RwLock::new(Retained::new(&limits)));
        let mut directory = Directory::new(&limits, retained, Arc::clone(&asleep));
        let (mut outlets, mut mailboxes) = (Outlets::default(), Vec::new());
        for instance in 1..=sessions {
            let mailbox = Arc::new(Mailbox::new(&limits, &asleep));
            let outlet = Outlet { mailbox: Arc::clone(&mailbox), outbox: Vec::new() };
            outlets.by_slot.insert(directory.begin(instance), outlet);
            let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
            let subscribed = Subscribed { instance, options, id: 0, filter };
            directory.subscribe(&subscribed, 0, &mut outlets);
            mailboxes.push(mailbox);
        }
        let mut record = Record::header(1, Lane::Direct, 0).to_vec();
        for topic in topics {
            let published = Published::by_broker(topic, QoS::AtMostOnce, payload);
            record::append(&mut record, &Entry::Publish(published));
        }
        Self { directory, outlets, record, mailboxes, backlog: VecDeque::new() }
    }

    /// The record's messages go into the mailboxes, and their connections take them out; how many there were.
    pub fn record(&mut self) -> usize {
        let record = Record::parse(&self.record).expect("it was made by new");
        for entry in record.entries {
            if let Entry::Publish(published) = entry {
                self.directory.publish(&published, &mut self.outlets);
            }
        }
        self.outlets.fill();
        let mut delivered = 0;
        for mailbox in &self.mailboxes {
            mailbox.take(&mut self.backlog, &mut 0, Waker::noop());
            delivered += self.backlog.len();
            self.backlog.clear();
        }
        delivered
    }
}
