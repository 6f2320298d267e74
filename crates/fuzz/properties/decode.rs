//! What holds for any bytes. The fuzzer and a property test of `dockside-mqtt` run the same function.

use dockside_mqtt::codec::{self, decode, encode, split};
use dockside_mqtt::packet::Publish;
use dockside_mqtt::property::Properties;
use dockside_mqtt::{Packet, PacketId, Version};

/// The first byte picks the version, the rest are packets.
///
/// # Panics
/// If [`check`] does.
pub(crate) fn holds(input: &[u8]) {
    let Some((pick, bytes)) = input.split_first() else { return };
    check(bytes, [Version::V31, Version::V311, Version::V5][usize::from(pick % 3)]);
}

/// Reads packet after packet, as a connection does, up to the first that is refused or incomplete.
///
/// # Panics
/// If a packet that was read is not the same when it is written and read again, or if anything
/// panics.
pub(crate) fn check(mut bytes: &[u8], version: Version) {
    while let Ok(Some((frame, used))) = split(bytes, u32::MAX) {
        let Ok(packet) = decode(&frame, version) else { return };
        let length = round_trip(&packet, version);
        assert!(length <= used, "{packet:?} was written longer than it was read");
        bytes = &bytes[used..];
    }
}

/// The length of the packet as it is written.
fn round_trip(packet: &Packet<'_>, version: Version) -> usize {
    // A CONNECT is read in the version that it asks for.
    let version = if let Packet::Connect(connect) = packet { connect.version } else { version };
    let mut written = Vec::new();
    encode(&mut written, packet, version);
    let (frame, length) =
        split(&written, u32::MAX).expect("a header of our own").expect("the whole packet");
    assert_eq!(length, written.len(), "{packet:?} has a wrong length");
    let again = decode(&frame, version).expect("a packet of our own");
    assert_eq!(again, *packet, "what was written is another packet");
    let mut twice = Vec::new();
    encode(&mut twice, &again, version);
    assert_eq!(twice, written, "one packet was written in two ways");
    for block in blocks(packet) {
        let raw: Vec<u8> = block.iter().flat_map(|property| property.raw).copied().collect();
        assert_eq!(raw, block.raw(), "a property got lost");
    }
    if let Packet::Publish(publish) = packet {
        renumbered(publish, written, version);
    }
    length
}

/// Nothing but the identifier changes when a PUBLISH gets another one.
fn renumbered(publish: &Publish<'_>, mut written: Vec<u8>, version: Version) {
    if publish.packet_id.is_none() {
        return;
    }
    codec::set_packet_id(&mut written, PacketId::MAX);
    let (frame, _) =
        split(&written, u32::MAX).expect("a header of our own").expect("the whole packet");
    let expected = Packet::Publish(Publish { packet_id: Some(PacketId::MAX), ..*publish });
    assert_eq!(decode(&frame, version), Ok(expected));
}

/// Every block of properties in a packet.
fn blocks<'a>(packet: &Packet<'a>) -> Vec<Properties<'a>> {
    match packet {
        Packet::Connect(p) => {
            p.will.iter().map(|will| will.properties).chain([p.properties]).collect()
        }
        Packet::Connack(p) => vec![p.properties],
        Packet::Publish(p) => vec![p.properties],
        Packet::Puback(p) | Packet::Pubrec(p) | Packet::Pubrel(p) | Packet::Pubcomp(p) => {
            vec![p.properties]
        }
        Packet::Subscribe(p) => vec![p.properties],
        Packet::Suback(p) | Packet::Unsuback(p) => vec![p.properties],
        Packet::Unsubscribe(p) => vec![p.properties],
        Packet::Disconnect(p) => vec![p.properties],
        Packet::Auth(p) => vec![p.properties],
        Packet::Pingreq | Packet::Pingresp => vec![],
    }
}
