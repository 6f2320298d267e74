//! Server-sent events, each as it is described.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::described::{Answer, Described};
use crate::peer::PATIENCE;

const CHANGES: &str = "/api/v1/changes";

/// A reader of events.
pub(super) struct Stream<'a> {
    described: &'a Described,
    path: &'static str,
    socket: BufReader<TcpStream>,
    pub(super) seen: BTreeSet<String>,
}

impl<'a> Stream<'a> {
    /// Of changes.
    pub(super) async fn open(described: &'a Described, admin: SocketAddr) -> Self {
        Self::open_at(described, admin, (CHANGES, "")).await
    }

    pub(super) async fn open_at(
        described: &'a Described,
        admin: SocketAddr,
        (path, query): (&'static str, &str),
    ) -> Self {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        // 1.0: what it says is not in chunks.
        let head = format!("GET {path}{query} HTTP/1.0\r\nHost: {admin}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let socket = BufReader::new(socket);
        let mut stream = Self { described, path, socket, seen: BTreeSet::new() };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&stream.line().await);
        }
        let problems = described.problems(&format!("GET {path}"), &Answer::parse(&head));
        assert!(problems.is_empty(), "{problems:#?}\n{head}");
        stream
    }

    /// The names that are described.
    pub(super) fn described_names(&self) -> BTreeSet<String> {
        events(self.described, self.path).as_object().unwrap().keys().cloned().collect()
    }

    /// The next event of this name that is as it should be; those in between are looked at as well.
    pub(super) async fn until(&mut self, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (found, data) = self.next().await;
            if found == name && is_right(&data) {
                return data;
            }
        }
    }

    async fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let line = self.line().await;
            if let Some(found) = line.strip_prefix("event: ") {
                found.trim_end().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                let schema = events(self.described, self.path).get(&name);
                let schema =
                    schema.unwrap_or_else(|| panic!("the event {name:?} is not described"));
                let problems = self.described.schemas.problems(schema, &data, &name);
                assert!(problems.is_empty(), "{name}: {problems:#?}\n{data}");
                self.seen.insert(name.clone());
                return (name, data);
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.socket.read_line(&mut line)).await.expect("in time");
        assert_ne!(read.unwrap(), 0, "a stream that goes on");
        line
    }
}

fn events<'a>(described: &'a Described, path: &str) -> &'a Value {
    &described.paths()[path]["get"]["responses"]["200"]["content"]["text/event-stream"]["x-events"]
}
