//! Topics of the DJI Cloud API ("Topic definition").

/// The filter that matches every event of every gateway.
pub const EVENTS_FILTER: &str = "thing/product/+/events";

/// Longer ones are nobody's; DJI's have some 14 to 20 characters.
pub const SERIAL_NUMBER_BYTES_AT_MOST: usize = 64;

/// The serial number in `thing/product/{sn}/events`: exactly four levels, and a serial number of
/// ASCII letters and digits, as DJI's own server demands (`[A-Za-z0-9]+`). Look-alikes are `None`.
#[must_use]
pub fn events_serial_number(topic: &str) -> Option<&str> {
    let serial_number = topic.strip_prefix("thing/product/")?.strip_suffix("/events")?;
    is_serial_number(serial_number).then_some(serial_number)
}

/// ASCII letters and digits, 1 to [`SERIAL_NUMBER_BYTES_AT_MOST`] of them.
#[must_use]
pub fn is_serial_number(text: &str) -> bool {
    (1..=SERIAL_NUMBER_BYTES_AT_MOST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `thing/product/{sn}/events_reply`.
#[must_use]
pub fn events_reply(serial_number: &str) -> String {
    format!("thing/product/{serial_number}/events_reply")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hard case 26.
    #[test]
    fn look_alikes_are_not_events() {
        assert_eq!(
            events_serial_number("thing/product/DOCK1SIM0000001/events"),
            Some("DOCK1SIM0000001")
        );
        for topic in [
            "thing/product/a/b/events",
            "/thing/product/x/events",
            "thing/product//events",
            "thing/product/events",
            "thing/product/x/events/",
            "thing/product/x/events_reply",
            "xthing/product/x/events",
            "$share/g/thing/product/x/events",
            "thing/product/a-b/events",
            "thing/product/日本/events",
            "thing/product/x/Events",
        ] {
            assert_eq!(events_serial_number(topic), None, "{topic}");
        }
        let long = |n| format!("thing/product/{}/events", "X".repeat(n));
        assert!(events_serial_number(&long(64)).is_some());
        assert_eq!(events_serial_number(&long(65)), None);
    }
}
