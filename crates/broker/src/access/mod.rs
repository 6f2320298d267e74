//! Who may connect, publish and subscribe: the rules of `dockside-access` at work.
//!
//! A publish cannot be routed without a [`Permit`]. A reload makes a new policy; connections notice
//! by its generation and look at themselves again.

mod attempts;
mod http;
mod login;
mod verifier;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use dockside_access::announced::Announced;
use dockside_access::policy::{Policy, Rights, is_serial_number};
use dockside_mqtt::packet::Connect;
use metrics::{Counter, counter};

pub(crate) use self::http::NotAllowed;
use self::login::Origin;
pub(crate) use self::login::{Elsewhere, Login, NoLogin, NoToken};
pub(crate) use self::verifier::{Verifier, Wrong};
use crate::board::{alerts, changes};
use crate::config::Config;
use crate::metrics::acl_check;

/// The right to publish on one topic, once.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    topic: &'a str,
}

impl<'a> Permit<'a> {
    /// For an operator, who may speak wherever not only the broker does.
    pub(crate) fn for_operator(topic: &'a str) -> Result<Self, Denied> {
        if is_the_brokers(topic) { Err(Denied) } else { Ok(Self { topic }) }
    }

    pub(crate) fn topic(&self) -> &'a str {
        self.topic
    }
}

/// Whether only the broker speaks there: under `$SYS`, and where it tells of the site.
pub(crate) fn is_the_brokers(topic: &str) -> bool {
    let is_of = |top| {
        let rest = topic.strip_prefix(top);
        rest.is_some_and(|rest: &str| rest.is_empty() || rest.starts_with('/'))
    };
    is_of("$SYS") || topic == alerts::TOPIC || is_of(changes::FLIGHT_TASKS)
}

/// The rules say no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Denied;

/// What became of an announcement.
#[derive(Debug)]
pub(crate) struct Announcing {
    /// Serial numbers that are another user's by configuration: they do not count.
    pub(crate) owned: Vec<String>,
    /// Aircraft that another gateway has announced before, and that gateway.
    pub(crate) waiting: Vec<(Box<str>, Box<str>)>,
    /// Whether the gateway has lost an aircraft.
    pub(crate) lost: bool,
}

/// Who a connection is, and what it may do.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    rights: Rights,
    origin: Origin,
    ends_ms: u64,
    generation: u64,
}

impl Identity {
    /// The user it logged in as; what it only called itself does not count.
    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        self.rights.user()
    }

    /// When it is over, milliseconds since 1970; never if it has no end.
    pub(crate) fn ends_ms(&self) -> u64 {
        self.ends_ms
    }

    /// Whether all its groups are known, and so what it may do: those of a token or a server are not
    /// kept, and a client has to log in before it gets anything.
    pub(crate) fn is_known(&self) -> bool {
        self.origin != Origin::Forgotten
    }

    /// Permits a publish. Only the broker speaks under `$SYS`.
    pub(crate) fn publish<'a>(&self, topic: &'a str) -> Result<Permit<'a>, Denied> {
        if is_the_brokers(topic) || !self.rights.may_publish(topic) {
            return Err(Denied);
        }
        Ok(Permit { topic })
    }

    /// Whether it may subscribe to a filter (without `$share/name/`).
    pub(crate) fn subscribe(&self, filter: &str) -> Result<(), Denied> {
        self.rights.may_subscribe(filter).then_some(()).ok_or(Denied)
    }
}

/// The rules in force.
pub(crate) struct Access {
    policy: RwLock<Arc<Policy>>,
    generation: AtomicU64,
    announced: Arc<RwLock<Announced>>,
    allow_anonymous: bool,
    takes_certificates: bool,
    verifier: Verifier,
    elsewhere: Elsewhere,
    pub(crate) metrics: AccessMetrics,
}

impl Access {
    pub(crate) fn new(config: &Config, policy: Arc<Policy>, elsewhere: Elsewhere) -> Self {
        Self {
            policy: RwLock::new(policy),
            generation: AtomicU64::new(0),
            announced: Arc::default(),
            allow_anonymous: config.mqtt.allow_anonymous,
            takes_certificates: config.takes_client_certificates(),
            verifier: Verifier::new(config.users.cache_ms),
            elsewhere,
            metrics: AccessMetrics::register(),
        }
    }

    /// Who a client is, `now_ms` (milliseconds since 1970): the user of its certificate
    /// (`certified`), or that of its user name and password. The latter waits: for its turn after
    /// failed attempts, and for a worker that hashes the password, or a server.
    pub(crate) async fn log_in(
        &self,
        connect: &Connect<'_>,
        peer: SocketAddr,
        certified: Option<&Arc<str>>,
        now_ms: u64,
    ) -> Result<Login, NoLogin> {
        // Read before the policy: a client that came in under old rules looks at itself at once.
        let generation = self.generation.load(Ordering::Acquire);
        let login = match certified {
            Some(user) => self.certified(connect, user)?,
            None => self.who(connect, peer, now_ms).await?,
        };
        let is_no_aircraft = login.origin != Origin::File && self.is_no_aircraft(&login);
        if is_no_aircraft {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Login { generation, is_no_aircraft, ..login })
    }

    /// What a user, or nobody, may do as this client, as far as that is known after a restart.
    pub(crate) fn restored(&self, user: Option<Arc<str>>, client_id: &Arc<str>) -> Identity {
        let generation = self.generation.load(Ordering::Acquire);
        let policy = self.policy();
        let is_in_file = |user: &Arc<str>| policy.users().is_none_or(|users| users.contains(user));
        let origin = match &user {
            None => Origin::File,
            Some(user) if is_in_file(user) || !self.elsewhere.exists() => self.origin_of_known(),
            Some(_) => Origin::Forgotten,
        };
        let login = Login { generation, origin, ..Login::of(user) };
        if origin != Origin::File {
            self.is_no_aircraft(&login);
        }
        self.identity(login, client_id)
    }

    /// Where a user is known from that was here before, and whose groups are all known. How it came is
    /// not kept: where that may have been by certificate, its session stays.
    fn origin_of_known(&self) -> Origin {
        if self.takes_certificates { Origin::Certificate } else { Origin::File }
    }

    /// A user that no configuration names may have a serial number for its name: from now on it is
    /// nobody's aircraft. Whether it was.
    fn is_no_aircraft(&self, login: &Login) -> bool {
        let Some(user) = &login.user else { return false };
        let policy = self.policy();
        let is_gateway = is_serial_number(user) && policy.owns(user, &login.groups, user);
        is_gateway && !policy.is_owned(user) && self.announced_mut().logged_in(user)
    }

    /// Who a client is under the rules of now.
    pub(crate) fn identity(&self, login: Login, client_id: &Arc<str>) -> Identity {
        let Login { user, groups, origin, ends_ms, generation, .. } = login;
        let announced = Arc::clone(&self.announced);
        let whom = (user, groups);
        let rights = Rights::new(self.policy(), announced, whom, Arc::clone(client_id));
        Identity { rights, origin, ends_ms, generation }
    }

    /// Whether the rules are still those that this identity was made under.
    pub(crate) fn is_current(&self, identity: &Identity) -> bool {
        identity.generation == self.generation.load(Ordering::Acquire)
    }

    /// The same client under the rules of now.
    ///
    /// # Errors
    /// [`Denied`]: its user is gone, or it came without one and that is not allowed any more. A user
    /// that came by certificate, token or server need not be in the password file.
    pub(crate) fn renew(
        &self,
        identity: &Identity,
        client_id: &Arc<str>,
    ) -> Result<Identity, Denied> {
        let user = identity.user().cloned();
        let generation = self.generation.load(Ordering::Acquire);
        let policy = self.policy();
        let is_in_file = |user| policy.users().is_some_and(|users| users.contains(user));
        let is_in_file = user.as_deref().is_some_and(is_in_file);
        let stays = match (policy.users(), &user) {
            (None, _) => true,
            (Some(_), Some(_)) => is_in_file || identity.origin != Origin::File,
            (Some(_), None) => self.allow_anonymous,
        };
        let origin = match identity.origin {
            Origin::Forgotten if is_in_file => self.origin_of_known(),
            origin => origin,
        };
        let (groups, ends_ms) = (identity.rights.groups().clone(), identity.ends_ms);
        let login = Login { groups, origin, ends_ms, generation, ..Login::of(user) };
        if stays { Ok(self.identity(login, client_id)) } else { Err(Denied) }
    }

    /// A gateway says which aircraft are with it. Counts only from the user that owns the gateway,
    /// and only for serial numbers that are nobody's by configuration.
    pub(crate) fn announce(
        &self,
        identity: &Identity,
        gateway: &str,
        aircraft: &[String],
    ) -> Option<Announcing> {
        let policy = self.policy();
        let owns = |sn: &str| {
            let user = identity.user();
            user.is_some_and(|user| policy.owns(user, identity.rights.groups(), sn))
        };
        if !owns(gateway) {
            return None;
        }
        let mut announced = self.announced_mut();
        let free =
            |sn: &&String| is_serial_number(sn) && !policy.is_owned(sn) && !announced.is_own(sn);
        let (free, owned): (Vec<_>, Vec<_>) = aircraft.iter().partition(free);
        let owned = owned.into_iter().filter(|sn| !owns(sn));
        let outcome = announced.announce(gateway, free.into_iter().map(String::as_str));
        Some(Announcing {
            owned: owned.cloned().collect(),
            waiting: outcome.waiting,
            lost: outcome.lost,
        })
    }

    fn announced_mut(&self) -> RwLockWriteGuard<'_, Announced> {
        self.announced.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what logins have taken; called now and then.
    pub(crate) fn tidy(&self) {
        self.verifier.tidy();
        self.elsewhere.tidy();
    }

    /// Whether there may be users that are in no file, until the next start.
    pub(crate) fn has_others(&self) -> bool {
        self.elsewhere.exists() || self.takes_certificates
    }

    /// Whether there is somebody in the password file now.
    pub(crate) fn has_users(&self) -> bool {
        self.policy().users().is_some_and(|users| !users.is_empty())
    }

    /// Whether clients have to log in now, though nobody may be there who could.
    pub(crate) fn asks_for_login(&self) -> bool {
        self.policy().users().is_some()
    }

    /// Puts new rules in force.
    pub(crate) fn replace(&self, policy: Policy) {
        self.verifier.forget_all_but(policy.users());
        self.announced_mut().retain(|gateway| policy.is_owned(gateway));
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counters of access; publishes are counted by connections.
pub(crate) struct AccessMetrics {
    file: LoginMetrics,
    jwt: LoginMetrics,
    http: LoginMetrics,
    certificate: LoginMetrics,
    pub(crate) subscribe_allowed: Counter,
    pub(crate) subscribe_denied: Counter,
}

/// Logins of one kind.
struct LoginMetrics {
    ok: Counter,
    fail: Counter,
    error: Counter,
}

impl AccessMetrics {
    fn register() -> Self {
        Self {
            file: LoginMetrics::of("password_file"),
            jwt: LoginMetrics::of("jwt"),
            http: LoginMetrics::of("http"),
            certificate: LoginMetrics::of("certificate"),
            subscribe_allowed: acl_check("subscribe", "allow"),
            subscribe_denied: acl_check("subscribe", "deny"),
        }
    }
}

impl LoginMetrics {
    fn of(backend: &'static str) -> Self {
        let login = |result: &'static str| counter!("dockside_auth_attempts_total", "backend" => backend, "result" => result);
        Self { ok: login("ok"), fail: login("fail"), error: login("error") }
    }

    /// An error is a login of which it could not be found out whether it is right.
    fn count(&self, is_right: bool, is_error: bool) {
        let counter = match (is_right, is_error) {
            (true, _) => &self.ok,
            (false, true) => &self.error,
            (false, false) => &self.fail,
        };
        counter.increment(1);
    }
}
