//! Clients that take each other's identifier, and clients that come and go.

use std::time::Duration;

use dockside_mqtt::packet::{Connect, Disconnect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version, codec};
use docksim::random::Random;

use crate::attack::Attack;
use crate::link::{Link, PINGREQ, PINGRESP};
use crate::packets::{VERSIONS, connect, push_publish, push_subscribe};

/// Connections at once.
const LANES: u64 = 16;

/// How long a PINGRESP is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// All lanes share three identifiers, so each connection ends another one.
pub(crate) async fn takeovers(attack: &Attack) {
    attack.lanes(LANES, taker).await;
}

async fn taker(attack: Attack, mut random: Random, _: u64) {
    // What the lane had before is held on to: its end is the broker's doing.
    let mut before = None;
    loop {
        let client_id = format!("hostile-taken-{}", random.between(0, 2));
        let mut expiry = PropertyList::new();
        expiry.number(PropertyId::SessionExpiryInterval, random.pick(&[0, 1, u32::MAX]));
        let asks = asks(&mut random, &client_id, expiry.as_properties());
        let Ok(mut link) = Link::client(&attack, asks).await else { continue };
        let mut bytes = Vec::new();
        match random.between(0, 2) {
            0 => push_subscribe(&mut bytes, &["hostile/taken/#"], QoS::AtLeastOnce, 1),
            1 => push_publish(&mut bytes, "hostile/taken/a", b"x", QoS::ExactlyOnce, 2),
            _ => bytes.extend_from_slice(&PINGREQ),
        }
        attack.sent(1);
        // It may have been taken already.
        let _ = link.send(&bytes).await;
        before.replace(link);
    }
}

/// A CONNECT of either version, clean or not, with a will or without.
fn asks<'a>(random: &mut Random, client_id: &'a str, properties: Properties<'a>) -> Connect<'a> {
    let version = VERSIONS[random.between(0, 1) as usize];
    let will = random.one_in(2).then_some(Will {
        qos: QoS::AtLeastOnce,
        retain: random.one_in(4),
        topic: "hostile/taken/will",
        payload: b"gone",
        properties: Properties::EMPTY,
    });
    Connect { will, properties, ..connect(version, client_id, random.one_in(2)) }
}

/// New and old identifiers; sessions are kept until there is no room for more.
pub(crate) async fn reconnects(attack: &Attack) {
    attack.lanes(LANES, comer_and_goer).await;
}

async fn comer_and_goer(attack: Attack, mut random: Random, number: u64) {
    let mut goodbye = Vec::new();
    let disconnect = Disconnect { reason: ReasonCode::Success, properties: Properties::EMPTY };
    codec::encode(&mut goodbye, &Packet::Disconnect(disconnect), Version::V311);
    loop {
        let client_id = match random.between(0, 2) {
            0 => format!("hostile-comer-{number}"),
            1 => format!("hostile-comer-{:x}", random.bits()),
            _ => String::new(),
        };
        let clean = client_id.is_empty() || random.one_in(2);
        let Ok(mut link) = Link::client(&attack, connect(Version::V311, &client_id, clean)).await
        else {
            continue;
        };
        let mut bytes = Vec::new();
        push_subscribe(&mut bytes, &["hostile/comers"], QoS::AtLeastOnce, 1);
        push_publish(&mut bytes, "hostile/comers", b"x", QoS::AtLeastOnce, 2);
        bytes.extend_from_slice(&PINGREQ);
        attack.sent(2);
        if link.send(&bytes).await.is_ok() {
            link.hears(PINGRESP, PATIENCE).await;
        }
        if random.one_in(2) {
            // Else it is closed without a word.
            let _ = link.send(&goodbye).await;
        }
    }
}
