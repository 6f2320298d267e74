//! mosquitto's ACL file: `user NAME`, `topic [read|write|readwrite|deny] TOPIC`,
//! `pattern [...] TOPIC` with `%u` and `%c`.
//!
//! There, what is denied to a user wins over what is allowed to it, wherever it stands, and patterns
//! come behind both. Here the first rule that speaks decides, so they are written in that order.

use dockside_access::pattern::Pattern;
use dockside_broker::config::{Effect, Rule};

/// Whose the lines are.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Whose {
    /// Lines before the first `user`.
    Anonymous,
    User(String),
    /// Patterns.
    Everybody,
}

/// Rules of one owner, in the order they must stand.
#[derive(Debug)]
struct Section {
    whose: Whose,
    denied: Rule,
    allowed: Rule,
    /// A denial could not be carried: what is allowed would be more than there.
    broken: bool,
}

impl Section {
    fn new(whose: Whose) -> Self {
        let mut rule = Rule::default();
        match &whose {
            Whose::Anonymous => rule.anonymous = Some(true),
            Whose::User(user) => rule.user = Some(user.clone()),
            Whose::Everybody => {}
        }
        let denied = Rule { effect: Effect::Deny, ..rule.clone() };
        Self { whose, denied, allowed: rule, broken: false }
    }

    fn add(&mut self, access: &str, topic: &str) {
        let topic = || topic.to_owned();
        match access {
            "deny" => {
                self.denied.publish.push(topic());
                self.denied.subscribe.push(topic());
            }
            "read" => self.allowed.subscribe.push(topic()),
            "write" => self.allowed.publish.push(topic()),
            _ => {
                self.allowed.publish.push(topic());
                self.allowed.subscribe.push(topic());
            }
        }
    }
}

/// The rules of an ACL file.
pub(super) fn rules(text: &str, notes: &mut Vec<String>) -> Vec<Rule> {
    let mut sections = vec![Section::new(Whose::Anonymous)];
    let mut patterns = Section::new(Whose::Everybody);
    let mut at = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let section = match word {
            "user" => {
                let whose = Whose::User(rest.to_owned());
                let known = sections.iter().position(|section| section.whose == whose);
                at = known.unwrap_or(sections.len());
                if known.is_none() {
                    sections.push(Section::new(whose));
                }
                continue;
            }
            "topic" => &mut sections[at],
            "pattern" => &mut patterns,
            _ => {
                notes.push(format!("acl_file line {}: {line}", number + 1));
                continue;
            }
        };
        let (access, topic) = access_and_topic(rest);
        // In a topic line these two stand for themselves there, and for something else here.
        let literal = word == "topic" && (topic.contains("%u") || topic.contains("%c"));
        if literal || topic.contains("%s") || Pattern::parse(topic).is_err() {
            let mut note = format!("acl_file line {}: {line}", number + 1);
            if access == "deny" {
                section.broken = true;
                note += "; what is allowed beside this denial is left out too";
            }
            notes.push(note);
            continue;
        }
        section.add(access, topic);
    }
    sections.push(patterns);
    let rules = sections.into_iter().flat_map(|section| {
        let allowed = if section.broken { Rule::default() } else { section.allowed };
        [section.denied, allowed]
    });
    rules.filter(|rule| !rule.publish.is_empty() || !rule.subscribe.is_empty()).collect()
}

/// `[read|write|readwrite|deny] TOPIC`; a topic may hold spaces.
fn access_and_topic(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((access @ ("read" | "write" | "readwrite" | "deny"), topic)) => (access, topic.trim()),
        _ => ("readwrite", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_come_first_and_patterns_last() {
        let text = "# comment
topic read public/#
pattern write u/%u/#
user ann
topic site/#
topic deny site/secret
topic read a b/c
user bob
topic write x
pattern deny u/%c/y
user ann
topic write late
";
        let mut notes = Vec::new();
        let rules = rules(text, &mut notes);
        assert!(notes.is_empty(), "{notes:?}");
        let short: Vec<_> = rules
            .iter()
            .map(|r| (r.effect, r.user.as_deref(), r.anonymous, r.publish.len(), r.subscribe.len()))
            .collect();
        use Effect::{Allow, Deny};
        assert_eq!(
            short,
            [
                (Allow, None, Some(true), 0, 1),
                (Deny, Some("ann"), None, 1, 1),
                (Allow, Some("ann"), None, 2, 2),
                (Allow, Some("bob"), None, 1, 0),
                (Deny, None, None, 1, 1),
                (Allow, None, None, 1, 0),
            ]
        );
        assert_eq!(rules[2].subscribe, ["site/#", "a b/c"]);
    }

    #[test]
    fn what_cannot_be_carried_is_said() {
        let mut notes = Vec::new();
        let text = "user ann\ntopic a/%u\ntopic a/#/b\nwhatever x\npattern %s/x\n";
        assert!(rules(text, &mut notes).is_empty());
        assert_eq!(notes.len(), 4, "{notes:?}");
    }

    #[test]
    fn a_denial_that_cannot_be_carried_takes_what_it_guards_with_it() {
        let mut notes = Vec::new();
        let text = "user ann\ntopic site/#\ntopic deny site/%u/x\nuser bob\ntopic site/#\n";
        let rules = rules(text, &mut notes);
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].user.as_deref(), Some("bob"));
        assert!(notes[0].contains("left out too"), "{notes:?}");
    }
}
