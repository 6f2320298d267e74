//! rumqttc as a publisher and as a subscriber, once for each version: to Rust its two halves have
//! nothing in common, to a reader everything.

macro_rules! client {
    () => {
        /// Publishes each topic as a message to itself, and returns when all have been acknowledged.
        pub(crate) async fn publish(port: u16, name: &str, topics: Vec<Topic>) {
            // The queue holds everything, as it is only emptied below.
            let options = MqttOptions::new(name, "127.0.0.1", port);
            let (client, mut events) = AsyncClient::new(options, topics.len() + 1);
            let mut left = topics.iter().filter(|(qos, _)| *qos != QoS::AtMostOnce).count();
            for (quality, topic) in topics {
                let quality = qos(quality.bits()).unwrap();
                client.publish(topic.clone(), quality, false, topic).await.unwrap();
            }
            while left > 0 {
                let event = events.poll().await.unwrap();
                if let Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_)) = event {
                    left -= 1;
                }
            }
            disconnect(&client, events).await;
        }

        /// Says `ready` when it has subscribed to the filters, then `topic qos payload` for each of
        /// `count` messages.
        pub(crate) async fn subscribe(
            port: u16,
            name: String,
            filters: Vec<Topic>,
            count: usize,
            lines: Sender<String>,
        ) {
            let options = MqttOptions::new(name, "127.0.0.1", port);
            let (client, mut events) = AsyncClient::new(options, filters.len() + 1);
            let mut unanswered = filters.len();
            for (quality, filter) in filters {
                client.subscribe(filter, qos(quality.bits()).unwrap()).await.unwrap();
            }
            let mut received = 0;
            while received < count {
                match events.poll().await.unwrap() {
                    Event::Incoming(Incoming::SubAck(ack)) => {
                        let granted = &ack.return_codes[..];
                        assert!(matches!(granted, [SubscribeReasonCode::Success(_)]), "{ack:?}");
                        unanswered -= 1;
                        if unanswered == 0 {
                            lines.send(READY.to_owned()).await.unwrap();
                        }
                    }
                    Event::Incoming(Incoming::Publish(publish)) => {
                        let topic = String::from_utf8(publish.topic.into()).unwrap();
                        let payload = String::from_utf8(publish.payload.into()).unwrap();
                        let line = format!("{topic} {} {payload}", publish.qos as u8);
                        lines.send(line).await.unwrap();
                        received += 1;
                    }
                    _ => {}
                }
            }
            disconnect(&client, events).await;
        }

        /// Says goodbye and waits for the broker to close.
        async fn disconnect(client: &AsyncClient, mut events: EventLoop) {
            client.disconnect().await.unwrap();
            while events.poll().await.is_ok() {}
        }
    };
}

/// MQTT 3.1.1.
pub(crate) mod rumqttc_v4 {
    use dockside_mqtt::QoS;
    use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, SubscribeReasonCode, qos};
    use tokio::sync::mpsc::Sender;

    use crate::foreign::clients::{READY, Topic};

    client!();
}

/// MQTT 5.0.
pub(crate) mod rumqttc_v5 {
    use dockside_mqtt::QoS;
    use rumqttc::v5::mqttbytes::qos;
    use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode;
    use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions};
    use tokio::sync::mpsc::Sender;

    use crate::foreign::clients::{READY, Topic};

    client!();
}
