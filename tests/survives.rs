//! What has ended other brokers, shut their listeners or made them forget: here clients do it, others are
//! served, and the answer is the one that MQTT demands. The list is in docs/mqtt.md.

mod exchanges;
mod listed;
mod many;
mod returning;
mod strange;

use dockside_mqtt::{QoS, ReasonCode};

use crate::peer::{TestBroker, VERSIONS, at, connect};

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Clients of both versions are let in, under this name as well, and get what is published.
async fn serves(broker: &TestBroker, client_id: &str) {
    for version in VERSIONS {
        let mut peer = broker.socket(version).await;
        assert_eq!(peer.connect(connect(version, client_id)).await, ReasonCode::Success);
        peer.subscribe("served", at(QoS::ExactlyOnce)).await;
        for qos in QUALITIES {
            peer.publish("served", b"x", qos).await;
            let received = peer.receive().await;
            assert_eq!((&*received.payload, received.qos), (&b"x"[..], qos));
        }
        peer.ping().await;
    }
}
