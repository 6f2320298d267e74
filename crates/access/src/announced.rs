//! The aircraft that gateways have announced, and through whom a user may speak for one.
//!
//! Several gateways may announce the same aircraft: it changes docks in flight, or somebody lies. Only
//! the first counts, until it announces without it or is nobody's any more; then the next one does.

use std::collections::{HashMap, HashSet};

/// Aircraft of one gateway; a dock has one, a remote controller one or two.
pub const AIRCRAFT_AT_MOST: usize = 16;

/// Gateways that have announced aircraft, and gateways that are known by their login only.
pub const GATEWAYS_AT_MOST: usize = 100_000;

/// Who has announced which aircraft.
#[derive(Debug, Default)]
pub struct Announced {
    by_gateway: HashMap<Box<str>, Vec<Box<str>>>,
    /// Gateways by aircraft, the one that counts first.
    by_aircraft: HashMap<Box<str>, Vec<Box<str>>>,
    /// Serial numbers that are users' who have logged in and whom no configuration names.
    own: HashSet<Box<str>>,
}

/// What an announcement changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Whether the gateway has lost an aircraft that it had.
    pub lost: bool,
    /// Aircraft that do not count yet, each with the gateway that comes first.
    pub waiting: Vec<(Box<str>, Box<str>)>,
}

impl Announced {
    /// A gateway's newest announcement takes the place of its former one. Aircraft beyond
    /// [`AIRCRAFT_AT_MOST`], and gateways beyond [`GATEWAYS_AT_MOST`], are left out.
    pub fn announce<'a>(
        &mut self,
        gateway: &str,
        aircraft: impl IntoIterator<Item = &'a str>,
    ) -> Outcome {
        let mut now: Vec<Box<str>> = Vec::new();
        for sn in aircraft.into_iter().take(AIRCRAFT_AT_MOST) {
            if !now.iter().any(|known| **known == *sn) {
                now.push(sn.into());
            }
        }
        let before = self.by_gateway.remove(gateway).unwrap_or_default();
        let mut outcome = Outcome::default();
        for sn in before.iter().filter(|sn| !now.contains(sn)) {
            self.leave(gateway, sn);
            outcome.lost = true;
        }
        if now.is_empty() || self.by_gateway.len() >= GATEWAYS_AT_MOST {
            return outcome;
        }
        for sn in &now {
            let gateways = self.by_aircraft.entry(sn.clone()).or_default();
            if !gateways.iter().any(|known| **known == *gateway) {
                gateways.push(gateway.into());
            }
            if *gateways[0] != *gateway {
                outcome.waiting.push((sn.clone(), gateways[0].clone()));
            }
        }
        self.by_gateway.insert(gateway.into(), now);
        outcome
    }

    /// Forgets the announcements of gateways that are nobody's any more.
    pub fn retain(&mut self, is_owned: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self
            .by_gateway
            .keys()
            .filter(|sn| !is_owned(sn) && !self.is_own(sn))
            .cloned()
            .collect();
        for gateway in gone {
            self.announce(&gateway, []);
        }
    }

    /// A user has logged in that is known by that only, and its name is a serial number: from now on
    /// nobody has it as an aircraft. Whether somebody had. Beyond [`GATEWAYS_AT_MOST`] it is not
    /// remembered.
    pub fn logged_in(&mut self, serial_number: &str) -> bool {
        if self.own.len() >= GATEWAYS_AT_MOST || self.own.contains(serial_number) {
            return false;
        }
        self.own.insert(serial_number.into());
        self.by_aircraft.contains_key(serial_number)
    }

    /// Whether a serial number is a user's that has logged in.
    #[must_use]
    pub fn is_own(&self, serial_number: &str) -> bool {
        self.own.contains(serial_number)
    }

    /// The gateway whose announcement of this aircraft counts.
    #[must_use]
    pub fn gateway(&self, aircraft: &str) -> Option<&str> {
        if self.is_own(aircraft) {
            return None;
        }
        self.by_aircraft.get(aircraft).and_then(|gateways| gateways.first()).map(|sn| &**sn)
    }

    fn leave(&mut self, gateway: &str, aircraft: &str) {
        if let Some(gateways) = self.by_aircraft.get_mut(aircraft) {
            gateways.retain(|known| **known != *gateway);
            if gateways.is_empty() {
                self.by_aircraft.remove(aircraft);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_announces_an_aircraft_has_it_until_it_lets_go() {
        let mut announced = Announced::default();
        assert_eq!(announced.announce("DOCK1", ["A", "B", "A"]), Outcome::default());
        let second = announced.announce("DOCK2", ["B"]);
        assert_eq!(second.waiting, [("B".into(), "DOCK1".into())]);
        assert_eq!(announced.gateway("A"), Some("DOCK1"));
        assert_eq!(announced.gateway("B"), Some("DOCK1"));
        assert!(!announced.announce("DOCK1", ["B", "A"]).lost, "the same again");
        let third = announced.announce("DOCK1", ["C"]);
        assert!(third.lost && third.waiting.is_empty());
        assert_eq!(announced.gateway("A"), None);
        assert_eq!(announced.gateway("B"), Some("DOCK2"));
        announced.announce("DOCK1", []);
        announced.announce("DOCK2", []);
        assert!(announced.by_gateway.is_empty() && announced.by_aircraft.is_empty());
    }

    #[test]
    fn a_gateway_that_is_nobodys_has_nothing() {
        let mut announced = Announced::default();
        announced.announce("DOCK1", ["A"]);
        announced.announce("DOCK2", ["A"]);
        announced.retain(|gateway| gateway == "DOCK2");
        assert_eq!(announced.gateway("A"), Some("DOCK2"));
    }

    #[test]
    fn who_has_logged_in_is_nobodys_aircraft() {
        let mut announced = Announced::default();
        announced.announce("DOCK1", ["DOCK2"]);
        assert!(announced.logged_in("DOCK2"));
        assert_eq!(announced.gateway("DOCK2"), None);
        assert!(!announced.logged_in("DOCK2") && !announced.logged_in("DOCK3"));
        announced.announce("DOCK1", ["DOCK2", "DOCK3", "A"]);
        assert_eq!(
            ["DOCK2", "DOCK3", "A"].map(|sn| announced.gateway(sn)),
            [None, None, Some("DOCK1")]
        );
    }

    #[test]
    fn it_is_bounded() {
        let mut announced = Announced::default();
        let many: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
        announced.announce("DOCK1", many.iter().map(String::as_str));
        assert_eq!(announced.by_aircraft.len(), AIRCRAFT_AT_MOST);
    }
}
