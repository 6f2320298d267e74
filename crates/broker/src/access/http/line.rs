//! Who waits for a turn to be asked about. One address has no more places than it leaves to others: it cannot keep them out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dockside_access::throttle::network;

/// Logins that wait; more are refused unseen.
const PLACES: usize = 256;

/// The line.
#[derive(Default)]
pub(super) struct Line {
    places: Mutex<HashMap<IpAddr, usize>>,
}

/// A place in the line, given back with the value.
pub(super) struct InLine<'a> {
    line: &'a Line,
    address: IpAddr,
}

impl Line {
    /// None if there is none for this address.
    pub(super) fn enter(&self, address: IpAddr) -> Option<InLine<'_>> {
        let address = network(address);
        let mut places = self.places();
        let free = PLACES - places.values().sum::<usize>();
        let own = places.get(&address).copied().unwrap_or(0);
        if own >= free {
            return None;
        }
        places.insert(address, own + 1);
        drop(places);
        Some(InLine { line: self, address })
    }

    fn places(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut places = self.line.places();
        match places.get_mut(&self.address) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                places.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leaves_others_as_much_as_it_has() {
        let line = Line::default();
        let fill = |last: u8| {
            let enter = || line.enter(IpAddr::from([192, 0, 2, last]));
            std::iter::from_fn(enter).collect::<Vec<_>>()
        };
        let first = fill(1);
        assert_eq!(first.len(), PLACES / 2);
        let others = [fill(2), fill(3)];
        assert_eq!(others.each_ref().map(Vec::len), [PLACES / 4, PLACES / 8]);
        drop(first);
        assert_eq!(fill(1).len(), 5 * PLACES / 16, "half of what is free");
        drop(others);
        assert!(line.places().is_empty());
        // One host has many addresses in IPv6.
        let of_one = |last: u16| line.enter(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
        let of_one: Vec<_> = (0..PLACES as u16).filter_map(of_one).collect();
        assert_eq!(of_one.len(), PLACES / 2);
    }
}
