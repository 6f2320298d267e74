//! The property of the fuzz target on arbitrary bytes, and on packets that were good once.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::{Good, framed, good, property};

static ROWS: LazyLock<Vec<Good>> = LazyLock::new(good);

/// One thing that goes wrong with some bytes.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Copy(Index, Index, Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let range = |from: &Index, to: &Index| {
            let (a, b) = (from.index(bytes.len()), to.index(bytes.len()));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Set(at, to) => {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            Self::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(from, to) => {
                let range = range(from, to);
                bytes.drain(range);
            }
            Self::Copy(from, to, at) => {
                let part = bytes[range(from, to)].to_vec();
                let at = at.index(bytes.len());
                bytes.splice(at..at, part);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = proptest::collection::vec(any::<u8>(), 1..6);
    prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, to)| Damage::Set(at, to)),
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<Index>(), bytes).prop_map(|(at, more)| Damage::Insert(at, more)),
        any::<(Index, Index)>().prop_map(|(from, to)| Damage::Remove(from, to)),
        any::<(Index, Index, Index)>().prop_map(|(from, to, at)| Damage::Copy(from, to, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_hold(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        property::holds(&bytes);
    }

    /// Bodies under a first byte that some packet has, so that more of them get past it.
    #[test]
    fn any_body_holds(kind in 1u8..16, flags in 0u8..16, version: u8, body in proptest::collection::vec(any::<u8>(), 0..40)) {
        let flags = match kind { 3 => flags, 6 | 8 | 10 => 2, _ => 0 };
        let mut input = vec![version];
        input.extend(framed(kind << 4 | flags, &body));
        property::holds(&input);
    }

    /// Damaged packets, with the length that they had, and with one that is right.
    #[test]
    fn damaged_packets_hold(pick: Index, damages in proptest::collection::vec(damage(), 1..5)) {
        let row = pick.get(&ROWS);
        let mut bytes = row.bytes.clone();
        let mut body = bytes[2..].to_vec();
        for damage in &damages {
            damage.apply(&mut bytes);
            damage.apply(&mut body);
        }
        property::check(&bytes, row.version);
        property::check(&framed(row.bytes[0], &body), row.version);
    }
}

#[test]
fn good_packets_hold() {
    for row in &*ROWS {
        property::check(&row.bytes, row.version);
    }
}
