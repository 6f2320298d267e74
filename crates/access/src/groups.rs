//! Groups that somebody else than the configuration says a user is in: its token, or a server.

use std::sync::Arc;

use serde_json::Value;

use crate::password_file::is_name;

/// More than this of one user are refused, not left out: a rule may deny something to one of them.
pub const GROUPS_AT_MOST: usize = 64;

/// Groups of one user, beside those of `access.groups`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups(Option<Arc<[Box<str>]>>);

impl Groups {
    /// What JSON says: a list of strings, one string, or nothing.
    ///
    /// `None` if it is something else, if there are more than [`GROUPS_AT_MOST`], or if one is
    /// empty, longer than 256 bytes or holds a control character.
    #[must_use]
    pub fn parse(value: Option<&Value>) -> Option<Self> {
        let one = |value: &Value| value.as_str().filter(|group| is_name(group)).map(Box::from);
        match value {
            None | Some(Value::Null) => Some(Self::default()),
            Some(Value::Array(groups)) if groups.is_empty() => Some(Self::default()),
            Some(Value::Array(groups)) if groups.len() <= GROUPS_AT_MOST => {
                groups.iter().map(one).collect::<Option<_>>().map(|groups| Self(Some(groups)))
            }
            Some(value) => one(value).map(|group| Self(Some([group].into()))),
        }
    }

    /// Whether one of them is this.
    #[must_use]
    pub fn contains(&self, group: &str) -> bool {
        self.0.as_ref().is_some_and(|groups| groups.iter().any(|known| **known == *group))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_names_or_one_is_groups_and_nothing_is_none() {
        for (value, expected) in [
            (json!(["a", "b"]), Some([true, true])),
            (json!("b"), Some([false, true])),
            (json!([]), Some([false, false])),
            (json!(null), Some([false, false])),
            (json!(""), None),
            (json!(["a", ""]), None),
            (json!(["a", 1]), None),
            (json!(["a\u{0}"]), None),
            (json!({ "a": true }), None),
            (json!(true), None),
            (json!("x".repeat(257)), None),
        ] {
            let found =
                Groups::parse(Some(&value)).map(|g| ["a", "b"].map(|name| g.contains(name)));
            assert_eq!(found, expected, "{value}");
        }
        assert_eq!(Groups::parse(None), Some(Groups::default()));
    }

    /// A denial that is left out would be a permission.
    #[test]
    fn too_many_are_refused() {
        let names = |count| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert!(Groups::parse(Some(&json!(names(GROUPS_AT_MOST)))).is_some());
        assert!(Groups::parse(Some(&json!(names(GROUPS_AT_MOST + 1)))).is_none());
    }
}
