//! The names of profile fields.

/// The longest name of a field, in bytes.
const MAX_KEY: usize = 255;

/// The name of a profile field: one that the specification defines, or one that follows its common namespaced identifier
/// grammar (appendices, of the same name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileKey {
    /// `displayname`.
    DisplayName,
    /// `avatar_url`.
    AvatarUrl,
    /// `m.tz`, or a field of somebody's own.
    Other(String),
}

/// Why a name is none of a profile field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is too long.
    #[error("the name of a profile field has at most {MAX_KEY} bytes")]
    TooLong,
    /// It does not follow the grammar.
    #[error("a profile field is displayname, avatar_url or a namespaced name such as org.example.pronouns")]
    Grammar,
}

impl ProfileKey {
    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(key: &str) -> Result<Self, InvalidKey> {
        match key {
            "displayname" => Ok(Self::DisplayName),
            "avatar_url" => Ok(Self::AvatarUrl),
            _ if key.len() > MAX_KEY => Err(InvalidKey::TooLong),
            _ if is_namespaced(key) => Ok(Self::Other(key.to_owned())),
            _ => Err(InvalidKey::Grammar),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::DisplayName => "displayname",
            Self::AvatarUrl => "avatar_url",
            Self::Other(key) => key,
        }
    }
}

/// At least two parts, separated by dots, each a lower-case letter with letters, digits and underscores after it.
fn is_namespaced(key: &str) -> bool {
    let is_part = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        part.starts_with(|c: char| c.is_ascii_lowercase()) && part.chars().all(plain)
    };
    key.contains('.') && key.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::{InvalidKey, ProfileKey};

    #[test]
    fn the_grammar_of_the_specification_holds() {
        for good in ["displayname", "avatar_url", "m.tz", "org.example.field_2", "us.cloke.msc4175.tz"] {
            assert_eq!(ProfileKey::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "tz", "Display", "m.", ".m", "m..tz", "M.tz", "m.tz!", "m.2", "m.tz ", "m.ü"] {
            assert_eq!(ProfileKey::parse(bad), Err(InvalidKey::Grammar), "{bad:?}");
        }
        assert!(ProfileKey::parse(&format!("m.{}", "a".repeat(253))).is_ok());
        assert_eq!(ProfileKey::parse(&format!("m.{}", "a".repeat(254))), Err(InvalidKey::TooLong));
    }
}
