//! Good packets, of which bad ones are made.

use dockside_mqtt::packet::{
    Ack, Auth, Connect, Disconnect, Packet, PacketId, Publish, Subscribe, SubscriptionOptions,
    Unsubscribe, Will,
};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList, kept};
use dockside_mqtt::{QoS, ReasonCode, Version, codec};

/// Versions that are spoken.
pub(crate) const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

/// A user property, which stands in every packet.
const USER_PROPERTY: &[u8] = b"\x26\0\x01a\0\x02bb";

/// A packet identifier; 1 instead of 0.
pub(crate) fn id(number: u64) -> PacketId {
    PacketId::new(number as u16).unwrap_or(PacketId::MIN)
}

/// A CONNECT without a will.
pub(crate) fn connect(version: Version, client_id: &str, clean: bool) -> Connect<'_> {
    Connect {
        version,
        clean_start: clean,
        keep_alive: 60,
        client_id,
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

/// A 3.1.1 PUBLISH, appended; `number` is its packet identifier.
pub(crate) fn push_publish(out: &mut Vec<u8>, topic: &str, payload: &[u8], qos: QoS, number: u64) {
    push(out, topic, payload, (qos, false), number);
}

/// A 3.1.1 PUBLISH that is to be retained, appended.
pub(crate) fn push_retained(out: &mut Vec<u8>, topic: &str, payload: &[u8], qos: QoS, number: u64) {
    push(out, topic, payload, (qos, true), number);
}

fn push(out: &mut Vec<u8>, topic: &str, payload: &[u8], (qos, retain): (QoS, bool), number: u64) {
    let packet_id = (qos != QoS::AtMostOnce).then(|| id(number));
    let properties = Properties::EMPTY;
    let publish = Publish { dup: false, qos, retain, packet_id, topic, properties, payload };
    codec::encode(out, &Packet::Publish(publish), Version::V311);
}

/// A 3.1.1 SUBSCRIBE, appended.
pub(crate) fn push_subscribe(out: &mut Vec<u8>, filters: &[&str], qos: QoS, number: u64) {
    let filters = filters.iter().map(|filter| (*filter, SubscriptionOptions::qos(qos))).collect();
    let (packet_id, properties) = (id(number), Properties::EMPTY);
    let subscribe = Packet::Subscribe(Subscribe { packet_id, properties, filters });
    codec::encode(out, &subscribe, Version::V311);
}

/// A 3.1.1 UNSUBSCRIBE, appended.
pub(crate) fn push_unsubscribe(out: &mut Vec<u8>, filters: &[&str], number: u64) {
    let (packet_id, properties) = (id(number), Properties::EMPTY);
    let unsubscribe = Unsubscribe { packet_id, properties, filters: filters.to_vec() };
    codec::encode(out, &Packet::Unsubscribe(unsubscribe), Version::V311);
}

/// One packet of every type that a client sends, and some in several shapes; the first two are CONNECTs.
pub(crate) fn samples(version: Version) -> Vec<Vec<u8>> {
    let mut connecting = PropertyList::new();
    connecting
        .number(PropertyId::SessionExpiryInterval, 1)
        .number(PropertyId::ReceiveMaximum, 10)
        .number(PropertyId::MaximumPacketSize, 100_000)
        .number(PropertyId::TopicAliasMaximum, 5)
        .number(PropertyId::RequestProblemInformation, 1);
    let mut publishing = PropertyList::new();
    publishing
        .number(PropertyId::PayloadFormatIndicator, 1)
        .number(PropertyId::MessageExpiryInterval, 5)
        .text(PropertyId::ContentType, "application/json")
        .text(PropertyId::ResponseTopic, "hostile/answers")
        .text(PropertyId::CorrelationData, "1")
        .number(PropertyId::TopicAlias, 3);
    let mut subscribing = PropertyList::new();
    subscribing.number(PropertyId::SubscriptionIdentifier, 7);
    let mut leaving = PropertyList::new();
    leaving.number(PropertyId::SessionExpiryInterval, 0);
    let mut authenticating = PropertyList::new();
    authenticating
        .text(PropertyId::AuthenticationMethod, "SCRAM")
        .text(PropertyId::AuthenticationData, "n,,n=u");

    let mut packets = connects(version, connecting.as_properties());
    packets.extend(publishes(publishing.as_properties()));
    packets.extend(acks());
    packets.extend(subscriptions(subscribing.as_properties()));
    packets.extend([
        Packet::Pingreq,
        Packet::Disconnect(Disconnect {
            reason: ReasonCode::DisconnectWithWill,
            properties: leaving.as_properties(),
        }),
        Packet::Auth(Auth {
            reason: ReasonCode::ReAuthenticate,
            properties: authenticating.as_properties(),
        }),
    ]);
    let bytes = packets.iter().map(|packet| {
        let mut out = Vec::new();
        codec::encode(&mut out, packet, version);
        out
    });
    bytes.collect()
}

fn connects<'a>(version: Version, properties: Properties<'a>) -> Vec<Packet<'a>> {
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "hostile/will",
        payload: b"gone",
        properties: Properties::EMPTY,
    };
    let plain = connect(version, "hostile-mutant", true);
    let full = Connect {
        will: Some(will),
        username: Some("hostile"),
        password: Some(b"hostile"),
        properties,
        ..connect(version, "hostile-mutant-2", false)
    };
    vec![Packet::Connect(Box::new(plain)), Packet::Connect(Box::new(full))]
}

fn publishes(properties: Properties<'_>) -> Vec<Packet<'_>> {
    let publish = |qos, topic, payload, properties| {
        let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let retain = qos == QoS::ExactlyOnce;
        Packet::Publish(Publish { dup: false, qos, retain, packet_id, topic, properties, payload })
    };
    const EVENT: &[u8] = br#"{"bid":"b","tid":"t","method":"flighttask_progress","need_reply":1,"timestamp":1700000000000,"data":{"output":{"status":"in_progress","progress":{"percent":50,"current_step":25}},"result":0},"gateway":"SIMHOSTILE1"}"#;
    vec![
        publish(QoS::AtMostOnce, "hostile/a/b", b"x", Properties::EMPTY),
        publish(QoS::AtMostOnce, "hostile/a", b"{}", kept(USER_PROPERTY)),
        publish(QoS::AtLeastOnce, "thing/product/SIMHOSTILE1/events", EVENT, properties),
        publish(QoS::ExactlyOnce, "hostile/retained", b"y", properties),
    ]
}

fn acks() -> Vec<Packet<'static>> {
    let ack = Ack::new(id(1), ReasonCode::Success);
    let refusal =
        Ack { properties: kept(USER_PROPERTY), ..Ack::new(id(2), ReasonCode::QuotaExceeded) };
    vec![
        Packet::Puback(ack),
        Packet::Puback(refusal),
        Packet::Pubrec(ack),
        Packet::Pubrec(refusal),
        Packet::Pubrel(ack),
        Packet::Pubcomp(ack),
    ]
}

fn subscriptions(properties: Properties<'_>) -> Vec<Packet<'_>> {
    let at = SubscriptionOptions::qos;
    let filters = vec![
        ("hostile/+/b", at(QoS::AtLeastOnce)),
        ("hostile/#", at(QoS::ExactlyOnce)),
        ("$share/group/hostile/a", at(QoS::AtMostOnce)),
    ];
    vec![
        Packet::Subscribe(Subscribe { packet_id: id(3), properties, filters }),
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(4),
            properties: kept(USER_PROPERTY),
            filters: vec!["hostile/+/b", "$share/group/hostile/a"],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_good_packets() {
        for version in VERSIONS {
            for sample in samples(version) {
                let (frame, length) = codec::split(&sample, u32::MAX).unwrap().unwrap();
                assert_eq!(length, sample.len());
                // AUTH and some reasons are no packets of 3.1.1; whatever is, is whole.
                if version.is_v5() {
                    codec::decode(&frame, version).unwrap();
                }
            }
        }
    }
}
