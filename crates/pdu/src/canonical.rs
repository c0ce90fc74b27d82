//! Canonical JSON: the one spelling of a JSON value that hashes and signatures are made over
//! ([appendices](https://spec.matrix.org/latest/appendices/#canonical-json)).

mod convert;
mod number;
mod parse;
mod write;

use std::fmt;
use std::str::FromStr;

pub use self::convert::to_canonical;
pub(crate) use self::parse::parse_recording;
pub(crate) use self::write::{write_entry, write_entry_start};
use crate::CanonicalJsonRule;

/// The largest integer of canonical JSON, 2^53-1; the smallest is its negative.
pub const MAX_CANONICAL_INTEGER: i64 = 9_007_199_254_740_991;

/// How deeply arrays and objects may stand in one another.
///
/// The specification has no such bound. This one is well above what any client sends and keeps the stack of every
/// recursion over a value small.
pub const MAX_NESTING: usize = 512;

/// A JSON value in canonical form: whatever it was read from, [`CanonicalValue::write`] gives its one spelling.
#[derive(Clone, PartialEq, Eq)]
pub enum CanonicalValue {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer, within ±[`MAX_CANONICAL_INTEGER`] wherever [`CanonicalJsonRule::Strict`] holds.
    Integer(i64),
    /// A number that canonical JSON does not have, as rooms before version 6 may contain it.
    Legacy(LegacyNumber),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(CanonicalObject),
}

/// A number outside canonical JSON, kept in the spelling that the hashes of old rooms were made over: integers of any
/// size digit by digit, and floats as the shortest decimal that reads back the same (`50.57`, `1e+16`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LegacyNumber(Box<str>);

impl LegacyNumber {
    /// The number as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest double, infinite for integers beyond its range.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        f64::from_str(&self.0).unwrap_or(f64::NAN)
    }
}

/// A JSON object in canonical form: its keys are unique and sorted by code point.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CanonicalObject {
    entries: Vec<(String, CanonicalValue)>,
}

impl CanonicalValue {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// [`CanonicalError`] if the text is not JSON, nests deeper than [`MAX_NESTING`], or breaks `rule`.
    pub fn parse(json: &[u8], rule: CanonicalJsonRule) -> Result<Self, CanonicalError> {
        parse::parse(json, rule)
    }

    /// The string, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(string) = self { Some(string) } else { None }
    }

    /// The integer, if this is one.
    #[must_use]
    pub const fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(*bool) } else { None }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The object, if this is one.
    #[must_use]
    pub const fn as_object(&self) -> Option<&CanonicalObject> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Holds a value that was put together, not parsed, against `rule` and [`MAX_NESTING`].
    ///
    /// # Errors
    /// [`CanonicalError`]
    pub fn check(&self, rule: CanonicalJsonRule) -> Result<(), CanonicalError> {
        self.check_at(rule, 0)
    }

    /// `depth` containers are open around the value.
    fn check_at(&self, rule: CanonicalJsonRule, depth: usize) -> Result<(), CanonicalError> {
        match self {
            Self::Integer(integer) if rule == CanonicalJsonRule::Strict => {
                let range = -MAX_CANONICAL_INTEGER..=MAX_CANONICAL_INTEGER;
                if range.contains(integer) { Ok(()) } else { Err(CanonicalError::IntegerOutOfRange) }
            }
            Self::Legacy(_) if rule == CanonicalJsonRule::Strict => Err(CanonicalError::NotAnInteger),
            Self::Array(_) | Self::Object(_) if depth >= MAX_NESTING => Err(CanonicalError::TooDeep),
            Self::Array(values) => values.iter().try_for_each(|value| value.check_at(rule, depth + 1)),
            Self::Object(object) => object.check_at(rule, depth + 1),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Legacy(_) | Self::String(_) => Ok(()),
        }
    }
}

impl CanonicalObject {
    /// The empty object.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Reads a JSON text that must be an object.
    ///
    /// # Errors
    /// As [`CanonicalValue::parse`], and [`CanonicalError::NotAnObject`].
    pub fn parse(json: &[u8], rule: CanonicalJsonRule) -> Result<Self, CanonicalError> {
        match parse::parse(json, rule)? {
            CanonicalValue::Object(object) => Ok(object),
            _ => Err(CanonicalError::NotAnObject),
        }
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&CanonicalValue> {
        let index = self.position(key).ok()?;
        self.entries.get(index).map(|(_, value)| value)
    }

    /// The value of `key`, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut CanonicalValue> {
        let index = self.position(key).ok()?;
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    /// The string under `key`; none if it is absent or something else.
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The object under `key`; none if it is absent or something else.
    #[must_use]
    pub fn get_object(&self, key: &str) -> Option<&Self> {
        self.get(key)?.as_object()
    }

    /// Whether `key` is present, with whatever value.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_ok()
    }

    /// Sets `key` and gives back what it held before.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<CanonicalValue>,
    ) -> Option<CanonicalValue> {
        let (key, value) = (key.into(), value.into());
        match self.position(&key) {
            Ok(index) => self.entries.get_mut(index).map(|entry| std::mem::replace(&mut entry.1, value)),
            Err(index) => {
                self.entries.insert(index, (key, value));
                None
            }
        }
    }

    /// Removes `key` and gives back what it held.
    pub fn remove(&mut self, key: &str) -> Option<CanonicalValue> {
        let index = self.position(key).ok()?;
        Some(self.entries.remove(index).1)
    }

    /// Keeps the entries `keep` is true for.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &CanonicalValue) -> bool) {
        self.entries.retain(|(key, value)| keep(key, value));
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &CanonicalValue)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// As [`CanonicalValue::check`].
    ///
    /// # Errors
    /// [`CanonicalError`]
    pub fn check(&self, rule: CanonicalJsonRule) -> Result<(), CanonicalError> {
        self.check_at(rule, 1)
    }

    fn check_at(&self, rule: CanonicalJsonRule, depth: usize) -> Result<(), CanonicalError> {
        self.iter().try_for_each(|(_, value)| value.check_at(rule, depth))
    }

    /// Takes entries in any order. Of entries with the same key the last stays, and its key is given back, so that
    /// the caller may refuse it.
    fn from_unsorted(mut entries: Vec<(String, CanonicalValue)>) -> (Self, Option<String>) {
        if entries.is_sorted_by(|a, b| a.0 < b.0) {
            return (Self { entries }, None);
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut repeated = None;
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
                repeated.get_or_insert_with(|| later.0.clone());
            }
            same
        });
        (Self { entries }, repeated)
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(candidate, _)| candidate.as_str().cmp(key))
    }
}

impl FromIterator<(String, CanonicalValue)> for CanonicalObject {
    /// Of entries with the same key the last stays.
    fn from_iter<I: IntoIterator<Item = (String, CanonicalValue)>>(entries: I) -> Self {
        Self::from_unsorted(entries.into_iter().collect()).0
    }
}

impl fmt::Debug for CanonicalValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl fmt::Debug for CanonicalObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// Why a text or value has no canonical form; most endpoints answer it with 400 `M_BAD_JSON` (`M_NOT_JSON` for
/// [`CanonicalError::Syntax`] and [`CanonicalError::NotUtf8`]). Positions count bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The text is not UTF-8.
    #[error("the text is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Where.
        at: usize,
    },
    /// The text is not JSON (RFC 8259).
    #[error("the text is not JSON: expected {expected} at byte {at}")]
    Syntax {
        /// Where.
        at: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// Arrays and objects nest deeper than [`MAX_NESTING`].
    #[error("arrays and objects are nested more than {MAX_NESTING} levels deep")]
    TooDeep,
    /// An object has the same key twice.
    #[error("the key {key:?} appears twice in one object")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A number has a fraction or an exponent.
    #[error("a number is not an integer")]
    NotAnInteger,
    /// An integer is outside ±[`MAX_CANONICAL_INTEGER`].
    #[error("a number is outside -(2^53-1)..=2^53-1")]
    IntegerOutOfRange,
    /// The number `-0` appears.
    #[error("the number -0 is not allowed")]
    NegativeZero,
    /// The value should have been an object.
    #[error("the value is not an object")]
    NotAnObject,
    /// A Rust value cannot be written as JSON.
    #[error("the value cannot be written as JSON: {reason}")]
    NotSerializable {
        /// What the serialiser said.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
