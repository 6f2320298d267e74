//! An efficient external responder: what a site runs beside a broker that does not answer itself.
//!
//! One thread, one connection; every event of a read is answered in one write.

use std::io;

use dockside_flighttask::topic::{EVENTS_FILTER, Kind};
use dockside_flighttask::{Answer, Rules, answer};
use dockside_mqtt::packet::Packet;
use dockside_mqtt::property::Properties;
use dockside_mqtt::{PacketId, QoS, Version, codec};
use docksim::client::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1883".to_owned());
    let broker: std::net::SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut client = Client::connect(&broker.into(), "responder", "").await?;
    client.subscribe(EVENTS_FILTER, QoS::AtLeastOnce).await?;
    println!("ready");
    let rules = Rules::default();
    let mut id = 0u16;
    loop {
        client.read().await?;
        let now_ms = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
        client.packets(|packet, output| {
            if let Packet::Publish(event) = packet
                && let Some(sn) = Kind::Events.serial_number(event.topic)
                && let Answer::Reply { payload: reply, .. } =
                    answer((Kind::Events, sn), event.payload, now_ms, &rules, &|_, _| None).answer
            {
                id = id % u16::MAX + 1;
                let topic = Kind::Events.reply_topic(sn);
                let message = codec::Message {
                    topic: &topic,
                    properties: Properties::EMPTY,
                    payload: &reply,
                    expiry: None,
                    alias: None,
                };
                let how = (QoS::AtLeastOnce, PacketId::new(id));
                codec::publish(output, Version::V311, &message, how, false, &[]);
            }
        })?;
        client.flush().await?;
    }
}
