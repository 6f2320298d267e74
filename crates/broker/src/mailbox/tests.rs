use super::*;
use crate::message::Message;
use crate::record::Published;
use crate::retained::Room;

fn delivery(qos: QoS, bytes: usize) -> Delivery {
    numbered(0, qos, bytes)
}

fn numbered(seq: Seq, qos: QoS, bytes: usize) -> Delivery {
    let published = Published {
        publisher: 0,
        except_publisher: false,
        qos,
        retain: false,
        room: Room::Unasked,
        expires_ms: u64::MAX,
        seq,
        topic: "t",
        read: None,
        properties: b"",
        payload: &vec![0; bytes],
    };
    let message = Arc::new(Message::new(&published));
    let origin = Origin::Published;
    Delivery { message, qos, retain: false, origin, subscription_ids: Arc::new([]) }
}

fn shared(qos: QoS) -> Delivery {
    Delivery { origin: Origin::Shared(1), ..delivery(qos, 1) }
}

fn mailbox(mailbox_messages: usize, mailbox_bytes: usize) -> Mailbox {
    let limits = Limits { mailbox_messages, mailbox_bytes, ..Limits::default() };
    Mailbox::new(&limits, &Arc::new(AsleepBytes::new(&limits)))
}

fn deliver(mailbox: &Mailbox, mut deliveries: Vec<Delivery>) -> Undelivered {
    let mut undelivered = Undelivered::default();
    mailbox.deliver(&mut deliveries, &mut undelivered);
    undelivered
}

/// What the session finds, as sizes of payloads, and what it is told.
fn found(mailbox: &Mailbox) -> (Vec<usize>, Option<Command>) {
    let mut backlog = VecDeque::new();
    let taken = mailbox.take(&mut backlog, &mut 0, Waker::noop());
    (backlog.iter().map(|d| d.message.payload().len()).collect(), taken.command)
}

#[test]
fn qos_0_beyond_the_bound_is_dropped_and_counted() {
    let mailbox = mailbox(2, 1 << 20);
    let undelivered = deliver(&mailbox, vec![delivery(QoS::AtMostOnce, 1); 3]);
    assert_eq!((undelivered.full, undelivered.full_qos0), (0, 1));
    assert_eq!(found(&mailbox), (vec![1, 1], None));
}

#[test]
fn qos_1_beyond_the_bound_ends_the_connection_of_a_session_that_ends_with_it() {
    let mailbox = mailbox(100, 300);
    deliver(&mailbox, vec![delivery(QoS::AtLeastOnce, 200), delivery(QoS::AtLeastOnce, 200)]);
    assert_eq!(found(&mailbox).1, Some(Command::SlowConsumer));
}

#[test]
fn a_session_that_is_kept_loses_its_oldest_instead() {
    for asleep in [false, true] {
        let mailbox = mailbox(2, 1 << 20);
        mailbox.keep();
        if asleep {
            mailbox.fall_asleep(VecDeque::new());
        }
        let three = [1, 2, 3].map(|size| delivery(QoS::AtLeastOnce, size));
        assert_eq!(deliver(&mailbox, three.to_vec()).full, 1);
        assert_eq!(found(&mailbox), (vec![2, 3], None));
    }
}

#[test]
fn one_message_passes_however_large() {
    let mailbox = mailbox(100, 300);
    assert_eq!(deliver(&mailbox, vec![delivery(QoS::AtLeastOnce, 5_000)]).full, 0);
    assert_eq!(found(&mailbox), (vec![5_000], None));
}

#[test]
fn a_session_without_a_connection_keeps_what_was_not_sent_ahead_of_what_comes() {
    let mailbox = mailbox(100, 1 << 20);
    mailbox.keep();
    deliver(&mailbox, vec![delivery(QoS::ExactlyOnce, 2), delivery(QoS::AtMostOnce, 9)]);
    let unsent = VecDeque::from([delivery(QoS::AtMostOnce, 9), delivery(QoS::AtLeastOnce, 1)]);
    let undelivered = mailbox.fall_asleep(unsent);
    assert_eq!((undelivered.offline, undelivered.full), (2, 0));
    assert!(!mailbox.takes_shared(0, 1));
    let undelivered =
        deliver(&mailbox, vec![delivery(QoS::AtMostOnce, 9), delivery(QoS::AtLeastOnce, 3)]);
    assert_eq!(undelivered.offline, 1);
    assert_eq!(found(&mailbox).0, [1, 2, 3]);
}

#[test]
fn shared_messages_of_whoever_leaves_come_back() {
    let mailbox = mailbox(100, 1 << 20);
    mailbox.keep();
    deliver(&mailbox, vec![shared(QoS::AtLeastOnce), delivery(QoS::AtLeastOnce, 1)]);
    let undelivered = mailbox.fall_asleep(VecDeque::from([shared(QoS::ExactlyOnce)]));
    let qualities: Vec<QoS> = undelivered.shared.iter().map(|d| d.qos).collect();
    assert_eq!(qualities, [QoS::ExactlyOnce, QoS::AtLeastOnce]);
    assert_eq!(deliver(&mailbox, vec![shared(QoS::AtLeastOnce)]).shared.len(), 1);
    assert!(mailbox.close(VecDeque::new()).is_empty());
    assert_eq!(deliver(&mailbox, vec![shared(QoS::AtLeastOnce)]).shared.len(), 1);
}

#[test]
fn bytes_of_all_sleepers_have_one_bound_and_each_has_a_part_for_itself() {
    // 200 bytes each, whatever the others hold: one message of 165.
    let limits = Limits { session_bytes: 400, sessions: 2, ..Limits::default() };
    let bytes = Arc::new(AsleepBytes::new(&limits));
    let sleeper = || {
        let mailbox = Mailbox::new(&limits, &bytes);
        mailbox.keep();
        mailbox.fall_asleep(VecDeque::new());
        mailbox
    };
    let (one, other) = (sleeper(), sleeper());
    let message = || delivery(QoS::AtLeastOnce, 100);
    assert_eq!(deliver(&one, vec![message(), message()]).full, 0);
    assert_eq!(deliver(&other, vec![message()]).full, 0, "there is always room for a little");
    assert_eq!(deliver(&one, vec![message()]).full, 2, "beyond its part it gives up its own");
    assert_eq!(deliver(&other, vec![message()]).full, 1);
    assert_eq!((bytes.get(), bytes.excess(300)), (330, 100));
    let third = sleeper();
    let small = || delivery(QoS::AtLeastOnce, 20);
    assert_eq!(deliver(&third, vec![small(), small()]).full, 0, "within its part");
    assert_eq!(deliver(&third, vec![small()]).full, 1);
    drop(third);
    let awake = Mailbox::new(&limits, &bytes);
    awake.inherit(&one);
    assert_eq!((bytes.get(), awake.len(), one.len()), (165, 1, 0));
    drop(other);
    assert_eq!(bytes.get(), 0);
}

#[test]
fn shared_messages_without_room_go_back_and_others_make_room_for_them() {
    let mailbox = mailbox(2, 1 << 20);
    mailbox.keep();
    let sized = |size| Delivery { origin: Origin::Shared(1), ..delivery(QoS::AtLeastOnce, size) };
    let undelivered = deliver(&mailbox, vec![sized(1), sized(2), sized(3)]);
    assert_eq!((undelivered.full, undelivered.shared.len()), (0, 1));
    assert_eq!(undelivered.shared[0].message.payload().len(), 3, "not one that it has");
    assert!(!mailbox.takes_shared(0, 1));
    // Its own messages cost it the oldest, which others may have if it is shared.
    let undelivered = deliver(&mailbox, vec![delivery(QoS::AtLeastOnce, 1)]);
    assert_eq!((undelivered.full, undelivered.shared.len()), (0, 1));
    let mut backlog = VecDeque::new();
    assert!(mailbox.take(&mut backlog, &mut 0, Waker::noop()).refused_shared);
    assert!(!mailbox.take(&mut backlog, &mut 0, Waker::noop()).refused_shared, "said once");
    assert!(mailbox.takes_shared(1, 1) && !mailbox.takes_shared(2, 1));
}

#[test]
fn retained_messages_are_not_given_up_for_live_ones() {
    let mailbox = mailbox(1, 1 << 20);
    mailbox.keep();
    let retained = Delivery { origin: Origin::Retained, ..delivery(QoS::AtLeastOnce, 7) };
    let live = [1, 2].map(|size| delivery(QoS::AtLeastOnce, size));
    deliver(&mailbox, vec![retained]);
    assert_eq!(deliver(&mailbox, live.to_vec()).full, 1);
    assert_eq!(found(&mailbox).0, [7, 2]);
}

#[test]
fn what_a_session_inherits_comes_first() {
    let (old, new) = (mailbox(100, 1 << 20), mailbox(100, 1 << 20));
    old.keep();
    old.fall_asleep(VecDeque::from([delivery(QoS::AtLeastOnce, 1)]));
    deliver(&new, vec![delivery(QoS::AtLeastOnce, 2)]);
    new.inherit(&old);
    assert_eq!(found(&new).0, [1, 2]);
}

#[test]
fn retained_messages_have_a_bound_of_their_own() {
    let limits = Limits { mailbox_messages: 1, retained_messages: 2, ..Limits::default() };
    let mailbox = Mailbox::new(&limits, &Arc::new(AsleepBytes::new(&limits)));
    let retained = || Delivery { origin: Origin::Retained, ..delivery(QoS::AtLeastOnce, 1) };
    assert_eq!(deliver(&mailbox, vec![retained(); 4]).full, 0);
    assert_eq!(deliver(&mailbox, vec![delivery(QoS::AtLeastOnce, 1)]).full, 0);
    assert_eq!(deliver(&mailbox, vec![retained()]).full, 1);
    assert_eq!(found(&mailbox).1, Some(Command::SlowConsumer));
}

/// A message that the store has, with its number as the length of its payload.
fn stored(seq: Seq) -> Delivery {
    numbered(seq, QoS::AtLeastOnce, seq as usize)
}

/// A session as its connection sees it.
#[derive(Default)]
struct Reading {
    cursor: Seq,
    found: Vec<Seq>,
}

impl Reading {
    /// Takes what there is; how far it has to read.
    fn take(&mut self, mailbox: &Mailbox) -> Option<Seq> {
        let mut backlog = VecDeque::new();
        let taken = mailbox.take(&mut backlog, &mut self.cursor, Waker::noop());
        self.found.extend(backlog.iter().map(|d| d.message.payload().len() as Seq));
        taken.read_to
    }
}

fn chunk(numbers: std::ops::RangeInclusive<Seq>) -> Chunk {
    let up_to = *numbers.end();
    Chunk { deliveries: numbers.map(stored).collect(), up_to }
}

#[test]
fn a_full_mailbox_leaves_what_is_stored_to_the_store_and_goes_on_behind_it() {
    let mailbox = mailbox(3, 1 << 20);
    mailbox.keep();
    let mut session = Reading::default();
    assert_eq!(deliver(&mailbox, (1..=4).map(stored).collect()).full, 0);
    assert_eq!((mailbox.len(), session.take(&mailbox)), (0, Some(4)));
    assert_eq!(session.found, [0; 0], "it reads from the first on");
    mailbox.give(chunk(1..=2));
    // Live ones wait behind what is read.
    assert_eq!(deliver(&mailbox, vec![stored(5)]).full, 0);
    assert_eq!(session.take(&mailbox), Some(4));
    assert_eq!((&*session.found, session.cursor), (&[1, 2][..], 2));
    mailbox.give(chunk(3..=4));
    deliver(&mailbox, vec![stored(6)]);
    assert_eq!(session.take(&mailbox), None);
    assert_eq!((&*session.found, session.cursor), (&[1, 2, 3, 4][..], 4));
    assert_eq!(session.take(&mailbox), None);
    assert_eq!((&*session.found, session.cursor), (&[1, 2, 3, 4, 5, 6][..], 6));
    deliver(&mailbox, vec![stored(7)]);
    session.take(&mailbox);
    assert_eq!((session.found.last(), session.cursor), (Some(&7), 7));
}

/// Whatever the room, the pace and the chunks: nothing missing, doubled or out of order.
#[test]
fn a_slow_session_finds_every_stored_message_once_in_order() {
    const MESSAGES: Seq = 60;
    for (room, burst, of_chunk) in
        (1..5).flat_map(|r| (1..7).flat_map(move |b| (1..4).map(move |c| (r, b, c))))
    {
        let mailbox = mailbox(room, 1 << 20);
        mailbox.keep();
        let mut session = Reading::default();
        let mut last = 0;
        // As long again without new ones, for what it has not read.
        for round in 0..6 * MESSAGES {
            let new: Vec<_> = (last + 1..=MESSAGES.min(last + burst)).map(stored).collect();
            last = MESSAGES.min(last + burst);
            assert_eq!(deliver(&mailbox, new).full, 0);
            // One takes nothing every third time.
            let read_to = if round % 3 == 2 { None } else { session.take(&mailbox) };
            if let Some(read_to) = read_to {
                mailbox.give(chunk(session.cursor + 1..=read_to.min(session.cursor + of_chunk)));
            }
        }
        assert_eq!(session.found, (1..=MESSAGES).collect::<Vec<_>>(), "{room} {burst} {of_chunk}");
    }
}

/// What nobody else has stays in the mailbox, ahead of what is read.
#[test]
fn what_is_not_stored_waits_for_no_reading() {
    let mailbox = mailbox(3, 1 << 20);
    mailbox.keep();
    let mut session = Reading::default();
    let plain = || delivery(QoS::AtMostOnce, 100);
    assert_eq!(deliver(&mailbox, vec![stored(1), plain(), stored(2), stored(3)]).full, 0);
    assert_eq!(session.take(&mailbox), Some(3));
    assert_eq!(session.found, [100]);
    mailbox.give(chunk(1..=3));
    assert_eq!(session.take(&mailbox), None);
    assert_eq!(session.found, [100, 1, 2, 3]);
}
