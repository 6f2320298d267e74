//! The write-ahead log as bytes (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>), and
//! chance that can be repeated.

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Where each frame ends that is of the log's last round, and whether it ends a transaction.
pub(super) fn frames(log: &[u8]) -> Vec<(usize, bool)> {
    let word = |at: usize| log[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
    let frame = FRAME_HEADER + word(8) as usize;
    let salts = &log[16..24];
    let starts = (HEADER..).step_by(frame).take_while(|start| start + frame <= log.len());
    // Behind them stand frames of an earlier round, which a checkpoint has moved into the file.
    starts
        .take_while(|start| &log[start + 8..start + 16] == salts)
        .map(|start| (start + frame, word(start + 4) != 0))
        .collect()
}

/// How many transactions are lost when only so many bytes of a log are what they were.
pub(super) fn lost(frames: &[(usize, bool)], sound: usize) -> usize {
    frames.iter().filter(|(end, is_last)| *is_last && (*end > sound || sound < HEADER)).count()
}

/// The generator `splitmix64`.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
