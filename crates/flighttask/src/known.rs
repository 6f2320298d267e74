//! Which events came already: a window over the latest ones.
//!
//! An event that a dock sends again, for want of a reply or over again with QoS 1, is answered every
//! time but counted once. Two gateways may use one `tid`, and a device may use one for two events, so
//! that an event is the same if its gateway, its `tid` and its payload are.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use ring::digest::{Context, SHA256};

/// An event, in 128 bits that are stored with its row.
///
/// The first half of a SHA-256: the same in every release and on every machine, and no device can make
/// an event that passes for another's. A keyed hash would be quicker, but would need a key that
/// outlives the process; the hasher of the standard library may change with any release of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey([u8; 16]);

impl EventKey {
    /// The key that [`EventKey::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// In 32 hexadecimal digits.
impl fmt::Debug for EventKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The key of the event that `gateway` (serial number of the topic) published. `tid` may be its JSON
/// text or what that means, but always the same of the two.
#[must_use]
pub fn key(gateway: &str, tid: &str, payload: &[u8]) -> EventKey {
    let mut hash = Context::new(&SHA256);
    // Lengths first, so that no two triples are one text.
    let mut lengths = [0; 16];
    lengths[..8].copy_from_slice(&(gateway.len() as u64).to_le_bytes());
    lengths[8..].copy_from_slice(&(tid.len() as u64).to_le_bytes());
    hash.update(&lengths);
    hash.update(gateway.as_bytes());
    hash.update(tid.as_bytes());
    hash.update(payload);
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finish().as_ref()[..16]);
    EventKey(key)
}

/// Where a key is in the ring. It says of itself where it belongs: nobody has to look into the ring for that, which
/// is far away.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Place + 1; 0 where there is no key.
    place: u32,
    hash: u32,
}

/// The latest events, a bounded number of them; the oldest goes when one more comes.
///
/// At most 49 bytes an event, all in two tables that never move: 17 in a ring in the order in which
/// they came, and 16 to 32 in an index from key to place in the ring. The standard set is not used, as
/// one that is always full and always changing doubles itself, at once, under the feet of an event.
pub struct Known {
    at_most: usize,
    /// By place; `None` is what was forgotten out of order. Grows to `at_most` once.
    ring: Vec<Option<EventKey>>,
    /// Events ever inserted up to the oldest and to the newest that is known: an event's place is its
    /// number modulo `at_most`.
    oldest: u64,
    next: u64,
    /// Each key at its hash or in the nearest free slot after it. Half of it is free at any time; a power of two.
    index: Vec<Slot>,
    /// Of this process: nobody can choose payloads whose keys crowd one corner of the index.
    secret: [u64; 2],
}

impl Known {
    /// The largest window; 16 777 216 events, some 550 MB.
    pub const AT_MOST: usize = 1 << 24;

    /// A window over `at_most` events, but no fewer than one and no more than [`Known::AT_MOST`].
    /// Its memory is reserved at once; the ring is used as it fills.
    #[must_use]
    pub fn new(at_most: usize) -> Self {
        let at_most = at_most.clamp(1, Self::AT_MOST);
        Self {
            at_most,
            ring: Vec::with_capacity(at_most),
            oldest: 0,
            next: 0,
            index: vec![Slot::default(); (2 * at_most).next_power_of_two()],
            secret: [0, 1].map(|number| RandomState::new().hash_one(number)),
        }
    }

    /// Takes note of an event; `true` if it was not known.
    pub fn insert(&mut self, gateway: &str, tid: &str, payload: &[u8]) -> bool {
        self.insert_key(key(gateway, tid, payload))
    }

    /// As [`Known::insert`], with the key at hand. A window is rebuilt from stored keys, oldest first.
    pub fn insert_key(&mut self, key: EventKey) -> bool {
        let hash = self.hash(key);
        if self.find(key, hash).is_some() {
            return false;
        }
        if self.next - self.oldest == self.at_most as u64 {
            self.drop_oldest();
        }
        let place = self.place(self.next);
        if place == self.ring.len() {
            self.ring.push(Some(key));
        } else {
            self.ring[place] = Some(key);
        }
        self.next += 1;
        let mut slot = self.home(hash);
        while self.index[slot].place != 0 {
            slot = self.after(slot);
        }
        let place = u32::try_from(place + 1).expect("a window is at most 2^24 long");
        self.index[slot] = Slot { place, hash };
        true
    }

    /// Looks where these events would be, and those that would go for them, all at once: the index is larger than what
    /// is near a processor, and to look there for one event after the other is to wait each time. Changes nothing.
    pub fn look_ahead(&self, keys: impl ExactSizeIterator<Item = EventKey>) {
        let rest = self.at_most as u64 - (self.next - self.oldest);
        let gone = (keys.len() as u64).saturating_sub(rest).min(self.next - self.oldest);
        let oldest = (self.oldest..self.oldest + gone).filter_map(|n| self.ring[self.place(n)]);
        let slots = keys.chain(oldest).map(|key| self.index[self.home(self.hash(key))].place);
        std::hint::black_box(slots.fold(0, |seen, place| seen ^ place));
    }

    /// Whether an event is known.
    #[must_use]
    pub fn contains(&self, key: EventKey) -> bool {
        self.find(key, self.hash(key)).is_some()
    }

    /// Undoes an insert, as when the event could not be stored; `true` if it was known.
    ///
    /// What went to make room for it stays gone, and a place in the middle of the window stays unused
    /// until the window has passed it: both only make the window shorter for a while.
    pub fn forget(&mut self, key: EventKey) -> bool {
        let Some(slot) = self.find(key, self.hash(key)) else { return false };
        self.ring[self.index[slot].place as usize - 1] = None;
        self.vacate(slot);
        while self.next > self.oldest && self.ring[self.place(self.next - 1)].is_none() {
            self.next -= 1;
        }
        true
    }

    /// Of a full window: the place is the newest one's from now on.
    fn drop_oldest(&mut self) {
        let place = self.place(self.oldest);
        if let Some(slot) = self.ring[place].and_then(|key| self.find(key, self.hash(key))) {
            self.vacate(slot);
        }
        self.oldest += 1;
    }

    /// The place of the event of this number.
    fn place(&self, number: u64) -> usize {
        (number % self.at_most as u64) as usize
    }

    /// Keys are random already: who does not know the secret cannot tell where they go.
    fn hash(&self, key: EventKey) -> u32 {
        let (halves, _) = key.0.as_chunks();
        let [first, second] = [0, 1].map(|half| u64::from_le_bytes(halves[half]));
        let product = u128::from(first ^ self.secret[0]) * u128::from(second ^ self.secret[1]);
        (product ^ product >> 64) as u32
    }

    /// Where in the index a key of this hash would like to be.
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.index.len() - 1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.index.len() - 1)
    }

    /// Where in the index a key is.
    fn find(&self, key: EventKey, hash: u32) -> Option<usize> {
        let mut slot = self.home(hash);
        while let Some(place) = self.index[slot].place.checked_sub(1) {
            if self.index[slot].hash == hash && self.ring[place as usize] == Some(key) {
                return Some(slot);
            }
            slot = self.after(slot);
        }
        None
    }

    /// Empties a slot of the index, and closes the gap: a key is found only if no slot between its
    /// home and its own is free.
    fn vacate(&mut self, mut gap: usize) {
        let mask = self.index.len() - 1;
        let mut slot = gap;
        loop {
            slot = self.after(slot);
            if self.index[slot].place == 0 {
                break;
            }
            let from_home = slot.wrapping_sub(self.home(self.index[slot].hash)) & mask;
            let from_gap = slot.wrapping_sub(gap) & mask;
            if from_home >= from_gap {
                self.index[gap] = self.index[slot];
                gap = slot;
            }
        }
        self.index[gap] = Slot::default();
    }
}
