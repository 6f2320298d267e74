//! The floor: what answering a dock costs if the server does nothing else.
//!
//! One thread; framing only. CONNECT and SUBSCRIBE are accepted whatever they say, and each PUBLISH
//! gets, in one write, its PUBACK and a canned reply into which tid and bid are copied. No session,
//! no JSON, no subscribers: a broker can only be slower.

use std::io;

use dockside_mqtt::codec::{self, Frame};
use dockside_mqtt::packet::PacketId;
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const READ_BYTES: usize = 64 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1883".to_owned());
    let listener = TcpListener::bind(&address).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // A client that goes away is the end of its connection, nothing else.
        tokio::spawn(async move { serve(socket).await.ok() });
    }
}

async fn serve(mut socket: TcpStream) -> io::Result<()> {
    let (mut input, mut output) = (Vec::with_capacity(READ_BYTES), Vec::new());
    loop {
        input.reserve(READ_BYTES);
        if socket.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let mut used = 0;
        while let Some((frame, length)) =
            codec::split(&input[used..], u32::MAX).map_err(io::Error::other)?
        {
            answer(&frame, &mut output);
            used += length;
        }
        input.drain(..used);
        if !output.is_empty() {
            socket.write_all(&output).await?;
            output.clear();
        }
    }
}

fn answer(frame: &Frame<'_>, output: &mut Vec<u8>) {
    let body = frame.body;
    match frame.first >> 4 {
        1 => output.extend_from_slice(&[0x20, 2, 0, 0]),
        3 => publish(frame, output),
        8 => output.extend_from_slice(&[0x90, 3, body[0], body[1], 1]),
        _ => {}
    }
}

fn publish(frame: &Frame<'_>, output: &mut Vec<u8>) {
    let body = frame.body;
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let mut payload_at = topic_end;
    if frame.first & 0b0110 != 0 {
        output.extend_from_slice(&[0x40, 2, body[topic_end], body[topic_end + 1]]);
        payload_at += 2;
    }
    let payload = &body[payload_at..];
    let (tid, bid) = (field(payload, b"\"tid\":\""), field(payload, b"\"bid\":\""));
    let mut reply = Vec::with_capacity(192);
    for part in [
        b"{\"tid\":\"" as &[u8],
        tid,
        b"\",\"bid\":\"",
        bid,
        b"\",\"timestamp\":1700000000000,\"method\":\"flighttask_progress\",\"data\":{\"result\":0}}",
    ] {
        reply.extend_from_slice(part);
    }
    let mut topic = Vec::with_capacity(64);
    topic.extend_from_slice(&body[2..topic_end]);
    topic.extend_from_slice(b"_reply");
    let message = codec::Message {
        topic: std::str::from_utf8(&topic).unwrap_or_default(),
        properties: Properties::EMPTY,
        payload: &reply,
        expiry: None,
        alias: None,
    };
    let how = (QoS::AtLeastOnce, Some(PacketId::MIN));
    codec::publish(output, Version::V311, &message, how, false, &[]);
}

/// The 36 characters behind a key.
fn field<'a>(payload: &'a [u8], key: &[u8]) -> &'a [u8] {
    let at = payload.windows(key.len()).position(|window| window == key);
    at.and_then(|at| payload.get(at + key.len()..at + key.len() + 36)).unwrap_or_default()
}
