//! As little of a broker as a simulated dock needs: it grants, acknowledges, and replies as a test says.

use std::net::SocketAddr;
use std::sync::Arc;

use dockside_mqtt::packet::{Ack, Codes, Connack, Packet, Publish};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version, codec};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a message.
pub(crate) enum Deed {
    /// Replies of these payloads.
    Reply(Vec<Value>),
    /// The connection is closed, and nothing is said.
    Close,
}

/// What a test has for a message: topic and payload.
pub(crate) type Decide = dyn Fn(&str, &Value) -> Deed + Send + Sync;

/// Listens until the test ends.
pub(crate) async fn listen(decide: Box<Decide>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let decide: Arc<Decide> = decide.into();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, Arc::clone(&decide)));
        }
    });
    address
}

/// The reply to a message, with this `data`.
pub(crate) fn reply(message: &Value, data: Value) -> Value {
    let mut reply = json!({"tid": message["tid"], "bid": message["bid"],
        "method": message["method"], "timestamp": message["timestamp"]});
    reply["data"] = data;
    reply
}

async fn serve(mut socket: TcpStream, decide: Arc<Decide>) {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    while socket.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
        let mut used = 0;
        while let Some((frame, length)) = codec::split(&input[used..], u32::MAX).unwrap() {
            let packet = codec::decode(&frame, Version::V311).unwrap();
            if !answer(&packet, &mut output, &*decide) {
                return;
            }
            used += length;
        }
        input.drain(..used);
        if socket.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}

/// Puts the answer into `output`; `false` closes the connection.
fn answer(packet: &Packet<'_>, output: &mut Vec<u8>, decide: &Decide) -> bool {
    let properties = Properties::EMPTY;
    let success = ReasonCode::Success;
    let mut send = |packet: &Packet<'_>| codec::encode(output, packet, Version::V311);
    match packet {
        Packet::Connect(_) => {
            send(&Packet::Connack(Connack { session_present: false, reason: success, properties }));
        }
        Packet::Subscribe(subscribe) => {
            let packet_id = subscribe.packet_id;
            let reasons = vec![ReasonCode::GrantedQos1; subscribe.filters.len()];
            send(&Packet::Suback(Codes { packet_id, properties, reasons }));
        }
        Packet::Publish(publish) => {
            let message = serde_json::from_slice(publish.payload).unwrap();
            let Deed::Reply(replies) = decide(publish.topic, &message) else { return false };
            if let Some(packet_id) = publish.packet_id {
                send(&Packet::Puback(Ack::new(packet_id, success)));
            }
            for reply in replies {
                send(&Packet::Publish(Publish {
                    dup: false,
                    qos: QoS::AtMostOnce,
                    retain: false,
                    packet_id: None,
                    topic: &format!("{}_reply", publish.topic),
                    properties,
                    payload: reply.to_string().as_bytes(),
                }));
            }
        }
        Packet::Disconnect(_) => return false,
        _ => {}
    }
    true
}
