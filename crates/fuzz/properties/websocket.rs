//! What holds for any bytes of somebody who opens a WebSocket, and of somebody who has one.

use dockside_websocket::frames::{End, Incoming};
use dockside_websocket::request;

/// The first byte picks: a request, or frames that come in reads of so many bytes.
///
/// # Panics
/// If where reads end makes a difference, more comes out than went in, an answer is not whole, or anything panics.
pub(crate) fn holds(input: &[u8]) {
    match input.split_first() {
        None => {}
        Some((0, head)) => opened(head),
        Some((&read, bytes)) => {
            let (whole, pieces) = (taken(bytes, bytes.len().max(1)), taken(bytes, read.into()));
            assert_eq!(whole, pieces, "in reads of {read}");
            assert!(whole.0.len() <= bytes.len());
            assert!(
                whole.1.is_none_or(|ping| ping.len() <= 125),
                "a ping is longer than it may be"
            );
        }
    }
}

/// A request as it is read: piece by piece up to its end.
fn opened(head: &[u8]) {
    let Some(&first) = head.first() else { return };
    if let Err(refused) = request::check_first(first) {
        assert_eq!(refused.response(), None, "whoever speaks no HTTP is answered with nothing");
        return;
    }
    let end = request::end(head, 0);
    for known in 0..end.unwrap_or(head.len()) {
        assert_eq!(request::end(head, known), end, "{known} bytes were known");
    }
    let answer = match request::read(&head[..end.unwrap_or(head.len())]) {
        Ok(accepted) => accepted.response(),
        Err(refused) => refused.response().expect("whoever speaks HTTP has an answer"),
    };
    let (lines, body) = answer.split_once("\r\n\r\n").expect("a head that is whole");
    assert!(lines.starts_with("HTTP/1.1 ") && !lines.contains('\0'), "{lines:?}");
    assert_eq!(lines.starts_with("HTTP/1.1 101 "), body.is_empty(), "only a refusal says why");
}

/// What MQTT gets, the ping that is to be answered, and why nothing more comes.
fn taken(bytes: &[u8], read: usize) -> (Vec<u8>, Option<Vec<u8>>, Option<End>) {
    let (mut incoming, mut out) = (Incoming::default(), Vec::new());
    for piece in bytes.chunks(read) {
        let mut piece = piece.to_vec();
        let count = incoming.take(&mut piece);
        out.extend_from_slice(&piece[..count]);
    }
    (out, incoming.ping, incoming.end)
}
