use std::time::Duration;

use dockside_mqtt::packet::SubscriptionOptions;
use dockside_store::{Durability, Session};
use tempfile::TempDir;

use super::*;
use crate::keep::{Event, Step};
use crate::retained::Room as RetainedRoom;

pub(in crate::writer) fn ledger(dir: &TempDir, limits: &Limits) -> Ledger {
    let store = Store::open(dir.path(), Durability::Commit).unwrap();
    let kept = store.reader().unwrap().kept(0, 10, 10).unwrap();
    let rooms = (Arc::new(Clock::wrong_by(0)), Arc::new(Board::new(Vec::new())));
    Ledger::new(store, &kept, rooms, (limits, &config::Store::default())).unwrap()
}

fn published<'a>(topic: &'a str, payload: &'a [u8]) -> Published<'a> {
    Published {
        publisher: 9,
        except_publisher: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        room: RetainedRoom::Unasked,
        expires_ms: u64::MAX,
        seq: 0,
        topic,
        read: None,
        properties: b"",
        payload,
    }
}

pub(in crate::writer) fn publish(ledger: &mut Ledger, topic: &str, payload: &[u8]) -> Seq {
    ledger.publish(&published(topic, payload)).unwrap()
}

/// A session with a plain and a shared subscription, and a message for each.
pub(in crate::writer) fn with_session(ledger: &mut Ledger) {
    ledger.begin().unwrap();
    let session = Session { client_id: "a".to_owned(), user: None, expiry_s: 60 };
    ledger.session(1, &session).unwrap();
    for filter in ["t", "$share/g/u"] {
        let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
        ledger.subscribe(&Subscribed { instance: 1, options, id: 0, filter }).unwrap();
    }
    assert!(publish(ledger, "t", b"1") > 0 && publish(ledger, "u", b"1") > 0);
    assert_eq!(publish(ledger, "other", b"1"), 0, "nobody waits for it");
    ledger.commit().unwrap();
}

fn counts(ledger: &Ledger) -> [usize; 4] {
    let kept = ledger.store.reader().unwrap().kept(0, 10, 10).unwrap();
    let waiting = kept.waiting.values().map(|(messages, _)| messages).sum();
    let subscriptions = kept.sessions.iter().map(|s| s.subscriptions.len()).sum();
    [kept.sessions.len(), subscriptions, kept.shares.len(), waiting]
}

/// What a disk that is full at COMMIT leaves: the end must not be forgotten with the transaction.
#[test]
fn an_end_that_could_not_be_committed_is_still_to_be_kept() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    with_session(&mut ledger);
    assert_eq!(counts(&ledger), [1, 2, 1, 2]);
    for _ in 0..2 {
        ledger.begin().unwrap();
        ledger.end(1).unwrap();
        ledger.roll_back();
        assert!(ledger.is_kept(1), "the store has it still");
    }
    // Others go on meanwhile.
    ledger.begin().unwrap();
    ledger.commit().unwrap();
    assert!(ledger.is_kept(1));
    ledger.begin().unwrap();
    ledger.end(1).unwrap();
    ledger.commit().unwrap();
    assert!(!ledger.is_kept(1));
    assert_eq!(counts(&ledger), [0; 4], "its group too");
}

#[test]
fn a_reader_loses_its_oldest_beyond_its_bounds_and_counts_are_taken_back() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { mailbox_messages: 3, ..Limits::default() };
    let mut ledger = ledger(&dir, &limits);
    with_session(&mut ledger);
    ledger.begin().unwrap();
    publish(&mut ledger, "t", b"2");
    publish(&mut ledger, "t", b"3");
    ledger.roll_back();
    ledger.begin().unwrap();
    let numbers: Vec<_> = (2..6).map(|n: u8| publish(&mut ledger, "t", &[n])).collect();
    assert_eq!(ledger.commit().unwrap(), 2, "five came, three fit");
    let all = (0, u64::MAX >> 1);
    let chunk = ledger.store.reader().unwrap().chunk(1, all, (10, 1_000)).unwrap();
    let kept: Vec<_> = chunk.messages.iter().map(|message| message.seq).collect();
    assert_eq!(kept, numbers[1..]);
}

fn event(ledger: &mut Ledger, n: u64) {
    ledger.events(&[Event::numbered(n)]).unwrap();
}

/// An event of 1970 is old, if one knows what time it is.
#[test]
fn no_event_is_too_old_while_the_clock_is_not_believed() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    let events =
        |ledger: &Ledger| ledger.store.reader().unwrap().kept(10, 10, 10).unwrap().events.len();
    ledger.clock.set_wrong_by(-10 * 3_600_000);
    ledger.clock.look();
    assert!(ledger.clock.doubt().is_some());
    ledger.begin().unwrap();
    (0..3).for_each(|n| event(&mut ledger, n));
    ledger.trim().unwrap();
    ledger.commit().unwrap();
    assert_eq!(events(&ledger), 3);
    assert_eq!(
        ledger.store.reader().unwrap().kept(0, 10, 10).unwrap().seen.unwrap().wall_ms,
        1,
        "no time is told"
    );
    ledger.clock.accept();
    ledger.begin().unwrap();
    ledger.trim().unwrap();
    ledger.commit().unwrap();
    assert_eq!(events(&ledger), 0);
    assert!(ledger.store.reader().unwrap().kept(0, 10, 10).unwrap().seen.unwrap().wall_ms > 1);
}

#[test]
fn an_accepted_clock_is_told_to_the_store_at_once() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    let seen =
        |ledger: &Ledger| ledger.store.reader().unwrap().kept(0, 10, 10).unwrap().seen.unwrap();
    ledger.begin().unwrap();
    ledger.commit().unwrap();
    let before = seen(&ledger);
    ledger.clock.set_wrong_by(24 * 3_600_000);
    ledger.clock.look();
    ledger.clock.accept();
    ledger.begin().unwrap();
    ledger.commit().unwrap();
    assert_eq!(seen(&ledger), before, "it was told lately");
    ledger.begin().unwrap();
    ledger.clock_accepted().unwrap();
    ledger.commit().unwrap();
    assert!(seen(&ledger).wall_ms > before.wall_ms + 23 * 3_600_000);
}

/// Only a subscription that may wait for it, with its quality and the message's, makes a row.
#[test]
fn a_message_is_kept_only_from_qos_1_to_qos_1() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    ledger.begin().unwrap();
    let session = Session { client_id: "a".to_owned(), user: None, expiry_s: 60 };
    ledger.session(1, &session).unwrap();
    for (filter, qos) in [("to/0", QoS::AtMostOnce), ("to/1", QoS::AtLeastOnce)] {
        let options = SubscriptionOptions::qos(qos);
        ledger.subscribe(&Subscribed { instance: 1, options, id: 0, filter }).unwrap();
    }
    for (qos, topic, is_kept) in [
        (QoS::AtMostOnce, "to/0", false),
        (QoS::AtMostOnce, "to/1", false),
        (QoS::AtLeastOnce, "to/0", false),
        (QoS::AtLeastOnce, "to/1", true),
    ] {
        let published = Published { qos, ..published(topic, b"x") };
        assert_eq!(ledger.wants(&published), is_kept, "{qos:?} {topic}");
        assert_eq!(ledger.publish(&published).unwrap() > 0, is_kept, "{qos:?} {topic}");
    }
    ledger.commit().unwrap();
    assert_eq!(counts(&ledger), [1, 2, 0, 1]);
}

#[test]
fn a_reader_has_a_bound_of_bytes_too_but_one_message_passes() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { mailbox_bytes: 3_000, ..Limits::default() };
    let mut ledger = ledger(&dir, &limits);
    with_session(&mut ledger);
    for (bytes, dropped, left) in [
        // With the one of a byte that was there.
        (1_000, 0, vec![1, 1_000]),
        (1_001, 0, vec![1, 1_000, 1_001]),
        (1_002, 2, vec![1_001, 1_002]),
        (5_000, 2, vec![5_000]),
        (1, 1, vec![1]),
    ] {
        ledger.begin().unwrap();
        publish(&mut ledger, "t", &vec![0; bytes]);
        assert_eq!(ledger.commit().unwrap(), dropped, "{bytes}");
        assert_eq!(waiting(&ledger, 1), left, "{bytes}");
    }
}

/// What waits for a reader, as lengths of payloads.
fn waiting(ledger: &Ledger, reader: ReaderId) -> Vec<usize> {
    let all = (0, u64::MAX >> 1);
    let chunk = ledger.store.reader().unwrap().chunk(reader, all, (100, 1 << 20)).unwrap();
    chunk.messages.iter().map(|message| message.payload.len()).collect()
}

#[test]
fn a_message_goes_with_its_last_reader() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    ledger.begin().unwrap();
    for id in [1, 2] {
        let session = Session { client_id: id.to_string(), user: None, expiry_s: 60 };
        ledger.session(id, &session).unwrap();
        let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
        ledger.subscribe(&Subscribed { instance: id, options, id: 0, filter: "t" }).unwrap();
    }
    let seq = publish(&mut ledger, "t", b"x");
    ledger.commit().unwrap();
    assert_eq!([waiting(&ledger, 1), waiting(&ledger, 2)], [[1], [1]]);
    for (reader, waits, is_there) in [(1, vec![1], true), (2, vec![], false)] {
        ledger.begin().unwrap();
        ledger.step(&Step::done(reader, seq)).unwrap();
        ledger.commit().unwrap();
        assert_eq!((waiting(&ledger, 1), waiting(&ledger, 2)), (vec![], waits));
        assert_eq!(is_stored(&mut ledger, seq), is_there, "after reader {reader}");
    }
}

/// Whether the message is there: without it nothing is retained by its number.
fn is_stored(ledger: &mut Ledger, seq: Seq) -> bool {
    ledger.begin().unwrap();
    ledger.store.retain("retained", Some(seq)).unwrap();
    ledger.store.commit().unwrap();
    let found = !ledger.store.reader().unwrap().kept(0, 10, 10).unwrap().retained.is_empty();
    ledger.begin().unwrap();
    ledger.store.not_retained("retained", seq).unwrap();
    ledger.store.commit().unwrap();
    found
}

/// A reader whose bounds are used up by what is queued ahead.
#[test]
fn a_message_that_passes_is_nobodys_oldest() {
    let dir = TempDir::new().unwrap();
    let limits = Limits { mailbox_messages: 1, ..Limits::default() };
    let mut ledger = ledger(&dir, &limits);
    ledger.begin().unwrap();
    let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
    for id in 1..=20 {
        let session = Session { client_id: id.to_string(), user: None, expiry_s: 60 };
        ledger.session(id, &session).unwrap();
        let filters = if id <= 2 { &["many", "few"][..] } else { &["many"] };
        for filter in filters {
            ledger.subscribe(&Subscribed { instance: id, options, id: 0, filter }).unwrap();
        }
    }
    let message = published("many", b"123");
    let mut many = ledger.many(&message, 0, 16).unwrap();
    // The first has it ahead, the second not yet.
    assert_eq!(ledger.queue_ahead(&message, &mut many, 1).unwrap(), 1);
    ledger.commit().unwrap();
    ledger.begin().unwrap();
    let seq = publish(&mut ledger, "few", b"1234");
    ledger.commit().unwrap();
    assert!(is_stored(&mut ledger, seq));
    assert_eq!([waiting(&ledger, 1), waiting(&ledger, 2)], [[4], [4]]);
    ledger.begin().unwrap();
    assert_eq!(ledger.queue_ahead(&message, &mut many, 99).unwrap(), 19);
    ledger.comes([Some(many.seq)].into(), 1);
    ledger.publish(&message).unwrap();
    ledger.commit().unwrap();
    for reader in 2..=20 {
        assert_eq!(waiting(&ledger, reader), [3], "{reader}");
    }
}

/// However much there is, nobody waits for it.
#[test]
fn room_is_made_in_steps_until_there_is_enough() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    let config = config::Store { max_bytes: 8 << 20, ..config::Store::default() };
    ledger.room = Room::new(&mut ledger.store, &config).unwrap();
    with_session(&mut ledger);
    ledger.begin().unwrap();
    for _ in 0..390 {
        publish(&mut ledger, "t", &[0; 10_000]);
    }
    ledger.commit().unwrap();
    let mut steps = 0;
    loop {
        let space = ledger.make_space(Duration::ZERO).unwrap();
        assert!(space.messages <= 32, "{}", space.messages);
        assert_eq!(ledger.is_look_due(), ledger.wants_room());
        if !ledger.wants_room() {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 1);
    let usage = ledger.store.usage().unwrap();
    assert!(usage.file - usage.free <= (4 << 20) / 10 * 8, "four fifths of what the file may have");
    assert!(ledger.queued().0 > 200, "and no more than has to: {:?}", ledger.queued());
    assert_eq!(ledger.make_space(Duration::ZERO).unwrap().messages, 0);
}

/// What waits goes where no event is left, and something is given back however long the rest takes.
#[test]
fn what_goes_for_the_disk_is_given_back_to_it() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    with_session(&mut ledger);
    ledger.begin().unwrap();
    (0..2_048).for_each(|n| event(&mut ledger, n));
    ledger.commit().unwrap();
    let before = ledger.store.usage().unwrap();
    let config = config::Store { min_free_bytes: u64::MAX, ..config::Store::default() };
    ledger.room = Room::new(&mut ledger.store, &config).unwrap();
    let [mut events, mut messages] = [0; 2];
    loop {
        let space = ledger.make_space(Duration::ZERO).unwrap();
        assert!(space.is_disk_short && space.events <= 32);
        (events, messages) = (events + space.events, messages + space.messages);
        assert!(messages == 0 || events == 2_048, "{events} {messages}");
        if !ledger.wants_room() {
            break;
        }
    }
    assert_eq!((events, messages), (2_048, 2), "all there is");
    let usage = ledger.store.usage().unwrap();
    assert!(usage.file < before.file / 2 && usage.log < before.log, "{before:?} {usage:?}");
}

/// Somebody who reads on and on keeps the log as it is: that is no reason to let nothing go.
#[test]
fn a_log_that_cannot_be_emptied_is_not_waited_for() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    with_session(&mut ledger);
    let reads = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
    reads.execute_batch("BEGIN; SELECT count(*) FROM event;").unwrap();
    for n in 0..4 {
        ledger.begin().unwrap();
        event(&mut ledger, n);
        for _ in 0..150 {
            publish(&mut ledger, "t", &[0; 10_000]);
        }
        ledger.commit().unwrap();
    }
    assert!(ledger.store.usage().unwrap().log > 4 << 20);
    let config = config::Store { min_free_bytes: u64::MAX, ..config::Store::default() };
    ledger.room = Room::new(&mut ledger.store, &config).unwrap();
    let mut events = ledger.make_space(Duration::ZERO).unwrap().events;
    while ledger.wants_room() {
        events += ledger.make_space(Duration::ZERO).unwrap().events;
    }
    assert!(events > 0 && ledger.store.usage().unwrap().log > 4 << 20);
    reads.execute_batch("ROLLBACK").unwrap();
    ledger.make_space(Duration::ZERO).unwrap();
    let usage = ledger.store.usage().unwrap();
    assert!(usage.log < 4 << 20, "{usage:?}");
}

/// Or its repetition would be answered, and recorded nowhere.
#[test]
fn an_event_that_could_not_be_committed_is_not_known() {
    let dir = TempDir::new().unwrap();
    let mut ledger = ledger(&dir, &Limits::default());
    let events =
        |ledger: &Ledger| ledger.store.reader().unwrap().kept(10, 10, 10).unwrap().events.len();
    ledger.begin().unwrap();
    event(&mut ledger, 1);
    ledger.roll_back();
    assert_eq!(events(&ledger), 0);
    for _ in 0..2 {
        ledger.begin().unwrap();
        event(&mut ledger, 1);
        ledger.commit().unwrap();
        assert_eq!(events(&ledger), 1);
    }
}
