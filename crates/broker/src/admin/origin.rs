//! Which host a request is for, and whether a page of another one has sent it.
//!
//! A browser sends requests wherever the page it shows tells it to, also to a broker on loopback. It
//! cannot be made to lie about two things: the name it was sent to (`Host`), and the origin of the page
//! that sends something (`Origin`). A page that lets its own name point to this machine (DNS
//! rebinding) is known by the name.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, header};

/// The longest name there is in the DNS.
const NAME_BYTES_AT_MOST: usize = 253;

/// `name[:port]` of a Host header, or of an origin behind its scheme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    /// The one host that a request names.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut named = headers.get_all(header::HOST).iter();
        let host = named.next()?.to_str().ok()?;
        // Two of them: somebody in between may have believed the other one.
        if named.next().is_some() { None } else { Self::read(host) }
    }

    fn read(text: &'a str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                name.parse::<Ipv6Addr>().ok()?;
                (name, port)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if port.is_empty() => None,
            None => return None,
        };
        (!name.is_empty() && name.len() <= NAME_BYTES_AT_MOST).then_some(Self { name, port })
    }

    pub(super) fn name(self) -> &'a str {
        self.name
    }

    /// Whether this machine is called so: by an address, which nobody can make point elsewhere, as
    /// `localhost`, or by one of the names of the configuration.
    pub(super) fn is_ours(self, names: &[String]) -> bool {
        self.name.parse::<IpAddr>().is_ok()
            || self.name.eq_ignore_ascii_case("localhost")
            || names.iter().any(|name| name.eq_ignore_ascii_case(self.name))
    }

    /// Whether an origin is this host: the same name, and the same port where both or neither are
    /// the default of the origin's scheme.
    fn is_origin(self, origin: &str) -> bool {
        let (rest, default) =
            match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
                (Some(rest), _) => (rest, 80),
                (_, Some(rest)) => (rest, 443),
                // `null`: a page that wants its origin not to be known.
                _ => return false,
            };
        Host::read(rest).is_some_and(|origin| {
            origin.name.eq_ignore_ascii_case(self.name)
                && origin.port.unwrap_or(default) == self.port.unwrap_or(default)
        })
    }
}

/// Whether a page of another origin has sent this. What is not a browser says nothing of an origin.
pub(super) fn is_foreign(headers: &HeaderMap, host: Host<'_>) -> bool {
    let foreign_origin = |origin: &axum::http::HeaderValue| {
        !origin.to_str().is_ok_and(|origin| host.is_origin(origin))
    };
    headers.get_all(header::ORIGIN).iter().any(foreign_origin)
        || headers.get_all("sec-fetch-site").iter().any(|site| site == "cross-site")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        given.iter().map(pair).collect()
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_ours_and_nothing_else() {
        let names = ["dock.example".to_owned()];
        let is_ours =
            |host| Host::of(&headers(&[("host", host)])).is_some_and(|host| host.is_ours(&names));
        for host in [
            "127.0.0.1:9464",
            "127.0.0.1",
            "192.0.2.7:80",
            "[::1]:9464",
            "[2001:db8::1]",
            "localhost",
            "LocalHost:1",
            "dock.example:9464",
            "Dock.Example",
        ] {
            assert!(is_ours(host), "{host}");
        }
        for host in [
            "evil.example:9464",
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "sub.dock.example",
            "dock.example.",
            "localhost:port",
            "localhost:80:80",
            "localhost@evil.example",
            "::1",
            "[localhost]",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "2130706433",
            ":9464",
            "",
        ] {
            assert!(!is_ours(host), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(Host::of(&HeaderMap::new()), None);
        let mut two = headers(&[("host", "localhost")]);
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        assert_eq!(Host::of(&two), None);
    }

    #[test]
    fn an_origin_is_the_host_or_foreign() {
        let foreign = |host: &'static str, name: &'static str, value: &'static str| {
            is_foreign(&headers(&[(name, value)]), Host::read(host).unwrap())
        };
        for (host, origin) in [
            ("localhost:9464", "http://localhost:9464"),
            ("localhost:9464", "http://LOCALHOST:9464"),
            ("[::1]:9464", "http://[::1]:9464"),
            ("dock.example", "https://dock.example"),
            ("dock.example:443", "https://dock.example"),
            ("dock.example", "http://dock.example:80"),
        ] {
            assert!(!foreign(host, "origin", origin), "{origin} is {host}");
        }
        for origin in [
            "http://evil.example",
            "http://localhost",
            "http://localhost:9465",
            "http://127.0.0.1:9464",
            "http://localhost:9464.evil.example",
            "http://localhost:9464/",
            "http://evil@localhost:9464",
            "ftp://localhost:9464",
            "localhost:9464",
            "null",
            "",
        ] {
            assert!(foreign("localhost:9464", "origin", origin), "{origin}");
        }
        assert!(foreign("localhost", "sec-fetch-site", "cross-site"));
        for site in ["same-origin", "same-site", "none"] {
            assert!(!foreign("localhost", "sec-fetch-site", site), "{site}");
        }
        assert!(!is_foreign(&HeaderMap::new(), Host::read("localhost").unwrap()), "no browser");
    }
}
