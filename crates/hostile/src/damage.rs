//! What becomes of good packets: bytes changed, cut off, put in twice, swapped with another packet's.

use docksim::random::Random;

/// No packet grows beyond it.
const LONGEST: usize = 64 << 10;

/// Bytes that are limits of something: lengths, types, UTF-8.
const EDGES: [u8; 12] = [0, 1, 0x10, 0x1F, 0x26, 0x7F, 0x80, 0xC0, 0xED, 0xF4, 0xFE, 0xFF];

/// Damages a packet in one to four ways; `others` is where parts of other packets come from.
pub(crate) fn damage(packet: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..random.between(1, 4) {
        once(packet, others, random);
    }
    packet.truncate(LONGEST);
    // With a length that fits, the damage is deeper than in the fixed header.
    if random.one_in(2) {
        mend_length(packet);
    }
}

fn once(packet: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    let Some(last) = packet.len().checked_sub(1) else {
        packet.push(random.bits() as u8);
        return;
    };
    let at = random.between(0, last as u64) as usize;
    let to = random.between(at as u64, packet.len() as u64) as usize;
    match random.between(0, 8) {
        0 => packet[at] = random.bits() as u8,
        1 => packet[at] ^= 1 << random.between(0, 7),
        2 => packet[at] = random.pick(&EDGES),
        3 => packet.truncate(at),
        4 => drop(packet.drain(at..to)),
        5 => {
            let part = packet[at..to].to_vec();
            packet.splice(at..at, part);
        }
        6 => {
            let number = random.between(0, others.len().saturating_sub(1) as u64) as usize;
            let other = others.get(number).map_or(&[][..], Vec::as_slice);
            let from = random.between(0, other.len() as u64) as usize;
            packet.splice(at..to, other[from..].iter().copied());
        }
        7 => {
            // A length in the middle: of a string, of properties.
            let value = random.pick(&[0, 1, 0x7FFF, 0xFFFF, last as u16]);
            let length = 2.min(packet.len() - at);
            packet[at..at + length].copy_from_slice(&value.to_be_bytes()[..length]);
        }
        _ => {
            let more = random.between(1, 40);
            packet.extend((0..more).map(|_| random.bits() as u8));
        }
    }
}

/// Gives a packet the remaining length that it has.
pub(crate) fn mend_length(packet: &mut Vec<u8>) {
    let Some(rest) = packet.get(1..) else { return };
    let length_bytes = rest.iter().take(4).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let header = (1 + length_bytes).min(packet.len());
    let length = remaining_length((packet.len() - header) as u32);
    packet.splice(1..header, length);
}

/// A remaining length as bytes.
pub(crate) fn remaining_length(mut length: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::codec;

    use super::*;
    use crate::packets::{VERSIONS, samples};

    #[test]
    fn a_seed_repeats_its_damage_and_another_does_other() {
        let samples = samples(VERSIONS[1]);
        let damaged = |seed| {
            let mut random = Random::new(seed, 0);
            let mut all = samples.clone();
            all.iter_mut().for_each(|packet| damage(packet, &samples, &mut random));
            all
        };
        assert_eq!(damaged(1), damaged(1));
        assert_ne!(damaged(1), damaged(2));
        assert_ne!(damaged(1), samples);
    }

    #[test]
    fn a_mended_length_makes_a_whole_packet() {
        for body in [0, 1, 127, 128, 20_000] {
            let mut packet = vec![0x30, 0xFF, 0xFF, 0x03];
            packet.resize(4 + body, b'x');
            mend_length(&mut packet);
            let (frame, length) = codec::split(&packet, u32::MAX).unwrap().unwrap();
            assert_eq!((frame.body.len(), length), (body, packet.len()));
        }
        for mut short in [vec![], vec![0x30], vec![0x30, 0x80]] {
            mend_length(&mut short);
        }
    }
}
