//! What a broker says on standard error.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::broker::Process;

const FORGED: &str = "2026-01-01T00:00:00.000000Z ERROR forged";

/// A client whose name would begin a line of its own, and who then speaks no MQTT.
fn hostile(broker: &Process) {
    let id = format!("a\"\r\n{FORGED}\r\n\u{1b}[31m");
    let mut connect = b"\x10\x00\x00\x04MQTT\x05\x02\x00\x3c\x00".to_vec();
    connect.extend_from_slice(&(id.len() as u16).to_be_bytes());
    connect.extend_from_slice(id.as_bytes());
    connect[1] = (connect.len() - 2) as u8;
    let mut socket = TcpStream::connect(broker.mqtt).unwrap();
    socket.write_all(&connect).unwrap();
    socket.write_all(b"\x00\x00").unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    broker.wait_for_log("forged");
}

#[test]
fn a_client_cannot_forge_a_line() {
    let broker =
        Process::start_in(tempfile::tempdir().unwrap(), "", &[("DOCKSIDE_LOG__LEVEL", "debug")]);
    hostile(&broker);
    let log = broker.log();
    assert!(log.lines().all(|line| !line.starts_with(FORGED)), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

/// An event of a dock that is answered, and messages of every quality, to somebody and to nobody.
fn fly(broker: &Process, times: usize) {
    let mut socket = TcpStream::connect(broker.mqtt).unwrap();
    socket.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d").unwrap();
    let topic = "thing/product/SIMDOCK1/events";
    let payload =
        r#"{"tid":"t","bid":"b","method":"flighttask_progress","data":{},"need_reply":1}"#;
    let mut packets = vec![0x82, 6, 0, 1, 0, 1, b'#', 2];
    for _ in 0..times {
        for (head, topic, id) in [
            (0x30, "a/b", None),
            (0x32, "a/b", Some(7)),
            (0x32, "nobody", Some(8)),
            (0x34, "a/b", Some(9)),
            (0x62, "", Some(9)),
            (0x32, topic, Some(10)),
        ] {
            let mut body = Vec::new();
            if head != 0x62 {
                body.extend_from_slice(&(topic.len() as u16).to_be_bytes());
                body.extend_from_slice(topic.as_bytes());
            }
            body.extend(id.into_iter().flat_map(u16::to_be_bytes));
            if head != 0x62 {
                body.extend_from_slice(payload.as_bytes());
            }
            packets.push(head);
            packets.extend_from_slice(&[body.len() as u8 | 0x80, (body.len() >> 7) as u8]);
            packets.extend_from_slice(&body);
        }
    }
    packets.extend_from_slice(&[0xc0, 0]);
    socket.write_all(&packets).unwrap();
    // The answer to the PINGREQ is anywhere among messages, each behind its length.
    let mut stream = std::io::BufReader::new(&socket);
    let mut head = [0; 1];
    while head != [0xd0] {
        stream.read_exact(&mut head).unwrap();
        let (mut length, mut shift, mut byte) = (0, 0, [0x80]);
        while byte[0] & 0x80 != 0 {
            stream.read_exact(&mut byte).unwrap();
            length |= u64::from(byte[0] & 0x7f) << shift;
            shift += 7;
        }
        let body = std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink());
        assert_eq!(body.unwrap(), length);
    }
    (&socket).write_all(&[0xe0, 0]).unwrap();
    // What is left unread would make an error of the end.
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
}

/// Neither a message nor a connection has a line at the default level; what follows is said once.
#[test]
fn messages_have_no_lines_at_the_default_level() {
    let broker = Process::start();
    fly(&broker, 3);
    let answered = "dockside_events_replied_total{method=\"flighttask_progress\",result=\"ok\"}";
    assert_eq!(broker.metric(answered), 3.0);
    while broker.metric("dockside_connections_closed_total{reason=\"client\"}") < 1.0 {}
    let few = broker.log();
    fly(&broker, 100);
    while broker.metric("dockside_connections_closed_total{reason=\"client\"}") < 2.0 {}
    assert_eq!(broker.metric(answered), 103.0);
    let many = broker.log();
    assert!(many.lines().count() == few.lines().count(), "{many}");
    assert!(!many.contains("WARN") && !many.contains("ERROR"), "{many}");
    let debug = Process::start_in(tempfile::tempdir().unwrap(), "[log]\nlevel = \"debug\"\n", &[]);
    fly(&debug, 1);
    debug.wait_for_log("connection ended");
    let line = |what: &str| debug.log().lines().find(|line| line.contains(what)).map(str::to_owned);
    for what in [" connected client_id=\"d\"", "connection ended client_id=\"d\""] {
        let line = line(what).unwrap_or_else(|| panic!("no line {what}: {}", debug.log()));
        assert!(line.contains("address=127.0.0.1:"), "{line}");
    }
}

#[test]
fn every_line_is_an_object() {
    let config = "[log]\nformat = \"json\"\nlevel = \"debug\"\n";
    let mut broker = Process::start_in(tempfile::tempdir().unwrap(), config, &[]);
    hostile(&broker);
    broker.signal("TERM");
    assert_eq!(broker.wait(), Some(0));
    let log = broker.log();
    let mut seen = false;
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["timestamp", "level", "message"] {
            assert!(line[member].is_string(), "{line}");
        }
        let is_of_it = line["client_id"].as_str().is_some_and(|id| id.contains(FORGED));
        seen |= is_of_it && line["address"].is_string() && line["reason"].is_string();
    }
    assert!(seen, "{log}");
}
