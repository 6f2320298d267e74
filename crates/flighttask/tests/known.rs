//! The window of known events, against a list; and its keys, which outlive the process.

use dockside_flighttask::known::key;
use dockside_flighttask::{EventKey, Known};
use proptest::prelude::*;

fn number(n: u32) -> EventKey {
    EventKey::from_bytes(u128::from(n).to_be_bytes())
}

/// By another implementation: SHA-256 of the lengths of gateway and `tid`, eight bytes each, the lowest
/// first, and of the three. A release that makes others takes every stored event for a new one.
#[test]
fn keys_are_the_same_in_every_release() {
    let example = key("SIMDOCK1", "tid", br#"{"tid":"tid"}"#);
    assert_eq!(format!("{example:?}"), "83e6363d2729de71d496af75a29270af");
    assert_eq!(EventKey::from_bytes(example.to_bytes()), example);
}

/// Hard case 11.
#[test]
fn an_event_is_its_gateway_its_tid_and_its_payload() {
    let mut known = Known::new(100);
    assert!(known.insert("A", "t", b"{}"));
    assert!(!known.insert("A", "t", b"{}"));
    assert!(known.insert("B", "t", b"{}"));
    assert!(known.insert("A", "u", b"{}"));
    assert!(known.insert("A", "t", b"{ }"));
    assert!(known.insert("At", "", b"{}"), "the same letters, divided otherwise");
    assert!(known.insert("A", "t{", b"}"), "the same letters, divided otherwise");
}

#[test]
fn the_oldest_goes_when_one_more_comes() {
    let mut known = Known::new(3);
    assert!((0..3).all(|n| known.insert_key(number(n))));
    // Coming again makes no event a newer one.
    assert!(!known.insert_key(number(0)));
    assert!(known.insert_key(number(3)));
    assert!(!known.contains(number(0)));
    assert!((1..4).all(|n| known.contains(number(n))));
}

#[test]
fn a_group_that_is_rolled_back_is_new_again() {
    let mut known = Known::new(4);
    assert!((0..4).all(|n| known.insert_key(number(n))));
    assert!(known.forget(number(3)) && known.forget(number(2)));
    assert!(!known.forget(number(3)), "it is gone");
    assert!(known.insert_key(number(2)) && known.insert_key(number(3)));
    assert!((0..4).all(|n| known.contains(number(n))), "their places were free again");
}

#[test]
fn a_window_is_never_empty_nor_endless() {
    let mut known = Known::new(0);
    assert!(known.insert_key(number(1)));
    assert!(!known.insert_key(number(1)));
    assert!(known.insert_key(number(2)));
    assert!(known.insert_key(number(1)));
    let mut known = Known::new(usize::MAX);
    assert!(known.insert_key(number(1)));
}

/// A list of places, oldest first; a place in the middle that was forgotten stays.
struct Naive {
    at_most: usize,
    places: Vec<Option<EventKey>>,
}

impl Naive {
    fn insert(&mut self, key: EventKey) -> bool {
        let new = !self.places.contains(&Some(key));
        if new {
            if self.places.len() == self.at_most {
                self.places.remove(0);
            }
            self.places.push(Some(key));
        }
        new
    }

    fn forget(&mut self, key: EventKey) -> bool {
        let place = self.places.iter_mut().find(|place| **place == Some(key));
        let was_known = place.and_then(Option::take).is_some();
        while self.places.last() == Some(&None) {
            self.places.pop();
        }
        was_known
    }
}

proptest! {
    #[test]
    fn it_is_a_list_of_the_latest(
        at_most in 1usize..40,
        steps in proptest::collection::vec((0u32..60, 0u32..4), 0..400),
    ) {
        let mut known = Known::new(at_most);
        let mut naive = Naive { at_most, places: Vec::new() };
        for (n, what) in steps {
            match what {
                0 => prop_assert_eq!(known.forget(number(n)), naive.forget(number(n))),
                _ => prop_assert_eq!(known.insert_key(number(n)), naive.insert(number(n))),
            }
            // Changes nothing, also where more are looked for than there is room.
            known.look_ahead((n..n + 50).map(number));
            for n in 0..60 {
                prop_assert_eq!(known.contains(number(n)), naive.places.contains(&Some(number(n))));
            }
        }
    }
}
