//! Everything an operator can decide: embedded defaults, then a TOML file, then the environment
//! (`DOCKSIDE_` and `__` between levels), then the command line; later ones win.

mod answer;
mod effective;
mod load;
mod schema;
mod secrets;
mod sources;

use std::collections::BTreeMap;

use dockside_broker::config::{
    Access, Admin, Alerts, Data, Dock, Limits, Listener, LiveLog, Metrics, Mqtt, Store, Users,
};
use dockside_flighttask::Rules;
use dockside_flighttask::names::StepFamily;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, Site};
pub use self::effective::{Setting, to_toml};
pub use self::load::Loaded;
pub use self::schema::schema;
pub use self::secrets::HIDDEN;
pub use self::sources::{Arguments, Problem};

/// Dockside's configuration. `config/dockside.toml` shows every key with its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect.
    pub mqtt: Mqtt,
    /// More addresses where clients connect.
    pub listeners: Vec<Listener>,
    /// Who may connect.
    pub users: Users,
    /// Who may publish and subscribe where.
    pub access: Access,
    /// Where operators look.
    pub admin: Admin,
    /// Where Prometheus looks.
    pub metrics: Metrics,
    /// Where data is kept.
    pub data: Data,
    /// How it is kept.
    pub store: Store,
    /// Which messages of gateways are answered here.
    pub answer: Vec<Answer>,
    /// What is said of the site.
    pub site: Site,
    /// Flight tasks and their events.
    pub flight_task: FlightTask,
    /// Docks.
    pub dock: Dock,
    /// What somebody should look at.
    pub alerts: Alerts,
    /// Limits on everything a client can make grow.
    pub limits: Limits,
    /// The in-memory log between publishers and subscribers.
    pub live_log: LiveLog,
    /// What is logged.
    pub log: Log,
}

/// Flight tasks and their events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlightTask {
    /// Whether an event without `need_reply` is answered.
    pub reply_when_unasked: bool,
    /// The longest event payload that is answered, bytes.
    pub max_event_bytes: usize,
    /// After how long without an event a task that is not over is called silent, seconds.
    pub silent_after_s: u32,
    /// Whether how tasks stand is published as retained JSON on `dockside/flight-tasks/SERIALNUMBER`.
    pub publish_state: bool,
    /// By serial number: how a dock numbers its steps, where what it says of itself does not tell: `three-steps`,
    /// `ranges`, `shared`, `dock-1` or `dock-2`.
    pub step_families: BTreeMap<String, String>,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important level that is logged.
    pub level: Level,
    /// How a line looks: text, or json, an object a line.
    pub format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// An object with `timestamp`, `level`, `message` and what else is known, for programs.
    Json,
}

/// Importance of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl Default for FlightTask {
    fn default() -> Self {
        let Rules { reply_when_unasked, max_event_bytes, .. } = Rules::default();
        let dockside_broker::config::FlightTask { silent_after_s, publish_state, step_families } =
            dockside_broker::config::FlightTask::default();
        Self { reply_when_unasked, max_event_bytes, silent_after_s, publish_state, step_families }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, format: Format::Text }
    }
}

impl Config {
    fn problems(&self) -> Vec<dockside_broker::config::Problem> {
        let mut problems = self.broker().problems();
        problems.extend(answer::problems(&self.answer, &self.site));
        problems.extend(secrets::problems(self));
        for (sn, family) in &self.flight_task.step_families {
            if let Err(error) = family.parse::<StepFamily>() {
                let key = format!("flight_task.step_families.{sn}");
                problems.push(dockside_broker::config::Problem::new(key, error.to_string()));
            }
        }
        problems
    }

    /// The tables and keys that differ in `new` and that only a restart takes over.
    #[must_use]
    pub fn need_restart(&self, new: &Self) -> Vec<&'static str> {
        let mut tables = self.broker().need_restart(&new.broker());
        let others = [
            ("answer", self.answer != new.answer),
            ("site", self.site != new.site),
            ("flight_task", self.flight_task != new.flight_task),
            ("log", self.log != new.log),
        ];
        for (table, _) in others.into_iter().filter(|(_, differs)| *differs) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        tables
    }

    /// What is answered, as the plugin takes it.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            reply_when_unasked: self.flight_task.reply_when_unasked,
            max_event_bytes: self.flight_task.max_event_bytes,
            rules: self.answer.iter().map(Answer::rule).collect(),
            site: self.site.site(),
        }
    }

    /// The broker's part.
    #[must_use]
    pub fn broker(&self) -> dockside_broker::Config {
        dockside_broker::Config {
            mqtt: self.mqtt.clone(),
            listeners: self.listeners.clone(),
            users: self.users.clone(),
            access: self.access.clone(),
            admin: self.admin.clone(),
            metrics: self.metrics.clone(),
            limits: self.limits.clone(),
            live_log: self.live_log.clone(),
            data: self.data.clone(),
            store: self.store.clone(),
            flight_task: dockside_broker::config::FlightTask {
                silent_after_s: self.flight_task.silent_after_s,
                publish_state: self.flight_task.publish_state,
                step_families: self.flight_task.step_families.clone(),
            },
            dock: self.dock.clone(),
            alerts: self.alerts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../../config/dockside.toml");

    /// Lists and tables of names have no default to show; the shipped file has examples of them.
    const EXAMPLES: [&str; 7] = [
        "listeners",
        "access.groups",
        "access.gateways",
        "access.rules",
        "answer",
        "site.callsigns",
        "flight_task.step_families",
    ];

    /// Every key of every table, as `table.key`.
    fn keys(table: &toml::Table) -> Vec<String> {
        let of = |(name, value): (&String, &toml::Value)| match value.as_table() {
            Some(table) => keys(table).iter().map(|key| format!("{name}.{key}")).collect(),
            None => vec![name.clone()],
        };
        let keys = table.iter().flat_map(of);
        keys.filter(|key| !EXAMPLES.contains(&key.as_str())).collect()
    }

    #[test]
    fn the_shipped_file_is_the_defaults() {
        let shipped: Config = toml::from_str(SHIPPED).unwrap();
        assert_eq!(shipped, Config::default());
        let all = keys(&toml::Table::try_from(Config::default()).unwrap());
        let written = keys(&SHIPPED.parse().unwrap());
        assert_eq!(written, all, "every key stands in the file");
    }

    /// What stands behind `#|` is an example that must be possible.
    #[test]
    fn the_examples_of_the_shipped_file_are_sound() {
        let text: String =
            SHIPPED.lines().map(|line| format!("{}\n", line.trim_start_matches("#| "))).collect();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.listeners.len(), 1);
        assert_eq!((config.answer.len(), config.site.callsigns.len()), (3, 1));
        assert_eq!(config.flight_task.step_families.len(), 1);
        assert!(answer::problems(&config.answer, &Site::default()).is_empty());
        assert_eq!(config.access.rules.len(), 2);
        assert!(!config.access.groups.is_empty() && !config.access.gateways.is_empty());
        let policy = dockside_access::policy::Policy::new(&config.access, None);
        assert!(policy.is_ok());
    }

    #[test]
    fn a_problem_is_one_line_whatever_a_key_is_called() {
        for key in ["a\\nb", "a\\r\\u0085b", "\\u001b[2J", "mqtt\".\"a\\tb"] {
            let problems = Config::from_toml(&format!("\"{key}\" = 1")).unwrap_err();
            assert_eq!(problems.len(), 1);
            let line = problems[0].to_string();
            assert!(line.contains("unknown key"), "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
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
