//! Who a client is: by its certificate, by the password file, by a token, or by a server that is
//! asked.
//!
//! Who has shown a certificate is its user. A name that is in the password file is decided there and nowhere else. Otherwise a password that
//! looks like a token is one, if there are tokens; and whoever is left is asked about, if a server is.

use std::net::SocketAddr;
use std::sync::Arc;

use dockside_access::groups::Groups;
use dockside_access::jwt::{self, Demands, Refused, Tokens};
use dockside_access::password_file::{PasswordFile, is_name};
use dockside_mqtt::packet::Connect;

use super::Access;
use super::http::{self, Http, NotAllowed};
use super::verifier::Wrong;
use crate::config::{Jwt, Problem, Users};
use crate::files::{read_secret, read_text};

/// A key file, or one of certificates, that is larger is none.
const KEY_FILE_BYTES: u64 = 4 << 20;

/// What ends never, milliseconds since 1970.
const NEVER: u64 = u64::MAX;

/// Why a client cannot log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoLogin {
    /// It gave no user name, and that is not allowed.
    Anonymous,
    /// Its certificate has another user's name than it gave.
    AnotherName,
    /// What it gave is wrong.
    Wrong(Wrong),
    /// Its token is not believed.
    Token(NoToken),
    /// The server does not let it in.
    Http(NotAllowed),
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoToken {
    /// It is not to be believed.
    Refused(Refused),
    /// The user name is not that of the token.
    OtherName,
    /// Its user is in the password file.
    InFile,
}

/// Where a user is known from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The password file; or it is nobody.
    File,
    /// A token, or a server.
    Elsewhere,
    /// A certificate: who signs it knows the user, the password file need not.
    Certificate,
    /// It is in no file, and where it was known from is not known after a restart.
    Forgotten,
}

/// A client that has logged in, or need not, and the rules it did that under.
#[derive(Debug)]
pub(crate) struct Login {
    pub(super) user: Option<Arc<str>>,
    pub(super) groups: Groups,
    pub(super) origin: Origin,
    pub(super) ends_ms: u64,
    pub(super) generation: u64,
    /// Its serial number had been announced as somebody's aircraft, which does not count any more.
    pub(crate) is_no_aircraft: bool,
}

impl Login {
    /// Of a user of the password file, or of nobody.
    pub(super) fn of(user: Option<Arc<str>>) -> Self {
        let (groups, origin) = (Groups::default(), Origin::File);
        Self { user, groups, origin, ends_ms: NEVER, generation: 0, is_no_aircraft: false }
    }

    fn elsewhere(user: Arc<str>, groups: Groups, ends_ms: u64) -> Self {
        Self { groups, origin: Origin::Elsewhere, ends_ms, ..Self::of(Some(user)) }
    }
}

/// Users that are in no file.
#[derive(Default)]
pub(crate) struct Elsewhere {
    tokens: Option<Tokens>,
    http: Option<Http>,
}

impl Elsewhere {
    /// Reads the files that the configuration of tokens and server names.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn read(config: &Users) -> Result<Self, Vec<Problem>> {
        let tokens = tokens(&config.jwt);
        let http = server(&config.http);
        match (tokens, http) {
            (Ok(tokens), Ok(http)) => Ok(Self { tokens, http }),
            (tokens, http) => Err(tokens.err().into_iter().chain(http.err()).collect()),
        }
    }

    /// Whether there may be any.
    pub(crate) fn exists(&self) -> bool {
        self.tokens.is_some() || self.http.is_some()
    }

    pub(super) fn tidy(&self) {
        self.http.iter().for_each(Http::tidy);
    }
}

fn tokens(config: &Jwt) -> Result<Option<Tokens>, Problem> {
    if !config.is_on() {
        return Ok(None);
    }
    let file = &config.key_file;
    let wrong = |detail: String| Problem::new("users.jwt.key_file", detail);
    let is_secret = config.algorithm == jwt::Algorithm::Hs256;
    let read = if is_secret { read_secret } else { read_text };
    let text = read(file, KEY_FILE_BYTES).map_err(wrong)?;
    let demands = Demands {
        algorithm: config.algorithm,
        user_claim: config.user_claim.clone(),
        groups_claim: config.groups_claim.clone(),
        issuer: config.issuer.clone(),
        audience: config.audience.clone(),
        leeway_s: config.leeway_s,
    };
    let tokens = Tokens::new(demands, &text);
    tokens.map(Some).map_err(|detail| wrong(format!("{}: {detail}", file.display())))
}

fn server(config: &crate::config::Http) -> Result<Option<Http>, Problem> {
    if !config.is_on() {
        return Ok(None);
    }
    let file = &config.ca_file;
    let wrong = |detail: String| Problem::new("users.http.ca_file", detail);
    let text = match file.as_os_str().is_empty() {
        true => None,
        false => Some(read_text(file, KEY_FILE_BYTES).map_err(wrong)?),
    };
    let http = Http::new(config, text.as_deref());
    http.map(Some).map_err(|detail| wrong(format!("{}: {detail}", file.display())))
}

impl Access {
    /// Who a client is whose certificate is this user's: it needs no password.
    pub(super) fn certified(
        &self,
        connect: &Connect<'_>,
        user: &Arc<str>,
    ) -> Result<Login, NoLogin> {
        let is_its_own = connect.username.is_none_or(|name| *name == **user);
        self.metrics.certificate.count(is_its_own, false);
        if !is_its_own {
            return Err(NoLogin::AnotherName);
        }
        Ok(Login { origin: Origin::Certificate, ..Login::of(Some(Arc::clone(user))) })
    }

    /// Who a client is by what its CONNECT says, `now_ms` (milliseconds since 1970).
    pub(super) async fn who(
        &self,
        connect: &Connect<'_>,
        peer: SocketAddr,
        now_ms: u64,
    ) -> Result<Login, NoLogin> {
        let policy = self.policy();
        let Some(users) = policy.users() else { return Ok(Login::of(None)) };
        let password = connect.password.unwrap_or_default();
        let is_in_file = connect.username.is_some_and(|user| users.contains(user));
        if let Some(tokens) = &self.elsewhere.tokens
            && !is_in_file
            && jwt::looks_like_one(password)
        {
            let login = by_token(tokens, users, connect.username, (password, now_ms));
            self.metrics.jwt.count(login.is_ok(), false);
            return login.map_err(NoLogin::Token);
        }
        let Some(user) = connect.username else {
            return if self.allow_anonymous {
                Ok(Login::of(None))
            } else {
                Err(NoLogin::Anonymous)
            };
        };
        // Nobody's name is like that, and what remembers failures would hold it.
        if !user.is_empty() && !is_name(user) {
            self.metrics.file.count(false, false);
            return Err(NoLogin::Wrong(Wrong::User));
        }
        if let Some(http) = &self.elsewhere.http
            && !is_in_file
            && !user.is_empty()
            && !password.is_empty()
        {
            let login = http::Login { user, password, client_id: connect.client_id, peer };
            let groups = http.ask(login).await;
            let is_unknown = groups.as_ref().is_err_and(|why| why.is_unknown());
            self.metrics.http.count(groups.is_ok(), is_unknown);
            let login = |groups| Login::elsewhere(user.into(), groups, NEVER);
            return groups.map(login).map_err(NoLogin::Http);
        }
        let address = peer.ip().to_canonical();
        let found = self.verifier.verify(users, user, password, address).await;
        self.metrics.file.count(found.is_ok(), found == Err(Wrong::Unverified));
        found.map(|user| Login::of(Some(user))).map_err(NoLogin::Wrong)
    }
}

fn by_token(
    tokens: &Tokens,
    users: &PasswordFile,
    name: Option<&str>,
    (token, now_ms): (&[u8], u64),
) -> Result<Login, NoToken> {
    let claims = tokens.check(token, now_ms).map_err(NoToken::Refused)?;
    if name.is_some_and(|name| !name.is_empty() && *name != *claims.user) {
        return Err(NoToken::OtherName);
    }
    if users.contains(&claims.user) {
        return Err(NoToken::InFile);
    }
    Ok(Login::elsewhere(claims.user, claims.groups, claims.ends_ms))
}
