//! Topics of the DJI Cloud API ("Topic definition").

/// The filter that matches every event of every gateway.
pub const EVENTS_FILTER: &str = "thing/product/+/events";

/// The filter that matches every request of every gateway.
pub const REQUESTS_FILTER: &str = "thing/product/+/requests";

/// The filter that matches every gateway's status.
pub const STATUS_FILTER: &str = "sys/product/+/status";

/// What a gateway publishes on, and may wait for a reply to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// `thing/product/{sn}/events`: something happened.
    Events,
    /// `thing/product/{sn}/requests`: the gateway wants to know something.
    Requests,
    /// `sys/product/{sn}/status`: which devices are with it.
    Status,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Events, Self::Requests, Self::Status];

    /// The filter that matches every topic of the kind.
    #[must_use]
    pub fn filter(self) -> &'static str {
        match self {
            Self::Events => EVENTS_FILTER,
            Self::Requests => REQUESTS_FILTER,
            Self::Status => STATUS_FILTER,
        }
    }

    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Events => ("thing/product/", "/events"),
            Self::Requests => ("thing/product/", "/requests"),
            Self::Status => ("sys/product/", "/status"),
        }
    }

    /// The serial number in a topic of the kind: exactly four levels, and a serial number of ASCII letters
    /// and digits, as DJI's own server demands (`[A-Za-z0-9]+`). Look-alikes are `None`.
    #[must_use]
    pub fn serial_number(self, topic: &str) -> Option<&str> {
        let (before, behind) = self.parts();
        let serial_number = topic.strip_prefix(before)?.strip_suffix(behind)?;
        is_serial_number(serial_number).then_some(serial_number)
    }

    /// Where the reply to a serial number's publish goes.
    #[must_use]
    pub fn reply_topic(self, serial_number: &str) -> String {
        let (before, behind) = self.parts();
        [before, serial_number, behind, "_reply"].concat()
    }
}

/// What a device says of itself unasked: `thing/product/{sn}/osd` and `thing/product/{sn}/state`.
pub const TELEMETRY_FILTERS: [&str; 2] = ["thing/product/+/osd", "thing/product/+/state"];

/// The serial number in a topic of [`TELEMETRY_FILTERS`].
#[must_use]
pub fn telemetry_serial_number(topic: &str) -> Option<&str> {
    let rest = topic.strip_prefix("thing/product/")?;
    let serial_number = rest.strip_suffix("/osd").or_else(|| rest.strip_suffix("/state"))?;
    is_serial_number(serial_number).then_some(serial_number)
}

/// Longer ones are nobody's; DJI's have some 14 to 20 characters.
pub const SERIAL_NUMBER_BYTES_AT_MOST: usize = 64;

/// [`Kind::serial_number`] of events.
#[must_use]
pub fn events_serial_number(topic: &str) -> Option<&str> {
    Kind::Events.serial_number(topic)
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
    Kind::Events.reply_topic(serial_number)
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
