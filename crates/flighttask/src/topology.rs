//! Which devices are with a gateway, and which it is: `update_topo` on `sys/product/{sn}/status` (DJI Cloud API,
//! "Device management").

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::names::Model;
use crate::object::Object;
use crate::progress::integer;
use crate::topic::is_serial_number;

/// Longer payloads are no `update_topo`.
pub const BYTES_AT_MOST: usize = 20_480;

/// Aircraft that one gateway can have.
pub const AIRCRAFT_AT_MOST: usize = 16;

/// What an `update_topo` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    /// What the gateway is; none if it does not say.
    pub model: Option<Model>,
    /// Serial numbers of its aircraft; none of them is a gateway whose aircraft is off.
    pub aircraft: Vec<String>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    data: Object<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    domain: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sub_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sub_devices: Option<Vec<Object<SubDevice<'a>>>>,
}

#[derive(Deserialize)]
struct SubDevice<'a> {
    #[serde(borrow)]
    sn: Cow<'a, str>,
}

/// What an `update_topo` says. Anything else is none: another method, or nothing that can be read.
#[must_use]
pub fn update_topo(payload: &[u8]) -> Option<Topology> {
    if payload.len() > BYTES_AT_MOST {
        return None;
    }
    let Object(wire) = serde_json::from_slice::<Object<Wire<'_>>>(payload).ok()?;
    if wire.method != "update_topo" {
        return None;
    }
    let Object(data) = wire.data;
    let model = model(&data);
    let serial_numbers = data.sub_devices.into_iter().flatten().map(|Object(device)| device.sn);
    let valid = serial_numbers.filter(|sn| is_serial_number(sn)).take(AIRCRAFT_AT_MOST);
    Some(Topology { model, aircraft: valid.map(Cow::into_owned).collect() })
}

fn model(data: &Data<'_>) -> Option<Model> {
    // DJI prints `domain` as a text and the others as numbers.
    let number = |raw: Option<&RawValue>| raw.and_then(|raw| integer(raw.get()));
    Some(Model {
        domain: number(data.domain)?,
        kind: number(data.kind)?,
        sub_type: number(data.sub_type).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form of the DJI Cloud API ("Device management", update_topo).
    const UPDATE_TOPO: &str = r#"{"tid":"t","bid":"b","timestamp":1700000000000,"method":"update_topo",
        "data":{"domain":"3","type":1,"sub_type":0,"device_secret":"secret","nonce":"nonce",
        "thing_version":"1.1.2","sub_devices":[{"sn":"SIMDRONE1","domain":"0","type":60,
        "sub_type":0,"index":"A","device_secret":"secret","nonce":"nonce","thing_version":"1.1.2"}]}}"#;

    #[test]
    fn aircraft_are_read_from_an_update_topo() {
        let aircraft = |text: &str| update_topo(text.as_bytes()).map(|topology| topology.aircraft);
        assert_eq!(aircraft(UPDATE_TOPO), Some(vec!["SIMDRONE1".to_owned()]));
        let off = r#"{"method":"update_topo","data":{"sub_devices":[]}}"#;
        assert_eq!(aircraft(off), Some(vec![]));
        for none in [
            r#"{"method":"update_topo","data":{}}"#,
            r#"{"method":"update_topo","data":{"sub_devices":null}}"#,
        ] {
            assert_eq!(aircraft(none), Some(vec![]));
        }
        let odd = r#"{"method":"update_topo","data":{"sub_devices":[{"sn":"a/b"},{"sn":"A1"}]}}"#;
        assert_eq!(aircraft(odd), Some(vec!["A1".to_owned()]));
    }

    #[test]
    fn the_gateway_says_what_it_is() {
        let model = |text: &str| update_topo(text.as_bytes()).and_then(|topology| topology.model);
        let dock = Model { domain: 3, kind: 1, sub_type: 0 };
        assert_eq!(model(UPDATE_TOPO), Some(dock));
        let number = r#"{"method":"update_topo","data":{"domain":3,"type":"1"}}"#;
        assert_eq!(model(number), Some(dock));
        for odd in [r#"{"domain":"x","type":1}"#, r#"{"domain":[],"type":1}"#, r#"{"type":1}"#] {
            let text = format!(r#"{{"method":"update_topo","data":{odd}}}"#);
            assert_eq!(
                update_topo(text.as_bytes()),
                Some(Topology { model: None, aircraft: vec![] })
            );
        }
    }

    #[test]
    fn what_is_no_update_topo_announces_nothing() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"method":"other","data":{"sub_devices":[]}}"#,
            r#"{"method":"update_topo"}"#,
            r#"{"method":"update_topo","data":{"sub_devices":[{"sn":1}]}}"#,
            r#"{"method":"update_topo","data":{"sub_devices":{}}}"#,
            r#"["update_topo",{"sub_devices":[{"sn":"SIMDRONE1"}]}]"#,
            r#"{"method":"update_topo","data":["3",1,0,[{"sn":"SIMDRONE1"}]]}"#,
            r#"{"method":"update_topo","data":{"sub_devices":[["SIMDRONE1"]]}}"#,
        ] {
            assert_eq!(update_topo(text.as_bytes()), None, "{text}");
        }
        let long = format!("{}{}", " ".repeat(BYTES_AT_MOST), UPDATE_TOPO);
        assert_eq!(update_topo(long.as_bytes()), None);
    }
}
