//! A server that is asked whether a user may come in, over HTTP.
//!
//! It is asked on threads of their own, a few at a time. Whatever is not a clear yes is a no: what
//! cannot be asked, or does not answer in time, lets nobody in.

mod line;
mod remembered;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dockside_access::groups::Groups;
use dockside_access::throttle::TooMany;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout, time};

use self::line::Line;
use self::remembered::{Remembered, Tag};
use super::attempts::{Attempt, Attempts};
use crate::config::Http as Config;

/// How long a login waits for its turn: clients give up at about that time.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Bytes of an answer, and of its headers.
const BODY_BYTES: u64 = 4 << 10;
const HEADER_BYTES: usize = 16 << 10;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a [u8],
    pub(super) client_id: &'a str,
    pub(super) peer: SocketAddr,
}

/// What the server says, as far as it is understood.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Answer {
    Allow(Groups),
    Deny(NotAllowed),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotAllowed {
    /// The server says no.
    Denied,
    /// The server says something that is neither yes nor no.
    Unclear,
    /// There is no password that could be sent in JSON.
    NoText,
    /// Too many failed attempts; this one was not looked at.
    TooMany,
    /// Too many logins wait.
    Busy,
    /// There was no answer in time.
    Late,
    /// The server cannot be asked, or has a fault.
    Broken,
    /// The server sends on to another address, which is not followed.
    Redirected,
}

impl NotAllowed {
    /// Whether it could not be found out: the client may be right.
    pub(crate) fn is_unknown(self) -> bool {
        matches!(self, Self::Busy | Self::Late | Self::Broken | Self::Redirected)
    }
}

/// The way to the server, and what it said lately.
pub(super) struct Http {
    timeout: Duration,
    places: Arc<Semaphore>,
    line: Line,
    books: Arc<Books>,
}

/// What those who ask need, and where they write the answer.
struct Books {
    agent: Agent,
    url: Box<str>,
    /// As the log shows it.
    shown_url: Box<str>,
    attempts: Attempts,
    remembered: Remembered,
    /// Whether the log has been told that it cannot be asked.
    is_broken: AtomicBool,
}

impl Http {
    /// `ca_file` is the text of the file of that name.
    ///
    /// # Errors
    /// There is no certificate in it.
    pub(super) fn new(config: &Config, ca_file: Option<&str>) -> Result<Self, String> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let builder = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            // Passwords go to the address that is configured, whatever the environment says.
            .proxy(None)
            .user_agent(concat!("dockside/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(HEADER_BYTES)
            // A connection that the server has just closed would be a login that fails.
            .max_idle_connections(0);
        let builder = match ca_file {
            None => builder,
            Some(text) => builder.tls_config(tls(text)?).https_only(true),
        };
        let agent =
            Agent::with_parts(builder.build(), DefaultConnector::default(), InPlace::default());
        let books = Books {
            agent,
            url: config.url.as_str().into(),
            shown_url: config.shown_url().into(),
            attempts: Attempts::default(),
            remembered: Remembered::new(Duration::from_millis(config.cache_ms)),
            is_broken: AtomicBool::new(false),
        };
        Ok(Self {
            timeout,
            places: Arc::new(Semaphore::new(config.connections)),
            line: Line::default(),
            books: Arc::new(books),
        })
    }

    /// The groups that the server gives somebody whom it lets in.
    pub(super) async fn ask(&self, login: Login<'_>) -> Result<Groups, NotAllowed> {
        let password = std::str::from_utf8(login.password).map_err(|_| NotAllowed::NoText)?;
        let answer = match self.books.remembered.get(&login) {
            Some(answer) => answer,
            None => self.ask_server(login, password).await?,
        };
        match answer {
            Answer::Allow(groups) => Ok(groups),
            Answer::Deny(why) => Err(why),
        }
    }

    async fn ask_server(&self, login: Login<'_>, password: &str) -> Result<Answer, NotAllowed> {
        let address = login.peer.ip().to_canonical();
        let mut place = self.place(address).await?;
        // With the place in hand, so that many attempts at once gain nothing.
        let begun = self.books.attempts.begin(address, login.user);
        let (attempt, wait) = begun.map_err(|TooMany| NotAllowed::TooMany)?;
        if !wait.is_zero() {
            drop(place);
            tokio::time::sleep(wait).await;
            place = self.place(address).await?;
        }
        // Another connection of this client may have been first.
        if let Some(answer) = self.books.remembered.get(&login) {
            attempt.looked_at(matches!(answer, Answer::Allow(_)));
            return Ok(answer);
        }
        self.answer(login, password, (place, attempt)).await
    }

    /// A turn; who has to stand in line for it is one of a few, and not for long.
    async fn place(&self, address: IpAddr) -> Result<OwnedSemaphorePermit, NotAllowed> {
        let _in_line = self.line.enter(address).ok_or(NotAllowed::Busy)?;
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(LONGEST_WAIT, place).await {
            Ok(place) => place.map_err(|_| NotAllowed::Broken),
            Err(_) => Err(NotAllowed::Busy),
        }
    }

    /// The place is taken until the server has answered or its time is up, though the client may
    /// have gone meanwhile: its attempt counts all the same.
    async fn answer(
        &self,
        login: Login<'_>,
        password: &str,
        (place, attempt): (OwnedSemaphorePermit, Attempt<'_>),
    ) -> Result<Answer, NotAllowed> {
        let question = Question {
            username: login.user,
            password,
            clientid: login.client_id,
            peer: login.peer.to_string(),
        };
        let question = serde_json::to_vec(&question).map_err(|_| NotAllowed::Broken)?;
        let whose = Whose {
            address: login.peer.ip().to_canonical(),
            user: login.user.into(),
            tag: self.books.remembered.tag(&login),
        };
        attempt.hand_over();
        let books = Arc::clone(&self.books);
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            books.ask(&question, &whose)
        });
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotAllowed::Broken),
            Err(_) => Err(NotAllowed::Late),
        }
    }

    /// Forgets what is over; called now and then.
    pub(super) fn tidy(&self) {
        self.books.remembered.tidy();
    }
}

/// Whose attempt it is.
struct Whose {
    address: IpAddr,
    user: Box<str>,
    tag: Option<Tag>,
}

impl Books {
    fn ask(&self, question: &[u8], whose: &Whose) -> Result<Answer, NotAllowed> {
        let answer = post(&self.agent, &self.url, question);
        say(&self.is_broken, &self.shown_url, answer.as_ref().err());
        match &answer {
            Ok(answer) => {
                let right = matches!(answer, Answer::Allow(_));
                self.attempts.looked_at(whose.address, &whose.user, right);
                self.remembered.insert(whose.tag, answer.clone());
            }
            Err(_) => self.attempts.abandoned(whose.address, &whose.user),
        }
        answer.map_err(|fault| fault.why)
    }
}

#[derive(Serialize)]
struct Question<'a> {
    username: &'a str,
    password: &'a str,
    clientid: &'a str,
    peer: String,
}

#[derive(Deserialize)]
struct Reply {
    result: String,
    groups: Option<Value>,
}

/// Why the server could not be asked.
struct Fault {
    why: NotAllowed,
    detail: String,
}

impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Self {
        let why = match error {
            ureq::Error::Timeout(_) => NotAllowed::Late,
            _ => NotAllowed::Broken,
        };
        Self { why, detail: error.to_string() }
    }
}

fn post(agent: &Agent, url: &str, question: &[u8]) -> Result<Answer, Fault> {
    let request = agent.post(url).header("content-type", "application/json");
    let mut response = request.header("accept", "application/json").send(question)?;
    let status = response.status();
    if status.is_redirection() {
        let detail = format!("it answers with a redirection ({status})");
        return Err(Fault { why: NotAllowed::Redirected, detail });
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let detail = format!("it answers {status}");
        return Err(Fault { why: NotAllowed::Broken, detail });
    }
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Ok(Answer::Deny(NotAllowed::Denied));
        }
        _ => return Ok(Answer::Deny(NotAllowed::Unclear)),
    }
    match response.body_mut().with_config().limit(BODY_BYTES).read_to_vec() {
        Ok(body) => Ok(understand(&body)),
        Err(ureq::Error::BodyExceedsLimit(_)) => Ok(Answer::Deny(NotAllowed::Unclear)),
        Err(error) => Err(error.into()),
    }
}

fn understand(body: &[u8]) -> Answer {
    let unclear = Answer::Deny(NotAllowed::Unclear);
    let Ok(reply) = serde_json::from_slice::<Reply>(body) else { return unclear };
    match (&*reply.result, Groups::parse(reply.groups.as_ref())) {
        ("allow", Some(groups)) => Answer::Allow(groups),
        ("deny", _) => Answer::Deny(NotAllowed::Denied),
        _ => unclear,
    }
}

/// Tells the log when the server stops and begins to work, not every time that it does not.
fn say(is_broken: &AtomicBool, url: &str, fault: Option<&Fault>) {
    let was_broken = is_broken.swap(fault.is_some(), Ordering::Relaxed);
    match (was_broken, fault) {
        (false, Some(fault)) => {
            tracing::warn!("users.http.url {url}: nobody can be asked about: {}", fault.detail);
        }
        (true, None) => tracing::info!("users.http.url {url}: it answers again"),
        _ => {}
    }
}

fn tls(ca_file: &str) -> Result<TlsConfig, String> {
    let items = parse_pem(ca_file.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(error.to_string())),
    });
    let certificates: Vec<Certificate<'static>> = items.collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        return Err("holds no certificate (PEM)".to_owned());
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(certificates))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

/// Looks the server's name up in the thread that asks: the usual way has a thread for each look-up,
/// which outlives its question where names are looked up for long.
#[derive(Debug, Default)]
struct InPlace(DefaultResolver);

impl Resolver for InPlace {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let timeout = NextTimeout { after: time::Duration::NotHappening, ..timeout };
        self.0.resolve(uri, config, timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is not a clear yes is a no.
    #[test]
    fn only_one_answer_lets_in() {
        let allowed = |body: &str| matches!(understand(body.as_bytes()), Answer::Allow(_));
        assert!(allowed(r#"{"result":"allow"}"#));
        assert!(allowed(r#"{"result":"allow","groups":["applications"],"more":{}}"#));
        for body in [
            "",
            "allow",
            "null",
            "{}",
            "[]",
            r#""allow""#,
            r#"{"result":true}"#,
            r#"{"result":"ALLOW"}"#,
            r#"{"result":"ignore"}"#,
            r#"{"result":"deny"}"#,
            r#"{"result":"deny","groups":7}"#,
            r#"{"result":"allow","groups":7}"#,
            r#"{"result":"allow"}{"result":"allow"}"#,
            r#"{"result":"allow","result":"allow"}"#,
            "{\"result\":\"allow\"",
        ] {
            assert!(!allowed(body), "{body}");
        }
    }

    #[test]
    fn certificates_are_looked_at_at_start() {
        assert!(tls("").is_err());
        assert!(tls("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n").is_err());
    }
}
