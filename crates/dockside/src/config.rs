//! Everything an operator can decide: embedded defaults, then a TOML file, then the environment
//! (`DOCKSIDE_` and `__` between levels), then the command line; later ones win.

use std::fmt;
use std::path::{Path, PathBuf};

use dockside_broker::config::{Admin, Limits, LiveLog, Mqtt};
use dockside_flighttask::Rules;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider, Source};
use serde::{Deserialize, Serialize};

/// The whole configuration. `config/dockside.toml` shows every key with its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect.
    pub mqtt: Mqtt,
    /// Where operators look.
    pub admin: Admin,
    /// Where data is kept.
    pub data: Data,
    /// Flight-task events.
    pub flight_task: FlightTask,
    /// Limits on everything a client can make grow.
    pub limits: Limits,
    /// The in-memory log between publishers and subscribers.
    pub live_log: LiveLog,
    /// What is logged.
    pub log: Log,
}

/// Where data is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Directory; created if it does not exist.
    pub dir: PathBuf,
}

/// Flight-task events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlightTask {
    /// Whether an event without `need_reply` is answered.
    pub reply_when_unasked: bool,
    /// The longest event payload that is answered, bytes.
    pub max_event_bytes: usize,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important level that is logged.
    pub level: Level,
}

/// Importance of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something must be done.
    Error,
    /// Something may have to be done.
    Warn,
    /// Connections that are refused or closed by the broker, starts and stops.
    #[default]
    Info,
    /// Every connection.
    Debug,
}

impl Level {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: "data".into() }
    }
}

impl Default for FlightTask {
    fn default() -> Self {
        let Rules { reply_when_unasked, max_event_bytes } = Rules::default();
        Self { reply_when_unasked, max_event_bytes }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info }
    }
}

impl FlightTask {
    /// As the plugin takes it.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { reply_when_unasked: self.reply_when_unasked, max_event_bytes: self.max_event_bytes }
    }
}

/// One problem of the configuration, in one line: where it comes from, which key, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--mqtt`.
    pub mqtt: Option<String>,
    /// `--admin`.
    pub admin: Option<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
}

impl Arguments {
    fn flags(&self) -> impl Iterator<Item = Flag> {
        let data = self.data.as_ref().map(|dir| dir.display().to_string());
        [
            ("--mqtt", "mqtt.listen", self.mqtt.clone()),
            ("--admin", "admin.listen", self.admin.clone()),
            ("--data", "data.dir", data),
        ]
        .into_iter()
        .filter_map(|(name, key, value)| Some(Flag { name, key, value: value? }))
    }
}

/// One flag of the command line as a source of its own, so that an error names it.
struct Flag {
    name: &'static str,
    key: &'static str,
    value: String,
}

impl Provider for Flag {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("command line ({})", self.name))
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Serialized::default(self.key, &self.value).data()
    }
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(arguments: &Arguments) -> Result<Self, Vec<Problem>> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = &arguments.file {
            check_readable(file).map_err(|problem| vec![problem])?;
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(environment());
        for flag in arguments.flags() {
            figment = figment.merge(flag);
        }
        let config: Self = figment
            .extract()
            .map_err(|errors| errors.into_iter().map(describe).collect::<Vec<_>>())?;
        let problems = config.contradictions(&figment);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The broker's part.
    #[must_use]
    pub fn broker(&self) -> dockside_broker::Config {
        dockside_broker::Config {
            mqtt: self.mqtt.clone(),
            admin: self.admin.clone(),
            limits: self.limits.clone(),
            live_log: self.live_log.clone(),
        }
    }

    fn contradictions(&self, figment: &Figment) -> Vec<Problem> {
        let line = |problem: dockside_broker::config::Problem| {
            let source = figment.find_metadata(problem.key).map_or("defaults".to_owned(), origin);
            Problem(format!("{source}: {}: {}", problem.key, problem.remedy))
        };
        self.broker().problems().into_iter().map(line).collect()
    }
}

/// Variables that an orchestrator sets for a service named `dockside`, or a build sets, are not the
/// operator's; every other unknown one is an error like an unknown key of the file.
fn environment() -> Env {
    let theirs =
        |name: &str| name.starts_with("service_") || name.starts_with("port") || name == "revision";
    let mine = move |name: &figment::value::UncasedStr| !theirs(&name.as_str().to_lowercase());
    Env::prefixed("DOCKSIDE_").filter(mine).split("__")
}

fn check_readable(file: &Path) -> Result<(), Problem> {
    match std::fs::read_to_string(file) {
        Ok(_) => Ok(()),
        Err(error) => {
            let file = file.display();
            Err(Problem(format!("command line (--config): {file} cannot be read: {error}")))
        }
    }
}

/// Where a value comes from, as a person would say it.
fn origin(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(Source::File(path)) => format!("file {}", path.display()),
        _ if metadata.name.contains("environment") => "environment (DOCKSIDE_...)".to_owned(),
        _ => metadata.name.to_string(),
    }
}

fn describe(error: figment::Error) -> Problem {
    let source = error.metadata.as_ref().map_or("configuration".to_owned(), origin);
    let key = error.path.join(".");
    let (key, what) = match error.kind {
        Kind::UnknownField(name, expected) => {
            // The path may or may not end in the field already.
            let known = key == name || key.ends_with(&format!(".{name}"));
            let key = if known || key.is_empty() { key } else { format!("{key}.{name}") };
            let key = if key.is_empty() { name } else { key };
            (key, format!("unknown key; known here are {}", expected.join(", ")))
        }
        kind => (key, one_line(&kind.to_string())),
    };
    if key.is_empty() {
        return Problem(format!("{source}: {what}"));
    }
    Problem(format!("{source}: {key}: {what}"))
}

/// TOML draws its syntax errors over several lines.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "|");
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../config/dockside.toml");

    /// Every key of every table, as `table.key`.
    fn keys(table: &toml::Table) -> Vec<String> {
        let tables = table.iter().filter_map(|(name, value)| Some((name, value.as_table()?)));
        tables
            .flat_map(|(name, table)| table.keys().map(move |key| format!("{name}.{key}")))
            .collect()
    }

    #[test]
    fn the_shipped_file_is_the_defaults() {
        let shipped: Config = toml::from_str(SHIPPED).unwrap();
        assert_eq!(shipped, Config::default());
        let all = keys(&toml::Table::try_from(Config::default()).unwrap());
        let written = keys(&SHIPPED.parse().unwrap());
        assert_eq!(written, all, "every key stands in the file");
    }

    #[test]
    fn every_key_of_the_shipped_file_has_one_comment() {
        let mut comment = false;
        for line in SHIPPED.lines() {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(comment, "no comment above {line}");
            }
            comment = line.starts_with("# ");
        }
    }
}
