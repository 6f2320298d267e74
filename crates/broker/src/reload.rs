//! New rules, users and certificates while the broker runs.

use std::sync::Arc;

use dockside_access::password_file::PasswordFile;

use crate::config::{Config, Problem};
use crate::listener::watched::{self, Watched};
use crate::shared::Shared;
use crate::{files, metrics};

/// Gives a running broker a new configuration.
#[derive(Clone)]
pub struct Reloader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) watched: Vec<Arc<dyn Watched>>,
}

/// What came of a reload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reloaded {
    /// What could not be taken over; what was there before stays.
    pub problems: Vec<Problem>,
    /// Users there are now.
    pub users: usize,
    /// Tables and keys that differ and are only read at the next start.
    pub need_restart: Vec<&'static str>,
}

impl Reloader {
    /// Takes over users, rules and certificates; each is either all new or all as before.
    /// Connections stay: those whose user is gone are closed, and subscriptions that are not allowed
    /// any more end. Reads files: call it where that may take its time.
    #[must_use]
    pub fn reload(&self, config: &Config) -> Reloaded {
        let mut reloaded = Reloaded::default();
        // Tokens, servers and listeners are those of the start, whatever is configured now.
        match files::policy(config, self.shared.access.has_others()) {
            // Listeners that the network reaches are open, and nobody would have to log in.
            Ok(policy) if policy.users().is_none() && self.shared.access.asks_for_login() => {
                let remedy = "is gone from the configuration, and a broker that runs with users is not opened to everybody; restart it if that is meant";
                reloaded.problems.push(Problem::new("users.password_file", remedy));
            }
            // Half a file, or a slip: it would end every connection.
            Ok(policy)
                if policy.users().is_some_and(PasswordFile::is_empty)
                    && !config.users.password_file.as_os_str().is_empty()
                    && self.shared.access.has_users() =>
            {
                let remedy = format!(
                    "{} holds no user; a broker that runs with users keeps them until it does",
                    config.users.password_file.display()
                );
                reloaded.problems.push(Problem::new("users.password_file", remedy));
            }
            Ok(policy) => {
                reloaded.users = policy.users().map_or(0, PasswordFile::len);
                self.shared.access.replace(policy);
                self.shared.registry.wake_all();
                self.shared.sessions.review(&self.shared, None);
            }
            Err(problems) => reloaded.problems = problems,
        }
        // Every one is read again, whatever came of the one before.
        let good = self.watched.iter().filter(|watched| watched::reload(&***watched)).count();
        let certificates_are_good = good == self.watched.len();
        reloaded.need_restart = self.shared.config.need_restart(config);
        let is_good = reloaded.problems.is_empty() && certificates_are_good;
        metrics::reloaded(is_good);
        self.shared.audit("reload", (None, None), if is_good { "done" } else { "failed" });
        reloaded
    }

    /// The new configuration could not even be read: everything stays as it was.
    pub fn failed(&self) {
        metrics::reloaded(false);
        self.shared.audit("reload", (None, None), "failed");
    }
}
