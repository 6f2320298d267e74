//! What is in force, key by key, with where it is from.

use std::fmt::Write;

use figment::Figment;
use figment::value::Value;
use serde::Serialize;

use super::{secrets, sources};

/// One value that is in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Dotted key, such as `listeners[0].key`.
    pub key: String,
    /// The value.
    pub value: toml::Value,
    /// Where it is from, in words.
    pub origin: String,
    /// The key without its table.
    #[serde(skip)]
    name: String,
    /// The table that it stands in: its key, and TOML's line for it.
    #[serde(skip)]
    table: (String, String),
}

/// All values of a configuration, in the order of its types; what stands in a table comes before the tables in it.
pub(super) fn settings(config: &toml::Table, sources: &Figment) -> Vec<Setting> {
    let read = sources.find_value("").ok();
    let mut settings = Vec::new();
    let top = (String::new(), String::new());
    Walk { sources, settings: &mut settings }.table(&top, config, read.as_ref());
    settings
}

struct Walk<'w> {
    sources: &'w Figment,
    settings: &'w mut Vec<Setting>,
}

impl Walk<'_> {
    /// `read` is what the sources say of this table, where they say something.
    fn table(&mut self, at: &(String, String), table: &toml::Table, read: Option<&Value>) {
        let key_of = |name: &str| match at.0.as_str() {
            "" => name.to_owned(),
            table => format!("{table}.{name}"),
        };
        let read_of = |name: &str| read.and_then(Value::as_dict).and_then(|dict| dict.get(name));
        for (name, value) in table.iter().filter(|(_, value)| !has_tables(value)) {
            let key = key_of(name);
            // What no source says of an element of a list is its type's default.
            let metadata = read_of(name).map(|read| self.sources.get_metadata(read.tag()));
            let origin =
                metadata.map_or(sources::DEFAULT.to_owned(), |found| sources::origin(found, &key));
            let (name, table) = (name.clone(), at.clone());
            self.settings.push(Setting { key, value: value.clone(), origin, name, table });
        }
        for (name, value) in table {
            let key = key_of(name);
            match value {
                toml::Value::Table(inner) if has_tables(value) => {
                    self.table(&(key.clone(), format!("[{key}]")), inner, read_of(name));
                }
                toml::Value::Array(elements) if has_tables(value) => {
                    let read = read_of(name).and_then(Value::as_array);
                    for (place, element) in elements.iter().enumerate() {
                        let Some(inner) = element.as_table() else { continue };
                        let at = (format!("{key}[{place}]"), format!("[[{key}]]"));
                        self.table(&at, inner, read.and_then(|read| read.get(place)));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether it is written as tables of its own; empty ones are values.
fn has_tables(value: &toml::Value) -> bool {
    match value {
        toml::Value::Table(table) => !table.is_empty(),
        toml::Value::Array(elements) => elements.iter().any(toml::Value::is_table),
        _ => false,
    }
}

/// As a configuration file, each value followed by its origin.
#[must_use]
pub fn to_toml(settings: &[Setting]) -> String {
    let mut text = String::new();
    if settings.iter().any(|setting| secrets::is_hidden(&setting.value)) {
        let hidden = secrets::HIDDEN;
        text += &format!("# {hidden} stands for a secret; --secrets shows it.\n\n");
    }
    let mut table = "";
    for setting in settings {
        let (key, line) = &setting.table;
        if key != table {
            let gap = if text.is_empty() { "" } else { "\n" };
            // A String takes everything.
            let _ = writeln!(text, "{gap}{line}");
            table = key;
        }
        let (name, value) = (bare(&setting.name), literal(&setting.value));
        let _ = writeln!(text, "{name} = {value} # {}", setting.origin);
    }
    text
}

/// A key as TOML writes it.
fn bare(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A value in one line, so that its origin can stand behind it.
fn literal(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => quoted(text),
        toml::Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(literal).collect();
            format!("[{}]", elements.join(", "))
        }
        other => other.to_string(),
    }
}

/// JSON's text in quotes is TOML's, but that TOML has no bare delete.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
