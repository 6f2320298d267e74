//! Topic names and topic filters (MQTT 5.0 section 4.7).

use crate::reason::{ProtocolError, ReasonCode};

/// Checks a topic name: not empty [MQTT-4.7.3-1], no wildcard [MQTT-3.3.2-2].
/// (U+0000 and bad UTF-8 never get past the codec.)
///
/// # Errors
/// `Topic Name Invalid`.
pub fn check_name(topic: &str) -> Result<(), ProtocolError> {
    let invalid = |detail| Err(ProtocolError::new(ReasonCode::TopicNameInvalid, detail));
    if topic.is_empty() {
        return invalid("empty topic name");
    }
    if topic.bytes().any(|b| b == b'+' || b == b'#') {
        return invalid("wildcard in a topic name");
    }
    Ok(())
}

/// A topic filter that obeys the rules of section 4.7.1, and the share it was asked for under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter<'a> {
    /// The share name of `$share/name/filter` (section 4.8.2).
    pub share: Option<&'a str>,
    /// The filter that topics are matched against.
    pub levels: &'a str,
}

impl<'a> Filter<'a> {
    /// Parses a filter as it stands in a SUBSCRIBE.
    ///
    /// # Errors
    /// `Topic Filter Invalid`: empty, a wildcard that is not alone in its level, `#` before the end
    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2], or a share without name or filter [MQTT-4.8.2-1]
    /// [MQTT-4.8.2-2].
    pub fn parse(filter: &'a str) -> Result<Self, ProtocolError> {
        let invalid = |detail| Err(ProtocolError::new(ReasonCode::TopicFilterInvalid, detail));
        let (share, levels) = match filter.strip_prefix("$share/") {
            None => (None, filter),
            Some(rest) => match rest.split_once('/') {
                Some((name, levels)) if !name.is_empty() && !name.contains(['+', '#']) => {
                    (Some(name), levels)
                }
                _ => return invalid("shared subscription without name or filter"),
            },
        };
        if levels.is_empty() {
            return invalid("empty topic filter");
        }
        let mut rest = levels.split('/').peekable();
        while let Some(level) = rest.next() {
            if level.len() > 1 && level.contains(['+', '#']) {
                return invalid("wildcard that is not alone in its level");
            }
            if level == "#" && rest.peek().is_some() {
                return invalid("# before the last level");
            }
        }
        Ok(Self { share, levels })
    }
}

/// Whether `topic` matches `filter`, level by level; neither is checked again.
///
/// A filter that starts with a wildcard does not match a topic that starts with `$` [MQTT-4.7.2-1].
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    let is_hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    !is_hidden && matches_bytes(filter.as_bytes(), topic.as_bytes())
}

/// As [`matches()`] where what both begin with, to the end of a level, is known to be the same and left out.
#[must_use]
pub fn matches_bytes(mut filter: &[u8], mut topic: &[u8]) -> bool {
    loop {
        match filter {
            [b'#'] => return true,
            [b'+', rest @ ..] => {
                let end = topic.iter().position(|byte| *byte == b'/').unwrap_or(topic.len());
                (filter, topic) = (rest, &topic[end..]);
            }
            _ => {
                // Up to the end of the level, byte by byte: most that do not match differ soon.
                let same = filter.iter().zip(topic).take_while(|(f, t)| f == t && **f != b'/');
                let same = same.count();
                (filter, topic) = (&filter[same..], &topic[same..]);
            }
        }
        match (filter, topic) {
            // The level above `/#` matches too (section 4.7.1.2).
            ([], []) | ([b'/', b'#'], []) => return true,
            ([b'/', further @ ..], [b'/', behind @ ..]) => (filter, topic) = (further, behind),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn filters_match_as_a_comparison_level_by_level_says(
            filter in "([ab$]{0,2}|\\+)(/([ab]{0,2}|\\+)){0,3}(/#)?|#",
            topic in "[ab$]{0,2}(/[ab]{0,2}){0,4}",
        ) {
            let (filters, topics): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
            let is_rest = filters.last() == Some(&"#");
            let (levels, rest) = filters.split_at(filters.len() - usize::from(is_rest));
            let is_long = if rest.is_empty() { topics.len() == levels.len() } else { topics.len() >= levels.len() };
            let is_hidden = topic.starts_with('$') && ["+", "#"].contains(&filters[0]);
            let mut each = levels.iter().zip(&topics);
            let expected = is_long && !is_hidden && each.all(|(level, name)| *level == "+" || level == name);
            proptest::prop_assert_eq!(matches(&filter, &topic), expected);
        }
    }

    /// [MQTT-4.7.2-1] for the topics that begin with `$`.
    #[test]
    fn filters_match_as_section_4_7_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("#", "$SYS/broker", false),
            ("+/broker", "$SYS/broker", false),
            ("$SYS/#", "$SYS/broker", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/#", "sports", false),
            ("sport/+/#", "sport", false),
            ("sport/+/#", "sport/tennis", true),
            ("+/tennis/#", "sport/tennis", true),
            ("+//b", "a//b", true),
            ("ab", "abc", false),
            ("abc", "ab", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("a/b", "a/b/", false),
            ("日本/+", "日本/x", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} against {topic}");
        }
    }

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    #[test]
    fn bad_filters_are_refused() {
        for filter in
            ["", "a#", "a/#/b", "a+", "+a/b", "#/", "$share/", "$share/g", "$share//a", "$share/g/"]
        {
            let error = Filter::parse(filter).unwrap_err();
            assert_eq!(error.reason, ReasonCode::TopicFilterInvalid, "{filter}");
        }
        assert!(Filter::parse("$share/+/a").is_err());
        assert_eq!(
            Filter::parse("$share/g/a/+/#"),
            Ok(Filter { share: Some("g"), levels: "a/+/#" })
        );
        assert_eq!(Filter::parse("/"), Ok(Filter { share: None, levels: "/" }));
    }

    /// [MQTT-3.3.2-2] [MQTT-4.7.3-1]
    #[test]
    fn names_without_wildcards_only() {
        assert!(check_name("thing/product/X/events").is_ok());
        for name in ["", "a/+", "a/#", "x+y"] {
            assert_eq!(check_name(name).unwrap_err().reason, ReasonCode::TopicNameInvalid);
        }
    }
}
