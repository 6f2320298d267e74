//! A broker with users, and what it needs of files.

use std::fs;
use std::path::PathBuf;

use dockside::config::Config;
use dockside_mqtt::packet::Connect;
use dockside_mqtt::{ReasonCode, Version};
use tempfile::TempDir;

use crate::peer::{Peer, TestBroker, connect};

/// The password of every user.
pub(crate) const PASSWORD: &str = "secret";

/// [`PASSWORD`] as an old mosquitto stored it: cheap to verify.
const HASH: &str = "$6$e1rh9bYiIuX2nEh6$9/84GMMHfI5HH4Y820zkkg64ZjOCXuqTyEIGGMqd7figAXgOgKYpeDYbEOkD6q7/obbCzXUcZb5d1QLb4ftv7w==";

/// A broker whose users are in a file of its own.
pub(crate) struct Site {
    pub(crate) broker: TestBroker,
    pub(crate) config: Config,
    dir: TempDir,
}

impl Site {
    /// With the preset `dji`.
    pub(crate) async fn start(users: &[&str]) -> Self {
        Self::start_with(users, "", |_| {}).await
    }

    /// With this text as `[access]`, and other changes.
    pub(crate) async fn start_with(
        users: &[&str],
        access: &str,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.users.password_file = dir.path().join("users");
        config.access = toml::from_str(access).unwrap();
        change(&mut config);
        write_users(&dir.path().join("users"), users);
        let broker = TestBroker::start_with(|c| c.clone_from(&config)).await;
        Self { broker, config, dir }
    }

    pub(crate) fn users_file(&self) -> PathBuf {
        self.dir.path().join("users")
    }

    pub(crate) fn set_users(&self, users: &[&str]) {
        write_users(&self.users_file(), users);
    }

    /// Takes over what the files and `access` say now.
    pub(crate) fn reload(&mut self, access: &str) {
        self.config.access = toml::from_str(access).unwrap();
        let reloaded = self.broker.reloader.reload(&self.config.broker());
        assert_eq!(reloaded.problems, []);
    }

    /// Logs a user in; its client identifier is its name and `suffix`.
    pub(crate) async fn log_in(&self, version: Version, user: &str, suffix: &str) -> Peer {
        let client_id = format!("{user}{suffix}");
        let asks = Connect { client_id: &client_id, ..login(version, user, PASSWORD) };
        let (peer, reason) = self.try_connect(asks).await;
        assert_eq!(reason, ReasonCode::Success);
        peer
    }

    pub(crate) async fn try_connect(&self, connect: Connect<'_>) -> (Peer, ReasonCode) {
        let mut peer = self.broker.socket(connect.version).await;
        let reason = peer.connect(connect).await;
        (peer, reason)
    }
}

pub(crate) fn login<'a>(version: Version, user: &'a str, password: &'a str) -> Connect<'a> {
    let (username, password) = (Some(user), Some(password.as_bytes()));
    Connect { username, password, ..connect(version, "") }
}

fn write_users(file: &PathBuf, users: &[&str]) {
    let text: String = users.iter().map(|user| format!("{user}:{HASH}\n")).collect();
    fs::write(file, text).unwrap();
}
