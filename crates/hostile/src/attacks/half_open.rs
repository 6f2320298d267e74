//! Connections that are reset: before, within and behind CONNECT.

use dockside_mqtt::packet::{Connect, Packet, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, Version, codec};
use docksim::random::Random;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};

use crate::attack::Attack;
use crate::packets::{connect, push_publish, push_subscribe};
use crate::report::add;

/// Connections at once.
const LANES: u64 = 16;

pub(crate) async fn run(attack: &Attack) {
    attack.lanes(LANES, reset).await;
}

async fn reset(attack: Attack, mut random: Random, number: u64) {
    loop {
        attack.pace.breathe().await;
        let Ok(mut socket) = TcpStream::connect(attack.address()).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        add(&attack.counts.connections, 1);
        let bytes = opening(&mut random, number);
        if !bytes.is_empty() {
            attack.sent(1);
        }
        if socket.write_all(&bytes).await.is_ok() {
            add(&attack.counts.bytes, bytes.len() as u64);
        }
        // Some are reset while they are accepted, some while they are answered.
        if random.one_in(2) {
            sleep(Duration::from_millis(random.between(0, 3))).await;
        }
        // Closed with RST instead of FIN.
        let _ = socket.set_zero_linger();
    }
}

/// What is sent before the reset.
fn opening(random: &mut Random, number: u64) -> Vec<u8> {
    let client_id = format!("hostile-reset-{number}-{}", random.between(0, 9));
    let will = random.one_in(2).then_some(Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "hostile/reset/will",
        payload: b"gone",
        properties: Properties::EMPTY,
    });
    let asks = Connect { will, ..connect(Version::V311, &client_id, random.one_in(2)) };
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, &Packet::Connect(Box::new(asks)), Version::V311);
    match random.between(0, 3) {
        0 => bytes.clear(),
        1 => bytes.truncate(random.between(1, bytes.len() as u64 - 1) as usize),
        2 => {}
        _ => {
            push_subscribe(&mut bytes, &["hostile/reset/#"], QoS::AtLeastOnce, 1);
            push_publish(&mut bytes, "hostile/reset/a", b"x", QoS::AtLeastOnce, 2);
        }
    }
    bytes
}
