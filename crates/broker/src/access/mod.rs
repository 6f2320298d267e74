//! Who may connect, publish and subscribe: the rules of `dockside-access` at work.
//!
//! A publish cannot be routed without a [`Permit`]. A reload makes a new policy; connections notice
//! by its generation and look at themselves again.

mod verifier;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use dockside_access::announced::Announced;
use dockside_access::policy::{Policy, Rights, is_serial_number};
use dockside_mqtt::packet::Connect;
use metrics::{Counter, counter};

pub(crate) use self::verifier::{Verifier, Wrong};
use crate::config::Config;
use crate::metrics::acl_check;

/// The right to publish on one topic, once.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    topic: &'a str,
}

impl<'a> Permit<'a> {
    pub(crate) fn topic(&self) -> &'a str {
        self.topic
    }
}

/// The rules say no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Denied;

/// Why a client cannot log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoLogin {
    /// It gave no user name, and that is not allowed.
    Anonymous,
    /// Its certificate has another user's name than it gave.
    AnotherName,
    /// What it gave is wrong.
    Wrong(Wrong),
}

/// A client that has logged in, or need not, and the rules it did that under.
#[derive(Debug)]
pub(crate) struct Login {
    user: Option<Arc<str>>,
    by_certificate: bool,
    generation: u64,
}

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
    /// Who signs it knows the user, the password file need not.
    by_certificate: bool,
    generation: u64,
}

impl Identity {
    /// The user it logged in as; what it only called itself does not count.
    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        self.rights.user()
    }

    /// Permits a publish. Only the broker speaks under `$SYS`.
    pub(crate) fn publish<'a>(&self, topic: &'a str) -> Result<Permit<'a>, Denied> {
        let system = topic.strip_prefix("$SYS");
        let system = system.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if system || !self.rights.may_publish(topic) {
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
    pub(crate) metrics: AccessMetrics,
}

impl Access {
    pub(crate) fn new(config: &Config, policy: Arc<Policy>) -> Self {
        Self {
            policy: RwLock::new(policy),
            generation: AtomicU64::new(0),
            announced: Arc::default(),
            allow_anonymous: config.mqtt.allow_anonymous,
            takes_certificates: config.takes_client_certificates(),
            verifier: Verifier::new(config.users.cache_ms),
            metrics: AccessMetrics::register(),
        }
    }

    /// Who a client is: the user of its certificate (`certified`), or that of its user name and
    /// password. The latter waits: for its turn after failed attempts, and for a worker that hashes the
    /// password.
    pub(crate) async fn log_in(
        &self,
        connect: &Connect<'_>,
        address: IpAddr,
        certified: Option<&Arc<str>>,
    ) -> Result<Login, NoLogin> {
        // Read before the policy: a client that came in under old rules looks at itself at once.
        let generation = self.generation.load(Ordering::Acquire);
        let user = match certified {
            Some(user) => Some(self.certified(connect, user)?),
            None => self.user(connect, address).await?,
        };
        Ok(Login { user, by_certificate: certified.is_some(), generation })
    }

    fn certified(&self, connect: &Connect<'_>, user: &Arc<str>) -> Result<Arc<str>, NoLogin> {
        if connect.username.is_some_and(|name| *name != **user) {
            self.metrics.certificate_fail.increment(1);
            return Err(NoLogin::AnotherName);
        }
        self.metrics.certificate_ok.increment(1);
        Ok(Arc::clone(user))
    }

    async fn user(
        &self,
        connect: &Connect<'_>,
        address: IpAddr,
    ) -> Result<Option<Arc<str>>, NoLogin> {
        let policy = self.policy();
        let Some(users) = policy.users() else { return Ok(None) };
        let Some(user) = connect.username else {
            return if self.allow_anonymous { Ok(None) } else { Err(NoLogin::Anonymous) };
        };
        let password = connect.password.unwrap_or_default();
        let found = self.verifier.verify(users, user, password, address).await;
        match &found {
            Ok(_) => self.metrics.login_ok.increment(1),
            Err(Wrong::Unverified) => self.metrics.login_error.increment(1),
            Err(_) => self.metrics.login_fail.increment(1),
        }
        found.map(Some).map_err(NoLogin::Wrong)
    }

    /// What a user, or nobody, may do as this client.
    pub(crate) fn restored(&self, user: Option<Arc<str>>, client_id: &Arc<str>) -> Identity {
        let generation = self.generation.load(Ordering::Acquire);
        // How a user came is not kept: where that may have been by certificate, its session stays.
        let by_certificate = user.is_some() && self.takes_certificates;
        self.identity(Login { user, by_certificate, generation }, client_id)
    }

    /// Who a client is under the rules of now.
    pub(crate) fn identity(&self, login: Login, client_id: &Arc<str>) -> Identity {
        let Login { user, by_certificate, generation } = login;
        let announced = Arc::clone(&self.announced);
        let rights = Rights::new(self.policy(), announced, user, Arc::clone(client_id));
        Identity { rights, by_certificate, generation }
    }

    /// Whether the rules are still those that this identity was made under.
    pub(crate) fn is_current(&self, identity: &Identity) -> bool {
        identity.generation == self.generation.load(Ordering::Acquire)
    }

    /// The same client under the rules of now.
    ///
    /// # Errors
    /// [`Denied`]: its user is gone, or it came without one and that is not allowed any more. A user
    /// that came by certificate need not be in the password file.
    pub(crate) fn renew(
        &self,
        identity: &Identity,
        client_id: &Arc<str>,
    ) -> Result<Identity, Denied> {
        let (user, by_certificate) = (identity.user().cloned(), identity.by_certificate);
        let generation = self.generation.load(Ordering::Acquire);
        let policy = self.policy();
        let stays = match (policy.users(), &user) {
            (None, _) => true,
            (Some(users), Some(user)) => by_certificate || users.contains(user),
            (Some(_), None) => self.allow_anonymous,
        };
        let login = Login { user, by_certificate, generation };
        if stays { Ok(self.identity(login, client_id)) } else { Err(Denied) }
    }

    /// A gateway says which aircraft are with it. Counts only from the user that owns the gateway,
    /// and only for serial numbers that are nobody's by configuration.
    pub(crate) fn announce(
        &self,
        user: &str,
        gateway: &str,
        aircraft: &[String],
    ) -> Option<Announcing> {
        let policy = self.policy();
        if !policy.owns(user, gateway) {
            return None;
        }
        let free = |sn: &&String| is_serial_number(sn) && !policy.is_owned(sn);
        let (free, owned): (Vec<_>, Vec<_>) = aircraft.iter().partition(free);
        let owned = owned.into_iter().filter(|sn| !policy.owns(user, sn));
        let outcome = self.announced_mut().announce(gateway, free.into_iter().map(String::as_str));
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
    }

    /// Whether there is somebody to log in now.
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
    login_ok: Counter,
    login_fail: Counter,
    login_error: Counter,
    certificate_ok: Counter,
    certificate_fail: Counter,
    pub(crate) subscribe_allowed: Counter,
    pub(crate) subscribe_denied: Counter,
}

impl AccessMetrics {
    fn register() -> Self {
        let login = |backend: &'static str, result: &'static str| counter!("dockside_auth_attempts_total", "backend" => backend, "result" => result);
        let password = |result| login("password_file", result);
        let certificate = |result| login("certificate", result);
        Self {
            login_ok: password("ok"),
            login_fail: password("fail"),
            login_error: password("error"),
            certificate_ok: certificate("ok"),
            certificate_fail: certificate("fail"),
            subscribe_allowed: acl_check("subscribe", "allow"),
            subscribe_denied: acl_check("subscribe", "deny"),
        }
    }
}
