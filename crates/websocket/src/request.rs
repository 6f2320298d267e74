//! The request that makes a connection a WebSocket, and its answer (RFC 6455 section 4.2), without I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Request, Status};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Bytes that a request may have.
pub const HEAD_BYTES: usize = 8 << 10;

/// Headers that a request may have.
const HEADERS: usize = 64;

/// What the client's key is answered with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Names of what is spoken within, the first the one to take. The other is that of clients from before MQTT had been
/// standardized.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// A request that is good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Proves that its key was read.
    accept: String,
    protocol: &'static str,
}

/// A request that is not, what its client is told, and what an engineer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Status code and its name; none for whoever does not speak HTTP.
    status: Option<&'static str>,
    /// What the answer has besides: whole lines.
    headers: &'static str,
    /// What was wrong.
    pub detail: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Accepted {
    /// The answer; extensions are never agreed to [MQTT-6.0.0-4].
    #[must_use]
    pub fn response(&self) -> String {
        let Self { accept, protocol } = self;
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        )
    }
}

impl Refused {
    const fn new(status: &'static str, detail: &'static str, remedy: &'static str) -> Self {
        Self { status: Some(status), headers: "", detail, remedy }
    }

    /// The answer, for whoever understands one.
    #[must_use]
    pub fn response(&self) -> Option<String> {
        let Self { status, headers, detail, remedy } = self;
        let status = (*status)?;
        let text = format!("{detail}: {remedy}\n");
        Some(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        ))
    }
}

/// Beyond [`HEAD_BYTES`], or with more headers than are read.
pub const TOO_LONG: Refused = Refused::new(
    "431 Request Header Fields Too Large",
    "the WebSocket request is longer than 8 KiB or has more than 64 headers",
    "a page sends its site's cookies along: serve the page from another host name than the broker's, or let a proxy leave them out",
);

const NO_WEBSOCKET: Refused = Refused {
    headers: "Upgrade: websocket\r\n",
    ..Refused::new(
        "426 Upgrade Required",
        "an HTTP request that asks for no WebSocket",
        "MQTT over WebSocket is spoken here: open ws://HOST:PORT/mqtt (wss:// with TLS) with an MQTT library; a proxy in between must pass on the headers Upgrade and Connection",
    )
};

const WRONG_VERSION: Refused = Refused {
    headers: "Sec-WebSocket-Version: 13\r\n",
    ..Refused::new(
        "426 Upgrade Required",
        "another version of WebSocket than 13",
        "renew the client's WebSocket library",
    )
};

const NO_KEY: Refused = Refused::new(
    "400 Bad Request",
    "a WebSocket request without a good Sec-WebSocket-Key",
    "the client, or a proxy in between, breaks the WebSocket protocol; look for a newer version of it",
);

const NO_PROTOCOL: Refused = Refused::new(
    "400 Bad Request",
    "a WebSocket that does not offer the subprotocol mqtt",
    "use an MQTT library, or let the client ask for it: new WebSocket(url, \"mqtt\")",
);

const NO_HTTP: Refused = Refused::new(
    "400 Bad Request",
    "no HTTP/1.1 request for a WebSocket",
    "give the client a ws:// address (wss:// with TLS), or the port of another listener",
);

/// Whether what begins with this byte may become a request.
///
/// # Errors
/// What the client speaks instead.
pub fn check_first(first: u8) -> Result<(), Refused> {
    let (detail, remedy) = match first {
        b'A'..=b'Z' => return Ok(()),
        0x10 => (
            "the client speaks MQTT without WebSocket to a WebSocket listener",
            "give it a ws:// address (wss:// with TLS), or the port of a tcp or tls listener",
        ),
        0x16 => (
            "the client speaks TLS to a listener without it",
            "give it a ws:// address, or the port of a wss listener",
        ),
        _ => (NO_HTTP.detail, NO_HTTP.remedy),
    };
    Err(Refused { status: None, headers: "", detail, remedy })
}

/// Where a request ends, if its end is there; `known` bytes of it have been looked at before.
#[must_use]
pub fn end(head: &[u8], known: usize) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let from = known.saturating_sub(END.len() - 1);
    let at = head[from..].windows(END.len()).position(|window| window == END)?;
    Some(from + at + END.len())
}

/// Judges a whole request.
///
/// # Errors
/// Why it opens no WebSocket.
pub fn read(head: &[u8]) -> Result<Accepted, Refused> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
        Ok(Status::Partial) | Err(_) => return Err(NO_HTTP),
    }
    if request.method != Some("GET") || request.version != Some(1) {
        return Err(NO_HTTP);
    }
    let has = |name, token: &str| {
        values(&request, name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    };
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(NO_WEBSOCKET);
    }
    if !has("sec-websocket-version", "13") {
        return Err(WRONG_VERSION);
    }
    let key = values(&request, "sec-websocket-key").next().ok_or(NO_KEY)?;
    if STANDARD.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(NO_KEY);
    }
    // [MQTT-6.0.0-3]
    let offered = |protocol: &&&str| {
        values(&request, "sec-websocket-protocol").any(|value| value == protocol.as_bytes())
    };
    let protocol = PROTOCOLS.iter().find(offered).ok_or(NO_PROTOCOL)?;
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    Ok(Accepted { accept: STANDARD.encode(hash), protocol })
}

/// What a header lists, in one line or several.
fn values<'r>(request: &'r Request<'_, '_>, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    let headers =
        request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    headers.flat_map(|header| header.value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455 section 1.3, with another subprotocol.
    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn refused(request: &str) -> Refused {
        read(request.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let accepted = read(GOOD.as_bytes()).unwrap();
        let response = accepted.response();
        for line in [
            "HTTP/1.1 101 Switching Protocols",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Sec-WebSocket-Protocol: mqtt",
        ] {
            assert!(response.split("\r\n").any(|found| found == line), "{line}: {response}");
        }
        assert!(response.ends_with("\r\n\r\n") && !response.contains("deflate"));
    }

    #[test]
    fn the_subprotocol_is_one_that_was_offered() {
        for (offer, protocol) in [
            ("mqttv3.1", "mqttv3.1"),
            ("mqttv3.1,mqtt", "mqtt"),
            ("mqtt\r\nSec-WebSocket-Protocol: x", "mqtt"),
            ("x\r\nSec-WebSocket-Protocol: mqtt", "mqtt"),
        ] {
            let request = GOOD.replace("chat, mqtt", offer);
            assert_eq!(read(request.as_bytes()).unwrap().protocol, protocol, "{offer}");
        }
        for offer in ["chat", "", "mqtts", "MQTT"] {
            assert_eq!(refused(&GOOD.replace("chat, mqtt", offer)), NO_PROTOCOL, "{offer}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (good, bad, expected) in [
            ("GET", "POST", NO_HTTP),
            ("HTTP/1.1", "HTTP/1.0", NO_HTTP),
            ("HTTP/1.1", "HTTP/3", NO_HTTP),
            ("Upgrade: websocket\r\n", "", NO_WEBSOCKET),
            ("keep-alive, Upgrade", "keep-alive", NO_WEBSOCKET),
            ("Version: 13", "Version: 8", WRONG_VERSION),
            ("Sec-WebSocket-Version: 13\r\n", "", WRONG_VERSION),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", NO_KEY),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ!!", NO_KEY),
        ] {
            assert!(GOOD.contains(good), "{good}");
            assert_eq!(refused(&GOOD.replacen(good, bad, 1)), expected, "{good} {bad}");
        }
        let headers = "X-Header: 1\r\n".repeat(HEADERS);
        assert_eq!(refused(&GOOD.replacen("Origin", &format!("{headers}Origin"), 1)), TOO_LONG);
        let response = WRONG_VERSION.response().unwrap();
        assert!(response.starts_with("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13"));
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(response.contains(&format!("Content-Length: {}\r\n", body.len())), "{response}");
    }

    #[test]
    fn who_speaks_something_else_is_seen_by_the_first_byte() {
        assert_eq!(check_first(b'G'), Ok(()));
        for (first, says) in [(0x10, "MQTT"), (0x16, "TLS"), (0, "HTTP")] {
            let refused = check_first(first).unwrap_err();
            assert!(refused.detail.contains(says) && refused.response().is_none(), "{refused:?}");
        }
    }

    #[test]
    fn the_end_is_found_wherever_the_pieces_end() {
        let (head, rest) = (GOOD.as_bytes(), b"more");
        let bytes = [head, rest].concat();
        for known in 0..head.len() {
            assert_eq!(end(&bytes[..known], 0), None);
            assert_eq!(end(&bytes, known), Some(head.len()));
        }
    }
}
