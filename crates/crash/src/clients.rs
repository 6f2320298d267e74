//! Who takes part.

use std::sync::Arc;

use dockside_mqtt::QoS;
use tokio::task::JoinSet;

use crate::dock::Dock;
use crate::publisher::Publisher;
use crate::random::Random;
use crate::shared::Shared;
use crate::subscriber::{Habits, Subscriber};

/// Topics of a publisher.
const TOPICS: usize = 3;

/// Topics with a retained value.
const RETAINED_TOPICS: usize = 8;

const PUBLISHERS: [(&str, QoS); 4] = [
    ("p0", QoS::AtLeastOnce),
    ("p1", QoS::AtLeastOnce),
    ("p2", QoS::ExactlyOnce),
    ("p3", QoS::ExactlyOnce),
];

/// Durable subscribers, by their number.
pub(crate) const SUBSCRIBERS: [Habits; 4] = [
    Habits {
        name: "s0",
        qos: QoS::ExactlyOnce,
        filters: &["crash/#"],
        receive_maximum: u16::MAX,
        slow: false,
    },
    Habits {
        name: "s1",
        qos: QoS::ExactlyOnce,
        filters: &["crash/p2/#", "crash/p0/t0"],
        receive_maximum: 30,
        slow: true,
    },
    Habits {
        name: "s2",
        qos: QoS::AtLeastOnce,
        filters: &["crash/+/t1"],
        receive_maximum: u16::MAX,
        slow: false,
    },
    Habits {
        name: "s3",
        qos: QoS::AtLeastOnce,
        filters: &["crash/p1/+", "crash/p3/+"],
        receive_maximum: 10,
        slow: false,
    },
];

const DOCKS: [&str; 2] = ["SIMDOCK1", "SIMDOCK2"];

/// Starts all clients, which end with the returned value; their random numbers are those of `seed`.
pub(crate) fn spawn(shared: &Arc<Shared>, seed: u64) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let random = |name: &str| Random::of(seed, name);
    for (name, qos) in PUBLISHERS {
        let topics: Vec<_> = (0..TOPICS).map(|t| format!("crash/{name}/t{t}")).collect();
        shared.book(|state| {
            topics.iter().for_each(|topic| state.ledger.add_topic(topic, name, qos));
        });
        let of = (name, qos, false);
        clients.spawn(Publisher::new(shared, of, topics, random(name)).run());
    }
    let topics = (0..RETAINED_TOPICS).map(|r| format!("retained/r{r}")).collect();
    let of = ("retainer", QoS::AtLeastOnce, true);
    clients.spawn(Publisher::new(shared, of, topics, random("retainer")).run());
    for habits in SUBSCRIBERS {
        clients.spawn(Subscriber::new(shared, habits, random(habits.name)).run());
    }
    for name in DOCKS {
        clients.spawn(Dock::new(shared, name, random(name)).run());
    }
    clients
}
