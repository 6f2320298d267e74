//! The plugin: panels of a site (a gate, a lamp at a door, a display) ask how a dock's flight stands.
//!
//! A panel publishes `{"id":"7"}` on `site/panel/{sn}/ask`, and gets on `site/panel/{sn}/answer` the same `id` with
//! the dock's latest flight task as the broker knows it, a second behind its events at most. The question goes
//! to nobody else.

use std::borrow::Cow;

use dockside_flighttask::progress::is_terminal;
use dockside_flighttask::topic::is_serial_number;
use dockside_interceptor::{
    After, Effects, FlightTask, Intercepted, Interceptor, QoS, Reply, Unanswered, Verdict,
};
use metrics::{Counter, counter, describe_counter};
use serde::Deserialize;
use serde_json::json;

/// The longest question that is read.
const ASK_BYTES_AT_MOST: usize = 1024;

/// The longest text that is said in an answer: all of it, escaped, is then less than a kilobyte.
const TEXT_BYTES_AT_MOST: usize = 64;

/// Answers panels.
pub(crate) struct Panels {
    answered: Counter,
    invalid: Counter,
}

impl Panels {
    /// The plugin; registers its metrics.
    pub(crate) fn new() -> Self {
        describe_counter!("site_panel_asks_total", "Questions of panels, by what came of them");
        let asks = |result: &'static str| counter!("site_panel_asks_total", "result" => result);
        Self { answered: asks("answered"), invalid: asks("invalid") }
    }
}

impl Interceptor for Panels {
    fn name(&self) -> &'static str {
        "panels"
    }

    fn filters(&self) -> Vec<String> {
        vec!["site/panel/+/ask".to_owned()]
    }

    fn intercept(&self, publish: &Intercepted<'_>, effects: &mut Effects<'_>) -> Verdict {
        match dock(publish.topic).zip(Ask::parse(publish.payload)) {
            Some((dock, ask)) => {
                let task = publish.kept.flight_task(dock, None);
                effects.reply(Reply {
                    topic: format!("site/panel/{dock}/answer"),
                    payload: answer(&ask, task.as_ref()),
                    qos: QoS::AtLeastOnce,
                    after: After::Kept,
                });
                self.answered.increment(1);
            }
            None => {
                effects.leave_unanswered(Unanswered {
                    reason: "a panel's question was not answered: it cannot be read".into(),
                    remedy: "publish {\"id\":\"...\"} on site/panel/SN/ask, an id of 64 bytes at most",
                });
                self.invalid.increment(1);
            }
        }
        Verdict::Consume
    }
}

/// What a panel asks.
#[derive(Deserialize, PartialEq, Eq, Debug)]
struct Ask<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl<'a> Ask<'a> {
    /// Whatever the bytes are: a question, or nothing.
    fn parse(payload: &'a [u8]) -> Option<Self> {
        // A list would be read as an object, too.
        let is_object = payload.trim_ascii_start().starts_with(b"{");
        if !is_object || payload.len() > ASK_BYTES_AT_MOST {
            return None;
        }
        let ask: Self = serde_json::from_slice(payload).ok()?;
        (ask.id.len() <= TEXT_BYTES_AT_MOST).then_some(ask)
    }
}

/// The dock that a panel asks about.
fn dock(topic: &str) -> Option<&str> {
    let dock = topic.strip_prefix("site/panel/")?.strip_suffix("/ask")?;
    is_serial_number(dock).then_some(dock)
}

/// What a panel is told of a dock's latest task, if one is known.
fn answer(ask: &Ask<'_>, task: Option<&FlightTask>) -> Vec<u8> {
    let status = task.and_then(|task| task.status.as_deref());
    json!({
        "id": ask.id,
        // A word that nobody knows is a flight, as far as a gate is concerned.
        "is_flying": status.is_some_and(|status| !is_terminal(status)),
        "status": status.filter(|status| status.len() <= TEXT_BYTES_AT_MOST),
        "percent": task.and_then(|task| task.percent),
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(payload: &str) -> Option<Ask<'_>> {
        Ask::parse(payload.as_bytes())
    }

    fn told(task: Option<&FlightTask>) -> String {
        String::from_utf8(answer(&Ask { id: "7".into() }, task)).unwrap()
    }

    fn task(status: &str) -> FlightTask {
        let (task, status) = ("t".to_owned(), Some(status.to_owned()));
        FlightTask { task, status, step: None, percent: Some(40.0) }
    }

    #[test]
    fn a_question_is_an_object_with_an_id() {
        assert_eq!(asked(r#" {"more":[],"id":"\u0037"}"#), Some(Ask { id: "7".into() }));
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(TEXT_BYTES_AT_MOST + 1));
        let padded = format!(r#"{{"id":"7"{}}}"#, " ".repeat(ASK_BYTES_AT_MOST));
        for odd in ["", "7", "{}", r#"["7"]"#, r#"{"id":7}"#, r#"{"id":"7""#, &long, &padded] {
            assert_eq!(asked(odd), None, "{odd}");
        }
        assert_eq!(Ask::parse(b"{\"id\":\"\xff\"}"), None);
        assert_eq!(Ask::parse(&b"{\"id\":".repeat(100)), None);
    }

    #[test]
    fn a_dock_is_a_serial_number() {
        assert_eq!(dock("site/panel/SIMDOCK1/ask"), Some("SIMDOCK1"));
        for odd in ["site/panel//ask", "site/panel/a b/ask", "site/panel/+/ask", "site/panel/ask"] {
            assert_eq!(dock(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_panel_is_told_whether_the_dock_flies() {
        let flies = r#"{"id":"7","is_flying":true,"percent":40.0,"status":"in_progress"}"#;
        assert_eq!(told(Some(&task("in_progress"))), flies);
        let over = r#"{"id":"7","is_flying":false,"percent":40.0,"status":"ok"}"#;
        assert_eq!(told(Some(&task("ok"))), over);
        let unknown = r#"{"id":"7","is_flying":false,"percent":null,"status":null}"#;
        assert_eq!(told(None), unknown);
    }

    /// The broker has set so much aside for what plugins add to a publish.
    #[test]
    fn an_answer_is_less_than_a_kilobyte_whatever_was_said() {
        for odd in ["\0", "\"", "\u{7f}", "日"] {
            let text = odd.repeat(TEXT_BYTES_AT_MOST / odd.len());
            let said = answer(&Ask { id: text.clone().into() }, Some(&task(&text)));
            assert!(said.len() < 1024, "{} bytes", said.len());
        }
        let long = "x".repeat(TEXT_BYTES_AT_MOST + 1);
        assert!(told(Some(&task(&long))).contains(r#""is_flying":true"#));
        assert!(!told(Some(&task(&long))).contains('x'));
    }
}
