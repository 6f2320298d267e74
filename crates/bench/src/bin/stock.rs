//! A stock broker with a plugin that answers: rumqttd as it comes, and a local link to its router.
//!
//! What a site gets that writes no broker, but puts a responder inside one. The sizes are those of
//! rumqttd's own example configuration. The plugin is one thread; the replies to all events that it
//! can have without waiting go to the router together.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};
use std::time::{Instant, UNIX_EPOCH};

use clap::Parser;
use dockside_flighttask::topic::{EVENTS_FILTER, Kind};
use dockside_flighttask::{Answer, Rules, answer};
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{Packet, Publish};
use rumqttd::{Broker, Config, ConnectionSettings, Notification, RouterConfig, ServerSettings};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// As many events as the router gives a link before it waits for it.
const BATCH: usize = 200;

/// Run a stock broker that answers events, until it is killed
#[derive(Parser)]
struct Arguments {
    /// Where it listens
    #[arg(default_value = "127.0.0.1:1883")]
    address: SocketAddr,
    /// Send small packets at once: as it comes, the broker holds them back until the last is
    /// acknowledged
    #[arg(long)]
    nodelay: bool,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut broker = Broker::new(config(arguments.address));
    let (tx, rx) = broker.link("responder").map_err(io::Error::other)?;
    let mut plugin = Plugin { tx, rx, rules: Rules::default(), replies: Vec::with_capacity(BATCH) };
    plugin.subscribe()?;
    // It reports only what is wrong with the configuration; a port that is taken just ends it.
    let server = thread::spawn(move || broker.start().map_err(io::Error::other));
    wait_until_it_listens(arguments.address, &server)?;
    if arguments.nodelay {
        let sockets = own_sockets(arguments.address)?;
        if sockets.is_empty() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there"));
        }
        // What is accepted has the options of what listens.
        sockets.iter().try_for_each(|socket| socket.set_nodelay(true))?;
    }
    println!("ready");
    plugin.run()
}

/// The router and one server for MQTT 3.1.1, in the sizes of rumqttd's example.
fn config(listen: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 60_000,
        max_payload_size: 20_480,
        // The example's 100 would cut a long read in two.
        max_inflight_count: 200,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "v4-1".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let router = RouterConfig {
        max_connections: 10_010,
        max_outgoing_packet_count: 200,
        max_segment_size: 104_857_600,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    Config { router, v4: Some(HashMap::from([("1".to_owned(), server)])), ..Config::default() }
}

fn wait_until_it_listens<T>(address: SocketAddr, server: &JoinHandle<T>) -> io::Result<()> {
    while let Err(error) = TcpStream::connect(address) {
        if server.is_finished() {
            return Err(error);
        }
        thread::yield_now();
    }
    Ok(())
}

/// This process's sockets with this local address: the one that listens, and what it has accepted.
///
/// rumqttd keeps them to itself. Nobody promises that a descriptor in the directory stays open, so the
/// kernel duplicates each, and says so if it has been closed.
fn own_sockets(address: SocketAddr) -> io::Result<Vec<TcpStream>> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        let number = number.ok_or(io::ErrorKind::InvalidData)?;
        let descriptor = match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        let socket = TcpListener::from(descriptor);
        // It fails for what is no socket at all.
        if socket.local_addr().is_ok_and(|local| local == address) {
            sockets.push(TcpStream::from(OwnedFd::from(socket)));
        }
    }
    Ok(sockets)
}

/// The responder inside the broker.
struct Plugin {
    tx: LinkTx,
    rx: LinkRx,
    rules: Rules,
    /// Made, and not yet published.
    replies: Vec<Publish>,
}

impl Plugin {
    /// Subscribes and waits for the acknowledgement: the only one that a link at QoS 0 gets.
    fn subscribe(&mut self) -> io::Result<()> {
        self.tx.subscribe(EVENTS_FILTER).map_err(io::Error::other)?;
        while !matches!(self.wait()?, Some(Notification::DeviceAck(_))) {}
        Ok(())
    }

    /// Answers until the link ends: the router is gone, or a client has taken the link's name.
    fn run(&mut self) -> io::Result<()> {
        let past = Instant::now();
        loop {
            let mut next = self.wait()?;
            let now_ms = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
            loop {
                match next {
                    Some(Notification::Forward(event)) => self.answer(&event.publish, now_ms),
                    // Without a word from the link the router would never give it anything again.
                    Some(Notification::Unschedule) => self.rx.ready().map_err(io::Error::other)?,
                    _ => {}
                }
                if self.replies.len() >= BATCH {
                    break;
                }
                // There is nothing without waiting, or the router is gone, which waiting will tell.
                let Ok(at_once) = self.rx.recv_deadline(past) else { break };
                next = at_once;
            }
            self.publish()?;
        }
    }

    /// The next of the router's notifications; none if it has been taken with an earlier one.
    fn wait(&mut self) -> io::Result<Option<Notification>> {
        self.rx.recv().map_err(io::Error::other)
    }

    fn answer(&mut self, event: &Publish, now_ms: u64) {
        let topic = std::str::from_utf8(&event.topic).unwrap_or_default();
        let Some(sn) = Kind::Events.serial_number(topic) else { return };
        let about = (Kind::Events, sn);
        let decision = answer(about, &event.payload, now_ms, &self.rules, &|_, _| None);
        if let Answer::Reply { payload, .. } = decision.answer {
            let topic = Kind::Events.reply_topic(sn).into_bytes();
            self.replies.push(Publish::new(topic, payload, false));
        }
    }

    /// Gives all replies to the router, which is told once, with the last of them.
    fn publish(&mut self) -> io::Result<()> {
        let Some(last) = self.replies.pop() else { return Ok(()) };
        let others = self.replies.drain(..).map(|reply| Packet::Publish(reply, None));
        self.tx.buffer().extend(others);
        self.tx.publish(last.topic, last.payload).map_err(io::Error::other)?;
        Ok(())
    }
}
