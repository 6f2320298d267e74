//! The files that the configuration names, read and checked before anything depends on them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use dockside_access::password_file::PasswordFile;
use dockside_access::policy::Policy;

use crate::access::Elsewhere;
use crate::config::{Algorithm, Config, Listener, Problem};
use crate::listener::Sockets;
use crate::listener::authorities::Authorities;
use crate::listener::tls::{Certificates, Pair};

/// A password file larger than this is no password file.
const PASSWORD_FILE_BYTES: u64 = 64 << 20;

/// What the files say.
pub(crate) struct Files {
    pub(crate) policy: Arc<Policy>,
    pub(crate) elsewhere: Elsewhere,
    /// Certificates of the listeners, and who signs their clients'; none for those without TLS.
    pub(crate) certificates: Vec<Option<Certificates>>,
    pub(crate) admin: AdminKeys,
}

/// What people and programs log in with at the admin listener.
pub(crate) struct AdminKeys {
    pub(crate) token: Option<String>,
    pub(crate) users: Option<PasswordFile>,
}

impl Files {
    /// Reads them all.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub(crate) fn read(config: &Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut keep = |found: Vec<Problem>| problems.extend(found);
        let policy = policy(config, config.has_others()).map_err(&mut keep).ok();
        let elsewhere = Elsewhere::read(&config.users).map_err(&mut keep).ok();
        let token = config.admin_token().map_err(|problem| keep(vec![problem])).ok();
        let users = admin_users(config).map_err(&mut keep).ok();
        let mut certificates = Vec::new();
        for (at, listener) in config.listeners.iter().enumerate() {
            if !listener.transport.is_encrypted() {
                certificates.push(None);
                continue;
            }
            match certificates_of(at, listener) {
                Ok(found) => certificates.push(Some(found)),
                Err(problems) => keep(problems),
            }
        }
        match (policy, elsewhere, token, users) {
            (Some(policy), Some(elsewhere), Some(token), Some(users)) if problems.is_empty() => {
                let (policy, admin) = (Arc::new(policy), AdminKeys { token, users });
                Ok(Self { policy, elsewhere, certificates, admin })
            }
            _ => Err(problems),
        }
    }
}

fn certificates_of(at: usize, listener: &Listener) -> Result<Certificates, Vec<Problem>> {
    let named = |name: &str, detail| Problem::new(format!("listeners[{at}].{name}"), detail);
    let own = Pair::read(&listener.certificate, &listener.key)
        .map_err(|error| named(error.whose.as_str(), error.detail));
    let clients = Authorities::read(listener).map_err(|error| named(error.key, error.detail));
    match (own, clients) {
        (Ok(own), Ok(clients)) => {
            Ok(Certificates { own: Arc::new(own), clients: clients.map(Arc::new) })
        }
        (own, clients) => Err(own.err().into_iter().chain(clients.err()).collect()),
    }
}

impl Config {
    /// Everything that is wrong with the files that the configuration names, and with the rules of
    /// access that depend on them.
    #[must_use]
    pub fn file_problems(&self) -> Vec<Problem> {
        Files::read(self).err().unwrap_or_default()
    }

    /// What is risky on this machine: secrets that everybody can read, and fewer descriptors than clients need. A
    /// broker says so itself when it reads and binds.
    #[must_use]
    pub fn machine_risks(&self) -> Vec<Problem> {
        let key = |(at, listener): (usize, &Listener)| {
            (format!("listeners[{at}].key"), listener.key.clone())
        };
        let named = [
            ("users.password_file", &self.users.password_file),
            ("users.jwt.key_file", &self.users.jwt.key_file),
            ("admin.token_file", &self.admin.token_file),
            ("admin.password_file", &self.admin.password_file),
        ];
        let named = named.map(|(key, file)| (key.to_owned(), file.clone()));
        // The public half of a key is no secret.
        let is_public = self.users.jwt.algorithm != Algorithm::Hs256;
        named
            .into_iter()
            .filter(|(key, _)| !(is_public && key == "users.jwt.key_file"))
            .chain(self.listeners.iter().enumerate().map(key))
            .filter_map(|(key, file)| Some(Problem::new(key, open_to_all(&file)?)))
            .chain(Sockets::shortage(&self.limits))
            .collect()
    }

    /// The token of `admin.token_file`; none if there is no such file configured.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub fn admin_token(&self) -> Result<Option<String>, Problem> {
        let file = &self.admin.token_file;
        if file.as_os_str().is_empty() {
            return Ok(None);
        }
        let wrong = |detail: String| Problem::new("admin.token_file", detail);
        let text = read_secret(file, 4_096).map_err(wrong)?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.len() < TOKEN_CHARACTERS || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = format!(
                "{}: the first line must be a token of 16 or more visible ASCII characters; make one with `openssl rand -hex 32`",
                file.display()
            );
            return Err(wrong(detail));
        }
        Ok(Some(token.to_owned()))
    }
}

/// Shorter tokens can be guessed.
const TOKEN_CHARACTERS: usize = 16;

/// The password file and the rules. With users that are in no file clients have to log in, though
/// none may be in it.
pub(crate) fn policy(config: &Config, has_others: bool) -> Result<Policy, Vec<Problem>> {
    let users = password_file("users.password_file", &config.users.password_file)?;
    let users = users.or_else(|| has_others.then(PasswordFile::default));
    Policy::new(&config.access, users).map_err(|problems| {
        let named = |p: dockside_access::policy::Problem| {
            Problem::new(format!("access.{}", p.key), p.remedy)
        };
        problems.into_iter().map(named).collect()
    })
}

/// The users of the admin listener.
fn admin_users(config: &Config) -> Result<Option<PasswordFile>, Vec<Problem>> {
    let key = "admin.password_file";
    let file = &config.admin.password_file;
    let Some(users) = password_file(key, file)? else { return Ok(None) };
    let name = file.display();
    if users.is_empty() {
        let detail = format!(
            "{name} holds no user, and nobody could log in; `dockside passwd {name} USER` adds one"
        );
        return Err(vec![Problem::new(key, detail)]);
    }
    let strangers = config.admin.operators.iter().filter(|operator| !users.contains(operator));
    let problem = |operator: &String| {
        let detail = format!(
            "{operator:?} is no user of {name} (admin.password_file); `dockside passwd` adds it, or leave it out"
        );
        Problem::new("admin.operators", detail)
    };
    let problems: Vec<_> = strangers.map(problem).collect();
    if problems.is_empty() { Ok(Some(users)) } else { Err(problems) }
}

/// The users of a password file, if there is one configured.
fn password_file(key: &str, file: &Path) -> Result<Option<PasswordFile>, Vec<Problem>> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let text =
        read_secret(file, PASSWORD_FILE_BYTES).map_err(|detail| vec![Problem::new(key, detail)])?;
    let users = PasswordFile::parse(&text).map_err(|invalid| {
        let line = |i: dockside_access::password_file::Invalid| {
            Problem::new(key, format!("{} line {}: {}", file.display(), i.line, i.detail))
        };
        invalid.into_iter().map(line).collect::<Vec<_>>()
    })?;
    Ok(Some(users))
}

/// Reads a file that nobody else should; says so in the log if others can.
pub(crate) fn read_secret(file: &Path, bytes_at_most: u64) -> Result<String, String> {
    let text = read_text(file, bytes_at_most)?;
    if let Some(risk) = open_to_all(file) {
        tracing::warn!("{risk}");
    }
    Ok(text)
}

fn open_to_all(file: &Path) -> Option<String> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    let name = file.display();
    (mode & 0o007 != 0).then(|| {
        format!("{name} can be read or written by every user of this machine; chmod o= it")
    })
}

/// Reads a file that everybody may.
pub(crate) fn read_text(file: &Path, bytes_at_most: u64) -> Result<String, String> {
    let name = file.display();
    let metadata = fs::metadata(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
    if metadata.len() > bytes_at_most {
        return Err(format!("{name} is larger than {bytes_at_most} bytes"));
    }
    fs::read_to_string(file).map_err(|error| format!("{name} cannot be read: {error}"))
}
