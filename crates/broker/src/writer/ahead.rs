//! A batch with a message for many, a slice at a time: it is queued for them ahead of it (`ledger::ahead`), and when that
//! is done the batch is kept like any other. Whatever is quick has its turn in between.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dockside_store::{Error, Seq};

use super::Ledger;
use super::ledger::Many;
use super::slow::SLICE;
use super::work::{Work, publish_aside, published};
use crate::record::{Entries, Entry, Published};

/// A message for fewer is queued when it comes.
const FEW: usize = 16;

/// How far a batch is.
#[derive(Default)]
pub(super) struct Begun {
    /// For each message that is kept, of those entries: its number, if it is queued ahead.
    numbers: VecDeque<Option<Seq>>,
    /// Entries that are done.
    entries: usize,
    /// The message of the next, if it is queued for some.
    many: Option<Many>,
    took: Duration,
}

impl Work {
    /// A slice of the first that waits; if it was the last, the batch is kept.
    pub(super) fn for_many(&mut self) {
        let mut begun = self.slow.begun.take().unwrap_or_default();
        let is_ready = match self.held.is_empty() {
            true => self.ahead(&mut begun).ok(),
            // The store fails: what cannot be kept waits there.
            false => None,
        };
        match is_ready {
            Some(false) => {
                self.slow.begun = Some(begun);
                return self.trim();
            }
            Some(true) => self.ledger.comes(begun.numbers, begun.entries),
            // As a whole then; and if it fails again, everybody hears of it.
            None => self.ledger.give_up_ahead(begun.entries + 1),
        }
        self.ahead_took = begun.took;
        if let Some((entries, batch)) = self.slow.take_first() {
            self.group(&entries, &mut vec![batch]);
        }
    }

    /// Whether all of a batch is queued ahead that can be.
    fn ahead(&mut self, begun: &mut Begun) -> Result<bool, Error> {
        let began = Instant::now();
        let is_ready = self.slice_ahead(begun).and_then(|is_ready| {
            let dropped = self.ledger.commit()?;
            self.committed(began.elapsed(), dropped);
            Ok(is_ready)
        });
        begun.took += began.elapsed();
        is_ready.inspect_err(|_| self.ledger.roll_back())
    }

    fn slice_ahead(&mut self, begun: &mut Begun) -> Result<bool, Error> {
        let Self { slow, ledger, log, .. } = self;
        ledger.begin()?;
        let mut rows = 0;
        for entry in Entries::new(slow.first()).skip(begun.entries) {
            let bytes;
            let message = match entry {
                Entry::Publish(published) => Some(published),
                Entry::Large(number, _) => {
                    bytes = publish_aside(log, number).unwrap_or_default();
                    published(&bytes)
                }
                _ => None,
            };
            if let Some(message) = message.filter(|message| ledger.wants(message)) {
                rows += begun.queue(ledger, &message, SLICE - rows)?;
                if begun.many.is_some() {
                    return Ok(false);
                }
            }
            begun.entries += 1;
        }
        Ok(true)
    }
}

impl Begun {
    /// Queues a message for so many at most of those who wait for it, if they are many: for how many it did.
    fn queue(
        &mut self,
        ledger: &mut Ledger,
        message: &Published<'_>,
        at_most: usize,
    ) -> Result<usize, Error> {
        let many = self.many.take().or_else(|| ledger.many(message, self.entries, FEW));
        let Some(mut many) = many else {
            self.numbers.push_back(None);
            return Ok(0);
        };
        let rows = ledger.queue_ahead(message, &mut many, at_most)?;
        if many.is_done() {
            self.numbers.push_back(Some(many.seq));
        } else {
            self.many = Some(many);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use dockside_mqtt::QoS;
    use tempfile::TempDir;

    use super::*;
    use crate::config::Limits;
    use crate::live_log::LogReader;
    use crate::record::{self, Record};
    use crate::writer::Group;
    use crate::writer::ledger::tests::ledger;
    use crate::writer::slow::tests::{HEAVY, LIGHT, add, work};

    const SESSIONS: u64 = 1_000;
    const ALL: (Seq, Seq) = (0, Seq::MAX >> 1);

    /// What one session would read.
    fn waits(work: &Work, session: u64) -> Vec<(Seq, String)> {
        let reader = work.ledger.reader().unwrap();
        let chunk = reader.chunk(session, ALL, (1_000, 1_000_000)).unwrap();
        chunk.messages.into_iter().map(|message| (message.seq, message.topic)).collect()
    }

    /// A group is sorted and done, as the writer does it, and then one slice.
    fn turn(work: &mut Work, group: &mut Group) {
        let rows = work.sort(group);
        if !group.batches.is_empty() {
            work.group(&group.entries, &mut group.batches);
        }
        work.slice(rows);
        *group = Group::default();
    }

    /// The next messages of the live log.
    async fn next(reader: &mut LogReader, count: usize) -> Vec<(Seq, String)> {
        let mut all = Vec::new();
        while all.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), reader.next());
            let bytes = next.await.expect("a record").unwrap();
            for entry in Record::parse(&bytes).unwrap().entries {
                if let Entry::Publish(published) = entry {
                    all.push((published.seq, published.topic.to_owned()));
                }
            }
        }
        all
    }

    fn topics(messages: &[(Seq, String)]) -> Vec<&str> {
        messages.iter().map(|(_, topic)| topic.as_str()).collect()
    }

    #[tokio::test]
    async fn a_message_for_many_is_passed_and_is_whole_or_not_at_all() {
        let dir = TempDir::new().unwrap();
        let (mut work, mut reader) = work(&dir, SESSIONS);
        let mut group = Group::default();
        add(&mut group, 2_001, &[LIGHT, HEAVY, LIGHT, HEAVY]);
        let mut turns = 0;
        while turns == 0 || !work.slow.is_empty() {
            turn(&mut work, &mut group);
            turns += 1;
            assert!(work.slow.is_empty() || work.ledger.numbers_left() > 1_000);
            if !work.slow.is_empty() {
                let first = waits(&work, 1);
                assert!(first.iter().all(|(_, topic)| topic == LIGHT), "{first:?}");
            }
            // Somebody else's.
            add(&mut group, 2_002, &[LIGHT]);
        }
        assert!(turns > 2 * SESSIONS as usize / SLICE, "{turns}");
        let passed = turns - 1;
        let of_log = next(&mut reader, passed + 4).await;
        let (before, own) = of_log.split_at(passed);
        assert!(topics(before).iter().all(|topic| *topic == LIGHT));
        assert_eq!(topics(own), [LIGHT, HEAVY, LIGHT, HEAVY]);
        assert!(of_log.is_sorted_by(|(a, _), (b, _)| a < b), "{of_log:?}");
        assert_eq!(waits(&work, 1), of_log, "the store has the same numbers in the same order");
        for session in 2..=SESSIONS {
            assert_eq!(waits(&work, session), [own[1].clone(), own[3].clone()]);
        }
        assert_eq!(work.ledger.queued().0, of_log.len() + 2 * (SESSIONS as usize - 1));
        // What comes next is behind it.
        turn(&mut work, &mut group);
        assert!(next(&mut reader, 1).await[0].0 > own[3].0);
        assert_eq!(work.ledger.numbers_left(), usize::MAX);
    }

    /// It has no number, and needs none.
    #[tokio::test]
    async fn a_topic_that_is_cleared_in_between_changes_no_number() {
        let dir = TempDir::new().unwrap();
        let (mut work, mut reader) = work(&dir, SESSIONS);
        let mut group = Group::default();
        let clears = Published::by_broker("nobody", QoS::AtLeastOnce, b"");
        let clears = Published { publisher: 2_001, retain: true, ..clears };
        record::append(&mut group.entries, &Entry::Publish(clears));
        add(&mut group, 2_001, &[HEAVY]);
        turn(&mut work, &mut group);
        while !work.slow.is_empty() {
            turn(&mut work, &mut group);
        }
        let all = next(&mut reader, 2).await;
        assert_eq!((all[0].0, topics(&all)), (0, vec!["nobody", HEAVY]));
        assert_eq!(rows(&dir), HashSet::from([all[1].0]));
        assert_eq!(work.ledger.queued().0, SESSIONS as usize);
    }

    #[tokio::test]
    async fn a_process_that_ends_in_between_leaves_nothing_of_it() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir, SESSIONS);
        let mut group = Group::default();
        add(&mut group, 2_001, &[LIGHT]);
        turn(&mut work, &mut group);
        add(&mut group, 2_001, &[HEAVY]);
        turn(&mut work, &mut group);
        turn(&mut work, &mut group);
        assert!(work.ledger.queued().0 > SLICE && !work.slow.is_empty());
        drop(work);
        let ledger = ledger(&dir, &Limits::default());
        assert_eq!(ledger.queued().0, 1, "what is whole");
        let reader = ledger.reader().unwrap();
        assert_eq!(reader.chunk(1, ALL, (10, 1_000)).unwrap().messages.len(), 1);
    }

    #[tokio::test]
    async fn where_the_store_fails_it_comes_anew_and_to_everybody_once() {
        for fails_at in 0..=SESSIONS as usize / SLICE + 1 {
            let dir = TempDir::new().unwrap();
            let (mut work, mut reader) = work(&dir, SESSIONS);
            let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
            let mut group = Group::default();
            add(&mut group, 2_001, &[HEAVY, LIGHT]);
            for _ in 0..fails_at {
                turn(&mut work, &mut group);
            }
            let is_begun = !work.slow.is_empty();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            add(&mut group, 2_002, &[LIGHT]);
            turn(&mut work, &mut group);
            turn(&mut work, &mut group);
            assert!(work.slow.is_empty() && !work.held.is_empty());
            other.execute_batch("ROLLBACK").unwrap();
            work.retry();
            let mut all = next(&mut reader, 3).await;
            assert_eq!(all.iter().filter(|(_, topic)| topic == HEAVY).count(), 1);
            assert!(all.is_sorted_by(|(a, _), (b, _)| a < b), "{all:?}");
            assert_eq!(waits(&work, 1), all);
            all.retain(|(_, topic)| topic == HEAVY);
            for session in 2..=SESSIONS {
                assert_eq!(waits(&work, session), all, "{fails_at}");
            }
            assert_eq!(work.ledger.queued().0, SESSIONS as usize + 2);
            let rows: HashSet<Seq> = rows(&dir);
            assert_eq!(rows.len(), 3, "{is_begun}: nothing is left of what was given up");
        }
    }

    /// Numbers of messages that somebody waits for.
    fn rows(dir: &TempDir) -> HashSet<Seq> {
        let connection = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        let mut statement = connection.prepare("SELECT DISTINCT seq FROM queue").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        rows.map(|seq| seq.unwrap().cast_unsigned()).collect()
    }
}
