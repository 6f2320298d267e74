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
