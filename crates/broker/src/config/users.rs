//! Who may connect, and who says so.

use std::net::IpAddr;
use std::path::PathBuf;

pub use dockside_access::jwt::Algorithm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::Problem;

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// `user:hash`, a line a user; empty: none.
    pub password_file: PathBuf,
    /// How long a password that was right is remembered, milliseconds; 0 is not at all.
    pub cache_ms: u64,
    /// Tokens (JWT) as passwords, of users that are not in the file; read at start.
    pub jwt: Jwt,
    /// A server that is asked about users that are not in the file and show no token; read at start.
    pub http: Http,
}

/// Tokens that are given as passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// What tokens are checked with; empty: there are none. A secret in the first line, or a public
    /// key as PEM.
    pub key_file: PathBuf,
    /// What signs them; no token with another one is believed.
    pub algorithm: Algorithm,
    /// The claim that is the user's name.
    pub user_claim: String,
    /// The claim that is its groups, a list or one; empty: none is.
    pub groups_claim: String,
    /// What `iss` must be; empty: anything.
    pub issuer: String,
    /// What `aud` must be or name; empty: anything.
    pub audience: String,
    /// What the issuer's clock may differ by, seconds.
    pub leeway_s: u64,
}

/// A server that is asked about users that are not in the file and show no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where user name, password and client identifier are posted to; empty: nowhere.
    pub url: String,
    /// How long an answer may take, milliseconds.
    pub timeout_ms: u64,
    /// How long an answer is remembered, milliseconds; 0 is not at all. A denial a fifth of that.
    pub cache_ms: u64,
    /// Questions at the same time; more of them wait.
    pub connections: usize,
    /// Certificates (PEM) of those who may vouch for an https server.
    pub ca_file: PathBuf,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            password_file: PathBuf::new(),
            cache_ms: 300_000,
            jwt: Jwt::default(),
            http: Http::default(),
        }
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            key_file: PathBuf::new(),
            algorithm: Algorithm::Hs256,
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            issuer: String::new(),
            audience: String::new(),
            leeway_s: 5,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            url: String::new(),
            timeout_ms: 2_000,
            cache_ms: 10_000,
            connections: 8,
            ca_file: PathBuf::new(),
        }
    }
}

impl Users {
    /// Whether clients have to log in.
    #[must_use]
    pub fn are_configured(&self) -> bool {
        !self.password_file.as_os_str().is_empty() || self.are_known_elsewhere()
    }

    /// Whether there may be users that are in no file: those of tokens, or of a server.
    #[must_use]
    pub fn are_known_elsewhere(&self) -> bool {
        self.jwt.is_on() || self.http.is_on()
    }

    pub(super) fn problems(&self, problems: &mut Vec<Problem>) {
        let mut check = |good: bool, key: &str, remedy: &str| {
            if !good {
                problems.push(Problem::new(format!("users.{key}"), remedy));
            }
        };
        let Self { jwt, http, .. } = self;
        let remedy = "is empty; name the claim that is the user, such as \"sub\"";
        check(!jwt.is_on() || !jwt.user_claim.is_empty(), "jwt.user_claim", remedy);
        check(jwt.leeway_s <= 3_600, "jwt.leeway_s", "must be at most 3600");
        check((1..=60_000).contains(&http.timeout_ms), "http.timeout_ms", "must be 1 to 60000");
        check(http.cache_ms <= 3_600_000, "http.cache_ms", "must be at most 3600000");
        check((1..=64).contains(&http.connections), "http.connections", "must be 1 to 64");
        let has_ca = !http.ca_file.as_os_str().is_empty();
        match http.scheme() {
            Ok(Some("https")) => {
                let remedy = "an https server needs a PEM file here: its own certificate authority, or the system's, such as /etc/ssl/certs/ca-certificates.crt";
                check(has_ca, "http.ca_file", remedy);
            }
            Ok(_) => {
                let remedy = "only an https server has certificates; use https:// in users.http.url or leave this out";
                check(!has_ca, "http.ca_file", remedy);
            }
            Err(detail) => check(false, "http.url", detail),
        }
    }
}

impl Jwt {
    /// Whether there are tokens.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.key_file.as_os_str().is_empty()
    }
}

impl Http {
    /// The address without its query, which may hold a secret.
    #[must_use]
    pub fn shown_url(&self) -> &str {
        self.url.split_once('?').map_or(&self.url, |(url, _)| url)
    }

    /// Whether a server is asked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// Whether passwords leave this machine without encryption.
    #[must_use]
    pub fn can_be_read_on_the_way(&self) -> bool {
        let is_here = |uri: &Uri| {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        self.scheme() == Ok(Some("http")) && !self.url.parse().is_ok_and(|uri| is_here(&uri))
    }

    /// That of the address, if there is one.
    fn scheme(&self) -> Result<Option<&'static str>, &'static str> {
        if !self.is_on() {
            return Ok(None);
        }
        let uri: Uri =
            self.url.parse().map_err(|_| "is no address of the form http://HOST/PATH")?;
        let authority = uri.authority().ok_or("is no address of the form http://HOST/PATH")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or a password: this file is no place for them");
        }
        match uri.scheme_str() {
            Some("http") => Ok(Some("http")),
            Some("https") => Ok(Some("https")),
            _ => Err("must begin with http:// or https://"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(users: &Users) -> Vec<String> {
        let mut problems = Vec::new();
        users.problems(&mut problems);
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn each_way_to_log_in_asks_for_a_login() {
        assert!(!Users::default().are_configured());
        let file = Users { password_file: "users".into(), ..Users::default() };
        let jwt = Jwt { key_file: "key".into(), ..Jwt::default() };
        let http = Http { url: "http://localhost/".into(), ..Http::default() };
        for (users, elsewhere) in [
            (file, false),
            (Users { jwt, ..Users::default() }, true),
            (Users { http, ..Users::default() }, true),
        ] {
            assert!(users.are_configured());
            assert_eq!(users.are_known_elsewhere(), elsewhere);
            assert_eq!(keys(&users), [""; 0]);
        }
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_said() {
        for (url, ca_file, expected) in [
            ("http://127.0.0.1:8080/login?x=1", "", None),
            ("https://idp.example/login", "ca.pem", None),
            ("https://idp.example/login", "", Some("users.http.ca_file")),
            ("http://idp.example/login", "ca.pem", Some("users.http.ca_file")),
            ("", "ca.pem", Some("users.http.ca_file")),
            ("idp.example", "", Some("users.http.url")),
            ("/login", "", Some("users.http.url")),
            ("ftp://idp.example/", "", Some("users.http.url")),
            ("http://user:password@idp.example/", "", Some("users.http.url")),
            ("http://", "", Some("users.http.url")),
            ("http://a b/", "", Some("users.http.url")),
        ] {
            let http = Http { url: url.into(), ca_file: ca_file.into(), ..Http::default() };
            let found = keys(&Users { http, ..Users::default() });
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{url}");
        }
    }

    #[test]
    fn values_that_cannot_be_are_said() {
        let mut users = Users::default();
        users.jwt.key_file = "key".into();
        users.jwt.user_claim.clear();
        users.jwt.leeway_s = 3_601;
        (users.http.timeout_ms, users.http.cache_ms, users.http.connections) = (0, 3_600_001, 65);
        let expected = [
            "jwt.user_claim",
            "jwt.leeway_s",
            "http.timeout_ms",
            "http.cache_ms",
            "http.connections",
        ];
        assert_eq!(keys(&users), expected.map(|key| format!("users.{key}")));
    }

    #[test]
    fn only_a_server_of_this_machine_is_asked_in_clear_without_a_word() {
        for (url, expected) in [
            ("http://idp.example/", true),
            ("http://192.0.2.1/", true),
            ("http://localhost:8080/", false),
            ("http://127.0.0.1/", false),
            ("http://[::1]:8080/", false),
            ("https://idp.example/", false),
            ("", false),
        ] {
            let http = Http { url: url.into(), ..Http::default() };
            assert_eq!(http.can_be_read_on_the_way(), expected, "{url}");
        }
    }
}
