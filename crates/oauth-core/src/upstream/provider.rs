//! What a provider says of itself (OpenID Connect Discovery 1.0, section 3).

use serde::Deserialize;
use url::{Host, Url};

/// A provider's endpoints and habits, as far as they matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// Where browsers are sent.
    pub authorization_endpoint: Url,
    /// Where codes are redeemed.
    pub token_endpoint: Url,
    /// Where more is told of a person, if anywhere.
    pub userinfo_endpoint: Option<Url>,
    /// Where its keys are.
    pub jwks_uri: Url,
    /// Whether its answers say who gives them (RFC 9207).
    pub says_issuer: bool,
    /// Whether it knows of PKCE by SHA-256. One that says nothing of it may know all the same, and is sent a challenge.
    pub knows_pkce: bool,
    /// Whether a client with a secret shows it in the form rather than by HTTP Basic.
    pub takes_secret_in_form: bool,
    /// Whether it tells clients when somebody signs out there (Back-Channel Logout 1.0).
    pub tells_of_logouts: bool,
}

/// Why a provider can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryProblem {
    /// What is there is no such document.
    #[error("its configuration is not what OpenID Connect wants: {0}")]
    Form(String),
    /// It is another's.
    #[error("its configuration is that of the issuer {0:?}, which is not the configured one, to the letter")]
    OtherIssuer(String),
    /// An endpoint that can't be spoken to safely.
    #[error("its {0} is neither https nor http on loopback")]
    Endpoint(&'static str),
    /// It gives no codes.
    #[error("it does not give authorization codes (response_type code)")]
    NoCode,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    response_types_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    backchannel_logout_supported: bool,
}

/// Where an issuer's document is.
#[must_use]
pub fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The URL, if it can be asked without anybody in between: `https`, or `http` that does not leave this machine.
#[must_use]
pub fn safe_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback;
    let is_bare = url.username().is_empty() && url.password().is_none();
    (is_safe && is_bare).then_some(url)
}

impl ProviderMetadata {
    /// Reads the document of this issuer.
    ///
    /// # Errors
    /// Why the provider can't be used.
    pub fn parse(json: &[u8], issuer: &str) -> Result<Self, DiscoveryProblem> {
        let document: Document =
            serde_json::from_slice(json).map_err(|error| DiscoveryProblem::Form(error.to_string()))?;
        if document.issuer != issuer {
            return Err(DiscoveryProblem::OtherIssuer(document.issuer.chars().take(200).collect()));
        }
        let has = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref().is_some_and(|list| list.iter().any(|other| other == word))
        };
        if document.response_types_supported.is_some() && !has(&document.response_types_supported, "code") {
            return Err(DiscoveryProblem::NoCode);
        }
        let at = |text: &str, name| safe_url(text).ok_or(DiscoveryProblem::Endpoint(name));
        let methods = &document.token_endpoint_auth_methods_supported;
        Ok(Self {
            authorization_endpoint: at(&document.authorization_endpoint, "authorization_endpoint")?,
            token_endpoint: at(&document.token_endpoint, "token_endpoint")?,
            userinfo_endpoint: match &document.userinfo_endpoint {
                Some(url) => Some(at(url, "userinfo_endpoint")?),
                None => None,
            },
            jwks_uri: at(&document.jwks_uri, "jwks_uri")?,
            says_issuer: document.authorization_response_iss_parameter_supported,
            knows_pkce: has(&document.code_challenge_methods_supported, "S256"),
            // Basic is what a provider takes that says nothing.
            takes_secret_in_form: !has(methods, "client_secret_basic") && has(methods, "client_secret_post"),
            tells_of_logouts: document.backchannel_logout_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DiscoveryProblem, ProviderMetadata, discovery_url, safe_url};

    fn document() -> Value {
        json!({
            "issuer": "https://id.example/", "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token", "jwks_uri": "https://id.example/keys",
            "userinfo_endpoint": "https://id.example/me", "response_types_supported": ["code", "id_token"],
        })
    }

    fn parse(document: &Value) -> Result<ProviderMetadata, DiscoveryProblem> {
        ProviderMetadata::parse(document.to_string().as_bytes(), "https://id.example/")
    }

    #[test]
    fn a_document_is_taken_of_its_own_issuer_only_and_with_safe_endpoints_only() {
        let good = parse(&document()).unwrap();
        assert!(!good.says_issuer && !good.takes_secret_in_form && !good.tells_of_logouts);
        for (key, value) in [
            ("issuer", json!("https://id.example")),
            ("issuer", json!(null)),
            ("token_endpoint", json!("http://id.example/token")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("jwks_uri", json!("file:///etc/passwd")),
            ("userinfo_endpoint", json!("https://a:b@id.example/me")),
            ("response_types_supported", json!(["id_token"])),
        ] {
            let mut bad = document();
            bad[key] = value.clone();
            assert!(parse(&bad).is_err(), "{key} {value}");
        }
        for text in ["", "[]", "{}", "null", "<html>"] {
            assert!(ProviderMetadata::parse(text.as_bytes(), "https://id.example/").is_err(), "{text}");
        }
        let mut post = document();
        post["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        assert!(parse(&post).unwrap().takes_secret_in_form);
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in ["https://a.example/x", "http://127.0.0.1:80/", "http://[::1]:1/", "http://localhost:1/"] {
            assert!(safe_url(url).is_some(), "{url}");
        }
        for url in
            ["http://a.example/", "http://localhost.example/", "http://10.0.0.1/", "ftp://127.0.0.1/", "x"]
        {
            assert!(safe_url(url).is_none(), "{url}");
        }
        assert_eq!(discovery_url("https://a.b/c/"), "https://a.b/c/.well-known/openid-configuration");
    }
}
