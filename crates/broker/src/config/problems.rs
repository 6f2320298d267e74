//! What is wrong with values that have the right type.

use std::net::SocketAddr;

use super::{Admin, ClientIdentity, Config, LEAST_BUDGET, Limits, Listener, LiveLog, Mqtt, Store};

/// A value that cannot be, or is risky: which key, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, such as `listeners[0].key`.
    pub key: String,
    /// What is wrong and what to do.
    pub remedy: String,
}

impl Problem {
    /// A problem of a key.
    pub fn new(key: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), remedy: remedy.into() }
    }
}

impl Config {
    /// Whether clients have to log in, with a password, a token or a certificate, where they are not let in
    /// anonymously.
    #[must_use]
    pub fn asks_for_login(&self) -> bool {
        self.users.are_configured() || self.takes_client_certificates()
    }

    /// Whether there may be users that are in no file: who signs their tokens or certificates knows them, or
    /// a server.
    pub(crate) fn has_others(&self) -> bool {
        self.users.are_known_elsewhere() || self.takes_client_certificates()
    }

    /// Whether a client can log in with a certificate.
    pub(crate) fn takes_client_certificates(&self) -> bool {
        self.listeners.iter().any(Listener::asks_for_certificates)
    }

    /// Retained messages never take more than a quarter of what the store may: they go for nobody, and there
    /// must be room for what else is kept.
    #[must_use]
    pub(crate) fn as_it_runs(&self) -> Self {
        let mut config = self.clone();
        let quarter = usize::try_from(self.store.max_bytes / 4).unwrap_or(usize::MAX);
        config.limits.retained_bytes = self.limits.retained_bytes.min(quarter);
        config
    }

    /// Everything that is wrong with values that have the right type. Files that they name are not
    /// looked at.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.listener_problems();
        self.users.problems(&mut problems);
        admin_problems(&self.admin, &mut problems);
        limit_problems(&self.mqtt, &self.limits, &mut problems);
        log_problems(&self.live_log, &mut problems);
        store_problems(&self.store, &self.limits, &mut problems);
        problems
    }

    fn listener_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let open = self.mqtt.allow_anonymous || self.users.are_configured();
        // Then rules are in force, and whoever has no certificate is refused.
        let others_log_in = self.takes_client_certificates();
        let mut check_address = |key: &str, address: SocketAddr| {
            if !open {
                let remedy = if others_log_in {
                    format!(
                        "nobody could log in at {address}: there is no users.password_file, users.jwt or users.http, and it asks for no client certificates; set one of them, or listen on loopback"
                    )
                } else {
                    format!(
                        "{address} can be reached from the network and nobody has to log in; set users.password_file, users.jwt or users.http, or mqtt.allow_anonymous = true if that is meant, or listen on loopback"
                    )
                };
                problems.push(Problem::new(key, remedy));
            }
        };
        if let Some(address) = self.mqtt.listen.address().filter(|at| !at.ip().is_loopback()) {
            check_address("mqtt.listen", address);
        }
        for (at, listener) in self.listeners.iter().enumerate() {
            // A proxy on this machine brings the network with it.
            let is_reached = !listener.listen.ip().is_loopback() || listener.proxy_protocol;
            if is_reached && !listener.asks_for_certificates() {
                check_address(&format!("listeners[{at}].listen"), listener.listen);
            }
        }
        for (at, listener) in self.listeners.iter().enumerate() {
            client_certificate_problems(at, listener, &mut problems);
            for (name, file) in [("certificate", &listener.certificate), ("key", &listener.key)] {
                let remedy = match (listener.transport.is_encrypted(), file.as_os_str().is_empty())
                {
                    (true, true) => "a listener with TLS needs a PEM file here",
                    (false, false) => {
                        "this listener encrypts nothing; set transport = \"tls\" (or \"wss\"), or leave this out"
                    }
                    _ => continue,
                };
                problems.push(Problem::new(format!("listeners[{at}].{name}"), remedy));
            }
        }
        if self.mqtt.listen.address().is_none() && self.listeners.is_empty() {
            let remedy = "is off and there are no [[listeners]]; nobody could connect";
            problems.push(Problem::new("mqtt.listen", remedy));
        }
        problems
    }
}

fn client_certificate_problems(at: usize, listener: &Listener, problems: &mut Vec<Problem>) {
    let mut problem = |name: &str, remedy: &str| {
        problems.push(Problem::new(format!("listeners[{at}].{name}"), remedy));
    };
    let has_ca = !listener.client_ca.as_os_str().is_empty();
    let has_crl = !listener.client_crl.as_os_str().is_empty();
    if listener.asks_for_certificates() {
        if !listener.transport.is_encrypted() {
            problem(
                "client_certificates",
                "this listener encrypts nothing and sees no certificates; set transport = \"tls\" (or \"wss\"), or leave this out",
            );
        } else if !has_ca {
            problem(
                "client_ca",
                "clients are asked for certificates, and nobody is named who signs them: set a PEM file of the authorities",
            );
        }
        return;
    }
    let said = [
        ("client_ca", has_ca),
        ("client_crl", has_crl),
        ("client_identity", listener.client_identity != ClientIdentity::default()),
    ];
    for (name, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
        problem(
            name,
            "counts only where clients are asked for certificates: set client_certificates = \"optional\" or \"required\", or leave this out",
        );
    }
}

fn admin_problems(admin: &Admin, problems: &mut Vec<Problem>) {
    let has_users = !admin.password_file.as_os_str().is_empty();
    let is_open = !has_users && admin.token_file.as_os_str().is_empty();
    if is_open && !admin.listen.ip().is_loopback() {
        let remedy = format!(
            "{} is not loopback; set admin.password_file or admin.token_file, or metrics.listen if only Prometheus is to be let in",
            admin.listen
        );
        problems.push(Problem::new("admin.listen", remedy));
    }
    if !has_users && !admin.operators.is_empty() {
        let remedy = "names users, but there is no admin.password_file that they are in";
        problems.push(Problem::new("admin.operators", remedy));
    }
    let is_name = |host: &String| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !host.is_empty() && host.bytes().all(good)
    };
    for host in admin.hosts.iter().filter(|host| !is_name(host)) {
        let remedy =
            format!("{host:?} is no host name; give the name alone, without scheme and port");
        problems.push(Problem::new("admin.hosts", remedy));
    }
}

fn limit_problems(mqtt: &Mqtt, limits: &Limits, problems: &mut Vec<Problem>) {
    for (key, value) in [
        ("mqtt.connect_timeout_ms", mqtt.connect_timeout_ms),
        ("mqtt.stop_timeout_ms", mqtt.stop_timeout_ms),
        ("limits.connections", limits.connections as u64),
        ("limits.unauthenticated", limits.unauthenticated as u64),
        ("limits.topic_bytes", limits.topic_bytes.into()),
        ("limits.subscriptions", limits.subscriptions as u64),
        ("limits.subscription_bytes", limits.subscription_bytes as u64),
        ("limits.receive_maximum", limits.receive_maximum.into()),
        ("limits.inflight", limits.inflight.into()),
        ("limits.mailbox_messages", limits.mailbox_messages as u64),
        ("limits.mailbox_bytes", limits.mailbox_bytes as u64),
    ] {
        if value == 0 {
            problems.push(Problem::new(key, "must be at least 1"));
        }
    }
    let mut check = |good: bool, key: &str, remedy: &str| {
        if !good {
            problems.push(Problem::new(key, remedy));
        }
    };
    let levels = (1..=1_000).contains(&limits.topic_levels);
    check(levels, "limits.topic_levels", "must be 1 to 1000");
    check(limits.connections <= 1_000_000, "limits.connections", "must be at most 1000000");
    let remedy = "must be 128 to 268435460, the largest packet MQTT has";
    check((128..=268_435_460).contains(&limits.packet_bytes), "limits.packet_bytes", remedy);
    let retained = limits.retained_messages <= 10_000_000;
    check(retained, "limits.retained_messages", "must be at most 10000000");
    let connect = limits.connect_packet_bytes >= 128;
    check(connect, "limits.connect_packet_bytes", "must be at least 128");
}

fn store_problems(store: &Store, limits: &Limits, problems: &mut Vec<Problem>) {
    // The largest message fits into the fifth of the file that is kept free.
    let least = (8 << 20).max(15 * u64::from(limits.packet_bytes));
    if store.max_bytes < least {
        let remedy = format!("must be at least {least}, fifteen times limits.packet_bytes");
        problems.push(Problem::new("store.max_bytes", remedy));
    }
    if store.history_days == 0 || store.history_rows == 0 {
        let key = if store.history_days == 0 { "store.history_days" } else { "store.history_rows" };
        problems.push(Problem::new(key, "must be at least 1: an answered event is in the history"));
    }
}

fn log_problems(log: &LiveLog, problems: &mut Vec<Problem>) {
    let mut check = |good: bool, key: &str, remedy: &str| {
        if !good {
            problems.push(Problem::new(key, remedy));
        }
    };
    let segment = (65_536..=1 << 30).contains(&log.segment_bytes);
    check(segment, "live_log.segment_bytes", "must be 65536 to 1073741824");
    check(log.segments <= 1_024, "live_log.segments", "must be at most 1024");
    for (key, bytes) in [
        ("live_log.direct_budget_bytes", log.direct_budget_bytes),
        ("live_log.writer_budget_bytes", log.writer_budget_bytes),
    ] {
        check(bytes >= LEAST_BUDGET, key, "must be at least 524288");
    }
    // A record is dropped with its segment; what is on its way must fit beside the one that
    // is being filled and the one that is being read.
    let room = (log.segments.saturating_sub(2) as u64).saturating_mul(log.segment_bytes as u64);
    let budgets = log.direct_budget_bytes.saturating_add(log.writer_budget_bytes);
    let remedy = format!(
        "the two budgets ({budgets} bytes) must fit into all segments but two ({room} bytes); add segments or lower the budgets"
    );
    check(budgets <= room, "live_log.segments", &remedy);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientCertificates, Listen, Listener, Transport};

    fn keys(config: &Config) -> Vec<String> {
        config.problems().into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Config::default().problems(), []);
    }

    #[test]
    fn contradictions_name_their_key() {
        let mut config = Config::default();
        config.mqtt.listen = SocketAddr::from(([0, 0, 0, 0], 1883)).into();
        config.admin.listen = SocketAddr::from(([0, 0, 0, 0], 9464));
        config.limits.inflight = 0;
        config.limits.packet_bytes = 1;
        config.live_log.segments = 3;
        assert_eq!(
            keys(&config),
            [
                "mqtt.listen",
                "admin.listen",
                "limits.inflight",
                "limits.packet_bytes",
                "live_log.segments"
            ]
        );
    }

    #[test]
    fn the_network_needs_users_or_a_clear_word() {
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let listener = |transport, file: &str| Listener {
            certificate: file.into(),
            key: file.into(),
            ..Listener::new(anywhere, transport)
        };
        let mut config = Config {
            listeners: vec![listener(Transport::Tcp, ""), listener(Transport::Tls, "x.pem")],
            ..Config::default()
        };
        assert_eq!(keys(&config), ["listeners[0].listen", "listeners[1].listen"]);
        let mut with_users = config.clone();
        with_users.users.password_file = "users".into();
        assert!(with_users.problems().is_empty());
        config.mqtt.allow_anonymous = true;
        assert!(config.problems().is_empty());
        config.listeners = vec![listener(Transport::Tcp, "x.pem"), listener(Transport::Tls, "")];
        let files = ["certificate", "key"].map(|name| [0, 1].map(|at| (at, name)));
        let mut expected: Vec<_> = files.into_iter().flatten().collect();
        expected.sort_unstable();
        let expected: Vec<_> =
            expected.iter().map(|(at, name)| format!("listeners[{at}].{name}")).collect();
        assert_eq!(keys(&config), expected);
    }

    #[test]
    fn certificates_of_clients_are_a_login_where_they_are_asked_for() {
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let listener = |transport| Listener {
            certificate: "x.pem".into(),
            key: "x.key".into(),
            client_certificates: ClientCertificates::Required,
            client_ca: "ca.pem".into(),
            ..Listener::new(anywhere, transport)
        };
        let asks = listener(Transport::Tls);
        let with = |listener| Config { listeners: vec![listener], ..Config::default() };
        let sound = with(asks.clone());
        assert!(sound.problems().is_empty() && sound.asks_for_login());
        let mut others = sound;
        others.listeners.push(Listener::new(anywhere, Transport::Tcp));
        assert!(others.problems()[0].remedy.contains("nobody could log in"), "{others:?}");
        assert_eq!(keys(&others), ["listeners[1].listen"]);
        let no_ca = Listener { client_ca: "".into(), ..asks.clone() };
        assert_eq!(keys(&with(no_ca)), ["listeners[0].client_ca"]);
        let (certificate, key) = ("".into(), "".into());
        let plain = Listener { certificate, key, ..listener(Transport::Tcp) };
        assert_eq!(keys(&with(plain)), ["listeners[0].client_certificates"]);
        let off = Listener {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            client_certificates: ClientCertificates::Off,
            client_crl: "crl.pem".into(),
            client_identity: ClientIdentity::San,
            ..asks
        };
        let named = ["client_ca", "client_crl", "client_identity"];
        assert_eq!(keys(&with(off)), named.map(|name| format!("listeners[0].{name}")));
    }

    #[test]
    fn a_proxy_on_this_machine_brings_the_network_with_it() {
        let here = Listener::new(SocketAddr::from(([127, 0, 0, 1], 0)), Transport::Tcp);
        let with = |listener| Config { listeners: vec![listener], ..Config::default() };
        assert!(with(here.clone()).problems().is_empty());
        let mut config = with(Listener { proxy_protocol: true, ..here });
        assert_eq!(keys(&config), ["listeners[0].listen"]);
        config.users.password_file = "users".into();
        assert!(config.problems().is_empty());
    }

    #[test]
    fn nobody_could_connect() {
        let mut config = Config::default();
        config.mqtt.listen = Listen::Off;
        assert_eq!(keys(&config), ["mqtt.listen"]);
    }

    #[test]
    fn the_api_is_on_the_network_only_behind_a_login() {
        let mut config = Config::default();
        config.admin.listen = SocketAddr::from(([0, 0, 0, 0], 9464));
        assert_eq!(keys(&config), ["admin.listen"]);
        config.admin.token_file = "token".into();
        assert!(config.problems().is_empty());
        config.admin.token_file = "".into();
        config.admin.password_file = "operators".into();
        assert!(config.problems().is_empty());
    }

    #[test]
    fn operators_are_users_and_hosts_are_names() {
        let mut config = Config::default();
        config.admin.operators = vec!["pat".to_owned()];
        assert_eq!(keys(&config), ["admin.operators"]);
        config.admin.password_file = "operators".into();
        assert!(config.problems().is_empty());
        for host in ["dock.example", "dock-1", "DOCK_1"] {
            config.admin.hosts = vec![host.to_owned()];
            assert!(config.problems().is_empty(), "{host}");
        }
        for host in ["", "http://dock", "dock:9464", "*", "*.example", "a b", "::1"] {
            config.admin.hosts = vec![host.to_owned()];
            assert_eq!(keys(&config), ["admin.hosts"], "{host}");
        }
    }
}
