//! From all sources to one configuration, or to everything that is wrong with it.

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};

use super::effective::{self, Setting};
use super::sources::{self, Arguments, Problem};
use super::{Config, secrets};

/// A configuration that is sound, and where its values come from.
pub struct Loaded {
    /// The values.
    pub config: Config,
    sources: Figment,
}

impl Loaded {
    /// Reads all sources, and the files that they name.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(arguments: &Arguments) -> Result<Self, Vec<Problem>> {
        readable(arguments)?;
        Self::of(|figment| given(figment, arguments), true)
    }

    /// `given` puts what an operator says over what is there.
    fn of(given: impl Fn(Figment) -> Figment, with_files: bool) -> Result<Self, Vec<Problem>> {
        let sources = given(defaults());
        let config: Config = sources.extract().map_err(|errors| {
            wrong_values(&given(Figment::new()))
                .unwrap_or_else(|| errors.into_iter().map(sources::describe).collect())
        })?;
        let mut problems = config.problems();
        if with_files {
            // A value that is wrong has often a file that cannot be read.
            let known: Vec<_> = problems.iter().map(|problem| problem.key.clone()).collect();
            let files = config.broker().file_problems();
            problems.extend(files.into_iter().filter(|problem| !known.contains(&problem.key)));
        }
        if problems.is_empty() {
            Ok(Self { config, sources })
        } else {
            Err(sources::locate(&problems, &sources))
        }
    }

    /// What is sound and risky all the same, also on this machine.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        let broker = self.config.broker();
        let mut risks = broker.risks();
        risks.extend(broker.machine_risks());
        sources::locate(&risks, &self.sources)
    }

    /// Every value that is in force, and where it is from. Secrets are [`super::HIDDEN`] unless they are asked for.
    ///
    /// # Errors
    /// A value that TOML cannot hold: a path that is no UTF-8, a number of more than 63 bits.
    pub fn settings(&self, with_secrets: bool) -> Result<Vec<Setting>, toml::ser::Error> {
        let mut table = toml::Table::try_from(&self.config)?;
        if !with_secrets {
            secrets::hide(&mut table);
        }
        Ok(effective::settings(&table, &self.sources))
    }
}

impl Config {
    /// Reads all sources, and the files that they name.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(arguments: &Arguments) -> Result<Self, Vec<Problem>> {
        Loaded::load(arguments).map(|loaded| loaded.config)
    }

    /// Reads all sources, but not the files that they name.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load_values(arguments: &Arguments) -> Result<Self, Vec<Problem>> {
        readable(arguments)?;
        Loaded::of(|figment| given(figment, arguments), false).map(|loaded| loaded.config)
    }

    /// What a file with this text says alone, without environment and command line; files that it names are
    /// not looked at.
    ///
    /// # Errors
    /// Every problem found.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Problem>> {
        Loaded::of(|figment| figment.merge(Toml::string(text)), false).map(|loaded| loaded.config)
    }
}

fn defaults() -> Figment {
    Figment::from(Serialized::defaults(Config::default()))
}

fn readable(arguments: &Arguments) -> Result<(), Vec<Problem>> {
    let read = arguments.file.as_deref().map_or(Ok(()), sources::check_readable);
    read.map_err(|problem| vec![problem])
}

/// What an operator says over what is there. Each source is merged by itself: one figment in another would be one source.
fn given(mut figment: Figment, arguments: &Arguments) -> Figment {
    if let Some(file) = &arguments.file {
        figment = figment.merge(Toml::file_exact(file));
    }
    figment = figment.merge(sources::environment());
    arguments.flags().fold(figment, Figment::merge)
}

/// Unknown keys and values of the wrong type, all of them: reading stops at the first, so each is read alone.
fn wrong_values(given: &Figment) -> Option<Vec<Problem>> {
    let Ok(Value::Dict(_, all)) = given.find_value("") else { return None };
    let mut leaves = Vec::new();
    collect(&all, &mut Vec::new(), &mut leaves);
    let mut problems = Vec::new();
    for Leaf { path, element, value } in leaves {
        let alone = match element {
            Some(_) => Value::from(vec![value.clone()]),
            None => value.clone(),
        };
        let read = path
            .iter()
            .rev()
            .fold(alone, |inner, name| Value::from(Dict::from([(name.clone(), inner)])));
        let alone = defaults().merge(Serialized::defaults(read));
        let Err(errors) = alone.extract::<Config>() else { continue };
        let key = path.join(".");
        let origin = sources::origin(given.get_metadata(value.tag()), &key);
        let describe = |error| sources::describe_at(error, &origin, &key, element);
        problems.extend(errors.into_iter().map(describe));
    }
    // An unknown table is one problem, whatever stands in it.
    problems.dedup();
    (!problems.is_empty()).then_some(problems)
}

/// A value, or one table of a list.
struct Leaf<'v> {
    path: Vec<String>,
    element: Option<usize>,
    value: &'v Value,
}

fn collect<'v>(dict: &'v Dict, path: &mut Vec<String>, leaves: &mut Vec<Leaf<'v>>) {
    for (name, value) in dict {
        path.push(name.clone());
        let path_here = path.clone();
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => collect(inner, path, leaves),
            Value::Array(_, elements) if elements.iter().any(|e| e.as_dict().is_some()) => {
                leaves.extend(elements.iter().enumerate().map(|(at, value)| Leaf {
                    path: path_here.clone(),
                    element: Some(at),
                    value,
                }));
            }
            _ => leaves.push(Leaf { path: path_here, element: None, value }),
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Config::from_toml(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_value_that_cannot_be_read_is_told() {
        let text = r#"
            bogus = 1
            [mqtt]
            liste = "x"
            listen = 5
            [limits]
            inflight = "x"
            sessions = -1
            [unknown]
            a = 1
            b = 2
            [access]
            groups = { x = "y" }
            [[listeners]]
            listen = "127.0.0.1:0"
            transport = "tcp"
            [[listeners]]
            listen = "127.0.0.1:0"
            transport = "udp"
            [[listeners]]
            transport = "tcp"
            [[answer]]
            method = ["*"]
        "#;
        let found = problems(text);
        let keys = [
            "access.groups.x: ",
            "answer[0].method: unknown key",
            "bogus: unknown key",
            "limits.inflight: ",
            "limits.sessions: ",
            "listeners[1]",
            "listeners[2]: missing field `listen`",
            "mqtt.liste: unknown key",
            "mqtt.listen: ",
            "unknown: unknown key",
        ];
        assert_eq!(found.len(), keys.len(), "{found:#?}");
        for (line, key) in found.iter().zip(keys) {
            assert!(line.contains(key), "{line} should say {key}");
        }
    }

    #[test]
    fn what_is_hidden_is_shown_as_such_and_refused() {
        let text = r#"
            [users.http]
            url = "http://127.0.0.1/login?key=SECRET"
            [site]
            app_id = "1"
            app_key = "SECRET"
            app_license = "SECRET"
            binding_code = "SECRET"
        "#;
        let loaded = Loaded::of(|figment| figment.merge(Toml::string(text)), false)
            .unwrap_or_else(|_| unreachable!());
        let shown = effective::to_toml(&loaded.settings(false).unwrap());
        assert!(!shown.contains("SECRET"), "{shown}");
        let refused: Vec<_> = problems(&shown);
        let keys = ["users.http.url", "site.binding_code", "site.app_key", "site.app_license"];
        assert_eq!(refused.len(), keys.len(), "{refused:#?}");
        for (line, key) in refused.iter().zip(keys) {
            assert!(line.contains(key), "{line} should say {key}");
        }
        let all = effective::to_toml(&loaded.settings(true).unwrap());
        assert!(!all.contains(secrets::HIDDEN));
        assert_eq!(Config::from_toml(&all).unwrap(), loaded.config);
    }

    #[test]
    fn what_is_shown_means_the_same_when_it_is_read_again() {
        let shipped = include_str!("../../../../config/dockside.toml");
        let examples: String =
            shipped.lines().map(|line| format!("{}\n", line.trim_start_matches("#| "))).collect();
        let odd = "[access.groups]\n\"a b\" = [\"x\\n\\u007f\\\"\"]\n\"\" = []\n";
        for text in [shipped, &examples, odd, ""] {
            let loaded = Loaded::of(|figment| figment.merge(Toml::string(text)), false)
                .map_err(|p| format!("{p:?}"));
            let loaded = loaded.unwrap_or_else(|problems| unreachable!("{problems}"));
            let shown = effective::to_toml(&loaded.settings(true).unwrap());
            assert_eq!(Config::from_toml(&shown), Ok(loaded.config), "{shown}");
        }
    }
}
