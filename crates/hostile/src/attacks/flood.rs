//! Messages as many as go.

use dockside_mqtt::{QoS, Version};
use docksim::random::Random;

use crate::attack::Attack;
use crate::link::Link;
use crate::packets::{connect, push_publish, push_subscribe};
use crate::referee::settings::PACKET_BYTES;

/// Publishers at once.
const LANES: u64 = 4;

/// How a flooder sends.
#[derive(Clone, Copy)]
struct Flood {
    qos: QoS,
    payload: usize,
    /// Messages of one write.
    batch: u64,
    /// Whether it reads what the broker answers, so that it is read on.
    reads: bool,
}

pub(crate) async fn qos_0(attack: &Attack) {
    let flood = Flood { qos: QoS::AtMostOnce, payload: 20, batch: 500, reads: true };
    run(attack, flood, true).await;
}

pub(crate) async fn qos_1(attack: &Attack) {
    let flood = Flood { qos: QoS::AtLeastOnce, payload: 20, batch: 500, reads: false };
    run(attack, flood, true).await;
}

pub(crate) async fn qos_2(attack: &Attack) {
    let flood = Flood { qos: QoS::ExactlyOnce, payload: 20, batch: 500, reads: true };
    run(attack, flood, true).await;
}

pub(crate) async fn large(attack: &Attack) {
    let payload = PACKET_BYTES as usize - 100;
    let flood = Flood { qos: QoS::AtLeastOnce, payload, batch: 1, reads: true };
    run(attack, flood, true).await;
}

/// Nobody reads; what is sent is kept for a session without a connection.
pub(crate) async fn kept(attack: &Attack) {
    let flood = Flood { qos: QoS::AtLeastOnce, payload: 200, batch: 100, reads: true };
    run(attack, flood, false).await;
}

/// Lane 0 subscribes, and reads or goes away and has its session kept; the others publish.
async fn run(attack: &Attack, flood: Flood, subscriber_reads: bool) {
    let lane = move |attack, _: Random, number| async move {
        match number {
            0 if subscriber_reads => reader(attack).await,
            0 => sleeper(attack).await,
            _ => flooder(attack, flood, number).await,
        }
    };
    attack.lanes(1 + LANES, lane).await;
}

async fn flooder(attack: Attack, flood: Flood, number: u64) {
    let client_id = format!("hostile-flooder-{number}");
    let payload = vec![b'x'; flood.payload];
    loop {
        let Ok(mut link) = Link::client(&attack, connect(Version::V311, &client_id, true)).await
        else {
            continue;
        };
        let mut number = 0;
        loop {
            let mut bytes = Vec::new();
            for _ in 0..flood.batch {
                number = number % 65_535 + 1;
                push_publish(&mut bytes, "hostile/flood", &payload, flood.qos, number);
            }
            attack.sent(flood.batch);
            if link.send(&bytes).await.is_err() || (flood.reads && link.skim().await.is_err()) {
                break;
            }
            attack.pace.breathe().await;
        }
    }
}

async fn reader(attack: Attack) {
    loop {
        let reader = connect(Version::V311, "hostile-flood-reader", true);
        if let Ok(mut link) = Link::client(&attack, reader).await
            && link.send(&subscription()).await.is_ok()
        {
            link.outlive().await;
        }
    }
}

async fn sleeper(attack: Attack) {
    loop {
        let sleeper = connect(Version::V311, "hostile-flood-sleeper", false);
        if let Ok(mut link) = Link::client(&attack, sleeper).await
            && link.send(&subscription()).await.is_ok()
        {
            link.hears(0x90, std::time::Duration::from_secs(5)).await;
            break;
        }
    }
}

fn subscription() -> Vec<u8> {
    let mut bytes = Vec::new();
    push_subscribe(&mut bytes, &["hostile/flood"], QoS::ExactlyOnce, 1);
    bytes
}
