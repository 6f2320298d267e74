//! What one address may have, and how fast: connections at the same time, connections in a second.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Addresses whose pace is remembered without a connection; beyond, those that have earned a fresh start are
/// forgotten first.
const REMEMBERED: usize = 16_384;

/// The addresses that connections come from.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    inner: Mutex<HashMap<IpAddr, Address>>,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    pace: Pace,
}

/// What an address may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// Connections at the same time; 0: any number.
    pub(crate) connections: usize,
    /// Connections in a second; 0: any number.
    pub(crate) per_second: u32,
}

/// The bound that an address has met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TooMany {
    Connections,
    PerSecond,
}

impl Addresses {
    /// A connection comes from an address.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        allowed: Allowed,
        now_ms: u64,
    ) -> Result<Option<AddressPlace>, TooMany> {
        if allowed.connections == 0 && allowed.per_second == 0 {
            return Ok(None);
        }
        let address = network(address);
        let mut addresses = self.inner();
        if addresses.len() >= REMEMBERED && !addresses.contains_key(&address) {
            make_room(&mut addresses, allowed.per_second, now_ms);
        }
        let fresh = || Address { connections: 0, pace: Pace::fresh(allowed.per_second, now_ms) };
        let known = addresses.entry(address).or_insert_with(fresh);
        if allowed.connections > 0 && known.connections >= allowed.connections {
            return Err(TooMany::Connections);
        }
        if allowed.per_second > 0 && !known.pace.take(allowed.per_second, now_ms) {
            return Err(TooMany::PerSecond);
        }
        known.connections += 1;
        drop(addresses);
        let is_paced = allowed.per_second > 0;
        Ok(Some(AddressPlace { addresses: Arc::clone(self), address, is_paced }))
    }

    fn inner(&self) -> MutexGuard<'_, HashMap<IpAddr, Address>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets addresses without a connection: those that may do everything again, and if all have been hasty, all.
fn make_room(addresses: &mut HashMap<IpAddr, Address>, per_second: u32, now_ms: u64) {
    addresses.retain(|_, known| known.connections > 0 || !known.pace.is_full(per_second, now_ms));
    if addresses.len() >= REMEMBERED {
        addresses.retain(|_, known| known.connections > 0);
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & (u128::MAX << 64);
            Ipv6Addr::from(bits).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The place of a connection of an address, given back with the value.
#[derive(Debug)]
pub(crate) struct AddressPlace {
    addresses: Arc<Addresses>,
    address: IpAddr,
    is_paced: bool,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut addresses = self.addresses.inner();
        if let Some(known) = addresses.get_mut(&self.address) {
            known.connections -= 1;
            if known.connections == 0 && !self.is_paced {
                addresses.remove(&self.address);
            }
        }
    }
}

/// So many a second, with a second's worth at once: thousandths of one that may be had now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    thousandths: u64,
    at_ms: u64,
}

impl Pace {
    /// One that has a second's worth.
    pub(crate) fn fresh(per_second: u32, now_ms: u64) -> Self {
        Self { thousandths: u64::from(per_second) * 1_000, at_ms: now_ms }
    }

    fn earn(&mut self, per_second: u32, now_ms: u64) {
        let earned = now_ms.saturating_sub(self.at_ms).saturating_mul(per_second.into());
        let most = u64::from(per_second) * 1_000;
        self.thousandths = self.thousandths.saturating_add(earned).min(most);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Takes one, if it may be had now.
    pub(crate) fn take(&mut self, per_second: u32, now_ms: u64) -> bool {
        self.earn(per_second, now_ms);
        let may = self.thousandths >= 1_000;
        if may {
            self.thousandths -= 1_000;
        }
        may
    }

    /// When the next one may be had, milliseconds from now.
    pub(crate) fn wait_ms(&self, per_second: u32) -> u64 {
        1_000u64.saturating_sub(self.thousandths).div_ceil(u64::from(per_second.max(1)))
    }

    fn is_full(&self, per_second: u32, now_ms: u64) -> bool {
        let mut then = *self;
        then.earn(per_second, now_ms);
        then.thousandths >= u64::from(per_second) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_connections_and_gets_their_places_back() {
        let addresses = Arc::<Addresses>::default();
        let allowed = Allowed { connections: 2, per_second: 0 };
        let enter = |address| addresses.enter(ip(address), allowed, 0).map(Option::unwrap);
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::ffff:0:2").unwrap();
        assert_eq!(enter("2001:db8::3").unwrap_err(), TooMany::Connections, "the same /64");
        enter("2001:db8:0:1::3").unwrap();
        enter("192.0.2.1").unwrap();
        drop(first);
        enter("2001:db8::3").unwrap();
        assert_eq!(addresses.inner().len(), 1, "who has no connection is not remembered");
    }

    #[test]
    fn an_address_has_so_many_connections_a_second() {
        let addresses = Arc::<Addresses>::default();
        let allowed = Allowed { connections: 0, per_second: 2 };
        let enter = |now_ms| addresses.enter(ip("192.0.2.1"), allowed, now_ms);
        for _ in 0..2 {
            enter(0).unwrap();
        }
        assert_eq!(enter(499).unwrap_err(), TooMany::PerSecond);
        enter(500).unwrap();
        assert_eq!(enter(501).unwrap_err(), TooMany::PerSecond);
        let other = addresses.enter(ip("192.0.2.2"), allowed, 501);
        other.unwrap();
    }

    #[test]
    fn a_flood_of_addresses_is_not_remembered_for_ever() {
        let addresses = Arc::<Addresses>::default();
        let allowed = Allowed { connections: 0, per_second: 1 };
        for address in 0..3 * u32::try_from(REMEMBERED).unwrap() {
            let address = std::net::Ipv4Addr::from(address).into();
            addresses.enter(address, allowed, 0).unwrap();
        }
        assert!(addresses.inner().len() <= REMEMBERED);
    }

    #[test]
    fn a_pace_tells_when_it_goes_on() {
        let mut pace = Pace::fresh(4, 0);
        assert!((0..4).all(|_| pace.take(4, 0)) && !pace.take(4, 0));
        assert_eq!(pace.wait_ms(4), 250);
        assert!(!pace.take(4, 249) && pace.take(4, 250));
        // A quiet night buys no more than a second's worth.
        assert_eq!((0..10).filter(|_| pace.take(4, 60_000)).count(), 4);
    }
}
