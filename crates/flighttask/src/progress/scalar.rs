//! A value that is no object, and what it can be taken for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};

use super::TEXT_BYTES_AT_MOST;

/// A value in the place of a part.
pub(super) enum Scalar<'a> {
    /// Of [`TEXT_BYTES_AT_MOST`] at most, and not empty.
    Text(Cow<'a, str>),
    Integer(i64),
    /// Finite.
    Float(f64),
    /// Anything else.
    Other,
}

impl<'a> Scalar<'a> {
    pub(super) fn from_text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let fits = (1..=TEXT_BYTES_AT_MOST).contains(&text.len());
        if fits { Self::Text(text) } else { Self::Other }
    }

    /// Of a number, or a text that may be one; never a text.
    fn from_digits(digits: &str) -> Self {
        // Rust also reads "inf" and "NaN", and makes one of "1e999".
        match digits.parse() {
            Ok(integer) => Self::Integer(integer),
            Err(_) => match digits.parse() {
                Ok(float) if f64::is_finite(float) => Self::Float(float),
                _ => Self::Other,
            },
        }
    }

    /// Of JSON that is no object.
    pub(super) fn from_json(json: &'a str) -> Self {
        if !json.starts_with('"') {
            return Self::from_digits(json);
        }
        let text = serde_json::Deserializer::from_str(json).deserialize_bytes(Unescape);
        text.map_or(Self::Other, Self::from_text)
    }

    pub(super) fn integer(self) -> Option<i64> {
        /// Beyond this a float no longer tells one integer from the next.
        const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
        match self {
            Self::Integer(integer) => Some(integer),
            Self::Float(float) if float.fract() == 0.0 && float.abs() <= EXACT => {
                Some(float as i64)
            }
            Self::Text(digits) => Self::from_digits(&digits).integer(),
            _ => None,
        }
    }

    pub(super) fn float(self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(integer as f64),
            Self::Float(float) => Some(float),
            Self::Text(digits) => Self::from_digits(&digits).float(),
            Self::Other => None,
        }
    }

    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A text or an integer: some devices count their tasks.
    pub(super) fn id(self) -> Option<Cow<'a, str>> {
        if let Self::Integer(integer) = self {
            return Some(integer.to_string().into());
        }
        self.text()
    }
}

/// A string with its escapes resolved, half a surrogate pair as U+FFFD.
struct Unescape;

impl Visitor<'_> for Unescape {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
