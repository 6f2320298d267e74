//! Which aircraft are with a gateway: `update_topo` on `sys/product/{sn}/status` (DJI Cloud API,
//! "Device management").

use std::borrow::Cow;

use serde::Deserialize;

use crate::topic::is_serial_number;

/// The filter that matches every gateway's status.
pub const STATUS_FILTER: &str = "sys/product/+/status";

/// Longer payloads are no `update_topo`.
pub const BYTES_AT_MOST: usize = 20_480;

/// Aircraft that one gateway can have.
pub const AIRCRAFT_AT_MOST: usize = 16;

/// The serial number in `sys/product/{sn}/status`.
#[must_use]
pub fn status_serial_number(topic: &str) -> Option<&str> {
    let serial_number = topic.strip_prefix("sys/product/")?.strip_suffix("/status")?;
    is_serial_number(serial_number).then_some(serial_number)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    sub_devices: Vec<SubDevice<'a>>,
}

#[derive(Deserialize)]
struct SubDevice<'a> {
    #[serde(borrow)]
    sn: Cow<'a, str>,
}

/// The serial numbers that an `update_topo` names; an empty list is a gateway whose aircraft is off.
/// Anything else is none: another method, or nothing that can be read.
#[must_use]
pub fn update_topo(payload: &[u8]) -> Option<Vec<String>> {
    if payload.len() > BYTES_AT_MOST {
        return None;
    }
    let wire: Wire<'_> = serde_json::from_slice(payload).ok()?;
    if wire.method != "update_topo" {
        return None;
    }
    let serial_numbers = wire.data.sub_devices.into_iter().map(|device| device.sn);
    let valid = serial_numbers.filter(|sn| is_serial_number(sn)).take(AIRCRAFT_AT_MOST);
    Some(valid.map(Cow::into_owned).collect())
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
        assert_eq!(update_topo(UPDATE_TOPO.as_bytes()), Some(vec!["SIMDRONE1".to_owned()]));
        let off = r#"{"method":"update_topo","data":{"sub_devices":[]}}"#;
        assert_eq!(update_topo(off.as_bytes()), Some(vec![]));
        let none = r#"{"method":"update_topo","data":{}}"#;
        assert_eq!(update_topo(none.as_bytes()), Some(vec![]));
        let odd = r#"{"method":"update_topo","data":{"sub_devices":[{"sn":"a/b"},{"sn":"A1"}]}}"#;
        assert_eq!(update_topo(odd.as_bytes()), Some(vec!["A1".to_owned()]));
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
        ] {
            assert_eq!(update_topo(text.as_bytes()), None, "{text}");
        }
        let long = format!("{}{}", " ".repeat(BYTES_AT_MOST), UPDATE_TOPO);
        assert_eq!(update_topo(long.as_bytes()), None);
    }

    #[test]
    fn look_alikes_are_no_status() {
        assert_eq!(status_serial_number("sys/product/DOCK1/status"), Some("DOCK1"));
        for topic in ["sys/product/a/b/status", "sys/product//status", "sys/product/a-b/status"] {
            assert_eq!(status_serial_number(topic), None, "{topic}");
        }
    }
}
