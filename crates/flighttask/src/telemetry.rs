//! What `osd` and `state` say of a device's clock and firmware (DJI Cloud API,
//! "Properties").

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::envelope::millis;

/// Longer ones are not looked at.
const BYTES_AT_MOST: usize = 20_480;

/// Longer ones are no firmware's.
const FIRMWARE_BYTES_AT_MOST: usize = 64;

/// What a message says besides how the device is.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Telemetry<'a> {
    /// `timestamp`: the device's clock, milliseconds since 1970; not checked for sense.
    pub device_ms: Option<u64>,
    /// `data.firmware_version`.
    pub firmware: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    firmware_version: Option<Cow<'a, str>>,
}

impl<'a> Telemetry<'a> {
    /// Reads a payload; what is no such message says nothing.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Self {
        if payload.len() > BYTES_AT_MOST {
            return Self::default();
        }
        let Ok(wire) = serde_json::from_slice::<Wire<'a>>(payload) else { return Self::default() };
        let firmware = wire
            .data
            .map(RawValue::get)
            .filter(|data| data.starts_with('{') && data.contains("firmware_version"));
        let firmware = firmware
            .and_then(|data| serde_json::from_str::<Data<'a>>(data).ok()?.firmware_version)
            .filter(|text| (1..=FIRMWARE_BYTES_AT_MOST).contains(&text.len()));
        Self { device_ms: wire.timestamp.and_then(millis), firmware }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_and_firmware_are_read_where_they_are() {
        let parse = |text: &'static str| {
            let Telemetry { device_ms, firmware } = Telemetry::parse(text.as_bytes());
            (device_ms, firmware.map(Cow::into_owned))
        };
        let state =
            r#"{"timestamp":1700000000123,"data":{"firmware_version":"10.01.16.04","x":1}}"#;
        assert_eq!(parse(state), (Some(1_700_000_000_123), Some("10.01.16.04".to_owned())));
        assert_eq!(parse(r#"{"timestamp":"17","data":[1]}"#), (Some(17), None));
        for odd in [
            "",
            "[]",
            "7",
            r#"{"timestamp":-1}"#,
            r#"{"timestamp":1e30,"data":{"firmware_version":5}}"#,
            r#"{"data":["firmware_version"]}"#,
            r#"{"data":{"firmware_version":""}}"#,
        ] {
            assert_eq!(parse(odd), (None, None), "{odd}");
        }
    }
}
