//! The aircraft that gateways have announced, and through whom a user may speak for one.

use std::collections::HashMap;

/// Aircraft of one gateway; a dock has one, a remote controller one or two.
pub const AIRCRAFT_AT_MOST: usize = 16;

/// Gateways that have announced aircraft.
pub const GATEWAYS_AT_MOST: usize = 100_000;

/// Who has announced which aircraft.
#[derive(Debug, Default)]
pub struct Announced {
    by_gateway: HashMap<Box<str>, Vec<Box<str>>>,
    /// Gateways by aircraft: for a while two may have announced the same one, when it changes docks.
    by_aircraft: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Announced {
    /// A gateway's newest announcement takes the place of its former one. Aircraft beyond
    /// [`AIRCRAFT_AT_MOST`], and gateways beyond [`GATEWAYS_AT_MOST`], are left out.
    pub fn announce<'a>(&mut self, gateway: &str, aircraft: impl IntoIterator<Item = &'a str>) {
        for before in self.by_gateway.remove(gateway).unwrap_or_default() {
            if let Some(gateways) = self.by_aircraft.get_mut(&before) {
                gateways.retain(|known| **known != *gateway);
                if gateways.is_empty() {
                    self.by_aircraft.remove(&before);
                }
            }
        }
        let mut now: Vec<Box<str>> = Vec::new();
        for sn in aircraft.into_iter().take(AIRCRAFT_AT_MOST) {
            if !now.iter().any(|known| **known == *sn) {
                now.push(sn.into());
            }
        }
        if now.is_empty() || self.by_gateway.len() >= GATEWAYS_AT_MOST {
            return;
        }
        for sn in &now {
            self.by_aircraft.entry(sn.clone()).or_default().push(gateway.into());
        }
        self.by_gateway.insert(gateway.into(), now);
    }

    /// The gateways that have announced this aircraft.
    #[must_use]
    pub fn gateways(&self, aircraft: &str) -> &[Box<str>] {
        self.by_aircraft.get(aircraft).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_announcement_of_a_gateway_counts() {
        let mut announced = Announced::default();
        announced.announce("DOCK1", ["A", "B", "A"]);
        announced.announce("DOCK2", ["B"]);
        assert_eq!(announced.gateways("A"), ["DOCK1".into()]);
        assert_eq!(announced.gateways("B"), ["DOCK1".into(), "DOCK2".into()]);
        announced.announce("DOCK1", ["C"]);
        assert!(announced.gateways("A").is_empty());
        assert_eq!(announced.gateways("B"), ["DOCK2".into()]);
        announced.announce("DOCK1", []);
        announced.announce("DOCK2", []);
        assert!(announced.by_gateway.is_empty() && announced.by_aircraft.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let mut announced = Announced::default();
        let many: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        announced.announce("DOCK1", many.iter().map(String::as_str));
        assert_eq!(announced.by_aircraft.len(), AIRCRAFT_AT_MOST);
    }
}
