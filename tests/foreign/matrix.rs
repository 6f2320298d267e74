//! Every foreign client publishes to and subscribes from every other one, in all pairs of QoS.

use std::collections::BTreeMap;
use std::time::Duration;

use dockside_mqtt::{QoS, Version};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::clients::{Client, Ports, READY, Subscriber, Topic};
use crate::websocket;

/// What takes longer has failed; far more than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[tokio::test]
async fn every_client_hears_every_client_in_all_qualities() {
    let clients = Client::all();
    let broker = websocket::broker(|_| {}).await;
    let [tcp, websocket] = [0, 1].map(|n: usize| broker.addresses[n].port());
    let ports = Ports { tcp, websocket };
    let deadline = Instant::now() + PATIENCE;

    let messages = clients.len() * QUALITIES.len();
    let mut listeners: Vec<_> =
        clients.iter().map(|client| Listener::start(*client, ports, messages + 1)).collect();
    for listener in &mut listeners {
        listener.wait_until_ready(deadline).await;
    }
    timeout_at(deadline, publish_everything(&clients, ports)).await.expect("published in time");
    for listener in &mut listeners {
        listener.hear(messages * QUALITIES.len(), deadline).await;
    }

    // A double of the last message of all would come ahead of this one.
    let mut end = broker.connect(Version::V5, "end").await;
    for topic in listeners.iter().flat_map(|listener| ends(listener.client)) {
        end.publish(&topic, topic.as_bytes(), QoS::ExactlyOnce).await;
    }
    end.vanish();
    let mut wrong = Vec::new();
    for listener in listeners {
        let expected = expected(listener.client, &clients);
        wrong.extend(listener.finish(expected, deadline).await);
    }
    assert!(wrong.is_empty(), "lost are -1, too many are +1: {wrong:#?}");
    broker.stop().await;
}

/// All publishers at the same time.
async fn publish_everything(clients: &[Client], ports: Ports) {
    let mut publishers = JoinSet::new();
    for publisher in clients {
        let topics = clients.iter().flat_map(|subscriber| between(*subscriber, *publisher));
        publishers.spawn(publisher.publish(ports, topics.map(|(_, topic)| topic).collect()));
    }
    while let Some(published) = publishers.join_next().await {
        published.expect("published");
    }
}

/// What one client publishes to another, with the quality of the subscription that it is for.
fn between(subscriber: Client, publisher: Client) -> impl Iterator<Item = (QoS, Topic)> {
    QUALITIES.into_iter().flat_map(move |subscribed| {
        QUALITIES.map(|published| {
            let levels = (subscribed.bits(), published.bits());
            let topic = format!("matrix/{subscriber}/{}/{publisher}/{}", levels.0, levels.1);
            (subscribed, (published, topic))
        })
    })
}

/// The topics of a subscriber's last messages, one a subscription.
fn ends(subscriber: Client) -> [String; 3] {
    QUALITIES.map(|qos| format!("matrix/{subscriber}/{}/end", qos.bits()))
}

/// Every line that a subscriber has to print.
fn expected(subscriber: Client, publishers: &[Client]) -> Vec<String> {
    let line = |qos: QoS, topic: &str| format!("{topic} {} {topic}", qos.bits());
    let messages = publishers.iter().flat_map(|publisher| between(subscriber, *publisher));
    let messages =
        messages.map(|(subscribed, (published, topic))| line(subscribed.min(published), &topic));
    let ends = QUALITIES.into_iter().zip(ends(subscriber));
    messages.chain(ends.map(|(qos, topic)| line(qos, &topic))).collect()
}

/// A subscriber and what it has said.
struct Listener {
    client: Client,
    subscriber: Subscriber,
    heard: Vec<String>,
}

impl Listener {
    /// Subscribes in each quality; it ends after so many messages of each.
    fn start(client: Client, ports: Ports, messages: usize) -> Self {
        let filters = QUALITIES.map(|qos| (qos, format!("matrix/{client}/{}/#", qos.bits())));
        let subscriber = client.subscribe(ports, &filters, messages);
        Self { client, subscriber, heard: Vec::new() }
    }

    async fn wait_until_ready(&mut self, deadline: Instant) {
        for _ in 0..self.subscriber.connections {
            let line = timeout_at(deadline, self.subscriber.lines.recv()).await;
            let line = line.unwrap_or_else(|_| panic!("{} is not ready in time", self.client));
            assert_eq!(line.as_deref(), Some(READY), "{}", self.client);
        }
    }

    /// Listens until there are so many lines; if that is never, the comparison says which are missing.
    async fn hear(&mut self, count: usize, deadline: Instant) {
        while self.heard.len() < count {
            let Ok(Some(line)) = timeout_at(deadline, self.subscriber.lines.recv()).await else {
                return;
            };
            self.heard.push(line);
        }
    }

    /// Listens until the client has ended, and returns how that differs from what was expected.
    async fn finish(mut self, expected: Vec<String>, deadline: Instant) -> Vec<String> {
        self.hear(usize::MAX, deadline).await;
        let mut surplus = BTreeMap::new();
        for line in self.heard {
            *surplus.entry(line).or_insert(0) += 1;
        }
        for line in expected {
            *surplus.entry(line).or_insert(0) -= 1;
        }
        surplus.retain(|_, count| *count != 0);
        if surplus.is_empty() {
            let ended = self.subscriber.tasks.join_all();
            timeout(PATIENCE, ended).await.expect("ended in time");
        }
        surplus.into_iter().map(|(line, count)| format!("{count:+} {line}")).collect()
    }
}
