//! Packet identifiers as keys: a cheap hash for maps, a compact set for many.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::packet::PacketId;

/// Spreads sixteen bits over a word. The broker chooses its identifiers itself, and a client that
/// chooses its own only slows its own map down.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u16(u16::from(*byte)));
    }

    fn write_u16(&mut self, id: u16) {
        self.0 = (self.0 << 16 | u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Values by packet identifier.
pub(super) type ById<T> = HashMap<PacketId, T, BuildHasherDefault<IdHasher>>;

/// A set of packet identifiers: nothing when it is empty, some ten kilobytes when it holds all.
#[derive(Clone, Default, Debug)]
pub(super) struct IdSet {
    /// A bit for each of 256 identifiers, by the upper byte.
    rows: Vec<(u8, [u64; 4])>,
    len: u32,
}

impl IdSet {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn contains(&self, id: PacketId) -> bool {
        let (row, word, bit) = place(id);
        self.find(row).is_ok_and(|at| self.rows[at].1[word] & bit != 0)
    }

    pub(super) fn insert(&mut self, id: PacketId) {
        let (row, word, bit) = place(id);
        let at = self.find(row).unwrap_or_else(|at| {
            self.rows.insert(at, (row, [0; 4]));
            at
        });
        let bits = &mut self.rows[at].1[word];
        self.len += u32::from(*bits & bit == 0);
        *bits |= bit;
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, id: PacketId) -> bool {
        let (row, word, bit) = place(id);
        let Ok(at) = self.find(row) else { return false };
        let bits = &mut self.rows[at].1;
        if bits[word] & bit == 0 {
            return false;
        }
        bits[word] &= !bit;
        self.len -= 1;
        if *bits == [0; 4] {
            self.rows.remove(at);
        }
        if self.rows.is_empty() {
            self.rows = Vec::new();
        }
        true
    }

    /// Adds all of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        for (row, words) in &other.rows {
            for (word, bits) in words.iter().enumerate() {
                for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
                    let id = u16::from(*row) << 8 | (word as u16) << 6 | bit;
                    PacketId::new(id).into_iter().for_each(|id| self.insert(id));
                }
            }
        }
    }

    fn find(&self, row: u8) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&row, |(row, _)| *row)
    }
}

fn place(id: PacketId) -> (u8, usize, u64) {
    let id = id.get();
    ((id >> 8) as u8, usize::from(id >> 6 & 3), 1 << (id & 63))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_identifiers_take_little() {
        let mut set = IdSet::default();
        (1..=u16::MAX).filter_map(PacketId::new).for_each(|id| set.insert(id));
        assert_eq!((set.len(), set.rows.len()), (65_535, 256));
        let mut copy = IdSet::default();
        copy.extend(&set);
        assert_eq!(copy.len(), 65_535);
        for id in (1..=u16::MAX).filter_map(PacketId::new) {
            assert!(set.contains(id) && set.remove(id) && !set.remove(id));
        }
        assert_eq!((set.len(), set.rows.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((1u16..1_000, any::<bool>()), 0..200)) {
            let mut set = IdSet::default();
            let mut model = HashSet::new();
            for (id, adds) in steps {
                let id = PacketId::new(id).unwrap();
                if adds {
                    set.insert(id);
                    model.insert(id);
                } else {
                    prop_assert_eq!(set.remove(id), model.remove(&id));
                }
                prop_assert_eq!(set.len() as usize, model.len());
                prop_assert_eq!(set.contains(id), model.contains(&id));
            }
        }
    }
}
