use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame, written as plainly as can be.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    out
}

/// What MQTT gets of these bytes when they come in pieces of such lengths.
fn taken(bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, Incoming) {
    let (mut incoming, mut out, mut rest) = (Incoming::default(), Vec::new(), bytes);
    for length in pieces.iter().cycle() {
        let (piece, more) = rest.split_at(rest.len().min(*length));
        let mut piece = piece.to_vec();
        let count = incoming.take(&mut piece);
        out.extend_from_slice(&piece[..count]);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    (out, incoming)
}

fn end_of(bytes: &[u8]) -> Option<End> {
    taken(bytes, &[1]).1.end
}

/// The example of RFC 6455 section 5.7.
#[test]
fn a_masked_frame_is_that_of_the_rfc() {
    let hello = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(hello, *frame(0x82, b"Hello"));
    assert_eq!(taken(&hello, &[100]).0, b"Hello");
    assert_eq!(Header::data(5).as_bytes(), [0x82, 5]);
    assert_eq!(Header::data(256).as_bytes(), [0x82, 126, 1, 0]);
    assert_eq!(Header::data(65_536).as_bytes(), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(pong(b"Hello"), [0x8a, 5, b'H', b'e', b'l', b'l', b'o']);
}

proptest! {
    /// However messages are cut into frames and frames into reads, with pings in between [MQTT-6.0.0-2].
    #[test]
    fn every_cut_gives_the_same_bytes(
        messages in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5), 1..5),
        pieces in proptest::collection::vec(1..50usize, 1..10),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for frames in &messages {
            for (n, payload) in frames.iter().enumerate() {
                let opcode = if n == 0 { BINARY } else { CONTINUATION };
                let last = if n + 1 == frames.len() { FIN } else { 0 };
                bytes.extend(frame(last | opcode, payload));
                bytes.extend(frame(FIN | PING, &payload[..payload.len().min(125)]));
                expected.extend_from_slice(payload);
            }
        }
        let (found, incoming) = taken(&bytes, &pieces);
        prop_assert_eq!(found, expected);
        prop_assert!(incoming.end.is_none() && !incoming.in_message);
        let last = messages.last().unwrap().last().unwrap();
        prop_assert_eq!(incoming.ping.as_deref(), Some(&last[..last.len().min(125)]));
    }

    /// Whatever comes: no panic, never more out than in, and nothing held but a control frame.
    #[test]
    fn nothing_grows_and_nothing_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        pieces in proptest::collection::vec(1..50usize, 1..10),
    ) {
        let (found, incoming) = taken(&bytes, &pieces);
        prop_assert!(found.len() <= bytes.len());
        prop_assert!(incoming.control.len() <= 125);
        prop_assert!(incoming.ping.is_none_or(|ping| ping.len() <= 125));
    }
}

#[test]
fn what_breaks_the_protocol_is_named() {
    let order = [frame(0x02, b"a"), frame(0x82, b"b")].concat();
    let mut long_control = frame(0x89, &[7; 126]);
    for (bytes, violation) in [
        (&[0x82, 5][..], Violation::Unmasked),
        (&frame(0xc2, b"a"), Violation::Reserved),
        (&frame(0x83, b"a"), Violation::Unknown),
        (&frame(0x8b, b"a"), Violation::Unknown),
        (&frame(0x80, b"a"), Violation::Order),
        (&order, Violation::Order),
        (&frame(0x09, b"a"), Violation::Control),
        (&long_control, Violation::Control),
        (&frame(0x88, b"a"), Violation::Control),
        (&frame(0x88, &1005u16.to_be_bytes()), Violation::Control),
        (&frame(0x88, &999u16.to_be_bytes()), Violation::Control),
        (&frame(0x81, b"a"), Violation::Text),
        (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], Violation::Length),
        (&[0x82, 0xfe, 0, 125, 1, 2, 3, 4], Violation::Length),
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4], Violation::Length),
    ] {
        assert_eq!(end_of(bytes), Some(End::Broken(violation)), "{bytes:?}");
    }
    // What came before it holds, and what comes behind it is not looked at.
    long_control.splice(..0, frame(0x82, b"before"));
    long_control.extend(frame(0x82, b"behind"));
    assert_eq!(taken(&long_control, &[1_000]).0, b"before");
    assert_eq!(Violation::Text.code(), 1003);
    assert_eq!(Violation::of(&Violation::Text.into()), Some(Violation::Text));
}

#[test]
fn a_close_ends_what_comes_and_is_answered_with_its_code() {
    let close = |payload: &[u8]| [frame(0x88, payload), frame(0x82, b"behind")].concat();
    assert_eq!(taken(&close(b""), &[1_000]).0, b"");
    assert_eq!(end_of(&close(b"")), Some(End::Closed(1000)));
    assert_eq!(end_of(&close(b"\x03\xe9going")), Some(End::Closed(1001)));
    assert_eq!(super::close(1001), [0x88, 2, 3, 0xe9]);
}

/// A length that no message has is no reason to hold anything.
#[test]
fn an_enormous_frame_goes_through_as_it_comes() {
    let mut bytes = vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    bytes.extend([5; 100]);
    let (found, incoming) = taken(&bytes, &[64]);
    assert_eq!(found, [5; 100]);
    assert!(incoming.end.is_none());
}
