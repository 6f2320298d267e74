//! Shared subscriptions (MQTT 5.0 section 4.8.2).

use std::sync::atomic::{AtomicUsize, Ordering};

use dockside_mqtt::packet::{Codes, Packet, Subscribe, SubscriptionOptions, Unsubscribe};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{Peer, TestBroker, VERSIONS, at, id};

async fn members(broker: &TestBroker, version: Version, count: usize) -> Vec<Peer> {
    let mut members = Vec::new();
    for n in 0..count {
        let mut member = broker.connect(version, &format!("m{n}")).await;
        member.subscribe("$share/g/t/+", at(QoS::AtLeastOnce)).await;
        members.push(member);
    }
    members
}

#[tokio::test]
async fn each_message_goes_to_one_member_and_they_take_turns() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut members = members(&broker, version, 3).await;
        // A group of the same name with another filter, and one with another name, are others.
        let mut other = broker.connect(version, "other").await;
        other.subscribe("$share/g/t/#", at(QoS::AtMostOnce)).await;
        let mut third = broker.connect(version, "third").await;
        third.subscribe("$share/h/t/+", at(QoS::AtMostOnce)).await;
        let mut plain = broker.connect(version, "plain").await;
        plain.subscribe("t/+", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        let all: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        for (n, payload) in all.iter().enumerate() {
            let qos = QoS::from_bits((n % 3) as u8).unwrap();
            sender.publish("t/x", payload.as_bytes(), qos).await;
        }
        let mut shared = Vec::new();
        for member in &mut members {
            shared.extend(member.receive_payloads(10).await);
            member.expect_nothing().await;
        }
        shared.sort_by_key(|payload| payload.parse::<u32>().unwrap());
        assert_eq!(shared, all);
        for everybody in [&mut other, &mut third, &mut plain] {
            let mut got = everybody.receive_payloads(30).await;
            got.sort_by_key(|payload| payload.parse::<u32>().unwrap());
            assert_eq!(got, all);
            everybody.expect_nothing().await;
        }
    }
}

/// What a member leaves unacknowledged, and what had not reached it, goes to the others in order.
#[tokio::test]
async fn a_leaver_hands_over_what_it_did_not_acknowledge() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut members = members(&broker, version, 2).await;
        let mut sender = broker.connect(version, "s").await;
        for n in 0..20 {
            sender.publish("t/x", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        }
        let mut theirs = Vec::new();
        for _ in 0..10 {
            theirs.push(String::from_utf8(members[0].receive_only().await.payload).unwrap());
        }
        let mut stays = members.pop().unwrap();
        let own = stays.receive_payloads(10).await;
        members.pop().unwrap().vanish();
        let handed = stays.receive_payloads(10).await;
        assert_eq!(handed, theirs);
        assert!(own.iter().all(|payload| !handed.contains(payload)));
        stays.expect_nothing().await;
    }
}

/// Only members with a connection are chosen; with none, messages wait for the next one.
#[tokio::test]
async fn messages_wait_for_a_member_whose_session_is_kept() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let (mut keeper, _) = broker.session(version, "keeper", 60).await;
        keeper.subscribe("$share/g/t/+", at(QoS::AtLeastOnce)).await;
        let mut passer = broker.connect(version, "passer").await;
        passer.subscribe("$share/g/t/+", at(QoS::AtLeastOnce)).await;
        keeper.vanish();
        // A takeover waits for the end of the connection before it.
        let (keeper, present) = broker.session(version, "keeper", 60).await;
        assert!(present);
        keeper.vanish();
        broker.connect(version, "fence").await;
        let mut sender = broker.connect(version, "s").await;
        loop {
            // Until the broker has noticed that the keeper is gone, it may be chosen; what it got
            // is handed over then.
            sender.publish("t/x", b"probe", QoS::AtLeastOnce).await;
            sender.publish("t/x", b"probe", QoS::AtLeastOnce).await;
            if passer.receive_payloads(2).await == ["probe", "probe"] {
                break;
            }
        }
        for n in 0..4 {
            sender.publish("t/x", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        }
        assert_eq!(passer.receive_payloads(4).await, ["0", "1", "2", "3"]);
        passer
            .send(&Packet::Disconnect(dockside_mqtt::packet::Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }))
            .await;
        passer.expect_closed().await;
        for n in 4..8 {
            sender.publish("t/x", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        }
        let (mut keeper, _) = broker.session(version, "keeper", 60).await;
        assert_eq!(keeper.receive_payloads(4).await, ["4", "5", "6", "7"]);
        keeper.expect_nothing().await;
        broker.connect(version, "keeper").await;
    }
}

/// A member without room costs the group nothing: others get its share, or it waits for whoever has
/// room next.
#[tokio::test]
async fn a_member_without_room_costs_nothing() {
    let broker = TestBroker::start_with(|config| {
        config.limits.mailbox_messages = 5;
        config.limits.inflight = 1;
    })
    .await;
    for version in VERSIONS {
        let mut slow = broker.connect(version, "slow").await;
        let mut quick = broker.connect(version, "quick").await;
        slow.subscribe("$share/g/t/+", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        // A member holds seven at least, one sent and six that wait, and the group five.
        let count = 9;
        for n in 0..count {
            sender.publish("t/x", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        }
        let held = slow.receive_only().await;
        quick.subscribe("$share/g/t/+", at(QoS::AtLeastOnce)).await;
        for n in count..2 * count {
            sender.publish("t/x", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
        }
        slow.acknowledge(&held).await;
        let mut got = vec![String::from_utf8(held.payload).unwrap()];
        let together = AtomicUsize::new(1);
        let expected = 2 * count;
        let (slow, quick) =
            tokio::join!(all(slow, &together, expected), all(quick, &together, expected));
        got.extend(slow.into_iter().chain(quick));
        got.sort_by_key(|payload| payload.parse::<u32>().unwrap());
        let all: Vec<_> = (0..2 * count).map(|n| n.to_string()).collect();
        assert_eq!(got, all);
    }
}

/// What a member gets until all members together have `expected` messages, or long enough for them.
async fn all(mut member: Peer, together: &AtomicUsize, expected: usize) -> Vec<String> {
    let mut got = Vec::new();
    for _ in 0..100_000 {
        if together.load(Ordering::SeqCst) == expected {
            break;
        }
        let waiting = member.receive_until_pong().await;
        together.fetch_add(waiting.len(), Ordering::SeqCst);
        got.extend(waiting.into_iter().map(|m| String::from_utf8(m.payload).unwrap()));
        tokio::task::yield_now().await;
    }
    got
}

/// A refusing PUBACK is the end of the message, for the others too (section 4.8.2).
#[tokio::test]
async fn a_refused_message_is_not_offered_to_others() {
    let broker = TestBroker::start().await;
    let mut members = members(&broker, Version::V5, 2).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    sender.publish("t/x", b"1", QoS::AtLeastOnce).await;
    let received = members[0].receive_only().await;
    let refusal =
        dockside_mqtt::packet::Ack::new(received.packet_id.unwrap(), ReasonCode::UnspecifiedError);
    members[0].send(&Packet::Puback(refusal)).await;
    members[0].ping().await;
    members.remove(0).vanish();
    sender.publish("t/x", b"2", QoS::AtLeastOnce).await;
    assert_eq!(members[0].receive().await.payload, b"2");
    members[0].expect_nothing().await;
}

/// [MQTT-3.8.3-4]
#[tokio::test]
async fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    let options = SubscriptionOptions { no_local: true, ..at(QoS::AtMostOnce) };
    let filters = vec![("$share/g/t", options)];
    let properties = Properties::EMPTY;
    peer.send(&Packet::Subscribe(Subscribe { packet_id: id(1), properties, filters })).await;
    peer.expect_ended(ReasonCode::ProtocolError).await;
}

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[tokio::test]
async fn share_names_have_rules() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    let qos = at(QoS::AtMostOnce);
    let filters =
        ["$share//t", "$share/g", "$share/g/", "$share/a+/t", "$share/#/t", "$share/g/a#"];
    let filters = filters.map(|filter| (filter, qos));
    let reasons = peer.subscribe_all(&filters, Properties::EMPTY).await;
    assert_eq!(reasons, [ReasonCode::TopicFilterInvalid; 6]);
}

/// Retained messages are not for groups (section 4.8.2), identifiers and options are each member's.
#[tokio::test]
async fn a_member_keeps_its_own_options_and_gets_no_retained_messages() {
    let broker = TestBroker::start().await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let retained = dockside_mqtt::packet::Publish {
        retain: true,
        ..crate::peer::publish("t", b"old", QoS::AtLeastOnce, 3)
    };
    sender.send(&Packet::Publish(retained)).await;
    sender.packet().await;
    let mut members = Vec::new();
    for (name, qos, number) in [("a", QoS::AtMostOnce, 7), ("b", QoS::ExactlyOnce, 8)] {
        let mut member = broker.connect(Version::V5, name).await;
        let mut list = PropertyList::new();
        list.number(PropertyId::SubscriptionIdentifier, number);
        member.subscribe_all(&[("$share/g/t", at(qos))], list.as_properties()).await;
        member.expect_nothing().await;
        members.push(member);
    }
    sender.publish("t", b"1", QoS::AtLeastOnce).await;
    sender.publish("t", b"2", QoS::AtLeastOnce).await;
    for (member, (qos, number)) in
        members.iter_mut().zip([(QoS::AtMostOnce, 7), (QoS::AtLeastOnce, 8)])
    {
        let received = member.receive().await;
        assert_eq!((received.qos, received.subscription_ids), (qos, vec![number]));
        // The fence of `expect_nothing` was subscribed with another SUBSCRIBE, without an identifier.
        member.expect_nothing().await;
    }
}

/// [MQTT-3.10.4-4]: one UNSUBACK, also for the last member, with which the group ends.
#[tokio::test]
async fn a_group_ends_with_its_last_member() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut members = members(&broker, version, 2).await;
        for member in &mut members {
            let filters = vec!["$share/g/t/+"];
            let properties = Properties::EMPTY;
            let packet_id = id(4);
            member.send(&Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })).await;
            let reasons = vec![ReasonCode::Success];
            member.expect(Packet::Unsuback(Codes { packet_id, properties, reasons })).await;
        }
        let mut sender = broker.connect(version, "s").await;
        sender.publish("t/x", b"1", QoS::AtLeastOnce).await;
        for member in &mut members {
            member.expect_nothing().await;
        }
    }
}
