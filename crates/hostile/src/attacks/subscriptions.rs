//! Filters: many, long, with wildcards, shared; and the same ones again and again.

use std::time::Duration;

use dockside_mqtt::{QoS, Version};
use docksim::random::Random;

use crate::attack::Attack;
use crate::link::{Link, PINGREQ, PINGRESP};
use crate::packets::{connect, push_publish, push_subscribe, push_unsubscribe};

/// Subscribers at once, each with as many filters as it may have.
pub(crate) const LANES: u64 = 50;

/// Filters of a packet.
const FILTERS: u64 = 25;

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// More and more filters, until the broker has had enough; and somebody who publishes what they match.
pub(crate) async fn bomb(attack: &Attack) {
    let lane = move |attack, random, number| async move {
        match number {
            0 => publisher(attack, random).await,
            _ => bomber(attack, random, number).await,
        }
    };
    attack.lanes(1 + LANES, lane).await;
}

async fn bomber(attack: Attack, mut random: Random, number: u64) {
    let client_id = format!("hostile-bomber-{number}");
    loop {
        let Ok(mut link) = Link::client(&attack, connect(Version::V5, &client_id, true)).await
        else {
            continue;
        };
        for packet in 1.. {
            // One packet in fifty is all filters, as many as it holds.
            let count = if random.one_in(50) { 5_000 } else { FILTERS };
            let filters: Vec<String> = (0..count).map(|_| filter(&mut random)).collect();
            let mut bytes = Vec::new();
            push_subscribe_v5(&mut bytes, &filters, packet);
            bytes.extend_from_slice(&PINGREQ);
            attack.sent(1);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}

/// A SUBSCRIBE of 5.0: its SUBACK may refuse each filter.
fn push_subscribe_v5(out: &mut Vec<u8>, filters: &[String], number: u64) {
    use dockside_mqtt::codec;
    use dockside_mqtt::packet::{Packet, Subscribe, SubscriptionOptions};
    use dockside_mqtt::property::Properties;

    let at = SubscriptionOptions::qos(QoS::AtLeastOnce);
    let filters = filters.iter().map(|filter| (filter.as_str(), at)).collect();
    let (packet_id, properties) = (crate::packets::id(number), Properties::EMPTY);
    let subscribe = Packet::Subscribe(Subscribe { packet_id, properties, filters });
    codec::encode(out, &subscribe, Version::V5);
}

/// A filter that costs something: wildcards everywhere, long, or shared.
fn filter(random: &mut Random) -> String {
    let mut filter = match random.between(0, 3) {
        0 => format!("$share/group{}/bomb", random.between(0, 9_999)),
        _ => "bomb".to_owned(),
    };
    let levels = random.pick(&[1, 3, 3, 3, 30, 120]);
    for _ in 0..levels {
        filter.push('/');
        match random.between(0, 2) {
            0 => filter.push('+'),
            1 => filter.push_str(random.pick(&["a", "b", "c"])),
            _ => filter.push_str(&format!("{:x}", random.between(0, 0xFFFF))),
        }
    }
    if random.one_in(100) {
        filter.push('/');
        filter.extend(std::iter::repeat_n('x', random.between(1_000, 30_000) as usize));
    }
    if random.one_in(2) {
        filter.push_str("/#");
    }
    filter
}

/// Publishes what the filters match.
async fn publisher(attack: Attack, mut random: Random) {
    loop {
        let publisher = connect(Version::V311, "hostile-bomb-publisher", true);
        let Ok(mut link) = Link::client(&attack, publisher).await else { continue };
        loop {
            let mut bytes = Vec::new();
            for n in 1..=10 {
                let mut topic = "bomb".to_owned();
                for _ in 0..random.pick(&[1, 3, 30]) {
                    topic.push('/');
                    topic.push_str(random.pick(&["a", "b", "c"]));
                }
                push_publish(&mut bytes, &topic, b"x", QoS::AtLeastOnce, n);
            }
            bytes.extend_from_slice(&PINGREQ);
            attack.sent(10);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}

/// The same filters, subscribed to and unsubscribed from; half of the clients keep their session.
pub(crate) async fn churn(attack: &Attack) {
    attack.lanes(16, churner).await;
}

async fn churner(attack: Attack, mut random: Random, number: u64) {
    let client_id = format!("hostile-churner-{number}");
    loop {
        let churner = connect(Version::V311, &client_id, number.is_multiple_of(2));
        let Ok(mut link) = Link::client(&attack, churner).await else { continue };
        for packet in (1..).step_by(2) {
            let filters: Vec<String> = (0..20).map(|_| filter(&mut random)).collect();
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            let mut bytes = Vec::new();
            push_subscribe(&mut bytes, &filters, QoS::ExactlyOnce, packet);
            push_unsubscribe(&mut bytes, &filters, packet + 1);
            bytes.extend_from_slice(&PINGREQ);
            attack.sent(2);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}
