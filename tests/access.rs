//! Users and rules, each with an allowed and a refused case: what the client is told, and what the
//! others see of it.

use dockside_access::hash::Hash;
use dockside_mqtt::packet::{Ack, Connect, Packet, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{Peer, VERSIONS, at, connect, id, publish};
use crate::site::{PASSWORD, Site, login};

const EVENT: &[u8] =
    br#"{"tid":"t","bid":"b","method":"flighttask_progress","data":{},"need_reply":1}"#;

fn events(sn: &str) -> String {
    format!("thing/product/{sn}/events")
}

/// Publishes at QoS 1 and returns the acknowledgement's reason, which 3.1.1 does not have.
pub(crate) async fn publish_for(peer: &mut Peer, topic: &str, payload: &[u8]) -> ReasonCode {
    peer.send(&Packet::Publish(publish(topic, payload, QoS::AtLeastOnce, 5))).await;
    let bytes = peer.packet().await;
    match crate::peer::read(&bytes, peer.version) {
        Packet::Puback(Ack { packet_id, reason, .. }) if packet_id == id(5) => reason,
        other => panic!("unexpected packet {other:?}"),
    }
}

/// [MQTT-3.1.4-2]
#[tokio::test]
async fn a_login_is_answered_with_the_right_code() {
    // One user each: the third wrong password in a row is followed by a pause.
    let site = Site::start(&["DOCK1", "DOCK2", "DOCK3"]).await;
    let versions = [Version::V31, Version::V311, Version::V5];
    for (version, user) in versions.into_iter().zip(["DOCK1", "DOCK2", "DOCK3"]) {
        for (asks, expected) in [
            (login(version, user, PASSWORD), ReasonCode::Success),
            (login(version, user, "Secret"), ReasonCode::BadUserNameOrPassword),
            (login(version, user, ""), ReasonCode::BadUserNameOrPassword),
            (login(version, "nobody", PASSWORD), ReasonCode::BadUserNameOrPassword),
            (connect(version, ""), ReasonCode::NotAuthorized),
            (
                Connect { password: None, ..login(version, user, "") },
                ReasonCode::BadUserNameOrPassword,
            ),
        ] {
            let (mut peer, reason) = site.try_connect(Connect { client_id: "c", ..asks }).await;
            assert_eq!(reason, expected, "{version:?}");
            if reason == ReasonCode::Success {
                peer.ping().await;
            } else {
                peer.expect_closed().await;
            }
        }
    }
    site.broker.stop().await;
}

/// [MQTT-3.1.4-5]: what is not told apart outside, is told apart for the engineer.
#[tokio::test]
async fn who_need_not_log_in_is_nobody() {
    let allow = "rules = [{ anonymous = true, publish = ['open'], subscribe = ['open'] }]";
    let site =
        Site::start_with(&["DOCK1"], allow, |config| config.mqtt.allow_anonymous = true).await;
    let (mut peer, reason) = site.try_connect(connect(Version::V5, "DOCK1")).await;
    assert_eq!(reason, ReasonCode::Success);
    assert_eq!(publish_for(&mut peer, "open", b"").await, ReasonCode::Success);
    assert_eq!(publish_for(&mut peer, &events("DOCK1"), b"").await, ReasonCode::NotAuthorized);
    let (_, reason) = site.try_connect(login(Version::V5, "nobody", PASSWORD)).await;
    assert_eq!(reason, ReasonCode::BadUserNameOrPassword, "a name that is given must be right");
}

/// Hard case 28.
#[tokio::test]
async fn only_the_owner_of_a_serial_number_publishes_its_events() {
    let applications = "groups = { applications = ['backend'] }";
    let site = Site::start_with(&["DOCK1", "DOCK2", "backend"], applications, |_| {}).await;
    for version in VERSIONS {
        let mut backend = site.log_in(version, "backend", "").await;
        backend.subscribe("thing/product/+/events", at(QoS::AtLeastOnce)).await;
        let mut owner = site.log_in(version, "DOCK1", "").await;
        owner.subscribe("thing/product/DOCK1/events_reply", at(QoS::AtLeastOnce)).await;
        for user in ["DOCK2", "backend"] {
            // Its client identifier says what it likes.
            let mut other = site.log_in(version, user, "-DOCK1").await;
            let reason = publish_for(&mut other, &events("DOCK1"), EVENT).await;
            let told =
                if version.is_v5() { ReasonCode::NotAuthorized } else { ReasonCode::Success };
            assert_eq!(reason, told, "{user}");
            let topic = events("DOCK1");
            other.send(&Packet::Publish(publish(&topic, EVENT, QoS::AtMostOnce, 1))).await;
            other.send(&Packet::Publish(publish(&topic, EVENT, QoS::ExactlyOnce, 6))).await;
            other.expect(Packet::Pubrec(Ack::new(id(6), told))).await;
            other.ping().await;
        }
        assert_eq!(publish_for(&mut owner, &events("DOCK1"), EVENT).await, ReasonCode::Success);
        assert_eq!(owner.receive().await.topic, "thing/product/DOCK1/events_reply");
        // The first that comes is the owner's.
        let received = backend.receive().await;
        assert_eq!((received.topic, &*received.payload), (events("DOCK1"), EVENT));
        backend.ping().await;
    }
}

#[tokio::test]
async fn a_subscription_is_granted_or_refused_filter_by_filter() {
    let site = Site::start(&["DOCK1"]).await;
    for version in VERSIONS {
        let mut dock = site.log_in(version, "DOCK1", "").await;
        let filters = ["thing/product/DOCK1/services", "thing/product/DOCK2/services", "#"];
        let filters = filters.map(|filter| (filter, at(QoS::AtLeastOnce)));
        let reasons = dock.subscribe_all(&filters, Properties::EMPTY).await;
        let refused =
            if version.is_v5() { ReasonCode::NotAuthorized } else { ReasonCode::UnspecifiedError };
        assert_eq!(reasons, [ReasonCode::GrantedQos1, refused, refused]);
    }
}

#[tokio::test]
async fn a_will_needs_the_right_to_publish_it() {
    let site = Site::start(&["DOCK1"]).await;
    let will = |topic| Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic,
        payload: b"gone",
        properties: Properties::EMPTY,
    };
    for version in VERSIONS {
        for (topic, expected) in [
            ("thing/product/DOCK1/state", ReasonCode::Success),
            ("thing/product/DOCK2/state", ReasonCode::NotAuthorized),
        ] {
            let asks = Connect { will: Some(will(topic)), ..login(version, "DOCK1", PASSWORD) };
            assert_eq!(site.try_connect(asks).await.1, expected, "{topic}");
        }
    }
}

/// [MQTT-3.1.3-8] [MQTT-3.1.4-3]
///
/// A client identifier is no secret: it takes over nothing of another user's.
#[tokio::test]
async fn a_client_identifier_of_another_user_is_refused_and_ones_own_taken_over() {
    let site = Site::start(&["DOCK1", "DOCK2"]).await;
    for version in VERSIONS {
        let asks = |user| Connect { client_id: "same", ..login(version, user, PASSWORD) };
        let (mut first, _) = site.try_connect(asks("DOCK1")).await;
        let (mut other, reason) = site.try_connect(asks("DOCK2")).await;
        assert_eq!(reason, ReasonCode::ClientIdentifierNotValid);
        other.expect_closed().await;
        first.ping().await;
        let (mut second, reason) = site.try_connect(asks("DOCK1")).await;
        assert_eq!(reason, ReasonCode::Success);
        first.expect_ended(ReasonCode::SessionTakenOver).await;
        second.ping().await;
        second
            .send(&Packet::Disconnect(dockside_mqtt::packet::Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }))
            .await;
        second.expect_closed().await;
    }
}

#[tokio::test]
async fn an_aircraft_is_its_gateways_once_it_is_announced() {
    let site = Site::start(&["DOCK1", "DOCK2"]).await;
    let mut dock = site.log_in(Version::V5, "DOCK1", "").await;
    let osd = "thing/product/DRONE1/osd";
    assert_eq!(publish_for(&mut dock, osd, b"{}").await, ReasonCode::NotAuthorized);
    let topo = |sns: &str| {
        format!(
            r#"{{"tid":"t","bid":"b","method":"update_topo","data":{{"sub_devices":[{sns}]}}}}"#
        )
    };
    // Its own aircraft, and another user's dock as if it were one.
    let announced = topo(r#"{"sn":"DRONE1"},{"sn":"DOCK2"}"#);
    let status = "sys/product/DOCK1/status";
    assert_eq!(publish_for(&mut dock, status, announced.as_bytes()).await, ReasonCode::Success);
    assert_eq!(publish_for(&mut dock, osd, b"{}").await, ReasonCode::Success);
    assert_eq!(publish_for(&mut dock, &events("DOCK2"), EVENT).await, ReasonCode::NotAuthorized);
    let mut other = site.log_in(Version::V311, "DOCK2", "").await;
    // It is with the first that announced it.
    let theirs = topo(r#"{"sn":"DRONE1"}"#);
    publish_for(&mut other, "sys/product/DOCK2/status", theirs.as_bytes()).await;
    let mut liar = site.log_in(Version::V5, "DOCK2", "-v5").await;
    assert_eq!(publish_for(&mut liar, osd, b"{}").await, ReasonCode::NotAuthorized);
    let mut second = site.log_in(Version::V5, "DOCK1", "-drc").await;
    assert_eq!(publish_for(&mut second, osd, b"{}").await, ReasonCode::Success, "the user's");
    // Another gateway cannot announce for this one.
    publish_for(&mut other, status, topo("").as_bytes()).await;
    assert_eq!(publish_for(&mut dock, osd, b"{}").await, ReasonCode::Success);
    second.subscribe("thing/product/DRONE1/#", at(QoS::AtLeastOnce)).await;
    assert_eq!(publish_for(&mut dock, osd, b"heard").await, ReasonCode::Success);
    assert_eq!(second.receive().await.payload, b"heard");
    assert_eq!(publish_for(&mut dock, status, topo("").as_bytes()).await, ReasonCode::Success);
    assert_eq!(publish_for(&mut dock, osd, b"{}").await, ReasonCode::NotAuthorized);
    // Now it is with the other, and what was allowed because of it has ended.
    second.ping().await;
    assert_eq!(publish_for(&mut liar, osd, b"not any more").await, ReasonCode::Success);
    let fence = "thing/product/DOCK1/state";
    second.subscribe(fence, at(QoS::AtLeastOnce)).await;
    assert_eq!(publish_for(&mut dock, fence, b"fence").await, ReasonCode::Success);
    assert_eq!(second.receive().await.payload, b"fence");
}

/// Rules may let others publish there; the gateway's own word it is not.
#[tokio::test]
async fn only_its_own_user_announces_for_a_gateway() {
    let access = "rules = [{ user = 'map', publish = ['sys/product/+/status'] }]";
    let site = Site::start_with(&["DOCK1", "map"], access, |_| {}).await;
    let mut map = site.log_in(Version::V5, "map", "").await;
    let mut dock = site.log_in(Version::V5, "DOCK1", "").await;
    let topo = br#"{"method":"update_topo","data":{"sub_devices":[{"sn":"DRONE1"}]}}"#;
    let (status, osd) = ("sys/product/DOCK1/status", "thing/product/DRONE1/osd");
    assert_eq!(publish_for(&mut map, status, topo).await, ReasonCode::Success);
    assert_eq!(publish_for(&mut dock, osd, b"{}").await, ReasonCode::NotAuthorized);
    assert_eq!(publish_for(&mut dock, status, topo).await, ReasonCode::Success);
    assert_eq!(publish_for(&mut dock, osd, b"{}").await, ReasonCode::Success);
}

/// [MQTT-3.1.4-6]
///
/// What waits for its password and hangs up is noticed, and so is what it sends ahead.
#[tokio::test]
async fn a_client_may_hang_up_or_send_ahead_while_its_password_waits() {
    let site = Site::start(&["DOCK1", "DOCK2"]).await;
    for _ in 0..5 {
        site.try_connect(login(Version::V5, "DOCK1", "wrong")).await;
    }
    let mut ahead = site.broker.socket(Version::V5).await;
    ahead.send(&Packet::Connect(Box::new(login(Version::V5, "DOCK1", PASSWORD)))).await;
    // By then the CONNECT has been read and waits.
    site.log_in(Version::V5, "DOCK2", "").await.ping().await;
    ahead.send(&Packet::Pingreq).await;
    assert_eq!(ahead.packet().await[3], 0);
    ahead.expect(Packet::Pingresp).await;
    for _ in 0..5 {
        site.try_connect(login(Version::V5, "DOCK1", "wrong")).await;
    }
    for _ in 0..20 {
        let mut peer = site.broker.socket(Version::V5).await;
        peer.send(&Packet::Connect(Box::new(login(Version::V5, "DOCK1", "guess")))).await;
        peer.vanish();
    }
    // Those that are gone leave their places within a moment, not after minutes of pauses.
    for tries in 1.. {
        let (_, reason) = site.try_connect(login(Version::V5, "DOCK1", "guess again")).await;
        match reason.wire() {
            0x86 => return,
            reason => assert_eq!((reason, tries < 500), (0x9F, true), "places are still taken"),
        }
    }
}

/// Many docks at once wait for the workers that verify passwords, not for their own timeout.
#[tokio::test]
async fn the_queue_of_passwords_times_nobody_out() {
    let docks: Vec<String> = (0..60).map(|n| format!("DOCK{n}")).collect();
    let users: Vec<&str> = docks.iter().map(String::as_str).collect();
    let site = Site::start_with(&users, "", |config| config.mqtt.connect_timeout_ms = 50).await;
    let hash = Hash::create(PASSWORD.as_bytes()).unwrap();
    let text: String = docks.iter().map(|dock| format!("{dock}:{}\n", hash.as_str())).collect();
    std::fs::write(&site.config.users.password_file, text).unwrap();
    assert_eq!(site.broker.reloader.reload(&site.config.broker()).problems, []);
    let began = std::time::Instant::now();
    let mut peers = Vec::new();
    for dock in &docks {
        let mut peer = site.broker.socket(Version::V311).await;
        peer.send(&Packet::Connect(Box::new(Connect {
            client_id: dock,
            ..login(Version::V311, dock, PASSWORD)
        })))
        .await;
        peers.push(peer);
    }
    for peer in &mut peers {
        assert_eq!(peer.packet().await, b"\x20\x02\0\0", "let in");
    }
    assert!(began.elapsed().as_millis() > 50, "the queue was longer than the timeout");
}
