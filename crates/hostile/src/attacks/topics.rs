//! Topics that never come again, at once and retained.

use std::time::Duration;

use dockside_mqtt::{QoS, Version};
use docksim::random::Random;

use crate::attack::Attack;
use crate::link::{Link, PINGREQ, PINGRESP};
use crate::packets::{connect, push_publish, push_retained, push_subscribe};

/// Publishers at once.
const LANES: u64 = 4;

/// Messages before the answers to them are waited for.
const BATCH: u64 = 100;

/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Levels: a few, as many as are allowed, more.
const DEPTHS: [u64; 5] = [2, 3, 10, 120, 200];

/// Different topics, which somebody has subscribed to.
pub(crate) async fn bomb(attack: &Attack) {
    let lane = move |attack, random, number| async move {
        match number {
            0 => subscriber(attack, "bomb/#").await,
            _ => publisher(attack, random, number, false).await,
        }
    };
    attack.lanes(1 + LANES, lane).await;
}

/// Different topics with something retained on each, and somebody who asks for all of it again and again.
pub(crate) async fn retained(attack: &Attack) {
    let lane = move |attack, random, number| async move {
        match number {
            0 => subscriber(attack, "bomb/#").await,
            1 => asker(attack).await,
            _ => publisher(attack, random, number, true).await,
        }
    };
    attack.lanes(2 + LANES, lane).await;
}

async fn publisher(attack: Attack, mut random: Random, number: u64, retain: bool) {
    let client_id = format!("hostile-topics-{number}");
    loop {
        let Ok(mut link) = Link::client(&attack, connect(Version::V311, &client_id, true)).await
        else {
            continue;
        };
        loop {
            let mut bytes = Vec::new();
            for n in 1..=BATCH {
                let topic = topic(&mut random);
                let qos = if random.one_in(2) { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                if retain {
                    push_retained(&mut bytes, &topic, &[b'x'; 50], qos, n);
                } else {
                    push_publish(&mut bytes, &topic, b"x", qos, n);
                }
            }
            bytes.extend_from_slice(&PINGREQ);
            attack.sent(BATCH);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}

/// A topic that has not been there before. One of a thousand has more levels than a topic may have, which ends the
/// connection.
fn topic(random: &mut Random) -> String {
    let depth = match random.between(0, 999) {
        0 => DEPTHS[4],
        1..20 => DEPTHS[3],
        20..100 => DEPTHS[2],
        100..500 => DEPTHS[1],
        _ => DEPTHS[0],
    };
    let mut topic = format!("bomb/{:x}", random.bits());
    for _ in 2..depth {
        topic.push('/');
        // Empty levels too.
        if !random.one_in(4) {
            topic.push_str(&format!("{:x}", random.between(0, 0xFFF)));
        }
    }
    topic
}

async fn subscriber(attack: Attack, filter: &str) {
    loop {
        let reader = connect(Version::V311, "hostile-topics-reader", true);
        let Ok(mut link) = Link::client(&attack, reader).await else { continue };
        let mut bytes = Vec::new();
        push_subscribe(&mut bytes, &[filter], QoS::AtLeastOnce, 1);
        if link.send(&bytes).await.is_ok() {
            link.outlive().await;
        }
    }
}

/// Subscribes to all that is retained, with and without wildcards that must be looked for.
async fn asker(attack: Attack) {
    loop {
        let asker = connect(Version::V311, "hostile-topics-asker", true);
        let Ok(mut link) = Link::client(&attack, asker).await else { continue };
        for number in 1.. {
            let mut bytes = Vec::new();
            push_subscribe(&mut bytes, &["bomb/+/+", "+/+/#", "bomb/#"], QoS::AtMostOnce, number);
            bytes.extend_from_slice(&PINGREQ);
            attack.sent(1);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}
