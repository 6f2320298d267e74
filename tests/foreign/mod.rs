//! Other people's clients: a library on its own, and all of them with each other. What a whole
//! `dockside` process does with them is in that command's tests.

mod clients;
mod libraries;
mod matrix;

use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::time::timeout;

use crate::peer::TestBroker;

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[tokio::test]
async fn rumqttc_publishes_and_subscribes_in_every_quality() {
    let broker = TestBroker::start().await;
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", broker.address.port());
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 100);
    client.subscribe("a/#", QoS::ExactlyOnce).await.unwrap();
    for qos in QUALITIES {
        client.publish("a/b", qos, false, format!("{qos:?}")).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < QUALITIES.len() {
        let event = timeout(Duration::from_secs(20), events.poll()).await;
        if let Event::Incoming(Incoming::Publish(publish)) = event.expect("in time").unwrap() {
            got.push(String::from_utf8(publish.payload.to_vec()).unwrap());
        }
    }
    got.sort();
    assert_eq!(got, ["AtLeastOnce", "AtMostOnce", "ExactlyOnce"]);
}

#[tokio::test]
async fn rumqttc_does_the_same_in_5_0() {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let broker = TestBroker::start().await;
    let mut options = MqttOptions::new("rumqttc5", "127.0.0.1", broker.address.port());
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 100);
    client.subscribe("a/#", QoS::ExactlyOnce).await.unwrap();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.publish("a/b", qos, false, format!("{qos:?}")).await.unwrap();
    }
    let mut got = 0;
    while got < 3 {
        let event = timeout(Duration::from_secs(20), events.poll()).await;
        if let Event::Incoming(Packet::Publish(publish)) = event.expect("in time").unwrap() {
            assert_eq!(publish.topic, "a/b");
            got += 1;
        }
    }
}
