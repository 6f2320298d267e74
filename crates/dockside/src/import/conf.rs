//! `mosquitto.conf`: an option and its value a line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dockside_broker::config::{ClientCertificates, Listener, Transport};

/// One line of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) option: String,
    pub(super) value: String,
}

/// The lines that say something.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line> {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (option, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        Line { option: option.to_owned(), value: value.trim().to_owned() }
    })
}

/// What is carried over.
#[derive(Debug, Default)]
pub(super) struct Conf {
    pub(super) listeners: Vec<ListenerConf>,
    pub(super) password_file: Option<String>,
    pub(super) acl_file: Option<String>,
    /// Whether something that is not carried decides about users or rules.
    pub(super) has_plugin: bool,
    anonymous: Option<bool>,
    per_listener: bool,
    /// Whether there is no listener but the one that mosquitto has without any.
    is_local: bool,
    /// Numbers by option.
    pub(super) limits: Vec<(String, i64)>,
    pub(super) session_expiry_s: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct ListenerConf {
    port: String,
    address: Option<String>,
    protocol: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    asks_for_certificate: bool,
    /// Whether the certificate's common name is the user.
    is_known_by_certificate: bool,
    authorities: Option<String>,
    revoked: Option<String>,
    anonymous: Option<bool>,
    pre_shared_keys: bool,
}

/// Options of other things than Dockside has, which nobody misses.
const SILENT: [&str; 13] = [
    "log_dest",
    "log_type",
    "log_timestamp",
    "log_timestamp_format",
    "connection_messages",
    "pid_file",
    "user",
    "autosave_interval",
    "autosave_on_changes",
    "persistence_file",
    "persistence_location",
    "set_tcp_nodelay",
    "check_retain_source",
];

impl Conf {
    pub(super) fn read(lines: &[Line], notes: &mut Vec<String>) -> Self {
        let mut conf = Self::default();
        // The listener of the old options `port` and `bind_address` is there if nothing else is.
        let mut default = ListenerConf { port: "1883".to_owned(), ..ListenerConf::default() };
        let mut default_used = false;
        for line in lines {
            let Line { option, value } = line;
            match option.as_str() {
                "listener" => conf.listeners.push(ListenerConf::of(value)),
                "port" => {
                    default.port.clone_from(value);
                    default_used = true;
                }
                "bind_address" => {
                    default.address = Some(value.clone());
                    default_used = true;
                }
                "password_file" => conf.once(|conf| &mut conf.password_file, line, notes),
                "acl_file" => conf.once(|conf| &mut conf.acl_file, line, notes),
                "allow_anonymous" => {
                    conf.anonymous = Some(value == "true");
                    let listener = conf.listeners.last_mut().unwrap_or(&mut default);
                    listener.anonymous = conf.anonymous;
                }
                "per_listener_settings" if value == "true" => {
                    conf.per_listener = true;
                    notes.push(
                        "per_listener_settings true: users and rules are the same on every listener"
                            .to_owned(),
                    );
                }
                "plugin" | "auth_plugin" | "global_plugin" => {
                    conf.has_plugin = true;
                    notes.push(format!("{option} {value}"));
                }
                "per_listener_settings" => {}
                "persistence" if value == "true" => notes.push(
                    "persistence true: sessions and retained messages are not kept across a restart yet"
                        .to_owned(),
                ),
                "persistent_client_expiration" => match seconds(value) {
                    Some(seconds) => conf.session_expiry_s = Some(seconds),
                    None => notes.push(format!("{option} {value}")),
                },
                "persistence" => {}
                _ if conf.limit(line) => {}
                _ => {
                    let listener = conf.listeners.last_mut().unwrap_or(&mut default);
                    let known = listener.option(line);
                    if !known && !SILENT.contains(&option.as_str()) {
                        notes.push(format!("{option} {value}"));
                    }
                }
            }
        }
        if default_used || conf.listeners.is_empty() {
            if !default_used {
                // Without any listener mosquitto 2 is there for this machine only.
                default.address.get_or_insert_with(|| "127.0.0.1".to_owned());
            }
            conf.is_local = !default_used;
            conf.listeners.insert(0, default);
        }
        conf
    }

    /// Since mosquitto 2 nobody is let in anonymously unless the file says so, but on a broker that
    /// has no listener of its own.
    pub(super) fn allow_anonymous(&self) -> bool {
        if self.per_listener && !self.is_local {
            // One answer for all: the strictest.
            return self.listeners.iter().all(|listener| listener.anonymous == Some(true));
        }
        self.anonymous.unwrap_or(self.is_local && self.password_file.is_none())
    }

    /// One value for the whole broker; a second, different one cannot be carried.
    fn once(
        &mut self,
        place: impl Fn(&mut Self) -> &mut Option<String>,
        line: &Line,
        notes: &mut Vec<String>,
    ) {
        let place = place(self);
        match place {
            Some(known) if *known != line.value => {
                notes.push(format!("{} {}: a second one", line.option, line.value));
            }
            _ => *place = Some(line.value.clone()),
        }
    }

    fn limit(&mut self, line: &Line) -> bool {
        let known = [
            "max_connections",
            "max_packet_size",
            "message_size_limit",
            "max_inflight_messages",
            "max_queued_messages",
            "max_queued_bytes",
            "max_topic_alias",
            "max_keepalive",
            "sys_interval",
        ];
        match line.value.parse() {
            Ok(value) if known.contains(&line.option.as_str()) => {
                self.limits.push((line.option.clone(), value));
                true
            }
            _ => false,
        }
    }
}

/// A time as mosquitto writes it: a number and `h`, `d`, `w`, `m` or `y`.
fn seconds(time: &str) -> Option<u32> {
    let (number, unit) = time.split_at_checked(time.len().checked_sub(1)?)?;
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        "m" => 30 * 24,
        "y" => 365 * 24,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(hours * 3600)
}

impl ListenerConf {
    /// `port [address]`.
    fn of(value: &str) -> Self {
        let mut words = value.split_whitespace();
        Self {
            port: words.next().unwrap_or_default().to_owned(),
            address: words.next().map(str::to_owned),
            ..Self::default()
        }
    }

    pub(super) fn is_everywhere(&self) -> bool {
        self.address.is_none()
    }

    /// Takes an option of a listener; `false` if it is none that is carried.
    fn option(&mut self, line: &Line) -> bool {
        let value = || Some(line.value.clone());
        match line.option.as_str() {
            "protocol" => self.protocol = value(),
            "certfile" => self.certificate = value(),
            "keyfile" => self.key = value(),
            "require_certificate" => self.asks_for_certificate = line.value == "true",
            "psk_file" | "psk_hint" => self.pre_shared_keys = true,
            // Only for client certificates, which are asked for or noted by the option above.
            "cafile" => self.authorities = value(),
            "crlfile" => self.revoked = value(),
            "capath" => {}
            "use_identity_as_username" => self.is_known_by_certificate = line.value == "true",
            "use_subject_as_username" => return line.value != "true",
            _ => return false,
        }
        true
    }

    /// As Dockside has it.
    pub(super) fn carried(&self, notes: &mut Vec<String>) -> Option<Listener> {
        let name = format!("listener {}", self.port);
        // Port 0 is a Unix socket there, and any free port here.
        let Some(port) = self.port.parse().ok().filter(|port: &u16| *port > 0) else {
            notes.push(format!("{name}: a Unix socket, or no port at all"));
            return None;
        };
        let address = match self.address.as_deref() {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(address) => match address.parse() {
                Ok(address) => address,
                Err(_) => {
                    notes.push(format!("{name} {address}: an address is needed, not a name"));
                    return None;
                }
            },
        };
        let (plain, encrypted) = match self.protocol.as_deref() {
            None | Some("mqtt") => (Transport::Tcp, Transport::Tls),
            Some("websockets") => (Transport::Ws, Transport::Wss),
            Some(protocol) => {
                notes.push(format!("{name}: protocol {protocol} is not offered"));
                return None;
            }
        };
        if self.pre_shared_keys {
            notes.push(format!("{name}: TLS by pre-shared keys is not offered"));
            return None;
        }
        let listen = SocketAddr::new(address, port);
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => self.with_clients(
                Listener {
                    certificate: certificate.into(),
                    key: key.into(),
                    ..Listener::new(listen, encrypted)
                },
                notes,
            ),
            (None, None) => Some(Listener::new(listen, plain)),
            _ => {
                notes.push(format!("{name}: certfile and keyfile belong together"));
                None
            }
        }
    }

    /// With what it asks of clients; none if that cannot be carried: it would be open to more than there.
    fn with_clients(&self, mut listener: Listener, notes: &mut Vec<String>) -> Option<Listener> {
        let name = format!("listener {}", self.port);
        match (self.asks_for_certificate, self.is_known_by_certificate, &self.authorities) {
            (false, false, _) => {}
            (true, true, Some(authorities)) => {
                listener.client_certificates = ClientCertificates::Required;
                listener.client_ca = authorities.into();
                listener.client_crl = self.revoked.clone().unwrap_or_default().into();
            }
            (true, true, None) => {
                notes.push(format!("{name}: client certificates without a cafile"));
                return None;
            }
            // There a password is asked for as well, here the certificate is the user's.
            (true, false, _) => {
                notes.push(format!(
                    "{name}: client certificates without use_identity_as_username; here who has one is the user that it names"
                ));
                return None;
            }
            (false, true, _) => {
                notes.push(format!("{name}: use_identity_as_username without require_certificate"));
                return None;
            }
        }
        Some(listener)
    }
}
