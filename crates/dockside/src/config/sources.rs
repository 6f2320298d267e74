//! Where values come from, and how a problem says so.

use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Env, Serialized};
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider, Source};

/// One problem of the configuration, in one line: where it comes from, which key, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// One line, whatever characters a key has: this is shown in terminals and logs.
    fn of(text: &str) -> Self {
        let mut line = String::with_capacity(text.len());
        for character in text.chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        Self(line)
    }
}

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
    pub(super) fn flags(&self) -> impl Iterator<Item = Flag> {
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
pub(super) struct Flag {
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

/// A broker's problems as lines; a key may point into a list, which came from one source as a whole.
pub(super) fn locate(
    problems: &[dockside_broker::config::Problem],
    figment: &Figment,
) -> Vec<Problem> {
    let line = |problem: &dockside_broker::config::Problem| {
        let key = problem.key.split('[').next().unwrap_or_default();
        let source = origin(figment.find_metadata(key), key);
        Problem::of(&format!("{source}: {}: {}", problem.key, one_line(&problem.remedy)))
    };
    problems.iter().map(line).collect()
}

/// Variables that an orchestrator sets for a service named `dockside`, or a build sets, are not the
/// operator's; every other unknown one is an error like an unknown key of the file.
pub(super) fn environment() -> Env {
    let theirs =
        |name: &str| name.starts_with("service_") || name.starts_with("port") || name == "revision";
    let mine = move |name: &figment::value::UncasedStr| !theirs(&name.as_str().to_lowercase());
    Env::prefixed("DOCKSIDE_").filter(mine).split("__")
}

pub(super) fn check_readable(file: &Path) -> Result<(), Problem> {
    match std::fs::read_to_string(file) {
        Ok(_) => Ok(()),
        Err(error) => {
            let file = file.display();
            Err(Problem::of(&format!("command line (--config): {file} cannot be read: {error}")))
        }
    }
}

/// Where values come from that nobody has said.
pub(super) const DEFAULT: &str = "default";

/// Where the value of a key comes from, as a person would say it, in one line.
pub(super) fn origin(metadata: Option<&Metadata>, key: &str) -> String {
    let Some(metadata) = metadata else { return DEFAULT.to_owned() };
    let origin = match &metadata.source {
        Some(Source::File(path)) => format!("file {}", path.display()),
        Some(Source::Code(_)) => DEFAULT.to_owned(),
        _ if metadata.name.contains("environment") => format!("environment ({})", variable(key)),
        _ => metadata.name.to_string(),
    };
    Problem::of(&origin).0
}

/// The variable that a key's value is from: its own, or that of a table around it.
fn variable(key: &str) -> String {
    let of = |key: &str| format!("DOCKSIDE_{}", key.replace('.', "__").to_uppercase());
    let is_set = |name: &str| {
        std::env::vars_os().any(|(set, _)| set.to_string_lossy().eq_ignore_ascii_case(name))
    };
    // A list comes from one variable as a whole.
    let key = key.split('[').next().unwrap_or_default();
    let mut table = Some(key);
    while let Some(key) = table {
        let name = of(key);
        if is_set(&name) {
            return name;
        }
        table = key.rsplit_once('.').map(|(table, _)| table);
    }
    of(key)
}

/// What cannot be read, where the error tells.
pub(super) fn describe(error: figment::Error) -> Problem {
    let key = error.path.join(".");
    let source = error
        .metadata
        .as_ref()
        .map_or("configuration".to_owned(), |metadata| origin(Some(metadata), &key));
    describe_as(error, &source, key)
}

/// What cannot be read in the value of this key, or in this element of its list.
pub(super) fn describe_at(
    error: figment::Error,
    source: &str,
    key: &str,
    element: Option<usize>,
) -> Problem {
    let path = error.path.join(".");
    let key = match element {
        Some(at) => {
            // It was read alone, as the first of its list.
            let inner = path.strip_prefix(key).unwrap_or_default();
            format!("{key}[{at}]{}", inner.strip_prefix(".0").unwrap_or_default())
        }
        None => path,
    };
    describe_as(error, source, key)
}

fn describe_as(error: figment::Error, source: &str, key: String) -> Problem {
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
        return Problem::of(&format!("{source}: {what}"));
    }
    Problem::of(&format!("{source}: {key}: {what}"))
}

/// TOML draws its syntax errors over several lines.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "|");
    lines.collect::<Vec<_>>().join(" ")
}
