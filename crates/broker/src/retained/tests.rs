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
    let mut found = Vec::new();
    retained.matches(filter, now_ms, |message| {
        found.push(String::from_utf8_lossy(message.payload()).into_owned());
        true
    });
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
    assert!(retained.root.is_empty(), "no node is left behind");
    assert!(retained.by_topic.is_empty(), "nor in the list");
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
fn levels_of_topics_count_and_are_given_back() {
    let limits = Limits { retained_bytes: 10 * LEVEL_BYTES, ..Limits::default() };
    let mut retained = Retained::new(&limits);
    assert_eq!(retained.set(&message(&"/".repeat(20), b"1", u64::MAX), Room::Unasked), Err(Full));
    assert_eq!(retained.promise(&"/".repeat(20), 65), Err(Full));
    retained.set(&message("a/b/c", b"1", u64::MAX), Room::Unasked).unwrap();
    let bytes = retained.bytes();
    retained.set(&message("a/b/d", b"1", u64::MAX), Room::Unasked).unwrap();
    assert_eq!(retained.bytes() - bytes, bytes - 2 * LEVEL_BYTES, "two levels are shared");
    for topic in ["a/b/c", "a/b/d"] {
        retained.set(&message(topic, b"", u64::MAX), Room::Unasked).unwrap();
    }
    assert_eq!(retained.bytes(), 0);
}

#[test]
fn a_search_ends_when_no_more_is_wanted() {
    let mut retained = Retained::new(&Limits::default());
    for n in 0..100 {
        let topic = format!("{n}/x");
        retained.set(&message(&topic, b"1", u64::MAX), Room::Unasked).unwrap();
    }
    let mut seen = 0;
    retained.matches("#", 0, |_| {
        seen += 1;
        seen < 3
    });
    assert_eq!(seen, 3);
}

proptest::proptest! {
    #[test]
    fn filters_find_what_a_list_says(
        topics in proptest::collection::vec("[ab$]{0,1}(/[ab]{0,1}){0,3}", 0..20),
        filter in "([ab$]{0,1}|\\+)(/([ab]{0,1}|\\+)){0,3}(/#)?|#",
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
