//! Conversion from and to serde's world.

use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{CanonicalError, CanonicalObject, CanonicalValue, MAX_NESTING, number};
use crate::CanonicalJsonRule;

/// The canonical form of anything serde can write as JSON, under [`CanonicalJsonRule::Strict`].
///
/// It goes by way of the JSON text, so that passages kept as received are read like everything else.
///
/// # Errors
/// [`CanonicalError::NotSerializable`], or as [`CanonicalValue::parse`].
pub fn to_canonical<T: Serialize + ?Sized>(value: &T) -> Result<CanonicalValue, CanonicalError> {
    let json = serde_json::to_vec(value)
        .map_err(|error| CanonicalError::NotSerializable { reason: error.to_string() })?;
    CanonicalValue::parse(&json, CanonicalJsonRule::Strict)
}

impl TryFrom<Value> for CanonicalValue {
    type Error = CanonicalError;

    /// Converts under [`CanonicalJsonRule::Strict`].
    fn try_from(value: Value) -> Result<Self, CanonicalError> {
        from_json(value, 0)
    }
}

impl TryFrom<serde_json::Map<String, Value>> for CanonicalObject {
    type Error = CanonicalError;

    /// Converts under [`CanonicalJsonRule::Strict`].
    fn try_from(map: serde_json::Map<String, Value>) -> Result<Self, CanonicalError> {
        object_from_json(map, 1)
    }
}

/// `depth` containers are open around `value`.
fn from_json(value: Value, depth: usize) -> Result<CanonicalValue, CanonicalError> {
    if depth >= MAX_NESTING && (value.is_array() || value.is_object()) {
        return Err(CanonicalError::TooDeep);
    }
    Ok(match value {
        Value::Null => CanonicalValue::Null,
        Value::Bool(bool) => CanonicalValue::Bool(bool),
        Value::Number(number) => {
            let token = number.to_string();
            let integral = number.is_i64() || number.is_u64();
            number::value_of(&token, integral, CanonicalJsonRule::Strict)?
        }
        Value::String(string) => CanonicalValue::String(string),
        Value::Array(values) => CanonicalValue::Array(
            values.into_iter().map(|value| from_json(value, depth + 1)).collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => CanonicalValue::Object(object_from_json(map, depth + 1)?),
    })
}

fn object_from_json(
    map: serde_json::Map<String, Value>,
    depth: usize,
) -> Result<CanonicalObject, CanonicalError> {
    map.into_iter().map(|(key, value)| Ok((key, from_json(value, depth)?))).collect()
}

impl Serialize for CanonicalValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Integer(integer) => serializer.serialize_i64(*integer),
            Self::Legacy(number) => RawValue::from_string(number.as_str().to_owned())
                .map_err(S::Error::custom)?
                .serialize(serializer),
            Self::String(string) => serializer.serialize_str(string),
            Self::Array(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for CanonicalObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for CanonicalValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

from! {
    bool => Bool,
    String => String,
    &str => String,
    Vec<Self> => Array,
    CanonicalObject => Object,
    i64 => Integer,
    i32 => Integer,
    u32 => Integer,
}
