//! The plugin that writes down who commands a dock: `services` and `property/set`, and their replies. Not what
//! they say: commands carry credentials of stores and of live streams.

use std::borrow::Cow;
use std::collections::BTreeMap;

use dockside_flighttask::topic::is_serial_number;
use dockside_interceptor::{Audited, Effects, Intercepted, Interceptor, Verdict};
use serde_json::value::RawValue;

/// Topics behind `thing/product/{sn}/`, and what the audit log calls them.
const COMMANDS: [(&str, &str); 4] = [
    ("services", "services"),
    ("services_reply", "services_reply"),
    ("property/set", "property/set"),
    ("property/set_reply", "property/set_reply"),
];

/// The method of what is no JSON object in UTF-8: a device may read it all the same.
const UNREADABLE: &str = "(unreadable)";

/// Longer texts are cut.
const TEXT_BYTES_AT_MOST: usize = 128;

/// Properties that are named of one message.
const PROPERTIES_AT_MOST: usize = 8;

/// Writes commands down; forwards everything as it is.
pub struct Commands;

impl Interceptor for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn filters(&self) -> Vec<String> {
        COMMANDS.map(|(topic, _)| format!("thing/product/+/{topic}")).to_vec()
    }

    fn intercept(&self, publish: &Intercepted<'_>, effects: &mut Effects<'_>) -> Verdict {
        let rest = publish.topic.strip_prefix("thing/product/").and_then(|t| t.split_once('/'));
        if let Some((gateway, topic)) = rest.filter(|(sn, _)| is_serial_number(sn))
            && let Some((_, what)) = COMMANDS.into_iter().find(|(known, _)| *known == topic)
        {
            effects.audit(audited(what, gateway, publish.payload));
        }
        Verdict::Forward
    }
}

fn audited(what: &'static str, gateway: &str, payload: &[u8]) -> Audited {
    // Of a key that comes twice the last one, as most programs have it.
    let Ok(wire) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(payload) else {
        let method = UNREADABLE.into();
        return Audited { what, gateway: gateway.into(), method, ..Audited::default() };
    };
    let part = |name: &str| wire.get(name).copied();
    let data = part("data").map(RawValue::get).and_then(object);
    let method = match part("method") {
        Some(method) => text(method),
        None => data.iter().flat_map(|data| data.keys()).take(PROPERTIES_AT_MOST).fold(
            String::new(),
            |names, name| {
                if names.is_empty() { name.clone() } else { format!("{names} {name}") }
            },
        ),
    };
    let result = data.as_ref().and_then(|data| data.get("result")?.as_i64());
    Audited {
        what,
        gateway: gateway.into(),
        method: cut(&method).into(),
        tid: part("tid").map(text).map_or("".into(), |tid| cut(&tid).into()),
        result,
    }
}

fn object(json: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(json).ok()
}

/// A text, or what else stands there.
fn text(raw: &RawValue) -> String {
    serde_json::from_str::<Cow<'_, str>>(raw.get()).map_or(raw.get().to_owned(), Cow::into_owned)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_AT_MOST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_and_not_told() {
        let command = br#"{"tid":"t","method":"flighttask_execute","data":{"flight_id":"secret"}}"#;
        let said = audited("services", "SIMDOCK1", command);
        assert_eq!((&*said.method, &*said.tid, said.result), ("flighttask_execute", "t", None));
        assert!(!format!("{said:?}").contains("secret"));
        let reply = br#"{"tid":7,"method":"flighttask_execute","data":{"result":314004}}"#;
        let said = audited("services_reply", "SIMDOCK1", reply);
        assert_eq!((&*said.tid, said.result), ("7", Some(314_004)));
    }

    #[test]
    fn a_name_cannot_be_hidden() {
        let twice = br#"{"method":"x","method":"flighttask_execute","tid":"t"}"#;
        assert_eq!(&*audited("services", "A", twice).method, "flighttask_execute");
        let bytes = b"{\"method\":\"flighttask_execute\",\"x\":\"\xff\"}";
        assert_eq!(&*audited("services", "A", bytes).method, UNREADABLE);
    }

    #[test]
    fn properties_are_named() {
        let set = br#"{"tid":"t","data":{"night_lights_state":1,"height_limit":80}}"#;
        assert_eq!(&*audited("property/set", "A", set).method, "height_limit night_lights_state");
    }

    #[test]
    fn whatever_is_no_command_is_written_down_without_a_name() {
        for odd in ["", "[]", "7", r#"{"method":[1],"data":[]}"#, "\u{feff}{}"] {
            let said = audited("services", "A", odd.as_bytes());
            assert!(said.method.len() < 16 && said.result.is_none(), "{odd}");
        }
        let list = audited("services", "A", br#"["t","flighttask_execute",{"result":0}]"#);
        assert_eq!(
            (&*list.tid, &*list.method, list.result),
            ("", UNREADABLE, None),
            "a list is no command"
        );
        let long = format!(r#"{{"method":"{}"}}"#, "日".repeat(100));
        assert!(audited("services", "A", long.as_bytes()).method.len() <= TEXT_BYTES_AT_MOST);
    }
}
