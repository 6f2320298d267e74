//! What a plugin can do to a broker, and what it cannot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dockside::config::Config;
use dockside_interceptor::{After, Effects, Intercepted, Interceptor, Reply, Verdict};
use dockside_mqtt::{QoS, Version};

use crate::clock::ask;
use crate::peer::{TestBroker, at};

/// One that panics over one topic, takes long over another, and consumes the rest.
struct Broken;

impl Interceptor for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn filters(&self) -> Vec<String> {
        vec!["broken/#".to_owned(), "consume".to_owned()]
    }

    fn intercept(&self, publish: &Intercepted<'_>, effects: &mut Effects<'_>) -> Verdict {
        let reply = Reply {
            topic: "r".into(),
            payload: b"r".to_vec(),
            qos: QoS::AtMostOnce,
            after: After::Kept,
        };
        effects.reply(reply);
        assert_ne!(publish.topic, "broken/panics", "as a broken plugin would");
        let began = Instant::now();
        while publish.topic == "broken/slow" && began.elapsed() < Duration::from_millis(2) {}
        Verdict::Consume
    }
}

/// The value of a series; every broker of this process counts in it.
async fn metric(broker: &TestBroker, series: &str) -> u64 {
    let shown = ask(broker.admin, "GET /metrics", "").await;
    let line = shown.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not there")).parse().unwrap()
}

#[tokio::test]
async fn a_plugin_that_panics_harms_nobody_and_one_that_consumes_is_obeyed() {
    const PANICS: &str = "dockside_hook_panics_total";
    const CONSUMED: &str = "dockside_messages_dropped_total{reason=\"hook\"}";
    let broker = TestBroker::start_plugins(Config::default(), vec![Arc::new(Broken)]).await;
    let before = [metric(&broker, PANICS).await, metric(&broker, CONSUMED).await];
    let mut peer = broker.connect(Version::V311, "a").await;
    peer.subscribe("#", at(QoS::AtLeastOnce)).await;
    peer.publish("broken/panics", b"1", QoS::AtLeastOnce).await;
    assert_eq!(peer.receive().await.topic, "broken/panics", "forwarded, without the reply");
    assert!(metric(&broker, PANICS).await > before[0]);
    peer.publish("consume", b"2", QoS::AtLeastOnce).await;
    assert_eq!(peer.receive().await.topic, "r", "consumed, with the reply");
    peer.expect_nothing().await;
    assert!(metric(&broker, CONSUMED).await > before[1]);
}

#[tokio::test]
async fn a_plugin_that_takes_long_is_counted() {
    const OVER_BUDGET: &str = "dockside_hook_over_budget_total";
    let broker = TestBroker::start_plugins(Config::default(), vec![Arc::new(Broken)]).await;
    let before = metric(&broker, OVER_BUDGET).await;
    let mut peer = broker.connect(Version::V311, "a").await;
    peer.publish("broken/slow", b"1", QoS::AtLeastOnce).await;
    assert!(metric(&broker, OVER_BUDGET).await > before);
}
