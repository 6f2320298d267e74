use super::*;

const PLENTY: usize = 1 << 20;

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn resent(out: &mut Outgoing<char>) -> Vec<(u16, Option<char>)> {
    let mut all = Vec::new();
    while let Some(packet) = out.resend() {
        all.push(match packet {
            Resend::Publish(id, message) => (id.get(), Some(*message)),
            Resend::Pubrel(id) => (id.get(), None),
        });
    }
    all
}

#[test]
fn the_window_closes_and_opens() {
    let mut out = Outgoing::new(2, PLENTY);
    assert_eq!(out.begin(QoS::AtLeastOnce, 'a', 1), Some(id(1)));
    assert_eq!(out.begin(QoS::ExactlyOnce, 'b', 1), Some(id(2)));
    assert_eq!(out.begin(QoS::AtLeastOnce, 'c', 1), None);
    assert!(out.pubrec(id(2), false));
    assert!(out.pubrec(id(2), false), "a repeated PUBREC is answered again");
    assert!(!out.has_room(), "a QoS 2 exchange is under way until PUBCOMP");
    assert!(out.pubcomp(id(2)));
    assert_eq!(out.begin(QoS::AtLeastOnce, 'c', 1), Some(id(3)));
    assert!(out.puback(id(1)).is_some() && out.puback(id(3)).is_some());
    assert!(out.is_empty());
}

#[test]
fn bytes_that_are_held_have_a_bound_and_the_largest_message_passes_alone() {
    let mut out = Outgoing::new(100, 10);
    assert!(out.begin(QoS::AtLeastOnce, 'a', 50).is_some());
    assert!(!out.has_room());
    assert!(out.puback(id(1)).is_some());
    assert!(out.begin(QoS::ExactlyOnce, 'b', 50).is_some());
    assert!(out.pubrec(id(2), false));
    assert!(out.has_room(), "what the client has received is not held any more");
}

#[test]
fn acknowledgements_of_nothing_change_nothing() {
    let mut out = Outgoing::new(10, PLENTY);
    assert!(out.puback(id(1)).is_none());
    out.begin(QoS::ExactlyOnce, 'a', 1);
    assert!(out.puback(id(1)).is_none(), "a QoS 2 exchange is not ended by PUBACK");
    assert!(!out.pubcomp(id(1)), "nor by PUBCOMP before PUBREC");
    assert!(!out.pubrec(id(1), true), "a refusing PUBREC ends it without PUBREL");
    assert!(out.is_empty());
    out.begin(QoS::AtLeastOnce, 'b', 1);
    assert!(!out.pubrec(id(2), false), "a QoS 1 exchange has no PUBREC");
}

/// [MQTT-2.2.1-4]
#[test]
fn identifiers_go_round_and_skip_zero_and_those_in_use() {
    let mut out = Outgoing::new(u16::MAX, PLENTY);
    let held = out.begin(QoS::AtLeastOnce, 'a', 0).unwrap();
    for _ in 0..200_000u32 {
        let given = out.begin(QoS::AtLeastOnce, 'b', 0).unwrap();
        assert_ne!(given, held);
        assert!(out.puback(given).is_some());
    }
    assert!(out.puback(held).is_some());
}

/// [MQTT-4.4.0-1] [MQTT-4.3.3-6]
#[test]
fn what_is_not_acknowledged_is_sent_again_in_its_order_with_its_identifier() {
    let mut out = Outgoing::new(10, PLENTY);
    for (qos, message) in [
        (QoS::AtLeastOnce, 'a'),
        (QoS::ExactlyOnce, 'b'),
        (QoS::AtLeastOnce, 'c'),
        (QoS::ExactlyOnce, 'd'),
    ] {
        out.begin(qos, message, 1);
    }
    assert!(out.puback(id(1)).is_some() && out.pubrec(id(2), false));
    assert_eq!(resent(&mut out), [], "only on a new connection");
    let mut out = out.resumed(10);
    assert!(!out.has_room(), "nothing new before everything has been sent again");
    assert_eq!(resent(&mut out), [(2, None), (3, Some('c')), (4, Some('d'))]);
    assert_eq!(resent(&mut out), [], "once");
    assert_eq!(out.begin(QoS::AtLeastOnce, 'e', 1), Some(id(5)));
    assert!(out.pubcomp(id(2)) && out.puback(id(3)).is_some() && out.pubrec(id(4), false));
}

#[test]
fn sending_again_keeps_to_the_new_window() {
    let mut out = Outgoing::new(10, PLENTY);
    for message in ['a', 'b', 'c'] {
        out.begin(QoS::AtLeastOnce, message, 1);
    }
    let mut out = out.resumed(1);
    assert_eq!(resent(&mut out), [(1, Some('a'))]);
    assert!(out.puback(id(1)).is_some());
    assert_eq!(resent(&mut out), [(2, Some('b'))]);
    assert!(out.puback(id(3)).is_some(), "acknowledged late, from the connection before");
    assert!(out.puback(id(2)).is_some());
    assert_eq!(resent(&mut out), []);
    assert!(out.has_room());
}

#[test]
fn the_oldest_can_be_given_up() {
    let mut out = Outgoing::new(10, PLENTY);
    for message in ['a', 'b', 'c'] {
        out.begin(QoS::AtLeastOnce, message, 100);
    }
    assert_eq!(out.bytes(), 3 * (100 + EXCHANGE_BYTES));
    assert_eq!(out.shed(150).len(), 1);
    assert_eq!(resent(&mut out.resumed(10)), [(2, Some('b')), (3, Some('c'))]);
}

#[test]
fn unacknowledged_qos_1_can_be_taken_for_others() {
    let mut out = Outgoing::new(10, PLENTY);
    for (qos, message) in
        [(QoS::AtLeastOnce, 'x'), (QoS::ExactlyOnce, 'x'), (QoS::AtLeastOnce, 'y')]
    {
        out.begin(qos, message, 1);
    }
    out.begin(QoS::AtLeastOnce, 'x', 1);
    assert_eq!(out.take_unacknowledged(|m| *m == 'x'), ['x', 'x']);
    assert_eq!(out.len(), 2);
    assert!(out.puback(id(1)).is_none() && out.puback(id(3)).is_some());
}
