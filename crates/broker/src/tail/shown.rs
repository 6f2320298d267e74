//! A message as somebody who looks on sees it: the beginning of its payload, as text where it is text.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::record::{Instance, Published};

/// Bytes of a payload that are shown.
pub(super) const PAYLOAD_BYTES: usize = 1_024;

/// What is shown of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    /// Whose it is; 0 is the broker.
    pub(super) publisher: Instance,
    qos: u8,
    retain: bool,
    pub(super) topic: &'a str,
    /// The beginning of its payload.
    head: &'a [u8],
    /// Bytes of all of it.
    bytes: usize,
}

/// The same, owned: of messages that may be gone before they are looked at.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    publisher: Instance,
    qos: u8,
    retain: bool,
    topic: Box<str>,
    head: Box<[u8]>,
    bytes: usize,
}

impl Passing {
    pub(super) fn borrowed<'a>(published: &Published<'a>) -> Shown<'a> {
        // A reply that its asker has had already is the broker's, for everybody else.
        let publisher = if published.except_publisher { 0 } else { published.publisher };
        Shown {
            publisher,
            qos: published.qos.bits(),
            retain: published.retain,
            topic: published.topic,
            head: &published.payload[..published.payload.len().min(PAYLOAD_BYTES)],
            bytes: published.payload.len(),
        }
    }

    pub(super) fn of(published: &Published<'_>) -> Self {
        let Shown { publisher, qos, retain, topic, head, bytes } = Self::borrowed(published);
        Self { publisher, qos, retain, topic: topic.into(), head: head.into(), bytes }
    }

    pub(super) fn as_shown(&self) -> Shown<'_> {
        let Self { publisher, qos, retain, topic, head, bytes } = self;
        Shown { publisher: *publisher, qos: *qos, retain: *retain, topic, head, bytes: *bytes }
    }
}

impl Shown<'_> {
    /// One line of JSON; `time_ms` is when it was looked at.
    pub(super) fn json(&self, time_ms: u64, client: Option<&str>) -> String {
        let is_cut = self.bytes > self.head.len();
        let text = text(self.head, is_cut);
        let hex = if text.is_none() { Value::from(hex(self.head)) } else { Value::Null };
        json!({
            "time_ms": time_ms,
            "client": client,
            "is_broker": self.publisher == 0,
            "qos": self.qos,
            "retain": self.retain,
            "topic": self.topic,
            "bytes": self.bytes,
            "is_cut": is_cut,
            "text": text,
            "hex": hex,
        })
        .to_string()
    }
}

/// What is text: UTF-8 without control characters but those of layout. A character that the cut has halved is left out.
fn text(head: &[u8], is_cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.contains(is_odd)).then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::QoS;

    use super::*;

    fn shown(payload: &[u8]) -> Value {
        let published = Published::by_broker("a/日", QoS::AtLeastOnce, payload);
        let passing = Passing::of(&published);
        serde_json::from_str(&passing.as_shown().json(7, Some("c"))).unwrap()
    }

    #[test]
    fn text_is_shown_as_text_and_bytes_as_hex() {
        let text = shown("{\"a\":\"日\"}\n".as_bytes());
        assert_eq!((&text["text"], &text["hex"]), (&json!("{\"a\":\"日\"}\n"), &Value::Null));
        assert_eq!(
            (&text["qos"], &text["topic"], &text["bytes"]),
            (&json!(1), &json!("a/日"), &json!(12))
        );
        for bytes in [&b"\xff\x00"[..], b"\x1b[2J", b"caf\xc3"] {
            let shown = shown(bytes);
            assert_eq!(
                (&shown["text"], &shown["is_cut"]),
                (&Value::Null, &json!(false)),
                "{bytes:?}"
            );
            assert_eq!(shown["hex"].as_str().unwrap().len(), 2 * bytes.len());
        }
        assert_eq!(shown(b"")["text"], "");
    }

    #[test]
    fn long_payloads_are_cut_between_characters() {
        let long = shown("日".repeat(1_000).as_bytes());
        assert_eq!((&long["is_cut"], &long["bytes"]), (&json!(true), &json!(3_000)));
        assert_eq!(long["text"].as_str().unwrap(), "日".repeat(PAYLOAD_BYTES / 3));
        assert_eq!(shown(&[0xff; 5_000])["hex"].as_str().unwrap().len(), 2 * PAYLOAD_BYTES);
    }
}
