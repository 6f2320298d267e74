//! The fan-out floor: what forwarding costs if the server does nothing else.
//!
//! One thread; framing and writes only. Whoever subscribes gets every message, whatever its topic, in the quality in
//! which it came; nobody's acknowledgements are looked at. No session, no filter, no bound: a broker can only be slower.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use dockside_mqtt::codec::{self, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

const READ_BYTES: usize = 64 << 10;

/// What one client has not got yet.
#[derive(Default)]
struct Output {
    bytes: RefCell<Vec<u8>>,
    is_more: Notify,
    last_id: Cell<u16>,
}

type Subscribers = Rc<RefCell<Vec<Rc<Output>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1883".to_owned());
    let listener = TcpListener::bind(&address).await?;
    LocalSet::new().run_until(accept(listener)).await
}

async fn accept(listener: TcpListener) -> io::Result<()> {
    let subscribers = Subscribers::default();
    loop {
        let (socket, _) = listener.accept().await?;
        serve(socket, &subscribers)?;
    }
}

fn serve(socket: TcpStream, subscribers: &Subscribers) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (reads, writes) = socket.into_split();
    let output = Rc::new(Output::default());
    let writer = spawn_local(write(writes, Rc::clone(&output)));
    let subscribers = Rc::clone(subscribers);
    spawn_local(async move {
        // A client that goes away is the end of its connection, nothing else.
        let _ = read(reads, &output, &subscribers).await;
        subscribers.borrow_mut().retain(|subscriber| !Rc::ptr_eq(subscriber, &output));
        writer.abort();
    });
    Ok(())
}

async fn write(mut socket: OwnedWriteHalf, output: Rc<Output>) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        output.is_more.notified().await;
        std::mem::swap(&mut *output.bytes.borrow_mut(), &mut bytes);
        socket.write_all(&bytes).await?;
        bytes.clear();
    }
}

async fn read(
    mut socket: OwnedReadHalf,
    output: &Rc<Output>,
    subscribers: &Subscribers,
) -> io::Result<()> {
    let mut input = Vec::with_capacity(READ_BYTES);
    loop {
        input.reserve(READ_BYTES);
        if socket.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let (mut used, mut is_published) = (0, false);
        while let Some((frame, length)) =
            codec::split(&input[used..], u32::MAX).map_err(io::Error::other)?
        {
            is_published |= handle(&frame, &input[used..used + length], output, subscribers);
            used += length;
        }
        input.drain(..used);
        if is_published {
            subscribers.borrow().iter().for_each(|subscriber| subscriber.is_more.notify_one());
        }
        if !output.bytes.borrow().is_empty() {
            output.is_more.notify_one();
        }
    }
}

/// Whether it was a message.
fn handle(
    frame: &Frame<'_>,
    packet: &[u8],
    output: &Rc<Output>,
    subscribers: &Subscribers,
) -> bool {
    let (body, mut own) = (frame.body, output.bytes.borrow_mut());
    match frame.first >> 4 {
        1 => own.extend_from_slice(&[0x20, 2, 0, 0]),
        8 => {
            own.extend_from_slice(&[0x90, 3, body[0], body[1], 1]);
            subscribers.borrow_mut().push(Rc::clone(output));
        }
        12 => own.extend_from_slice(&[0xD0, 0]),
        3 => {
            let id_at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            let has_id = frame.first & 0b0110 != 0;
            if has_id {
                own.extend_from_slice(&[0x40, 2, body[id_at], body[id_at + 1]]);
            }
            drop(own);
            let id_at = packet.len() - body.len() + id_at;
            for subscriber in subscribers.borrow().iter() {
                subscriber.forward(packet, has_id.then_some(id_at));
            }
            return true;
        }
        _ => {}
    }
    false
}

impl Output {
    /// The same bytes, but for the identifier.
    fn forward(&self, packet: &[u8], id_at: Option<usize>) {
        let mut bytes = self.bytes.borrow_mut();
        let start = bytes.len();
        bytes.extend_from_slice(packet);
        if let Some(at) = id_at {
            let id = self.last_id.get() % u16::MAX + 1;
            self.last_id.set(id);
            bytes[start + at..start + at + 2].copy_from_slice(&id.to_be_bytes());
        }
    }
}
