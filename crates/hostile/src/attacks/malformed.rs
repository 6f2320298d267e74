//! Packets that are none.

use std::time::Duration;

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{Version, codec};
use docksim::random::Random;

use crate::attack::Attack;
use crate::damage::{damage, mend_length};
use crate::link::{Link, PINGREQ, PINGRESP};
use crate::packets::{VERSIONS, connect, samples};

/// Connections at once.
const LANES: u64 = 16;

/// How long a PINGRESP is waited for: a damaged length may have swallowed the PINGREQ.
const PATIENCE: Duration = Duration::from_millis(20);

/// Good packets, damaged.
pub(crate) async fn mutated(attack: &Attack) {
    let [old, new] = VERSIONS.map(samples);
    let lane = |attack, random, _| {
        let (old, new) = (old.clone(), new.clone());
        one_after_the_other(attack, random, move |version, random| {
            let samples = if version.is_v5() { &new } else { &old };
            let number = random.between(0, samples.len() as u64 - 1) as usize;
            let mut packet = samples[number].clone();
            damage(&mut packet, samples, random);
            packet
        })
    };
    attack.lanes(LANES, lane).await;
}

/// Bytes that nobody has thought of.
pub(crate) async fn random_bytes(attack: &Attack) {
    let bytes = |_, random: &mut Random| {
        let length = random.between(1, 300);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        // Past the fixed header, where there is more to be wrong.
        if random.one_in(2) {
            bytes[0] = random.pick(&[0x10, 0x30, 0x32, 0x34, 0x40, 0x62, 0x82, 0xA2, 0xE0, 0xF0]);
            mend_length(&mut bytes);
        }
        bytes
    };
    attack.lanes(LANES, |attack, random, _| one_after_the_other(attack, random, bytes)).await;
}

/// Packets that are whole and must not be.
pub(crate) async fn illegal(attack: &Attack) {
    attack.lanes(LANES, |attack, random, _| one_after_the_other(attack, random, forbidden)).await;
}

/// Sends what `make` makes, on connections three of four of which begin with a good CONNECT; each is used until
/// the broker has had enough.
async fn one_after_the_other(
    attack: Attack,
    mut random: Random,
    mut make: impl FnMut(Version, &mut Random) -> Vec<u8>,
) {
    while attack.has_packets() {
        let version = VERSIONS[random.between(0, 1) as usize];
        let Ok(mut link) = Link::open(&attack).await else { continue };
        let mut bytes = Vec::new();
        if !random.one_in(4) {
            // Few identifiers: some take over from others.
            let client_id = format!("hostile-{}", random.between(0, 99));
            let good = Packet::Connect(Box::new(connect(version, &client_id, true)));
            codec::encode(&mut bytes, &good, version);
        }
        while attack.take_packet() {
            bytes.append(&mut make(version, &mut random));
            bytes.extend_from_slice(&PINGREQ);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            bytes.clear();
            attack.pace.breathe().await;
        }
    }
}

/// What a specification forbids, in a shape that can be read.
fn forbidden(version: Version, random: &mut Random) -> Vec<u8> {
    let v5 = version.is_v5();
    // No properties, where 5.0 has some.
    let none: &[u8] = if v5 { b"\0" } else { b"" };
    let packet = |first: u8, parts: &[&[u8]]| {
        let mut bytes = vec![first, 0];
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        mend_length(&mut bytes);
        bytes
    };
    match random.between(0, 15) {
        // A second CONNECT.
        0 => {
            let mut bytes = Vec::new();
            let again = Packet::Connect(Box::new(connect(version, "hostile-again", true)));
            codec::encode(&mut bytes, &again, version);
            bytes
        }
        // What only a server sends.
        1 => packet(random.pick(&[0x20, 0x90, 0xB0, 0xD0]), &[b"\0\0", none]),
        // Types that are reserved, and all flags.
        2 => packet(random.bits() as u8, &[b"\0\x01a\0\x01", none]),
        3 => packet(random.pick(&[0x00, 0x0F, 0xF0, 0xFF]), &[none]),
        // QoS 3; DUP at QoS 0.
        4 => packet(random.pick(&[0x36, 0x38]), &[b"\0\x01a\0\x01", none, b"x"]),
        // Packet identifier 0.
        5 => packet(random.pick(&[0x32, 0x34]), &[b"\0\x01a\0\0", none, b"x"]),
        6 => packet(random.pick(&[0x40, 0x50, 0x62, 0x70]), &[b"\0\0"]),
        // Topics that are none.
        7 => {
            let topic: &[u8] = random.pick(&[
                b"\0\0".as_slice(),
                b"\0\x03a/+",
                b"\0\x01#",
                b"\0\x02a\0",
                b"\0\x02\xC3\x28",
                b"\0\x03\xED\xA0\x80",
                b"\xFF\xFFa",
            ]);
            packet(0x30, &[topic, none, b"x"])
        }
        // Filters that are none.
        8 => {
            let filter: &[u8] = random.pick(&[
                b"\0\0".as_slice(),
                b"\0\x03a#b",
                b"\0\x03#/a",
                b"\0\x02a+",
                b"\0\x06$share",
                b"\0\x08$share//",
                b"\0\x0A$share/+/a",
                b"\0\x02\xC0\x80",
            ]);
            packet(0x82, &[b"\0\x01", none, filter, &[random.bits() as u8]])
        }
        // Requests for nothing.
        9 => packet(random.pick(&[0x82, 0xA2]), &[b"\0\x01", none]),
        // A remaining length of five bytes.
        10 => vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        // Lengths that are longer than they need be.
        11 => vec![0xC0, 0x80, 0x80, 0],
        // Properties that have no place here, twice, or are unknown.
        12 => packet(0x30, &[b"\0\x01a", b"\x04\x21\0\x01\x7F", b"x"]),
        13 => packet(0x30, &[b"\0\x01a", b"\x06\x23\0\x01\x23\0\x02", b"x"]),
        14 => packet(0x30, &[b"\0\0", b"\x03\x23\xFF\xFF", b"x"]),
        // Acknowledgements of nothing.
        _ => packet(
            random.pick(&[0x40, 0x50, 0x62, 0x70]),
            &[&(random.bits() as u16 | 1).to_be_bytes()],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forbidden_is_not_only_incomplete() {
        let mut random = Random::new(1, 0);
        let refused = (0..1_000).filter(|_| {
            let bytes = forbidden(Version::V5, &mut random);
            match codec::split(&bytes, 1 << 20) {
                Ok(Some((frame, _))) => codec::decode(&frame, Version::V5).is_err(),
                Ok(None) => false,
                Err(_) => true,
            }
        });
        assert!(refused.count() > 500);
    }
}
