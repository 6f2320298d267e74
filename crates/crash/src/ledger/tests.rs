use super::*;
use crate::payload::Content;

const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;

/// Topics `a/1` of `p` at QoS 1 and `a/2` of `q` at QoS 2; subscriber 0 has both at QoS 2, subscriber 1
/// has `a/1` at QoS 1.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.add_topic("a/1", "p", QOS1);
    ledger.add_topic("a/2", "q", QOS2);
    ledger.add_subscriber("s0", QOS2, &["a/#"]);
    ledger.add_subscriber("s1", QOS1, &["a/1"]);
    assert!(!ledger.all_subscribed());
    (0..2).for_each(|subscriber| ledger.subscribed(subscriber));
    assert!(ledger.all_subscribed());
    ledger
}

fn message(topic: &str, counter: u64) -> Vec<u8> {
    let publisher = if topic == "a/2" { "q" } else { "p" };
    Content { publisher, topic, counter }.write(5)
}

/// Publishes so many messages, which are all acknowledged.
fn publish(ledger: &mut Ledger, topic: &str, count: u64) {
    for _ in 0..count {
        let counter = ledger.sent(topic);
        ledger.acknowledged(topic, counter);
    }
}

/// Delivers these in this order, at the QoS that is right.
fn deliver(ledger: &mut Ledger, subscriber: usize, topic: &str, counters: &[u64]) {
    let qos = if topic == "a/2" { QOS2 } else { QOS1 };
    for &counter in counters {
        ledger.delivered(subscriber, topic, qos, &message(topic, counter));
    }
}

#[track_caller]
fn assert_found(ledger: &Ledger, expected: &Finding) {
    assert_eq!(ledger.findings(), std::slice::from_ref(expected));
}

#[test]
fn a_run_as_it_should_be_has_no_finding() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 3);
    publish(&mut ledger, "a/2", 2);
    assert!(!ledger.drained());
    // Repeats at QoS 1, in order once more.
    deliver(&mut ledger, 0, "a/1", &[1, 2, 1, 2, 3]);
    deliver(&mut ledger, 0, "a/2", &[1, 2]);
    assert_eq!(ledger.undelivered(), 3);
    deliver(&mut ledger, 1, "a/1", &[1, 2, 3]);
    ledger.answered("t", "g");
    assert!(ledger.drained());
    ledger.check_messages();
    ledger.check_history(&BTreeSet::from([("t".to_owned(), "g".to_owned())]));
    assert_eq!(ledger.findings(), []);
    let Counts { acknowledged, deliveries, repeats, events } = ledger.counts();
    assert_eq!((acknowledged, deliveries, repeats, events), (5, 10, 2, 1));
}

#[test]
fn what_was_acknowledged_and_never_came_is_lost() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 4);
    // Not acknowledged: nobody is owed it.
    ledger.sent("a/1");
    deliver(&mut ledger, 0, "a/1", &[1, 2, 3, 4]);
    deliver(&mut ledger, 1, "a/1", &[1, 4]);
    assert!(!ledger.drained());
    ledger.check_messages();
    let (subscriber, topic) = ("s1".to_owned(), "a/1".to_owned());
    assert_found(&ledger, &Finding::Lost { subscriber, topic, counters: vec![2, 3] });
}

#[test]
fn what_was_sent_before_the_suback_is_not_owed() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 2);
    let late = ledger.add_subscriber("late", QOS1, &["a/1"]);
    ledger.subscribed(late);
    publish(&mut ledger, "a/1", 1);
    (0..2).for_each(|early| deliver(&mut ledger, early, "a/1", &[1, 2, 3]));
    deliver(&mut ledger, late, "a/1", &[2]);
    assert_eq!(ledger.undelivered(), 1);
    deliver(&mut ledger, late, "a/1", &[3]);
    assert!(ledger.drained());
    ledger.check_messages();
    assert_eq!(ledger.findings(), []);
}

#[test]
fn nothing_is_drained_before_everything_is_acknowledged() {
    let mut ledger = ledger();
    ledger.sent("a/2");
    deliver(&mut ledger, 0, "a/2", &[1]);
    assert!(!ledger.drained());
    ledger.acknowledged("a/2", 1);
    assert!(ledger.drained());
}

#[test]
fn a_repeat_at_qos_2_is_doubled() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/2", 2);
    deliver(&mut ledger, 0, "a/2", &[1, 2, 1]);
    let (subscriber, topic) = ("s0".to_owned(), "a/2".to_owned());
    assert_found(&ledger, &Finding::Doubled { subscriber, topic, counter: 1 });
}

#[test]
fn a_first_delivery_behind_a_later_one_is_out_of_order() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 3);
    deliver(&mut ledger, 0, "a/1", &[1, 3, 2]);
    let (subscriber, topic) = ("s0".to_owned(), "a/1".to_owned());
    assert_found(&ledger, &Finding::OutOfOrder { subscriber, topic, counter: 2, behind: 3 });
}

#[test]
fn a_message_that_nobody_wrote_is_corrupt() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 1);
    let mut changed = message("a/1", 1);
    changed[0] ^= 1;
    let bytes = changed.len();
    let corrupt =
        |topic: &str| Finding::Corrupt { client: "s0".to_owned(), topic: topic.to_owned(), bytes };
    ledger.delivered(0, "a/1", QOS1, &changed);
    // Whole, and on another topic than it was published on.
    ledger.delivered(0, "a/2", QOS1, &message("a/1", 1));
    assert_eq!(ledger.findings(), [corrupt("a/1"), corrupt("a/2")]);
}

#[test]
fn a_message_that_nobody_published_is_invented() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 1);
    let invented = |topic: &str, counter| Finding::Invented {
        client: "s0".to_owned(),
        topic: topic.to_owned(),
        counter,
    };
    deliver(&mut ledger, 0, "a/1", &[2]);
    deliver(&mut ledger, 0, "a/3", &[1]);
    let of_another = Content { publisher: "q", topic: "a/1", counter: 1 }.write(0);
    ledger.delivered(0, "a/1", QOS1, &of_another);
    let expected = [invented("a/1", 2), invented("a/3", 1), invented("a/1", 1)];
    assert_eq!(ledger.findings(), expected);
}

#[test]
fn a_message_that_no_filter_matches_or_at_another_qos_is_found() {
    let mut ledger = ledger();
    publish(&mut ledger, "a/1", 1);
    publish(&mut ledger, "a/2", 1);
    deliver(&mut ledger, 1, "a/2", &[1]);
    ledger.delivered(1, "a/1", QOS2, &message("a/1", 1));
    let (subscriber, topic) = ("s1".to_owned(), "a/2".to_owned());
    let not_asked = Finding::NotAsked { subscriber: subscriber.clone(), topic };
    let topic = "a/1".to_owned();
    let wrong_qos = Finding::WrongQos { subscriber, topic, counter: 1, qos: 2 };
    assert_eq!(ledger.findings(), [not_asked, wrong_qos]);
}

/// What a new subscriber got on `r`.
fn retained(counter: Option<u64>) -> BTreeMap<String, Vec<u8>> {
    counter.map(|counter| ("r".to_owned(), message("r", counter))).into_iter().collect()
}

/// Whether `r` may have this value, or none, after these messages: whether each clears it, and how many
/// of them are acknowledged.
fn may_have(clears: &[bool], acknowledged: u64, found: Option<u64>) -> bool {
    let mut ledger = Ledger::default();
    for &clear in clears {
        ledger.retained.sent("r", clear);
    }
    (1..=acknowledged).for_each(|counter| ledger.acknowledged("r", counter));
    ledger.check_retained(&retained(found));
    match ledger.findings() {
        [] => true,
        [Finding::Retained { .. }] => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_retained_topic_has_the_last_acknowledged_value_or_one_in_doubt() {
    let set = [false; 4];
    assert!(!may_have(&set, 2, Some(1)), "older than acknowledged");
    assert!(may_have(&set, 2, Some(2)));
    assert!(may_have(&set, 2, Some(4)), "in doubt");
    assert!(!may_have(&set, 2, None), "gone");
    assert!(may_have(&set, 0, None), "nothing acknowledged");
}

#[test]
fn an_acknowledged_clear_stays() {
    let cleared = [false, true, false];
    assert!(may_have(&cleared, 2, None));
    assert!(!may_have(&cleared, 2, Some(1)), "back again");
    assert!(may_have(&cleared, 2, Some(3)), "set again, in doubt");
    assert!(may_have(&cleared, 1, None), "the clear is in doubt");
    assert!(may_have(&cleared, 1, Some(1)));
    assert!(!may_have(&cleared, 3, None), "set again, acknowledged");
}

#[test]
fn a_retained_value_that_nobody_set_or_wrote_is_found() {
    let mut ledger = Ledger::default();
    ledger.retained.sent("r", false);
    let client = || "the new subscriber".to_owned();
    ledger.check_retained(&retained(Some(2)));
    let invented = Finding::Invented { client: client(), topic: "r".to_owned(), counter: 2 };
    assert_found(&ledger, &invented);
    ledger.check_retained(&BTreeMap::from([("r".to_owned(), b"rubbish".to_vec())]));
    let corrupt = Finding::Corrupt { client: client(), topic: "r".to_owned(), bytes: 7 };
    assert_eq!(ledger.findings(), [invented, corrupt]);
}

#[test]
fn an_answered_event_that_is_not_in_the_history_is_found() {
    let mut ledger = ledger();
    ledger.answered("t1", "g");
    ledger.answered("t2", "g");
    ledger.answered("t2", "g");
    assert_eq!(ledger.counts().events, 2);
    assert!(ledger.is_answered("t2") && !ledger.is_answered("t3"));
    let event = |tid: &str, gateway: &str| (tid.to_owned(), gateway.to_owned());
    // That of another gateway is another event.
    ledger.check_history(&BTreeSet::from([event("t1", "g"), event("t2", "h"), event("t3", "g")]));
    let (tid, gateway) = ("t2".to_owned(), "g".to_owned());
    assert_found(&ledger, &Finding::EventMissing { tid, gateway });
}
