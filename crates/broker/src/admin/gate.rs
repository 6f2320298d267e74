//! Who may look at this broker, and who may change something.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::{HeaderMap, Method, header};
use dockside_access::password_file::{PasswordFile, USER_BYTES_AT_MOST};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::page_sessions::PageSessions;
use super::token::Token;
use crate::access::{Verifier, Wrong};
use crate::config::Admin;
use crate::files::AdminKeys;

/// Logins that may wait for their turn at the same time. Each holds one of the listener's connections,
/// and those who look at metrics need some too.
const LOGINS: usize = 16;

/// Failed logins that are noted in a while; a year of them is fewer than the audit log keeps.
const NOTED_AT_MOST: u32 = 10;
const NOTED_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

/// The cookie of a login.
pub(super) const COOKIE: &str = "dockside_session";

/// What somebody may do; each may what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Look.
    Viewer,
    /// Change something.
    Operator,
}

impl Role {
    /// What a request needs.
    pub(super) fn for_method(method: &Method) -> Self {
        if is_reading(method) { Self::Viewer } else { Self::Operator }
    }
}

/// Whether a method changes nothing.
pub(super) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Who has sent a request; an extension of each that is let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Visitor {
    /// None: nobody has to log in, or it has the token.
    pub(super) user: Option<Arc<str>>,
    pub(super) role: Role,
}

/// Knows everybody.
pub(super) struct Gate {
    pub(super) hosts: Vec<String>,
    operators: Vec<String>,
    token: Option<Token>,
    users: Option<PasswordFile>,
    sessions: Mutex<PageSessions>,
    verifier: Verifier,
    logins: Semaphore,
    noted: Mutex<(Instant, u32)>,
}

impl Gate {
    pub(super) fn new(config: &Admin, keys: AdminKeys) -> Self {
        Self {
            hosts: config.hosts.clone(),
            operators: config.operators.clone(),
            token: keys.token.as_deref().map(Token::new),
            users: keys.users,
            sessions: Mutex::default(),
            // A session is what is remembered here.
            verifier: Verifier::one_at_a_time(),
            logins: Semaphore::new(LOGINS),
            noted: Mutex::new((Instant::now(), 0)),
        }
    }

    /// Whether a failed login is noted: strangers must not push everything else out of the audit log.
    pub(super) fn may_note_failure(&self) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.0.elapsed() >= NOTED_EVERY {
            *noted = (Instant::now(), 0);
        }
        noted.1 += 1;
        noted.1 <= NOTED_AT_MOST
    }

    /// Whether there is anything to log in with. Without it the listener is on loopback, and whoever
    /// is on this machine is an operator.
    pub(super) fn is_login_needed(&self) -> bool {
        self.token.is_some() || self.users.is_some()
    }

    pub(super) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// What to do about a request of somebody unknown.
    pub(super) fn remedy(&self) -> &'static str {
        match (&self.users, &self.token) {
            (Some(_), Some(_)) => {
                "this needs a login: POST /api/v1/login with a user of admin.password_file, or Authorization: Bearer TOKEN with the token of admin.token_file\n"
            }
            (Some(_), None) => {
                "this needs a login: POST /api/v1/login with a user of admin.password_file\n"
            }
            (None, _) => "this needs the token of admin.token_file: Authorization: Bearer TOKEN\n",
        }
    }

    /// Who has sent a request, if that is known.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        let has_token = self.token.as_ref().is_some_and(|token| token.is_in(headers));
        if has_token || !self.is_login_needed() {
            return Some(Visitor { user: None, role: Role::Operator });
        }
        let (now, sessions) = (Instant::now(), self.sessions());
        let user = keys(headers).find_map(|key| sessions.user(key, now))?;
        Some(self.known(Arc::clone(user)))
    }

    fn known(&self, user: Arc<str>) -> Visitor {
        let is_operator = self.operators.iter().any(|operator| **operator == *user);
        let role = if is_operator { Role::Operator } else { Role::Viewer };
        Visitor { user: Some(user), role }
    }

    /// Who this is by name and password. Waits: for its turn, and for the pause that failed attempts
    /// have earned.
    pub(super) async fn verify(
        &self,
        user: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<Visitor, Wrong> {
        let _place = self.logins.try_acquire().map_err(|_| Wrong::TooMany)?;
        // Names are remembered when they fail: none that could not be in the file.
        let users = self.users.as_ref().filter(|_| user.len() <= USER_BYTES_AT_MOST);
        let users = users.ok_or(Wrong::User)?;
        let found = self.verifier.verify(users, user, password.as_bytes(), address).await;
        self.verifier.tidy();
        found.map(|user| self.known(user))
    }

    /// Begins a session in place of the one that the browser may have had; the key, if the system
    /// has randomness.
    pub(super) fn begin(&self, user: Arc<str>, headers: &HeaderMap) -> Option<String> {
        let mut random = [0_u8; 32];
        SystemRandom::new().fill(&mut random).ok()?;
        let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        self.end(headers);
        self.sessions().add(&key, user, Instant::now());
        Some(key)
    }

    /// Ends the session that a request belongs to.
    pub(super) fn end(&self, headers: &HeaderMap) {
        let mut sessions = self.sessions();
        keys(headers).for_each(|key| sessions.remove(key));
    }

    fn sessions(&self) -> MutexGuard<'_, PageSessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of sessions in a request. Another server of this host may have set a cookie of the same name,
/// for it or for a path of it: the one that is known counts.
fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .take(KEYS_AT_MOST)
}

/// Cookies of that name that are looked at.
const KEYS_AT_MOST: usize = 4;

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    /// The password is `secret`.
    const HASH: &str = "$7$101$KwMJa8HXMfPcbAl8$71LaWTK3hXYiVQXuZz/xBX+6PsHsog4kBhxZiDwlkybJ01dwqiLSz6ahSgZ4wdSc1RFsi00ANpyjzfXkgibScw==";

    fn gate(token: Option<&str>, users: &[&str]) -> Gate {
        let lines: String = users.iter().map(|user| format!("{user}:{HASH}\n")).collect();
        let users = (!users.is_empty()).then(|| PasswordFile::parse(&lines).unwrap());
        let config = Admin { operators: vec!["pat".to_owned()], ..Admin::default() };
        Gate::new(&config, AdminKeys { token: token.map(str::to_owned), users })
    }

    fn header(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn on_loopback_without_anything_to_log_in_with_everybody_is_an_operator() {
        let anybody = Some(Visitor { user: None, role: Role::Operator });
        assert_eq!(gate(None, &[]).visitor(&HeaderMap::new()), anybody);
        assert_eq!(gate(None, &["pat"]).visitor(&HeaderMap::new()), None);
        assert_eq!(gate(Some("t"), &[]).visitor(&HeaderMap::new()), None);
    }

    #[test]
    fn the_token_is_an_operators_and_nothing_like_it_is() {
        let gate = gate(Some("0123456789abcdef"), &["pat"]);
        let visitor = |value| gate.visitor(&header(header::AUTHORIZATION, value));
        let operator = Some(Visitor { user: None, role: Role::Operator });
        assert_eq!(visitor("Bearer 0123456789abcdef"), operator);
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "0123456789abcdef", "Basic eDp5"] {
            assert_eq!(visitor(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sessions_have_keys_of_their_own_and_end() {
        let gate = gate(None, &["pat", "vic"]);
        let none = HeaderMap::new();
        let [pat, vic] = ["pat", "vic"].map(|user| gate.begin(user.into(), &none).unwrap());
        assert!(pat.len() == 64 && pat != vic, "256 bits");
        let cookie =
            |key: &str| header(header::COOKIE, &format!("a=b; {COOKIE}=x; {COOKIE}={key}"));
        let role = |key: &str| gate.visitor(&cookie(key)).map(|visitor| visitor.role);
        assert_eq!((role(&pat), role(&vic)), (Some(Role::Operator), Some(Role::Viewer)));
        assert_eq!(gate.visitor(&header(header::COOKIE, &format!("x{COOKIE}={pat}"))), None);
        let again = gate.begin("pat".into(), &cookie(&pat)).unwrap();
        assert_eq!(role(&pat), None, "a browser has one session");
        gate.end(&cookie(&again));
        assert_eq!((role(&again), role(&vic)), (None, Some(Role::Viewer)));
    }

    #[tokio::test]
    async fn names_and_passwords_are_looked_at() {
        let gate = gate(None, &["pat", "vic"]);
        let role = async |user, password| {
            gate.verify(user, password, HERE).await.map(|visitor| visitor.role)
        };
        assert_eq!(role("pat", "secret").await, Ok(Role::Operator));
        assert_eq!(role("vic", "secret").await, Ok(Role::Viewer));
        assert_eq!(role("pat", "Secret").await, Err(Wrong::Password));
        assert_eq!(role("nobody", "secret").await, Err(Wrong::User));
    }

    /// Who fails is remembered by name.
    #[tokio::test(start_paused = true)]
    async fn names_that_nobody_can_have_are_not_remembered() {
        let gate = gate(None, &["pat"]);
        let long = "x".repeat(USER_BYTES_AT_MOST + 1);
        let began = tokio::time::Instant::now();
        for _ in 0..12 {
            assert_eq!(gate.verify(&long, "secret", HERE).await, Err(Wrong::User));
        }
        assert_eq!(began.elapsed(), std::time::Duration::ZERO, "none of them waited");
    }

    #[test]
    fn strangers_cannot_fill_the_audit_log() {
        let gate = gate(None, &["pat"]);
        let noted = (0..1_000).filter(|_| gate.may_note_failure()).count();
        assert_eq!(noted, NOTED_AT_MOST as usize);
    }

    #[tokio::test]
    async fn logins_do_not_wait_without_number() {
        let gate = gate(None, &["pat"]);
        let places = gate.logins.try_acquire_many(LOGINS as u32).unwrap();
        let outcome = gate.verify("pat", "secret", HERE).await;
        assert_eq!(outcome, Err(Wrong::TooMany));
        drop(places);
        assert!(gate.verify("pat", "secret", HERE).await.is_ok());
    }
}
