//! The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, sections 2.1 and 2.2): where the client is,
//! said by a proxy before the client's first byte. Pure: who reads asks how many bytes are missing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{self, FromStr};

/// What version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// Shortest header there is: `PROXY UNKNOWN` and its end.
const SHORTEST: usize = 15;

/// Longest header of version 1.
const LINE_BYTES: usize = 107;

/// What of version 2 has always the same length.
const FIXED_BYTES: usize = 16;

/// Most bytes behind that: addresses, and fields that nobody here reads.
const FIELD_BYTES: usize = 2_048;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Header {
    /// A part of a header; at least so many more bytes belong to it.
    Part(usize),
    /// A whole one, with the client's address if the proxy speaks for a client and knows it.
    Whole(Option<SocketAddr>),
}

/// Bytes that begin no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoHeader {
    /// They are something else.
    Other,
    /// They begin like one, and cannot be one.
    Broken,
}

/// Reads a header. `bytes` are those that were asked for so far, and no others.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, NoHeader> {
    match bytes.first() {
        None => Ok(Header::Part(SHORTEST)),
        Some(b'P') if agree(bytes, WORD) => line(bytes),
        Some(b'\r') if agree(bytes, SIGNATURE) => binary(bytes),
        _ => Err(NoHeader::Other),
    }
}

/// Whether two byte strings are the same, as far as both go.
fn agree(bytes: &[u8], others: &[u8]) -> bool {
    bytes.iter().zip(others).all(|(byte, other)| byte == other)
}

/// Section 2.1.
fn line(bytes: &[u8]) -> Result<Header, NoHeader> {
    let missing = match bytes.iter().position(|byte| *byte == b'\r') {
        Some(end) if bytes[end..] == *b"\r\n" => return words(&bytes[..end]).map(Header::Whole),
        Some(end) if end + 1 == bytes.len() => 1,
        Some(_) => return Err(NoHeader::Broken),
        None => SHORTEST.saturating_sub(bytes.len()).max(2),
    };
    if bytes.len() + missing > LINE_BYTES {
        return Err(NoHeader::Broken);
    }
    Ok(Header::Part(missing))
}

fn words(line: &[u8]) -> Result<Option<SocketAddr>, NoHeader> {
    let line = str::from_utf8(line).map_err(|_| NoHeader::Broken)?;
    let mut words = line.split(' ').skip(1);
    match words.next() {
        Some("TCP4") => source::<Ipv4Addr>(words).map(Some),
        Some("TCP6") => source::<Ipv6Addr>(words).map(Some),
        // Whatever stands behind it is to be passed over.
        Some("UNKNOWN") => Ok(None),
        _ => Err(NoHeader::Broken),
    }
}

/// The first of two addresses and the first of two ports.
fn source<'a, A: FromStr + Into<IpAddr>>(
    words: impl Iterator<Item = &'a str>,
) -> Result<SocketAddr, NoHeader> {
    let words: Vec<_> = words.collect();
    let [from, to, from_port, to_port] = words[..] else { return Err(NoHeader::Broken) };
    let address = |word: &str| word.parse::<A>().map_err(|_| NoHeader::Broken);
    let port = |word: &str| match word.bytes().all(|byte| byte.is_ascii_digit()) {
        true => word.parse::<u16>().map_err(|_| NoHeader::Broken),
        false => Err(NoHeader::Broken),
    };
    let (from, _) = (address(from)?, address(to)?);
    let (from_port, _) = (port(from_port)?, port(to_port)?);
    Ok(SocketAddr::new(from.into(), from_port))
}

/// Section 2.2.
fn binary(bytes: &[u8]) -> Result<Header, NoHeader> {
    let Some((fixed, fields)) = bytes.split_at_checked(FIXED_BYTES) else {
        return Ok(Header::Part(FIXED_BYTES - bytes.len()));
    };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    // Version 2, and its two commands.
    if !matches!(command, 0x20 | 0x21) || length > FIELD_BYTES || fields.len() > length {
        return Err(NoHeader::Broken);
    }
    if fields.len() < length {
        return Ok(Header::Part(length - fields.len()));
    }
    let client = match (command, family) {
        (0x21, 0x11) => Some(addresses::<4>(fields)?),
        (0x21, 0x21) => Some(addresses::<16>(fields)?),
        // The proxy speaks for itself, or for somebody who is not there by TCP.
        _ => None,
    };
    Ok(Header::Whole(client))
}

/// Two addresses of so many bytes, then two ports.
fn addresses<const BYTES: usize>(fields: &[u8]) -> Result<SocketAddr, NoHeader>
where
    IpAddr: From<[u8; BYTES]>,
{
    let broken = NoHeader::Broken;
    let (address, rest) = fields.split_first_chunk::<BYTES>().ok_or(broken)?;
    let (_, rest) = rest.split_first_chunk::<BYTES>().ok_or(broken)?;
    let [high, low, _, _] = *rest.first_chunk::<4>().ok_or(broken)?;
    Ok(SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads as a connection does; the result, and how many bytes were taken.
    fn read(bytes: &[u8]) -> (Option<Result<Option<SocketAddr>, NoHeader>>, usize) {
        let mut taken = 0;
        loop {
            match parse(&bytes[..taken]) {
                Ok(Header::Part(missing)) if missing <= bytes.len() - taken => taken += missing,
                Ok(Header::Part(_)) => return (None, taken),
                Ok(Header::Whole(client)) => return (Some(Ok(client)), taken),
                Err(no) => return (Some(Err(no)), taken),
            }
        }
    }

    fn v2(command: u8, family: u8, fields: &[u8]) -> Vec<u8> {
        let length = u16::try_from(fields.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, fields].concat()
    }

    #[test]
    fn headers_of_version_1_tell_the_client() {
        for (header, client) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.7 50000 1883\r\n", Some("192.0.2.1:50000")),
            ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", Some("1.1.1.1:1")),
            ("PROXY TCP6 2001:db8::1 :: 65535 0\r\n", Some("[2001:db8::1]:65535")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n", None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            // Nothing of what follows is taken.
            let bytes = [header.as_bytes(), b"\x10\x0c\0\x04MQTT"].concat();
            assert_eq!(read(&bytes), (Some(Ok(client)), header.len()), "{header:?}");
        }
    }

    #[test]
    fn broken_headers_of_version_1_are_none() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        assert_eq!(long.len(), LINE_BYTES + 1);
        for header in [
            &*long,
            "PROXY TCP4 192.0.2.1 198.51.100.7 50000\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 50000 1883 1\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.7 50000 1883\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 +5000 1883\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 65536 1883\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7  1883\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 50000 1883\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.7 50000 1883\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.7 50000 1883\r\n",
            "PROXY UNKNOWN\rX",
            "PROXY \r\n1234567",
        ] {
            assert_eq!(read(header.as_bytes()).0, Some(Err(NoHeader::Broken)), "{header:?}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
        assert_eq!(read(longest.as_bytes()), (Some(Ok(None)), LINE_BYTES));
    }

    #[test]
    fn headers_of_version_2_tell_the_client() {
        let four = [192, 0, 2, 1, 198, 51, 100, 7, 0xc3, 0x50, 7, 91];
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[1, 2, 3, 4]].concat();
        let field = b"\x03\0\x04abcd";
        let (v4, v6) = (Some("192.0.2.1:50000"), Some("[2001:db8::1]:258"));
        for (header, client) in [
            (v2(0x21, 0x11, &four), v4),
            (v2(0x21, 0x11, &[&four[..], field].concat()), v4),
            (v2(0x21, 0x21, &six), v6),
            (v2(0x21, 0x21, &[&six[..], &vec![9; FIELD_BYTES - 36]].concat()), v6),
            // The proxy's own, without an address, of a datagram, of a Unix socket, of something new.
            (v2(0x20, 0x11, &four), None),
            (v2(0x20, 0, b""), None),
            (v2(0x21, 0, b""), None),
            (v2(0x21, 0x12, &four), None),
            (v2(0x21, 0x31, &[b'/'; 216]), None),
            (v2(0x21, 0xff, field), None),
        ] {
            let client = client.map(|client| client.parse().unwrap());
            let bytes = [&header[..], b"\x16\x03\x01"].concat();
            assert_eq!(read(&bytes), (Some(Ok(client)), header.len()), "{header:?}");
        }
    }

    #[test]
    fn broken_headers_of_version_2_are_none() {
        for header in [
            v2(0x22, 0x11, &[0; 12]),
            v2(0x11, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x11, &vec![0; FIELD_BYTES + 1]),
        ] {
            assert_eq!(read(&header).0, Some(Err(NoHeader::Broken)), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_seen_at_once() {
        for bytes in [&b"\x10"[..], b"\x16\x03", b"G", b"PUT", b"\r\n\r\nX", b"\0"] {
            assert_eq!(parse(bytes), Err(NoHeader::Other), "{bytes:?}");
        }
    }

    proptest! {
        /// However it comes in pieces, and whatever follows, it is read as a whole and no further.
        #[test]
        fn a_header_is_read_to_its_end_and_no_further(
            client: SocketAddr, proxy: SocketAddr, is_text: bool,
            fields in proptest::collection::vec(any::<u8>(), 0..200),
            behind in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let (ports, name) = ((client.port(), proxy.port()), if client.is_ipv4() { "TCP4" } else { "TCP6" });
            let (from, to) = match (client.ip(), proxy.ip()) {
                (IpAddr::V4(from), IpAddr::V6(to)) => (IpAddr::V4(from), IpAddr::V4(to.to_ipv4().unwrap_or(from))),
                (IpAddr::V6(from), IpAddr::V4(to)) => (IpAddr::V6(from), IpAddr::V6(to.to_ipv6_mapped())),
                both => both,
            };
            let raw = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let header = if is_text {
                format!("PROXY {name} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
            } else {
                let ports = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
                let family = if client.is_ipv4() { 0x11 } else { 0x21 };
                v2(0x21, family, &[raw(from), raw(to), ports, fields].concat())
            };
            let expected = SocketAddr::new(client.ip(), client.port());
            let bytes = [&header[..], &behind].concat();
            prop_assert_eq!(read(&bytes), (Some(Ok(Some(expected))), header.len()));
            // Every beginning asks for more, and never for more than there is.
            for end in 0..header.len() {
                let asks = parse(&header[..end]);
                prop_assert!(matches!(asks, Ok(Header::Part(n)) if n > 0 && end + n <= header.len()), "{end} {asks:?}");
            }
        }

        #[test]
        fn whatever_comes_a_header_ends(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
            let begin: &[u8] = [b"", WORD, SIGNATURE][kind as usize];
            let (outcome, taken) = read(&[begin, &bytes].concat());
            prop_assert!(outcome.is_some() || taken <= begin.len() + bytes.len());
            prop_assert!(taken <= FIXED_BYTES + FIELD_BYTES);
        }
    }
}
