//! The password file: `user:hash`, a line a user, as `dockside passwd` and `mosquitto_passwd` write
//! it. Empty lines and lines that start with `#` are kept as they are.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hash::Hash;

/// Users that are believed to be one site's.
pub const USERS_AT_MOST: usize = 100_000;

/// Bytes of a user name.
pub const USER_BYTES_AT_MOST: usize = 256;

/// The users and their stored passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordFile {
    users: HashMap<Arc<str>, Hash>,
    slowest: Option<Hash>,
}

/// What is wrong with a password file. Never repeats a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub detail: String,
}

impl PasswordFile {
    /// Reads the text of a password file.
    ///
    /// # Errors
    /// Every line that is wrong.
    pub fn parse(text: &str) -> Result<Self, Vec<Invalid>> {
        let mut users = HashMap::new();
        let mut invalid = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut wrong = |detail: String| invalid.push(Invalid { line: number + 1, detail });
            if is_comment(line) {
                continue;
            }
            let Some((user, hash)) = line.split_once(':') else {
                wrong("a line is `user:hash`".to_owned());
                continue;
            };
            match (check_user(user), Hash::parse(hash.trim_end())) {
                (Err(detail), _) => wrong(detail.to_owned()),
                (_, Err(detail)) => wrong(format!("user {user:?}: {detail}")),
                (Ok(()), Ok(hash)) => {
                    if users.insert(Arc::from(user), hash).is_some() {
                        wrong(format!("user {user:?} stands here twice"));
                    } else if users.len() > USERS_AT_MOST {
                        wrong(format!("more than {USERS_AT_MOST} users"));
                        break;
                    }
                }
            }
        }
        let slowest = users.values().max_by_key(|hash| hash.cost()).cloned();
        if invalid.is_empty() { Ok(Self { users, slowest }) } else { Err(invalid) }
    }

    /// The name as it is kept, and the stored password.
    #[must_use]
    pub fn get(&self, user: &str) -> Option<(&Arc<str>, &Hash)> {
        self.users.get_key_value(user)
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn contains(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// A stored password that takes the longest to compare with, for where there is no user.
    #[must_use]
    pub fn slowest_hash(&self) -> Option<&Hash> {
        self.slowest.as_ref()
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no user.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// The text of a password file in which `user` has this password (`None`: is not there any more),
/// and everything else stands as it was.
#[must_use]
pub fn with_user(text: &str, user: &str, hash: Option<&Hash>) -> String {
    let theirs = |line: &str| {
        !is_comment(line) && line.split_once(':').is_some_and(|(name, _)| name == user)
    };
    let mut new = hash.map(|hash| format!("{user}:{}", hash.as_str()));
    let mut out = String::with_capacity(text.len() + 160);
    for line in text.lines() {
        let line = if theirs(line) { new.take() } else { Some(line.to_owned()) };
        if let Some(line) = line {
            out.push_str(&line);
            out.push('\n');
        }
    }
    if let Some(line) = new {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Whether a text can be a user's name, or a group's: 1 to 256 bytes without control characters.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=USER_BYTES_AT_MOST).contains(&text.len()) && !text.contains(char::is_control)
}

/// Whether a name can stand in the file.
///
/// # Errors
/// What is wrong with it.
pub fn check_user(user: &str) -> Result<(), &'static str> {
    if user.is_empty() || user.len() > USER_BYTES_AT_MOST {
        return Err("a user name has 1 to 256 bytes");
    }
    if user.starts_with('#') || user.contains(|c: char| c == ':' || c.is_control()) {
        return Err("a user name has no colon, no control character and no # in front");
    }
    Ok(())
}

fn is_comment(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Memory;

    const LINE: &str = "old:$6$e1rh9bYiIuX2nEh6$9/84GMMHfI5HH4Y820zkkg64ZjOCXuqTyEIGGMqd7figAXgOgKYpeDYbEOkD6q7/obbCzXUcZb5d1QLb4ftv7w==";

    #[test]
    fn users_are_added_changed_and_removed_and_the_rest_stays() {
        let hash = Hash::create(b"x").unwrap();
        let text = format!("# docks\n\n{LINE}\n");
        let two = with_user(&text, "DOCK1", Some(&hash));
        assert!(two.starts_with(&text) && two.ends_with(&format!("DOCK1:{}\n", hash.as_str())));
        let file = PasswordFile::parse(&two).unwrap();
        assert!(file.get("DOCK1").unwrap().1.verify(b"x", &mut Memory::default()));
        assert!(file.get("old").unwrap().1.verify(b"secret", &mut Memory::default()));
        assert_eq!((file.len(), file.contains("DOCK")), (2, false));
        let changed = with_user(&two, "old", Some(&hash));
        assert_eq!(changed.lines().count(), two.lines().count());
        assert!(
            PasswordFile::parse(&changed)
                .unwrap()
                .get("old")
                .unwrap()
                .1
                .verify(b"x", &mut Memory::default())
        );
        assert_eq!(with_user(&two, "DOCK1", None), text);
        assert_eq!(with_user(&text, "nobody", None), text);
    }

    #[test]
    fn every_bad_line_is_named_and_no_hash_repeated() {
        let text = format!("{LINE}\nno colon\nplain:secret\n:$7$\n{LINE}\na\tb:x\n");
        let invalid = PasswordFile::parse(&text).unwrap_err();
        let lines: Vec<_> = invalid.iter().map(|i| i.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6]);
        assert!(invalid.iter().all(|i| !i.detail.contains("secret") && !i.detail.contains("9/84")));
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        for user in ["", "a:b", "a\nb", "#a", "a\0", &"x".repeat(257)] {
            assert!(check_user(user).is_err(), "{user:?}");
        }
        for user in ["a", "无人机", "a b", "a#", &"x".repeat(256)] {
            assert!(check_user(user).is_ok(), "{user:?}");
        }
    }
}
