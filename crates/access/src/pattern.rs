//! A topic of a rule: a topic filter (MQTT 5.0 section 4.7) in which `%u` stands for the user,
//! `%c` for the client identifier, and a level `%s` for any serial number that the user owns.
//!
//! A user or client identifier that holds `+`, `#` or `/`, or is empty, never matches.

use std::fmt;

/// Who asks.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The user that logged in; nobody is anonymous.
    pub user: Option<&'a str>,
    /// The client identifier, which anybody can choose.
    pub client_id: &'a str,
    /// Whether the user owns a serial number.
    pub owns: &'a dyn Fn(&str) -> bool,
}

impl fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asker({:?}, {:?})", self.user, self.client_id)
    }
}

/// A topic of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    levels: Box<[Level]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    /// `#`.
    Multi,
    /// `+`.
    Single,
    /// `%s`.
    Owned,
    Name(Box<str>),
    /// A name with `%u` or `%c` in it.
    Composed(Box<[Piece]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    User,
    Client,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("an empty topic");
        }
        let mut rest = text.split('/').peekable();
        let mut levels = Vec::new();
        while let Some(level) = rest.next() {
            levels.push(match level {
                "#" if rest.peek().is_some() => return Err("# is only allowed at the end"),
                "#" => Level::Multi,
                "+" => Level::Single,
                "%s" => Level::Owned,
                _ if level.contains(['+', '#']) => return Err("+ and # are levels of their own"),
                _ if level.contains("%s") => return Err("%s is a level of its own"),
                _ if level.contains("%u") || level.contains("%c") => composed(level),
                name => Level::Name(name.into()),
            });
        }
        Ok(Self { levels: levels.into() })
    }

    /// Whether a topic name matches.
    #[must_use]
    pub fn matches(&self, topic: &str, asker: &Asker<'_>) -> bool {
        let mut names = topic.split('/');
        for (at, level) in self.levels.iter().enumerate() {
            let name = match (level, names.next()) {
                (Level::Multi, _) => return at > 0 || !topic.starts_with('$'),
                (_, None) => return false,
                (_, Some(name)) => name,
            };
            if !level.admits(name, at == 0, asker) {
                return false;
            }
        }
        names.next().is_none()
    }

    /// Whether every topic that matches `filter` matches this: what an allowed subscription needs.
    #[must_use]
    pub fn covers(&self, filter: &str, asker: &Asker<'_>) -> bool {
        let mut names = filter.split('/');
        for (at, level) in self.levels.iter().enumerate() {
            let name = match (level, names.next()) {
                (Level::Multi, _) => return at > 0 || !filter.starts_with('$'),
                (_, None | Some("#")) => return false,
                (Level::Single, Some("+")) => continue,
                (_, Some("+")) => return false,
                (_, Some(name)) => name,
            };
            if !level.admits(name, at == 0, asker) {
                return false;
            }
        }
        names.next().is_none()
    }

    /// Whether some topic can match both: a denied subscription is one that reaches in.
    #[must_use]
    pub fn overlaps(&self, filter: &str, asker: &Asker<'_>) -> bool {
        let mut names = filter.split('/');
        for (at, level) in self.levels.iter().enumerate() {
            match (level, names.next()) {
                (Level::Multi, _) => return at > 0 || !filter.starts_with('$'),
                (_, None) => return false,
                // What follows can be met by some topic, unless it can be met by none.
                (_, Some("#")) => {
                    return (at > 0 || !self.is_reserved())
                        && self.levels[at..].iter().all(|level| level.is_possible(asker));
                }
                (level, Some("+")) => {
                    if (at == 0 && self.is_reserved()) || !level.is_possible(asker) {
                        return false;
                    }
                }
                (level, Some(name)) => {
                    if !level.admits(name, at == 0, asker) {
                        return false;
                    }
                }
            }
        }
        // `a` and `a/#` have the topic `a` in common.
        matches!((names.next(), names.next()), (None, _) | (Some("#"), None))
    }

    /// Whether it names topics that a leading wildcard does not match [MQTT-4.7.2-1].
    fn is_reserved(&self) -> bool {
        matches!(self.levels.first(), Some(Level::Name(name)) if name.starts_with('$'))
    }
}

impl Level {
    fn admits(&self, name: &str, first: bool, asker: &Asker<'_>) -> bool {
        match self {
            Self::Name(known) => **known == *name,
            // Only a rule that names it reaches a topic that starts with $.
            _ if first && name.starts_with('$') => false,
            Self::Multi | Self::Single => true,
            Self::Owned => (asker.owns)(name),
            Self::Composed(pieces) => composes(pieces, name, asker),
        }
    }

    /// Whether there is any name that it admits.
    fn is_possible(&self, asker: &Asker<'_>) -> bool {
        match self {
            Self::Composed(pieces) => pieces.iter().all(|piece| piece.text(asker).is_some()),
            _ => true,
        }
    }
}

impl Piece {
    fn text<'a>(&'a self, asker: &Asker<'a>) -> Option<&'a str> {
        let value = match self {
            Self::Text(text) => return Some(text),
            Self::User => asker.user?,
            Self::Client => asker.client_id,
        };
        (!value.is_empty() && !value.contains(['+', '#', '/'])).then_some(value)
    }
}

fn composes<'a>(pieces: &'a [Piece], name: &str, asker: &Asker<'a>) -> bool {
    let mut rest = name;
    for piece in pieces {
        match piece.text(asker).and_then(|text| rest.strip_prefix(text)) {
            Some(left) => rest = left,
            None => return false,
        }
    }
    rest.is_empty()
}

fn composed(level: &str) -> Level {
    let mut pieces = Vec::new();
    let mut rest = level;
    while let Some(at) = [rest.find("%u"), rest.find("%c")].into_iter().flatten().min() {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].into()));
        }
        let user = rest[at..].starts_with("%u");
        pieces.push(if user { Piece::User } else { Piece::Client });
        rest = &rest[at + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Level::Composed(pieces.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNED: &str = "SIM1";

    fn asker<'a>(user: &'a str, client_id: &'a str) -> Asker<'a> {
        Asker { user: Some(user), client_id, owns: &|sn| sn == OWNED }
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn placeholders_stand_for_the_asker() {
        let who = asker("ann", "tablet");
        for (text, topic, expected) in [
            ("u/%u", "u/ann", true),
            ("u/%u", "u/bob", false),
            ("u/%u/#", "u/ann/x", true),
            ("c/x-%c-%u", "c/x-tablet-ann", true),
            ("c/x-%c-%u", "c/x-tablet-ann2", false),
            ("thing/product/%s/events", "thing/product/SIM1/events", true),
            ("thing/product/%s/events", "thing/product/SIM2/events", false),
            ("thing/product/%s/events", "thing/product/SIM1/a/events", false),
            ("%d/x", "%d/x", true),
        ] {
            assert_eq!(pattern(text).matches(topic, &who), expected, "{text} {topic}");
            assert_eq!(pattern(text).covers(topic, &who), expected, "{text} {topic}");
            assert_eq!(pattern(text).overlaps(topic, &who), expected, "{text} {topic}");
        }
    }

    /// A value that could widen a rule never matches, not even itself.
    #[test]
    fn a_value_with_wildcards_or_levels_never_matches() {
        for value in ["+", "#", "a/b", "a+", ""] {
            for (text, who) in [("x/%u", asker(value, "c")), ("x/%c", asker("u", value))] {
                let topic = format!("x/{value}");
                assert!(!pattern(text).matches(&topic, &who), "{value:?}");
                assert!(!pattern(text).covers(&topic, &who), "{value:?}");
                assert!(!pattern(text).overlaps(&topic, &who), "{value:?}");
                assert!(!pattern(text).overlaps("#", &who), "{value:?}");
            }
        }
        let anonymous = Asker { user: None, client_id: "c", owns: &|_| false };
        assert!(!pattern("x/%u").matches("x/", &anonymous));
    }

    #[test]
    fn a_dollar_is_reached_only_by_name() {
        let who = asker("$SYS", "$SYS");
        for text in ["#", "+/broker", "%u/broker", "%c/#", "%s/broker"] {
            assert!(!pattern(text).matches("$SYS/broker", &who), "{text}");
            assert!(!pattern(text).covers("$SYS/broker", &who), "{text}");
            assert!(!pattern(text).overlaps("$SYS/broker", &who), "{text}");
        }
        assert!(pattern("$SYS/#").matches("$SYS/broker", &who));
        assert!(pattern("$SYS/#").covers("$SYS/#", &who));
        assert!(!pattern("$SYS/#").overlaps("#", &who));
        assert!(!pattern("$SYS/+").overlaps("+/+", &who));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for text in ["", "a/#/b", "a#", "a+/b", "x%s", "%s%u"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
