use std::future::poll_fn;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};

use super::super::Violation;
use super::*;

/// A client's frame of less than 126 bytes, its mask being zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = 0x80 | u8::try_from(payload.len()).unwrap();
    [&[first, length, 0, 0, 0, 0], payload].concat()
}

/// First bytes and payloads of a server's frames, all of them whole.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    while let &[first, second, ref rest @ ..] = bytes {
        let (length_bytes, short) = match second {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        let (length, rest) = rest.split_at(length_bytes);
        let length = length.iter().fold(short, |length, byte| length << 8 | u64::from(*byte));
        let (payload, rest) = rest.split_at(usize::try_from(length).unwrap());
        all.push((first, payload));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    all
}

/// Reads and writes in turns, as a connection does, until everything is written.
async fn talk(socket: &mut WebSocket<DuplexStream>, bytes: &[u8]) {
    let mut written = 0;
    poll_fn(|cx| {
        let mut room = [0; 100];
        while let Poll::Ready(read) =
            Pin::new(&mut *socket).poll_read(cx, &mut ReadBuf::new(&mut room))
        {
            read.unwrap();
        }
        while written < bytes.len() {
            written += ready!(Pin::new(&mut *socket).poll_write(cx, &bytes[written..])).unwrap();
        }
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn frames_stay_whole_where_the_socket_takes_little() {
    let bytes: Vec<u8> = (0..150_000u32).map(|n| (n % 251) as u8).collect();
    for room in [1, 3, 13, 70_000] {
        let (far, near) = duplex(room);
        let (mut hears, mut says) = split(far);
        let mut socket = WebSocket::new(near, Vec::new());
        let client = async {
            for n in 0..20u8 {
                says.write_all(&frame(0x89, &[n])).await.unwrap();
            }
        };
        let broker = async {
            talk(&mut socket, &bytes).await;
            socket.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, _, read) = tokio::join!(client, broker, hears.read_to_end(&mut heard));
        read.unwrap();
        let frames = frames(&heard);
        let of = |wanted: u8| frames.iter().filter(move |(first, _)| *first == wanted);
        assert!(of(0x82).flat_map(|(_, payload)| *payload).eq(&bytes), "{room}");
        assert!(of(0x82).all(|(_, payload)| payload.len() <= FRAME_BYTES));
        assert!(of(0x8a).count() > 0, "{room}: a ping is answered");
        assert_eq!(frames.last(), Some(&(0x88, &NORMAL.to_be_bytes()[..])));
    }
}

#[tokio::test]
async fn the_last_of_many_pings_is_answered_once_there_is_room() {
    let (mut far, near) = duplex(64);
    let mut socket = WebSocket::new(near, Vec::new());
    // Nobody reads: what is begun fills the pipe.
    let mut write = Box::pin(socket.write_all(&[7; 200]));
    assert!(poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx).is_pending())).await);
    drop(write);
    for n in 0..50u8 {
        far.write_all(&frame(0x89, &[n])).await.unwrap();
        let mut room = [0; 100];
        let mut read = pin!(socket.read(&mut room));
        assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
    }
    assert!(socket.waiting.is_empty() && socket.incoming.ping.as_deref() == Some(&[49]));
    // The frame ends with what is missing of it, whatever that is.
    let missing = vec![7; socket.left];
    let broker = async {
        socket.write_all(&missing).await.unwrap();
        socket.flush().await.unwrap();
        drop(socket);
    };
    let mut heard = Vec::new();
    let (_, read) = tokio::join!(broker, far.read_to_end(&mut heard));
    read.unwrap();
    assert_eq!(frames(&heard), [(0x82, &[7; 200][..]), (0x8a, &[49])]);
}

#[tokio::test]
async fn what_breaks_the_protocol_is_an_error_until_it_is_told() {
    let (mut far, near) = duplex(1_000);
    let mut socket = WebSocket::new(near, Vec::new());
    far.write_all(&[frame(0x82, b"before"), frame(0x81, b"text")].concat()).await.unwrap();
    let mut room = [0; 100];
    assert_eq!(socket.read(&mut room).await.unwrap(), 6);
    for _ in 0..2 {
        let error = socket.read(&mut room).await.unwrap_err();
        assert_eq!(Violation::of(&error), Some(Violation::Text));
    }
    socket.write_all(b"last words").await.unwrap();
    socket.shutdown().await.unwrap();
    assert_eq!(socket.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    far.write_all(&frame(0x82, b"behind")).await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(socket.read(&mut room).await.unwrap(), 0);
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    assert_eq!(frames(&heard), [(0x82, &b"last words"[..]), (0x88, &[3, 0xeb])]);
}

#[tokio::test]
async fn a_close_is_an_end_and_is_answered() {
    let (mut far, near) = duplex(1_000);
    // It came with the request.
    let mut socket = WebSocket::new(near, [frame(0x82, b"a"), frame(0x88, b"\x03\xe9")].concat());
    let mut heard = Vec::new();
    socket.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"a");
    drop(socket);
    heard.clear();
    far.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, [0x88, 2, 3, 0xe9]);
}
