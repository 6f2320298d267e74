use super::*;
use crate::record::Published;
use dockside_mqtt::QoS;

fn message(topic: &str, payload: &[u8], expires_ms: u64) -> Arc<Message> {
    Arc::new(Message::new(&Published {
        publisher: 1,
        except_publisher: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        room: Room::Unasked,
        expires_ms,
        seq: 0,
        topic,
        read: None,
        properties: b"",
        payload,
    }))
}

fn found(retained: &Retained, filter: &str, now_ms: u64) -> Vec<String> {
    let (mut found, mut search) = (Vec::new(), Search::new(filter, now_ms));
    while !search.is_done() {
        let looked = retained.search(&mut search, 2, |message| {
            found.push(String::from_utf8_lossy(message.payload()).into_owned());
            true
        });
        assert!(looked <= 2);
    }
    found.sort();
    found
}

#[test]
fn the_last_one_of_a_topic_counts_and_an_empty_one_clears() {
    let mut retained = Retained::new(&Limits::default());
    for payload in [b"1", b"2"] {
        retained.set(&message("a/b", payload, u64::MAX), Room::Unasked).unwrap();
    }
    assert_eq!((found(&retained, "a/b", 0), retained.len()), (vec!["2".to_owned()], 1));
    retained.set(&message("a/b", b"", u64::MAX), Room::Unasked).unwrap();
    retained.set(&message("never", b"", u64::MAX), Room::Unasked).unwrap();
    assert_eq!((retained.len(), retained.bytes()), (0, 0));
    assert!(retained.by_topic.is_empty());
}

#[test]
fn what_has_expired_is_not_found_and_then_gone() {
    let mut retained = Retained::new(&Limits::default());
    retained.set(&message("a", b"x", 100), Room::Unasked).unwrap();
    retained.set(&message("a/b", b"y", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(found(&retained, "#", 99), ["x", "y"]);
    assert_eq!(found(&retained, "#", 100), ["y"]);
    retained.expire(100);
    assert_eq!((retained.len(), retained.mortal.len()), (1, 0));
}

#[test]
fn beyond_the_bounds_only_what_is_there_may_change() {
    let limits = Limits { retained_messages: 2, retained_bytes: 600, ..Limits::default() };
    let mut retained = Retained::new(&limits);
    retained.set(&message("a", b"1", u64::MAX), Room::Unasked).unwrap();
    retained.set(&message("b", b"1", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(retained.set(&message("c", b"1", u64::MAX), Room::Unasked), Err(Full));
    retained.set(&message("a", b"2", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(retained.set(&message("a", &[0; 400], u64::MAX), Room::Unasked), Err(Full));
    assert_eq!(found(&retained, "+", 0), ["1"], "an old one does not stand for a new one");
}

#[test]
fn what_was_promised_is_kept() {
    let limits = Limits { retained_messages: 2, ..Limits::default() };
    let mut retained = Retained::new(&limits);
    retained.set(&message("a", b"1", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(retained.promise("b", 65), Ok(Room::Promised));
    assert_eq!(retained.promise("c", 65), Err(Full), "the last place is promised");
    assert_eq!(retained.promise("b", 65), Ok(Room::Promised), "and this has it");
    assert_eq!(retained.promise("a", 65), Ok(Room::Replaces));
    assert_eq!(retained.set(&message("c", b"1", u64::MAX), Room::Unasked), Err(Full));
    for _ in 0..2 {
        retained.set(&message("b", b"1", u64::MAX), Room::Promised).unwrap();
    }
    retained.set(&message("a", b"2", u64::MAX), Room::Replaces).unwrap();
    assert!(retained.promised().is_empty());
    assert_eq!(found(&retained, "#", 0), ["1", "2"]);
    assert_eq!(retained.promise("c", 65), Err(Full));
    retained.set(&message("a", b"", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(retained.promise("c", 65), Ok(Room::Promised));
}

#[test]
fn places_count_and_are_given_back() {
    let one = message("a/b/c", b"1", u64::MAX);
    let limits = Limits { retained_bytes: 2 * room_of(&one), ..Limits::default() };
    let mut retained = Retained::new(&limits);
    retained.set(&one, Room::Unasked).unwrap();
    assert_eq!(retained.bytes(), one.size() + PLACE_BYTES);
    assert_eq!(retained.promise("a/b/d", one.size() + 1), Err(Full));
    assert_eq!(retained.promise("a/b/d", one.size()), Ok(Room::Promised));
    assert_eq!(retained.promise("a/b/c", one.size() + 1), Ok(Room::Replaces));
    retained.set(&message("a/b/c", b"", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(retained.bytes(), 0);
}

fn hundred() -> Retained {
    let mut retained = Retained::new(&Limits::default());
    for n in 0..100 {
        let topic = format!("{n:02}/x");
        retained.set(&message(&topic, b"1", u64::MAX), Room::Unasked).unwrap();
    }
    retained
}

#[test]
fn a_search_ends_when_no_more_is_wanted() {
    let (retained, mut search, mut seen) = (hundred(), Search::new("#", 0), 0);
    retained.search(&mut search, 1_000, |_| {
        seen += 1;
        seen < 3
    });
    assert!(seen == 3 && search.is_done());
}

/// Each costs whoever asks for it, whether or not something is found, and nobody more than that.
#[test]
fn a_search_looks_where_something_can_be_and_goes_on_where_it_was() {
    let retained = hundred();
    for (filter, looks, found) in [
        ("05/x", 1, 1),
        ("05/y", 1, 0),
        ("05/+", 2, 1),
        ("05/#", 3, 1),
        ("9/#", 2, 0),
        ("+/y", 100, 0),
    ] {
        let (mut search, mut seen) = (Search::new(filter, 0), 0);
        let looked = retained.search(&mut search, 1_000, |_| {
            seen += 1;
            true
        });
        assert_eq!((looked, seen, search.is_done()), (looks, found, true), "{filter}");
    }
    let (mut search, mut topics) = (Search::new("+/x", 0), Vec::new());
    for piece in 1..=10 {
        let looked = retained.search(&mut search, 10, |message| {
            topics.push(message.topic().to_owned());
            true
        });
        assert_eq!((looked, topics.len(), search.is_done()), (10, 10 * piece, false));
    }
    assert!(topics.is_sorted());
    assert_eq!(retained.search(&mut search, 10, |_| panic!("all were found")), 0);
    assert!(search.is_done());
}

proptest::proptest! {
    #[test]
    fn filters_find_what_a_list_says(
        topics in proptest::collection::vec("[ab$]{0,1}!?(/[ab]{0,1}!?){0,3}", 0..20),
        filter in "([ab$]{0,1}!?|\\+)(/([ab]{0,1}!?|\\+)){0,3}(/#)?|#",
    ) {
        let mut retained = Retained::new(&Limits::default());
        let mut expected = Vec::new();
        for topic in topics.iter().filter(|topic| !topic.is_empty()) {
            retained.set(&message(topic, topic.as_bytes(), u64::MAX), Room::Unasked).unwrap();
            if dockside_mqtt::topic::matches(&filter, topic) && !expected.contains(topic) {
                expected.push(topic.clone());
            }
        }
        expected.sort();
        proptest::prop_assert_eq!(found(&retained, &filter, 0), expected);
    }
}

/// The list has what is found by filters, the newest of each topic, wherever it is begun.
#[test]
fn the_list_is_in_order_and_as_what_is_retained() {
    let mut retained = Retained::new(&Limits::default());
    for topic in ["b", "a/x", "a", "c", "a/b"] {
        retained.publish(&message(topic, b"old", 100), Room::Unasked, 7).unwrap();
    }
    retained.publish(&message("a/x", b"new", u64::MAX), Room::Unasked, 8).unwrap();
    retained.set(&message("b", b"", u64::MAX), Room::Unasked).unwrap();
    retained.set(&message("d", b"kept", u64::MAX), Room::Unasked).unwrap();
    let topics = |behind: &str, count: usize| {
        let piece = retained.piece(behind, count);
        piece.iter().map(|listed| listed.message.topic().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(topics("", 9), ["a", "a/b", "a/x", "c", "d"]);
    assert_eq!(topics("a/b", 2), ["a/x", "c"]);
    let piece = retained.piece("a/b", 9);
    assert_eq!(piece[0].message.payload(), b"new");
    let publishers: Vec<_> =
        piece.iter().map(|l| l.origin.map(|(publisher, _)| publisher)).collect();
    assert_eq!(publishers, [Some(8), Some(7), None]);
    retained.expire(100);
    assert_eq!(retained.piece("", 9).len(), 2);
}
