//! What is sound and risky all the same.

use std::net::SocketAddr;

use super::{Config, Durability, Listener, Preset, Problem, Transport};

impl Config {
    /// Values that can be meant, and that somebody should know of: said at every start, and by `dockside check`.
    #[must_use]
    pub fn risks(&self) -> Vec<Problem> {
        let mut risks = Vec::new();
        let mut risk = |key: &str, remedy: String| risks.push(Problem::new(key, remedy));
        if let Some(address) = self.mqtt.listen.address() {
            self.listener_risks("mqtt.listen", &Listener::new(address, Transport::Tcp), &mut risk);
        }
        for (at, listener) in self.listeners.iter().enumerate() {
            self.listener_risks(&format!("listeners[{at}].listen"), listener, &mut risk);
        }
        let reached = self.mqtt.listen.address().is_some_and(is_network)
            || self.listeners.iter().any(is_reached);
        if self.mqtt.allow_anonymous && self.asks_for_login() && reached {
            let remedy = "clients without a user name come in from the network, and may do what rules allow to everybody or to anonymous = true; set it to false if that is not meant";
            risk("mqtt.allow_anonymous", remedy.to_owned());
        }
        if is_network(self.admin.listen) {
            let remedy = format!(
                "passwords and tokens on {} can be read on their way: no TLS; listen on loopback, behind a proxy with TLS",
                self.admin.listen
            );
            risk("admin.listen", remedy);
        }
        if self.users.http.can_be_read_on_the_way() {
            let remedy = format!(
                "passwords to {} can be read on their way: no TLS; use https:// and users.http.ca_file",
                self.users.http.shown_url()
            );
            risk("users.http.url", remedy);
        }
        if self.asks_for_login()
            && self.access.preset == Preset::None
            && self.access.rules.is_empty()
        {
            let remedy = "there are users and no rules: nobody may publish or subscribe; set \"dji\", or write [[access.rules]]";
            risk("access.preset", remedy.to_owned());
        }
        if self.store.durability == Durability::Memory {
            let remedy = "answers do not wait for the file: what was acknowledged can be lost when the broker is killed; set \"commit\" or \"sync\"";
            risk("store.durability", remedy.to_owned());
        }
        let retained = self.as_it_runs().limits.retained_bytes;
        if retained < self.limits.retained_bytes {
            let remedy = format!(
                "{retained} bytes count: more than a quarter of store.max_bytes is never retained"
            );
            risk("limits.retained_bytes", remedy);
        }
        risks.extend(self.limits.contradictions());
        risks
    }

    fn listener_risks(&self, key: &str, listener: &Listener, risk: &mut impl FnMut(&str, String)) {
        let address = listener.listen;
        let is_open = !self.asks_for_login();
        if is_open && is_reached(listener) {
            risk(
                key,
                format!(
                    "anybody who reaches {address} may publish and subscribe to everything that no rule denies; set users.password_file, users.jwt or users.http, or listen on loopback"
                ),
            );
        } else if !listener.transport.is_encrypted() && is_network(address) {
            risk(
                key,
                format!(
                    "passwords and messages on {address} can be read on their way: no TLS; use a listener with transport = \"tls\""
                ),
            );
        }
        if listener.proxy_protocol && is_network(address) {
            risk(
                key,
                format!(
                    "whoever reaches {address} can say that it comes from any address (proxy_protocol); let nobody but the proxy reach it"
                ),
            );
        }
        let asks_nobody = is_open || self.mqtt.allow_anonymous;
        if listener.transport.is_websocket() && asks_nobody && !is_reached(listener) {
            risk(
                key,
                format!(
                    "a page of any site, in a browser on this machine, may connect to {address} without a login; set users.password_file, and mqtt.allow_anonymous = false"
                ),
            );
        }
    }
}

fn is_network(address: SocketAddr) -> bool {
    !address.ip().is_loopback()
}

/// A proxy on this machine brings the network with it.
fn is_reached(listener: &Listener) -> bool {
    is_network(listener.listen) || listener.proxy_protocol
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Http;

    fn keys(config: &Config) -> Vec<String> {
        assert_eq!(config.problems(), [], "a risk is sound");
        config.risks().into_iter().map(|risk| risk.key).collect()
    }

    fn anywhere() -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 1883))
    }

    fn with_users() -> Config {
        let mut config = Config::default();
        config.users.password_file = "users".into();
        config
    }

    fn with(listener: Listener, config: Config) -> Config {
        Config { listeners: vec![listener], ..config }
    }

    #[test]
    fn the_defaults_are_no_risk() {
        assert_eq!(Config::default().risks(), []);
        assert_eq!(with_users().risks(), []);
    }

    #[test]
    fn whoever_may_come_in_without_a_login_is_said() {
        let mut config = Config::default();
        config.mqtt.allow_anonymous = true;
        assert_eq!(keys(&config), [""; 0], "on loopback it changes nothing");
        config.mqtt.listen = anywhere().into();
        assert_eq!(keys(&config), ["mqtt.listen"]);
        assert!(config.risks()[0].remedy.contains("anybody who reaches 0.0.0.0:1883"));
        config.users.password_file = "users".into();
        assert_eq!(keys(&config), ["mqtt.listen", "mqtt.allow_anonymous"]);
        config.mqtt.allow_anonymous = false;
        assert_eq!(keys(&config), ["mqtt.listen"]);
        assert!(config.risks()[0].remedy.contains("no TLS"));
    }

    #[test]
    fn what_can_be_read_on_its_way_is_said() {
        let listener = |transport| Listener {
            certificate: "x.pem".into(),
            key: "x.key".into(),
            ..Listener::new(anywhere(), transport)
        };
        assert_eq!(keys(&with(listener(Transport::Tls), with_users())), [""; 0]);
        let plain = Listener::new(anywhere(), Transport::Ws);
        assert_eq!(keys(&with(plain, with_users())), ["listeners[0].listen"]);
        let mut admin = with_users();
        admin.admin.listen = anywhere();
        admin.admin.token_file = "token".into();
        assert_eq!(keys(&admin), ["admin.listen"]);
        let mut asked = Config::default();
        asked.users.http = Http { url: "http://idp.example/?secret".into(), ..Http::default() };
        assert_eq!(keys(&asked), ["users.http.url"]);
        assert!(!asked.risks()[0].remedy.contains("secret"));
    }

    #[test]
    fn proxies_and_pages_are_said() {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let proxied = |at| Listener { proxy_protocol: true, ..Listener::new(at, Transport::Tcp) };
        assert_eq!(keys(&with(proxied(here), with_users())), [""; 0]);
        let on_the_network = with(proxied(anywhere()), with_users());
        assert_eq!(keys(&on_the_network), ["listeners[0].listen"; 2]);
        let page = Listener::new(here, Transport::Ws);
        assert_eq!(keys(&with(page.clone(), Config::default())), ["listeners[0].listen"]);
        assert_eq!(keys(&with(page, with_users())), [""; 0]);
    }

    #[test]
    fn values_that_do_not_do_what_they_seem_to_are_said() {
        let mut config = with_users();
        config.access.preset = Preset::None;
        config.store.durability = Durability::Memory;
        config.limits.retained_bytes = config.store.max_bytes as usize;
        assert_eq!(keys(&config), ["access.preset", "store.durability", "limits.retained_bytes"]);
    }
}
