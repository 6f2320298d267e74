//! Many at once: nothing lost, nothing doubled, everything in order.

use std::time::Duration;

use dockside_broker::config::LiveLog;
use dockside_mqtt::{QoS, Version};

use crate::peer::{TestBroker, at};

const CLIENTS: usize = 10;
const MESSAGES: u32 = 200;

/// Every publisher's messages reach every subscriber in order, in every quality.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_holds_from_many_to_many() {
    let broker = TestBroker::start().await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut receivers = Vec::new();
        for n in 0..CLIENTS {
            let mut receiver = broker.connect(Version::V311, &format!("r{n}")).await;
            receiver.subscribe("m/+", at(qos)).await;
            receivers.push(tokio::spawn(async move {
                let mut next = [0u32; CLIENTS];
                for _ in 0..CLIENTS as u32 * MESSAGES {
                    let received = receiver.receive().await;
                    let from: usize = received.topic[2..].parse().unwrap();
                    let number = u32::from_be_bytes(received.payload.try_into().unwrap());
                    assert_eq!(number, next[from], "from {from}");
                    next[from] += 1;
                }
                receiver.expect_nothing().await;
            }));
        }
        let mut senders = Vec::new();
        for n in 0..CLIENTS {
            let mut sender = broker.connect(Version::V5, &format!("s{n}")).await;
            senders.push(tokio::spawn(async move {
                let topic = format!("m/{n}");
                for number in 0..MESSAGES {
                    sender.publish(&topic, &number.to_be_bytes(), qos).await;
                }
                sender
            }));
        }
        for sender in senders {
            sender.await.unwrap();
        }
        for receiver in receivers {
            receiver.await.unwrap();
        }
    }
    broker.stop().await;
}

/// A budget smaller than what is under way: publishers wait, nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_wait_for_a_small_budget() {
    let broker = TestBroker::start_with(|config| {
        config.live_log = LiveLog::smallest();
    })
    .await;
    // In the live log itself, and beside it.
    let payloads = [vec![1; 60_000], vec![2; 300_000]];
    let mut receiver = broker.connect(Version::V311, "r").await;
    receiver.subscribe("big/#", at(QoS::AtLeastOnce)).await;
    let mut senders = Vec::new();
    for n in 0..CLIENTS {
        let mut sender = broker.connect(Version::V311, &format!("s{n}")).await;
        let payloads = payloads.clone();
        senders.push(tokio::spawn(async move {
            for _ in 0..10 {
                for payload in &payloads {
                    sender.publish("big/0", payload, QoS::AtMostOnce).await;
                    sender.publish("big/1", payload, QoS::AtLeastOnce).await;
                }
            }
        }));
    }
    let mut received = 0;
    for _ in 0..CLIENTS * 40 {
        received += receiver.receive().await.payload.len();
    }
    assert_eq!(received, CLIENTS * 20 * 360_000);
    for sender in senders {
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn docksim_load_finds_nothing_wrong() {
    let broker = TestBroker::start().await;
    for (qos, window) in [(QoS::AtMostOnce, 4), (QoS::AtLeastOnce, 4), (QoS::ExactlyOnce, 4)] {
        let plan = docksim::load::Plan {
            broker: broker.address.into(),
            docks: 5,
            apps: 2,
            window,
            qos,
            time: Duration::from_millis(300),
        };
        let report = docksim::load::run(plan).await.unwrap();
        assert!(report.is_perfect(), "{report:?}");
    }
}
