//! `dockside tail FILTER` shows messages as they pass; `dockside pub TOPIC [PAYLOAD]` publishes one.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use chrono::{DateTime, Local};
use dockside::config::Config;
use serde::Deserialize;
use serde_json::json;
use ureq::Body;
use ureq::http::{Request, Response};

use crate::admin::{Admin, understood};
use crate::{BAD_CONFIGURATION, CANNOT_CONNECT, CANNOT_READ, fail};

/// Payloads of more bytes are published by an MQTT client.
const PAYLOAD_BYTES: u64 = 64 << 10;

/// A line of the stream holds one message, with the beginning of its payload.
const LINE_BYTES: u64 = 1 << 20;

/// Longer answers than this are not the broker's.
const ANSWER_BYTES: u64 = 1 << 20;

/// A message, as the admin listener shows it.
#[derive(Deserialize)]
struct Message {
    time_ms: i64,
    client: Option<String>,
    is_broker: bool,
    qos: u8,
    retain: bool,
    topic: String,
    bytes: usize,
    is_cut: bool,
    text: Option<String>,
    hex: Option<String>,
}

#[derive(Deserialize)]
struct LeftOut {
    messages: u64,
    batches: u64,
}

/// Shows messages that match a filter, until so many were shown or somebody stops it.
pub(crate) fn tail(
    config: &Config,
    filter: &str,
    (as_json, count): (bool, Option<u64>),
) -> Result<ExitCode, ExitCode> {
    let encoded: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let admin = Admin::of(config)?;
    let response = admin.open("GET", &format!("/api/v1/tail?filter={encoded}"), "")?;
    let mut stream = BufReader::new(answered(response)?.into_body().into_reader());
    let (mut shown, mut event) = (0, String::new());
    while count.is_none_or(|count| shown < count) {
        let line = next_line(&mut stream)?;
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut event);
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let out = match &*event {
            "message" => {
                shown += 1;
                if as_json { data.to_owned() } else { as_line(&understood(data)?) }
            }
            "left_out" if as_json => format!("{{\"left_out\":{data}}}"),
            "left_out" => {
                eprintln!("dockside: {}", left_out(&understood(data)?));
                continue;
            }
            _ => {
                eprintln!("dockside: messages that match {filter:?} are shown as they pass");
                continue;
            }
        };
        // Whoever read this has gone: there is nobody to show more.
        if writeln!(std::io::stdout(), "{out}").is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn next_line(stream: &mut impl BufRead) -> Result<String, ExitCode> {
    let mut line = String::new();
    match stream.take(LINE_BYTES).read_line(&mut line) {
        Ok(0) => Err(fail(
            CANNOT_CONNECT,
            "the broker has ended this: it stops, or the login that was used is no operator's any more",
        )),
        Ok(_) => Ok(line.trim_end().to_owned()),
        Err(error) => Err(fail(CANNOT_CONNECT, &format!("the connection broke: {error}"))),
    }
}

fn as_line(message: &Message) -> String {
    let Message { time_ms, qos, topic, bytes, .. } = message;
    let time = DateTime::from_timestamp_millis(*time_ms).map_or("?".to_owned(), |time| {
        time.with_timezone(&Local).format("%H:%M:%S%.3f").to_string()
    });
    let client = match &message.client {
        Some(client) => format!("{client:?}"),
        None if message.is_broker => "(broker)".to_owned(),
        None => "(gone)".to_owned(),
    };
    let retain = if message.retain { " retained" } else { "" };
    // Escaped: somebody else chose it, and this is a terminal.
    let payload = match (&message.text, &message.hex) {
        (Some(text), _) => {
            text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
        }
        (None, Some(hex)) => format!("0x{hex}"),
        (None, None) => String::new(),
    };
    let cut = if message.is_cut { format!(" ... {bytes} bytes") } else { String::new() };
    format!("{time}  {client}  QoS {qos}{retain}  {}  {payload}{cut}", topic.escape_debug())
}

fn left_out(LeftOut { messages, batches }: &LeftOut) -> String {
    let mut parts = Vec::new();
    if *messages > 0 {
        parts.push(format!("{messages} messages were left out"));
    }
    if *batches > 0 {
        parts.push(format!("{batches} batches of messages went by unseen"));
    }
    format!("{}: they come too fast to be shown; a narrower filter shows more", parts.join(", "))
}

/// A message to be published.
pub(crate) struct Publishing {
    pub(crate) topic: String,
    /// `-` is standard input; none is empty.
    pub(crate) payload: Option<String>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// Publishes a message.
pub(crate) fn publish(config: &Config, what: &Publishing) -> Result<ExitCode, ExitCode> {
    let Publishing { topic, payload, qos, retain } = what;
    let payload = match payload.as_deref() {
        Some("-") => from_input()?,
        payload => payload.unwrap_or_default().as_bytes().to_vec(),
    };
    if payload.len() as u64 > PAYLOAD_BYTES {
        let line = format!(
            "a payload has {PAYLOAD_BYTES} bytes at most here; an MQTT client publishes larger ones"
        );
        return Err(fail(BAD_CONFIGURATION, &line));
    }
    let body = match std::str::from_utf8(&payload) {
        Ok(text) => json!({"topic": topic, "text": text, "qos": qos, "retain": retain}),
        Err(_) => {
            let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"topic": topic, "hex": hex, "qos": qos, "retain": retain})
        }
    };
    answered(Admin::of(config)?.open("POST", "/api/v1/publish", &body.to_string())?)?;
    Ok(ExitCode::SUCCESS)
}

fn from_input() -> Result<Vec<u8>, ExitCode> {
    let mut payload = Vec::new();
    // One more, to see that there is more.
    let read = std::io::stdin().lock().take(PAYLOAD_BYTES + 1).read_to_end(&mut payload);
    read.map_err(|error| fail(CANNOT_READ, &format!("standard input cannot be read: {error}")))?;
    Ok(payload)
}

/// The answer, if it is a good one; what it says has been printed if not.
fn answered(mut response: Response<Body>) -> Result<Response<Body>, ExitCode> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_string();
    let text = text.unwrap_or_default();
    let line = match text.trim_end() {
        "" => format!("the broker answers with {status}"),
        text => text.to_owned(),
    };
    // What was asked for is wrong, or the broker will not do it now.
    let code = if status == 400 || status == 422 { BAD_CONFIGURATION } else { CANNOT_CONNECT };
    Err(fail(code, &line))
}

impl Admin {
    /// Asks, whatever is answered; that nobody answers has been printed.
    fn open(&self, method: &str, path: &str, body: &str) -> Result<Response<Body>, ExitCode> {
        let request = Request::builder().method(method).uri(self.url(path));
        let request = self.with_token(request.header("Content-Type", "application/json"));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        let answer = request
            .body(body.to_owned())
            .map_err(ureq::Error::from)
            .and_then(|request| ureq::Agent::from(agent).run(request));
        answer.map_err(|error| {
            let line = format!("no broker answers at {} (admin.listen): {error}", self.address());
            fail(CANNOT_CONNECT, &line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> String {
        as_line(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_message_is_a_line_that_cannot_change_the_terminal() {
        let line = message(
            r#"{"time_ms":0,"client":"a\u001b","is_broker":false,"qos":1,"retain":true,"topic":"t\n","bytes":9,"is_cut":false,"text":"{\"a\":\"\u001b[2J\"}\n","hex":null}"#,
        );
        assert!(line.chars().all(|c| !c.is_control()), "{line}");
        assert!(line.contains(r#"QoS 1 retained  t\n  {"a":"\u{1b}[2J"}\n"#), "{line}");
        let line = message(
            r#"{"time_ms":0,"client":null,"is_broker":true,"qos":0,"retain":false,"topic":"t","bytes":3000,"is_cut":true,"text":null,"hex":"00ff"}"#,
        );
        assert!(line.ends_with("(broker)  QoS 0  t  0x00ff ... 3000 bytes"), "{line}");
    }

    #[test]
    fn what_was_left_out_is_told() {
        let told = left_out(&LeftOut { messages: 42, batches: 0 });
        assert!(told.starts_with("42 messages were left out: "), "{told}");
        let told = left_out(&LeftOut { messages: 1, batches: 2 });
        assert!(told.contains("2 batches of messages went by unseen"), "{told}");
    }
}
