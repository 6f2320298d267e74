//! What is an object in DJI's documents is read from an object only.
//!
//! Structs that derive `Deserialize` also read from a list, their members in order: a list that happens
//! to fit would pass for a message that nobody meant.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A `T` that came as a JSON object.
#[derive(Clone, Copy, Default, Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfMap(PhantomData))
    }
}

struct OfMap<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Deserialize, Debug)]
    struct Two<'a> {
        #[serde(borrow)]
        text: Cow<'a, str>,
        #[serde(borrow)]
        raw: &'a RawValue,
    }

    #[test]
    fn an_object_is_read_and_a_list_is_not() {
        let Object(two) =
            serde_json::from_str::<Object<Two<'_>>>(r#"{"raw":1.50,"text":"a"}"#).unwrap();
        assert!(matches!(two.text, Cow::Borrowed("a")), "borrowed as without the wrapper");
        assert_eq!(two.raw.get(), "1.50");
        for text in [r#"["a",1]"#, "[]", "7", "null", r#""a""#, r#"{"text":"a"}"#] {
            assert!(serde_json::from_str::<Object<Two<'_>>>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Two<'_>>(r#"["a",1]"#).is_ok(), "or there is no need of it");
    }
}
