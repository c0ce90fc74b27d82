//! The parameters of a query or a form (`application/x-www-form-urlencoded`).

use url::form_urlencoded;

use crate::error::{ErrorCode, Refusal};

/// The most bytes of a query or form.
pub const MAX_BYTES: usize = 16 * 1024;
/// The most parameters in one.
const MAX_PARAMS: usize = 64;

/// Parameters, as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// `invalid_request` where it is longer than any request need be.
    pub fn parse(encoded: &[u8]) -> Result<Self, Refusal> {
        if encoded.len() > MAX_BYTES {
            return Err(too_long());
        }
        let pairs: Vec<_> = form_urlencoded::parse(encoded)
            .take(MAX_PARAMS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > MAX_PARAMS { Err(too_long()) } else { Ok(Self(pairs)) }
    }

    /// One parameter. One without a value counts as left out, and none may stand twice (RFC 6749, section 3.1).
    ///
    /// # Errors
    /// `invalid_request` where it stands twice.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.0.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let value = found.next();
        if found.next().is_some() {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                format!("The parameter {} stands twice.", plain(name)),
            ));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// One that must be there.
    ///
    /// # Errors
    /// `invalid_request` where it is not, or stands twice.
    pub fn require(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)?.ok_or_else(|| {
            Refusal::new(ErrorCode::InvalidRequest, format!("The parameter {} is missing.", plain(name)))
        })
    }
}

fn too_long() -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, "The request has too many parameters, or too long ones.")
}

/// A parameter's name for a description; the names are this crate's own.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::Params;
    use crate::error::ErrorCode;

    #[test]
    fn a_parameter_stands_once_or_is_refused_and_an_empty_one_is_none() {
        let params = Params::parse(b"a=1&b=&c=2&c=2&d=%20x+y").unwrap();
        assert_eq!(params.get("a"), Ok(Some("1")));
        assert_eq!(params.get("b"), Ok(None));
        assert_eq!(params.get("c").unwrap_err().code, ErrorCode::InvalidRequest);
        assert_eq!(params.get("d"), Ok(Some(" x y")));
        assert_eq!(params.require("e").unwrap_err().description, "The parameter e is missing.");
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_kept() {
        assert!(Params::parse(&vec![b'a'; 20_000]).is_err());
        assert!(Params::parse("a=1&".repeat(65).as_bytes()).is_err());
        assert!(Params::parse(b"\xff=%zz&=&&&").is_ok());
    }
}
