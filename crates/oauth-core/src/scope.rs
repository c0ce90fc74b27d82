//! Scopes (client-server API, "Scope"; MSC2967): what a session may do, and which device it is.

use crate::error::{ErrorCode, Refusal};

/// Both prefixes: the specification's, and the one of before (which Element X asks for).
const PREFIXES: [&str; 2] = ["urn:matrix:client:", "urn:matrix:org.matrix.msc2967.client:"];
/// The longest scope that is read, in bytes.
const MAX_BYTES: usize = 4096;
/// The longest device id, in bytes.
const MAX_DEVICE_ID: usize = 255;

/// A scope that opens a session: full access to the client-server API, for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    device_id: String,
    granted: String,
}

impl Scope {
    /// Reads the scope that a client asks for.
    ///
    /// The two generations of names may stand in any mix. What this server does not know is left out, and the client is
    /// told so by the scope it is granted (RFC 6749, section 3.3).
    ///
    /// # Errors
    /// `invalid_scope` where it does not ask for the whole API and exactly one device.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_BYTES {
            return Err(invalid("The scope is too long."));
        }
        let (mut device, mut has_api, mut granted) = (None, false, Vec::new());
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !token.bytes().all(is_scope_char) {
                return Err(invalid("The scope has a character that no scope has."));
            }
            let Some(rest) = PREFIXES.iter().find_map(|prefix| token.strip_prefix(prefix)) else { continue };
            if rest == "api:*" {
                has_api = true;
            } else if let Some(device_id) = rest.strip_prefix("device:") {
                if device_id.is_empty() || device_id.len() > MAX_DEVICE_ID {
                    return Err(invalid("The device id in the scope has between 1 and 255 characters."));
                }
                if device.is_some_and(|other| other != device_id) {
                    return Err(invalid("The scope names two devices; it must name exactly one."));
                }
                device = Some(device_id);
            } else {
                continue;
            }
            if !granted.contains(&token) {
                granted.push(token);
            }
        }
        let device_id = device.ok_or_else(|| {
            invalid("The scope must name exactly one device, as in urn:matrix:client:device:ABCDEFGHIJ.")
        })?;
        if !has_api {
            return Err(invalid("The scope must contain urn:matrix:client:api:*."));
        }
        Ok(Self { device_id: device_id.to_owned(), granted: granted.join(" ") })
    }

    /// The device of the session.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// What is granted, in the names that the client used.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.granted
    }
}

/// RFC 6749, section 3.3.
fn is_scope_char(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

fn invalid(description: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidScope, description)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Scope;

    fn read(text: &str) -> Option<(String, String)> {
        let scope = Scope::parse(text).ok()?;
        Some((scope.device_id().to_owned(), scope.as_str().to_owned()))
    }

    #[test]
    fn both_generations_are_understood_in_any_mix() {
        let (api, old_api) = ("urn:matrix:client:api:*", "urn:matrix:org.matrix.msc2967.client:api:*");
        let (device, old_device) =
            ("urn:matrix:client:device:A.b~1", "urn:matrix:org.matrix.msc2967.client:device:A.b~1");
        for scope in [
            format!("{api} {device}"),
            format!("{old_api} {old_device}"),
            format!("{old_device} {api}"),
            format!("{api} {old_api} {device} {old_device}"),
        ] {
            assert_eq!(read(&scope), Some(("A.b~1".to_owned(), scope.clone())), "{scope}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_not_granted() {
        let asked = "openid  urn:matrix:client:api:* urn:synapse:admin:* urn:matrix:client:device:X urn:matrix:client:api:*";
        let granted = "urn:matrix:client:api:* urn:matrix:client:device:X";
        assert_eq!(read(asked), Some(("X".to_owned(), granted.to_owned())));
    }

    #[test]
    fn a_scope_without_the_api_or_without_exactly_one_device_is_refused() {
        for scope in [
            "",
            "openid",
            "urn:matrix:client:api:*",
            "urn:matrix:client:device:X",
            "urn:matrix:client:api:* urn:matrix:client:device:",
            "urn:matrix:client:api:* urn:matrix:client:device:X urn:matrix:client:device:Y",
            "urn:matrix:client:api:* urn:matrix:client:device:X urn:matrix:org.matrix.msc2967.client:device:Y",
            "urn:matrix:client:api:* urn:matrix:client:device:X\"",
            "urn:matrix:client:api:*\turn:matrix:client:device:X",
            "urn:matrix:client:api:* urn:matrix:client:device:\u{e9}",
        ] {
            assert!(read(scope).is_none(), "{scope}");
        }
        let long = format!("urn:matrix:client:api:* urn:matrix:client:device:{}", "X".repeat(256));
        assert!(read(&long).is_none());
    }

    proptest! {
        #[test]
        fn what_is_granted_reads_as_itself(words in proptest::collection::vec(
            "openid|urn:matrix:(org\\.matrix\\.msc2967\\.)?client:(api:\\*|device:[AB]|other)", 0..6)) {
            let text = words.join(" ");
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(scope.as_str()), Ok(scope.clone()));
                prop_assert!(scope.as_str().split(' ').all(|token| words.iter().any(|word| word == token)));
            }
        }
    }
}
