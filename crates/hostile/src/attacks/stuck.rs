//! Readers that stop.

use std::time::Duration;

use dockside_mqtt::{QoS, Version};
use docksim::random::Random;
use tokio::time::sleep;

use crate::attack::Attack;
use crate::link::{Link, PINGREQ};
use crate::packets::{connect, push_publish, push_subscribe};

/// Readers at once: clean and kept, at every QoS.
pub(crate) const READERS: u64 = 32;

/// Who sends to them.
const PUBLISHERS: u64 = 4;

/// How often a reader sends something: else it would never learn that it was closed.
const PULSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(attack: &Attack) {
    let lane = |attack, random, number| async move {
        if number < READERS {
            reader(attack, number).await;
        } else {
            publisher(attack, random, number).await;
        }
    };
    attack.lanes(READERS + PUBLISHERS, lane).await;
}

async fn reader(attack: Attack, number: u64) {
    let client_id = format!("hostile-stuck-{number}");
    let filter = if number.is_multiple_of(4) { "#" } else { "hostile/stuck/#" };
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number as usize % 3];
    loop {
        let stuck = connect(Version::V311, &client_id, number.is_multiple_of(2));
        let Ok(mut link) = Link::client(&attack, stuck).await else { continue };
        let mut bytes = Vec::new();
        push_subscribe(&mut bytes, &[filter], qos, 1);
        attack.sent(1);
        while link.send(&bytes).await.is_ok() {
            bytes = PINGREQ.to_vec();
            sleep(PULSE).await;
        }
    }
}

async fn publisher(attack: Attack, mut random: Random, number: u64) {
    let client_id = format!("hostile-stuck-publisher-{number}");
    let payload = vec![b'x'; 10_000];
    loop {
        let Ok(mut link) = Link::client(&attack, connect(Version::V311, &client_id, true)).await
        else {
            continue;
        };
        let mut number = 0;
        loop {
            number = number % 65_535 + 1;
            let topic = format!("hostile/stuck/{}", random.between(0, 99));
            let qos = if random.one_in(2) { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            let mut bytes = Vec::new();
            push_publish(&mut bytes, &topic, &payload, qos, number);
            attack.sent(1);
            if link.send(&bytes).await.is_err() || link.skim().await.is_err() {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}
