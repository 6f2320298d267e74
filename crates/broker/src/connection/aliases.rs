//! Topic aliases towards the client (MQTT 5.0 section 3.3.2.3.4): by topic, never by filter. The first
//! topics of a connection get them; docks and applications keep to their topics.

use std::collections::HashMap;

/// The aliases of one connection.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    maximum: u16,
    by_topic: HashMap<Box<str>, u16>,
}

/// What a topic has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alias {
    None,
    /// The client learns it with this message.
    New(u16),
    Known(u16),
}

impl Alias {
    /// The number to send.
    pub(super) fn number(self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::New(number) | Self::Known(number) => Some(number),
        }
    }

    /// Whether it stands for the topic.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Self::Known(_))
    }
}

impl Aliases {
    /// `maximum` is what the client takes, or what is configured if that is less [MQTT-3.1.2-26]
    /// [MQTT-3.1.2-27] [MQTT-3.3.2-11].
    pub(super) fn new(maximum: u16) -> Self {
        Self { maximum, by_topic: HashMap::new() }
    }

    /// The alias of a topic.
    pub(super) fn of(&self, topic: &str) -> Alias {
        if self.maximum == 0 {
            return Alias::None;
        }
        match self.by_topic.get(topic) {
            Some(number) => Alias::Known(*number),
            None if self.by_topic.len() < usize::from(self.maximum) => {
                Alias::New(self.by_topic.len() as u16 + 1)
            }
            None => Alias::None,
        }
    }

    /// The message that told it is on its way.
    pub(super) fn learn(&mut self, alias: Alias, topic: &str) {
        if let Alias::New(number) = alias {
            self.by_topic.insert(topic.into(), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topics_get_an_alias_once_they_were_sent() {
        let mut aliases = Aliases::new(2);
        assert_eq!(aliases.of("a"), Alias::New(1));
        assert_eq!(aliases.of("a"), Alias::New(1), "it was not sent");
        for topic in ["a", "b", "c"] {
            aliases.learn(aliases.of(topic), topic);
        }
        assert_eq!(["a", "b", "c"].map(|t| aliases.of(t).number()), [Some(1), Some(2), None]);
        assert_eq!(Aliases::new(0).of("a"), Alias::None);
    }
}
