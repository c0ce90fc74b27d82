//! What the server says of itself (RFC 8414; client-server API, "Server metadata discovery").

use serde::Serialize;

use crate::{AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN};

/// The authorization server's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerMetadata {
    /// Who it is: also the `iss` of its answers.
    pub issuer: String,
    /// Where browsers begin.
    pub authorization_endpoint: String,
    /// Where tokens are got.
    pub token_endpoint: String,
    /// Where tokens are ended.
    pub revocation_endpoint: String,
    /// Where clients register.
    pub registration_endpoint: String,
    /// Where clients without a browser begin.
    pub device_authorization_endpoint: String,
    /// Where trusted services ask about tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// `code`.
    pub response_types_supported: Vec<&'static str>,
    /// `query` and `fragment`.
    pub response_modes_supported: Vec<&'static str>,
    /// The three grants.
    pub grant_types_supported: Vec<&'static str>,
    /// `S256`.
    pub code_challenge_methods_supported: Vec<&'static str>,
    /// How clients prove who they are at the token endpoint: not at all.
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// The same at the revocation endpoint.
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// `create`, where people may make accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompt_values_supported: Vec<&'static str>,
    /// Answers say who gives them (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
    /// The languages of the pages.
    pub ui_locales_supported: Vec<&'static str>,
    /// The operator's terms of service (RFC 8414, section 2). There is no `op_policy_uri`: it is for what clients may do with
    /// people's data, which an operator's word to people does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_tos_uri: Option<String>,
    /// Where people manage their accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_management_uri: Option<String>,
    /// What clients may lead them to there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account_management_actions_supported: Vec<&'static str>,
}

/// What differs between servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Whether people may make accounts.
    pub registration: bool,
    /// Whether services may ask about tokens.
    pub introspection: bool,
    /// The languages of the pages.
    pub locales: Vec<&'static str>,
    /// What people can do on the account pages; nothing where there are none.
    pub account_actions: Vec<&'static str>,
    /// Where the operator's terms of service are.
    pub terms_url: Option<String>,
}

/// The issuer of a server under this URL (without a slash at its end).
#[must_use]
pub fn issuer(public_url: &str) -> String {
    format!("{public_url}/")
}

impl ServerMetadata {
    /// The metadata of a server under this URL (without a slash at its end).
    #[must_use]
    pub fn new(public_url: &str, offers: Offers) -> Self {
        let at = |path: &str| format!("{public_url}/{path}");
        let has_pages = !offers.account_actions.is_empty();
        Self {
            issuer: issuer(public_url),
            authorization_endpoint: at("oauth2/authorize"),
            token_endpoint: at("oauth2/token"),
            revocation_endpoint: at("oauth2/revoke"),
            registration_endpoint: at("oauth2/registration"),
            device_authorization_endpoint: at("oauth2/device"),
            introspection_endpoint: offers.introspection.then(|| at("oauth2/introspect")),
            response_types_supported: vec!["code"],
            response_modes_supported: vec!["query", "fragment"],
            grant_types_supported: vec![AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE],
            code_challenge_methods_supported: vec!["S256"],
            token_endpoint_auth_methods_supported: vec!["none"],
            revocation_endpoint_auth_methods_supported: vec!["none"],
            prompt_values_supported: if offers.registration { vec!["create"] } else { Vec::new() },
            authorization_response_iss_parameter_supported: true,
            ui_locales_supported: offers.locales,
            op_tos_uri: offers.terms_url,
            account_management_uri: has_pages.then(|| at("account")),
            account_management_actions_supported: offers.account_actions,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Offers, ServerMetadata};

    #[test]
    fn what_clients_require_is_there_and_what_is_not_offered_is_not() {
        let least = json!(ServerMetadata::new("https://example.org", Offers::default()));
        assert_eq!(least["issuer"], "https://example.org/");
        for endpoint in ["authorization", "token", "revocation", "registration", "device_authorization"] {
            let url = least[format!("{endpoint}_endpoint")].as_str().unwrap();
            assert!(url.starts_with("https://example.org/oauth2/"), "{url}");
        }
        assert_eq!(least["response_modes_supported"], json!(["query", "fragment"]));
        assert_eq!(least["code_challenge_methods_supported"], json!(["S256"]));
        for absent in [
            "introspection_endpoint",
            "prompt_values_supported",
            "account_management_uri",
            "account_management_actions_supported",
            "op_tos_uri",
        ] {
            assert!(least.get(absent).is_none(), "{absent}");
        }
        let offers = Offers {
            registration: true,
            introspection: true,
            locales: vec!["en"],
            account_actions: vec!["org.matrix.devices_list"],
            terms_url: Some("https://example.org/terms".to_owned()),
        };
        let most = json!(ServerMetadata::new("https://example.org", offers));
        assert_eq!(most["prompt_values_supported"], json!(["create"]));
        assert_eq!(most["account_management_uri"], "https://example.org/account");
        assert_eq!(most["op_tos_uri"], "https://example.org/terms");
    }
}
