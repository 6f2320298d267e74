//! A search through what is retained, without the dispatcher around it.

use dockside_mqtt::QoS;

use super::*;
use crate::record::Published;

/// Retained messages.
pub struct Searching(Retained);

impl Searching {
    /// One for each of these topics.
    #[must_use]
    pub fn new(topics: &[String]) -> Self {
        let limits = Limits { retained_messages: topics.len(), ..Limits::default() };
        let mut retained = Retained::new(&limits);
        for topic in topics {
            let published = Published::by_broker(topic, QoS::AtLeastOnce, b"x");
            let message = Arc::new(Message::new(&Published { retain: true, ..published }));
            retained.set(&message, Room::Unasked).expect("there is room for all of them");
        }
        Self(retained)
    }

    /// How many match a filter; so many are looked at in a turn.
    #[must_use]
    pub fn search(&self, filter: &str, looks: usize) -> usize {
        let (mut search, mut found) = (Search::new(filter, 0), 0);
        while !search.is_done() {
            self.0.search(&mut search, looks, |_| {
                found += 1;
                true
            });
        }
        found
    }
}
