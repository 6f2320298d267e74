//! A broker that the system gives few descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::broker::{Process, installed};

/// A CONNECT of 3.1.1 with a client identifier.
fn connect(broker: &Process, id: u8) -> TcpStream {
    let mut socket = TcpStream::connect(broker.mqtt).unwrap();
    socket.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, id]).unwrap();
    socket
}

fn connack(socket: &mut TcpStream) -> [u8; 4] {
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    connack
}

/// Whoever opens connections and says nothing takes none of those that the broker needs itself: clients, the admin
/// listener and the store go on, and the log tells once.
#[test]
fn silent_connections_use_up_no_descriptors() {
    let broker = Process::start_with_descriptors(256);
    let mut first = connect(&broker, b'a');
    assert_eq!(connack(&mut first), [0x20, 2, 0, 0]);
    let silent: Vec<_> = (0..400).map(|_| TcpStream::connect(broker.mqtt).unwrap()).collect();
    for id in b'b'..=b'z' {
        let mut client = connect(&broker, id);
        assert_eq!(connack(&mut client), [0x20, 2, 0, 0]);
    }
    first.write_all(&[0xc0, 0]).unwrap();
    let mut pong = [0; 2];
    first.read_exact(&mut pong).unwrap();
    assert_eq!(pong, [0xd0, 0]);
    let displaced = broker.metric("dockside_limits_reached_total{limit=\"unauthenticated\"}");
    assert!(displaced >= 300.0, "{displaced}");
    let log = broker.log();
    assert!(log.contains("LimitNOFILE") && !log.contains("cannot accept"), "{log}");
    drop(silent);
}

/// A process that loses its descriptors while it runs says so to whoever asks over a connection that is there, and is
/// ready again when it has some.
#[test]
fn a_listener_that_cannot_accept_is_not_ready() {
    if !installed("prlimit") {
        return;
    }
    let broker = Process::start();
    let mut asked = TcpStream::connect(broker.admin).unwrap();
    let mut ready = || {
        asked.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        while !answer.ends_with('\n')
            || !answer.contains("\r\n\r\n")
            || answer.ends_with("\r\n\r\n")
        {
            let mut bytes = [0; 512];
            let count = asked.read(&mut bytes).unwrap();
            answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        answer
    };
    assert!(ready().starts_with("HTTP/1.1 200"));
    let limit = |descriptors: &str| {
        let pid = broker.child.id().to_string();
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid, &format!("--nofile={descriptors}:")]);
        assert!(command.status().unwrap().success());
    };
    limit("3");
    let waiting = TcpStream::connect(broker.mqtt).unwrap();
    while !ready().contains("a listener cannot accept") {}
    assert!(ready().starts_with("HTTP/1.1 503"));
    limit("256");
    while !ready().starts_with("HTTP/1.1 200") {}
    drop(waiting);
}

/// When all clients are there that there may be, the next one is told, and is let in when one has gone.
#[test]
fn the_clients_that_fit_are_told_and_more_are_refused() {
    let broker = Process::start_with_descriptors(256);
    let mut clients = Vec::new();
    let refused = loop {
        let mut client = connect(&broker, 0x21 + u8::try_from(clients.len()).unwrap());
        let answer = connack(&mut client);
        if answer[3] != 0 {
            break answer;
        }
        clients.push(client);
    };
    assert_eq!((refused, clients.len()), ([0x20, 2, 0, 3], 64));
    assert_eq!(broker.metric("dockside_connections_limit"), 64.0);
    drop(clients);
    while connack(&mut connect(&broker, b'!'))[3] != 0 {}
}
