//! Another broker's configuration becomes Dockside's: mosquitto's `mosquitto.conf`, with the password
//! file and the ACL file that it names (mosquitto.conf(5), versions 1.5 to 2.0).

mod acl;
mod conf;

use std::fs;
use std::path::{Path, PathBuf};

use dockside_access::password_file::PasswordFile;
use dockside_broker::config::{Effect, Listen, Listener, Preset, Rule, Transport};

use self::conf::{Conf, Line, ListenerConf};
use crate::config::Config;

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// A configuration file: only what differs from the defaults.
    pub toml: String,
    /// What could not be carried over, a line each.
    pub notes: Vec<String>,
}

/// Files that one configuration may include.
const FILES_AT_MOST: usize = 100;

/// Reads a `mosquitto.conf` and what it names.
///
/// # Errors
/// It cannot be read.
pub fn mosquitto(file: &Path) -> Result<Imported, String> {
    let mut notes = Vec::new();
    let lines = read_lines(file)?;
    let conf = Conf::read(&lines, &mut notes);
    let mut config = Config::default();
    listeners(&conf, &mut config, &mut notes);
    users(&conf, &mut config, &mut notes);
    limits(&conf, &mut config, &mut notes);
    let rules = rules(&conf, &mut notes);
    config.access.preset = Preset::None;
    config.access.rules = rules;
    let toml =
        written(&config).map_err(|error| format!("the result cannot be written: {error}"))?;
    Ok(Imported { toml, notes })
}

/// The lines of a configuration; those of an `include_dir` stand at its place, file by file.
fn read_lines(file: &Path) -> Result<Vec<Line>, String> {
    let text = |file: &Path| {
        fs::read_to_string(file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))
    };
    let mut lines = Vec::new();
    for line in conf::lines(&text(file)?) {
        if line.option != "include_dir" {
            lines.push(line);
            continue;
        }
        // Users and rules may stand there: without them the result would allow too much.
        let entries = fs::read_dir(&line.value)
            .map_err(|error| format!("include_dir {} cannot be read: {error}", line.value))?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|e| e == "conf")).collect();
        files.sort();
        for file in files.iter().take(FILES_AT_MOST) {
            lines.extend(conf::lines(&text(file)?));
        }
    }
    Ok(lines)
}

/// The first listener without TLS becomes `mqtt.listen`, the others `[[listeners]]`.
fn listeners(conf: &Conf, config: &mut Config, notes: &mut Vec<String>) {
    let mut plain: Option<Listen> = None;
    for listener in &conf.listeners {
        let Some(carried) = listener.carried(notes) else { continue };
        if carried.transport == Transport::Tcp && plain.is_none() {
            plain = Some(carried.listen.into());
        } else {
            config.listeners.push(carried);
        }
    }
    config.mqtt.listen = plain.unwrap_or(Listen::Off);
    if conf.listeners.iter().any(ListenerConf::is_everywhere) {
        notes.push(
            "listeners without an address: IPv4 only; add one on \"[::]:PORT\" for IPv6".to_owned(),
        );
    }
}

fn users(conf: &Conf, config: &mut Config, notes: &mut Vec<String>) {
    config.mqtt.allow_anonymous = conf.allow_anonymous();
    let Some(file) = &conf.password_file else {
        let by_certificate = config.listeners.iter().any(Listener::asks_for_certificates);
        if !conf.allow_anonymous() && !by_certificate {
            notes.push(
                "no password_file and allow_anonymous false: there nobody is let in, here everybody on this machine is until there are users; make them with `dockside passwd FILE USER` and set users.password_file".to_owned(),
            );
        }
        return;
    };
    config.users.password_file = file.into();
    match fs::read_to_string(file) {
        Err(error) => notes.push(format!("password_file {file}: cannot be read: {error}")),
        Ok(text) => {
            for invalid in PasswordFile::parse(&text).err().into_iter().flatten() {
                let (line, detail) = (invalid.line, invalid.detail);
                notes.push(format!("password_file {file} line {line}: {detail}"));
            }
        }
    }
}

fn limits(conf: &Conf, config: &mut Config, notes: &mut Vec<String>) {
    let limits = &mut config.limits;
    limits.session_expiry_s = conf.session_expiry_s.unwrap_or(limits.session_expiry_s);
    for (option, value) in &conf.limits {
        // 0 and -1 are "no limit" there; every queue has one here.
        let unlimited = *value <= 0;
        let value = usize::try_from(*value).unwrap_or(0);
        match option.as_str() {
            // There, too, 0 is never.
            "sys_interval" => config.mqtt.sys_interval_s = u32::try_from(value).unwrap_or(u32::MAX),
            _ if unlimited => notes.push(format!("{option} without limit: the default stays")),
            "max_connections" => limits.connections = value,
            "max_packet_size" => limits.packet_bytes = packet_bytes(value),
            "message_size_limit" => {
                notes.push("message_size_limit counts a message, limits.packet_bytes a whole packet: 1,024 bytes were added".to_owned());
                limits.packet_bytes = packet_bytes(value.saturating_add(1_024));
            }
            "max_inflight_messages" => limits.inflight = u16::try_from(value).unwrap_or(u16::MAX),
            "max_queued_messages" => limits.mailbox_messages = value,
            "max_queued_bytes" => limits.mailbox_bytes = value,
            "max_keepalive" => {
                config.mqtt.keep_alive_max_s = u16::try_from(value).unwrap_or(u16::MAX);
            }
            "max_topic_alias" => limits.topic_aliases = u16::try_from(value).unwrap_or(u16::MAX),
            _ => notes.push(format!("{option} {value}")),
        }
    }
}

fn packet_bytes(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX).min(268_435_460)
}

fn rules(conf: &Conf, notes: &mut Vec<String>) -> Vec<Rule> {
    let everything = || Rule {
        publish: vec!["#".to_owned()],
        subscribe: vec!["#".to_owned(), "$SYS/#".to_owned()],
        ..Rule::default()
    };
    let nothing = || Rule {
        effect: Effect::Deny,
        publish: vec!["#".to_owned()],
        subscribe: vec!["#".to_owned(), "$SYS/#".to_owned()],
        ..Rule::default()
    };
    if conf.has_plugin {
        notes.push(
            "a plugin decides there who may do what: nobody may do anything until you write [[access.rules]]".to_owned(),
        );
    }
    let Some(file) = &conf.acl_file else {
        return vec![if conf.has_plugin { nothing() } else { everything() }];
    };
    match fs::read_to_string(file) {
        Ok(text) => {
            notes.push(format!(
                "acl_file {file}: mosquitto lets a client subscribe to anything and withholds what it may not read; Dockside refuses a subscription that is wider than its rules"
            ));
            // The last word, also where nobody has to log in and a request would be allowed.
            acl::rules(&text, notes).into_iter().chain([nothing()]).collect()
        }
        Err(error) => {
            notes.push(format!("acl_file {file}: cannot be read: {error}; nobody may do anything"));
            vec![nothing()]
        }
    }
}

/// What differs from the defaults, as a configuration file.
fn written(config: &Config) -> Result<String, toml::ser::Error> {
    let mut table = toml::Table::try_from(config)?;
    let defaults = toml::Table::try_from(Config::default())?;
    for (name, default) in &defaults {
        let Some(value) = table.get_mut(name) else { continue };
        if value == default {
            table.remove(name);
        } else if let (Some(value), Some(default)) = (value.as_table_mut(), default.as_table()) {
            // The preset is said in any case: what there was before did not have it.
            value.retain(|key, value| {
                default.get(key) != Some(value) || (name == "access" && key == "preset")
            });
        }
    }
    let head = "# Made by `dockside import`. Check it with `dockside check --config FILE`.\n\n";
    Ok(format!("{head}{}", toml::to_string_pretty(&table)?))
}
