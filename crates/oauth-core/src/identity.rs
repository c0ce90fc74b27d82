//! Telling clients who somebody is, and nothing more (OpenID Connect Core 1.0): this server as the provider of another one.
//!
//! A request asks for a session ([`crate::scope`]) or for an identity, never for both: clients of Matrix that name `openid` beside
//! their session get no more than the session.

use serde::Serialize;

use crate::metadata::ServerMetadata;

/// How long an ID token is good for, in seconds: the client reads it at once.
pub const LIFETIME: i64 = 10 * 60;
/// The longest nonce, in bytes.
pub const MAX_NONCE: usize = 512;
/// The longest scope that is read, in bytes.
const MAX_SCOPE: usize = 4096;
/// The scopes that are known (section 5.4).
const KNOWN: [&str; 3] = ["openid", "profile", "email"];

/// How ID tokens are signed (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdTokenAlgorithm {
    /// RSA: what every client knows, and is meant where a client says nothing (Registration 1.0, section 2).
    #[default]
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl IdTokenAlgorithm {
    /// All of them, the one first that is meant where nothing is said.
    pub const ALL: [Self; 2] = [Self::Rs256, Self::EdDsa];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// A scope that asks who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityScope {
    granted: String,
}

impl IdentityScope {
    /// Reads a scope; nothing where it does not ask for an identity, or asks for a session. What is not known is left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words = || text.split(' ').filter(|word| !word.is_empty());
        let is_session = words().any(|word| word.starts_with("urn:matrix:"));
        let asks = text.len() <= MAX_SCOPE && words().any(|word| word == "openid") && !is_session;
        let granted: Vec<_> = KNOWN.into_iter().filter(|known| words().any(|word| word == *known)).collect();
        asks.then(|| Self { granted: granted.join(" ") })
    }

    /// What is granted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.granted
    }

    /// Whether it has this part, too.
    #[must_use]
    pub fn has(&self, part: &str) -> bool {
        self.granted.split(' ').any(|word| word == part)
    }
}

/// What an ID token says (section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdToken<'a> {
    /// This server.
    pub iss: &'a str,
    /// The user id: nobody else ever gets it.
    pub sub: &'a str,
    /// The client.
    pub aud: &'a str,
    /// When it ends, in seconds.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// When the person showed who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// What the client sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// Their name without the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<&'a str>,
}

/// The server's metadata with what clients of OpenID Connect look for (Discovery 1.0, section 3).
#[derive(Clone, Debug, Serialize)]
pub struct IdentityMetadata<'a> {
    /// What it says as an authorization server.
    #[serde(flatten)]
    pub server: &'a ServerMetadata,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where more is told of a person.
    pub userinfo_endpoint: String,
    /// What may be asked for.
    pub scopes_supported: Vec<&'static str>,
    /// Everybody is the same for every client.
    pub subject_types_supported: Vec<&'static str>,
    /// How ID tokens are signed.
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    /// What is told.
    pub claims_supported: Vec<&'static str>,
}

impl<'a> IdentityMetadata<'a> {
    /// That of this server.
    #[must_use]
    pub fn new(server: &'a ServerMetadata) -> Self {
        let at = |path: &str| format!("{}{path}", server.issuer);
        Self {
            server,
            jwks_uri: at("oauth2/keys"),
            userinfo_endpoint: at("oauth2/userinfo"),
            scopes_supported: KNOWN.to_vec(),
            subject_types_supported: vec!["public"],
            id_token_signing_alg_values_supported: IdTokenAlgorithm::ALL
                .map(IdTokenAlgorithm::as_str)
                .to_vec(),
            claims_supported: vec![
                "sub",
                "auth_time",
                "preferred_username",
                "name",
                "email",
                "email_verified",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{IdentityMetadata, IdentityScope};
    use crate::metadata::{Offers, ServerMetadata};

    #[test]
    fn an_identity_is_asked_for_by_itself_and_never_beside_a_session() {
        let granted = |text: &str| IdentityScope::parse(text).map(|scope| scope.as_str().to_owned());
        assert_eq!(granted("email openid  offline_access").as_deref(), Some("openid email"));
        assert_eq!(granted("openid"), Some("openid".to_owned()));
        for other in [
            "",
            "profile",
            "openidx",
            "openid urn:matrix:client:api:*",
            "openid urn:matrix:org.matrix.msc2967.client:device:A",
        ] {
            assert_eq!(granted(other), None, "{other}");
        }
        assert!(IdentityScope::parse("openid email").unwrap().has("email"));
    }

    #[test]
    fn the_document_says_all_that_discovery_requires() {
        let server = ServerMetadata::new("https://example.org", Offers::default());
        let document = json!(IdentityMetadata::new(&server));
        for required in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "response_types_supported",
            "subject_types_supported",
            "id_token_signing_alg_values_supported",
        ] {
            assert!(document.get(required).is_some(), "{required}");
        }
        assert_eq!(document["userinfo_endpoint"], "https://example.org/oauth2/userinfo");
    }
}
