//! `docs/openapi.json`, and whether an answer is as it says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::schema::Schemas;
use crate::peer::PATIENCE;

pub(super) const FILE: &str = include_str!("../../docs/openapi.json");

pub(super) const JSON: &str = "Content-Type: application/json\r\n";

/// An answer of the admin listener.
pub(super) struct Answer {
    pub(super) status: String,
    /// By name in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let (status, fields) = head.split_once("\r\n").unwrap();
        let fields = fields.lines().filter_map(|line| line.split_once(": "));
        Self {
            status: status.split(' ').nth(1).unwrap().to_owned(),
            headers: fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    fn content_type(&self) -> &str {
        self.headers.get("content-type").map_or("", |of| of.split(';').next().unwrap())
    }
}

/// Asks with any method, header lines and body.
pub(super) async fn request(
    admin: SocketAddr,
    line: &str,
    (headers, body): (&str, &str),
) -> Answer {
    let mut socket = TcpStream::connect(admin).await.unwrap();
    let length = body.len();
    let host =
        if headers.contains("Host: ") { String::new() } else { format!("Host: {admin}\r\n") };
    let head = format!(
        "{line} HTTP/1.1\r\n{host}Connection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut text)).await.expect("in time").unwrap();
    Answer::parse(&text)
}

/// The file, and which of it was seen in answers.
pub(super) struct Described {
    file: Value,
    pub(super) schemas: Schemas,
    provoked: RefCell<BTreeSet<(String, String)>>,
}

impl Described {
    pub(super) fn new(file: Value) -> Self {
        Self { schemas: Schemas::new(file.clone()), file, provoked: RefCell::default() }
    }

    pub(super) fn from_file() -> Self {
        Self::new(serde_json::from_str(FILE).expect("JSON"))
    }

    pub(super) fn paths(&self) -> &Map<String, Value> {
        self.file["paths"].as_object().unwrap()
    }

    /// `GET /path` and what is said of it.
    pub(super) fn operations(&self) -> BTreeMap<String, &Value> {
        let of_path = |(path, methods): (&String, &'_ Value)| {
            let methods = methods.as_object().unwrap().keys();
            methods
                .map(|m| (format!("{} {path}", m.to_uppercase()), path.clone(), m.clone()))
                .collect::<Vec<_>>()
        };
        let all = self.paths().iter().flat_map(of_path);
        all.map(|(name, path, method)| (name, &self.paths()[&path][&method])).collect()
    }

    /// Operations and status codes, those that were seen.
    pub(super) fn provoked(&self) -> BTreeSet<(String, String)> {
        self.provoked.borrow().clone()
    }

    /// Asks, and looks whether the answer is as described.
    pub(super) async fn ask(&self, admin: SocketAddr, line: &str, rest: (&str, &str)) -> Answer {
        let answer = request(admin, line, rest).await;
        let problems = self.problems(line, &answer);
        assert!(problems.is_empty(), "{line}: {problems:#?}\n{} {}", answer.status, answer.body);
        answer
    }

    pub(super) async fn get(&self, admin: SocketAddr, target: &str) -> Answer {
        self.ask(admin, &format!("GET {target}"), ("", "")).await
    }

    /// Where an answer is not as described.
    pub(super) fn problems(&self, line: &str, answer: &Answer) -> Vec<String> {
        let (method, target) = line.split_once(' ').unwrap();
        let Some(path) = self.path_of(target.split('?').next().unwrap()) else {
            return vec![format!("{target} is not described")];
        };
        let methods = self.paths()[path].as_object().unwrap();
        if answer.status == "405" {
            let all = methods.iter();
            return all
                .flat_map(|(m, operation)| self.differs((m, path), operation, answer))
                .collect();
        }
        match methods.get(&method.to_lowercase()) {
            Some(operation) => self.differs((method, path), operation, answer),
            None => vec![format!("{line} is not described")],
        }
    }

    /// The path of the file that a request's path is one of.
    fn path_of(&self, asked: &str) -> Option<&str> {
        let is_it = |path: &&String| {
            path.split('/').count() == asked.split('/').count()
                && path.split('/').zip(asked.split('/')).all(|(a, b)| a == b || a.starts_with('{'))
        };
        self.paths().keys().find(is_it).map(String::as_str)
    }

    fn differs(
        &self,
        (method, path): (&str, &str),
        operation: &Value,
        answer: &Answer,
    ) -> Vec<String> {
        let operation_name = format!("{} {path}", method.to_uppercase());
        let Some(response) = operation["responses"].get(&answer.status) else {
            return vec![format!("{operation_name}: {} is not described", answer.status)];
        };
        let reference = response.get("$ref").and_then(Value::as_str);
        let response = reference.map_or(response, |reference| self.schemas.at(reference));
        let mut problems = Vec::new();
        let headers = response["headers"].as_object().into_iter().flatten();
        for (name, _) in headers.filter(|(_, header)| header["required"] == true) {
            if !answer.headers.contains_key(&name.to_lowercase()) {
                problems.push(format!("the header {name} is missing"));
            }
        }
        let kind = answer.content_type();
        match response["content"].as_object() {
            None if answer.body.is_empty() => {}
            None => problems.push("a body where none is described".to_owned()),
            Some(content) => match content.get(kind) {
                Some(content) => {
                    let text = || Value::String(answer.body.clone());
                    let body = if kind == "application/json" { answer.json() } else { text() };
                    problems.extend(self.schemas.problems(&content["schema"], &body, "answer"));
                }
                None => problems.push(format!("the type {kind:?} is not described")),
            },
        }
        if problems.is_empty() {
            self.provoked.borrow_mut().insert((operation_name, answer.status.clone()));
        }
        problems
    }
}

/// `Schema/member type` of every member and each type that it may have, as [`Schemas::seen`] names them.
pub(super) fn kinds_of_members(schema: &Value, at: &str, kinds: &mut BTreeSet<String>) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        match &member["type"] {
            Value::Array(list) => {
                kinds.extend(list.iter().map(|kind| format!("{at} {}", kind.as_str().unwrap())));
            }
            Value::String(kind) => drop(kinds.insert(format!("{at} {kind}"))),
            // Another schema's members.
            _ => {}
        }
        kinds_of_members(member, &at, kinds);
    }
}
