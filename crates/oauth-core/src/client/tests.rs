use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ClientMetadata, GrantType};
use crate::error::{ErrorCode, Refusal};
use crate::identity::IdTokenAlgorithm;

fn parse(value: &Value) -> Result<ClientMetadata, Refusal> {
    ClientMetadata::parse(value.to_string().as_bytes())
}

/// The example of the specification, "Dynamic client registration flow".
fn example() -> Value {
    json!({
        "client_name": "My App",
        "client_name#fr": "Mon application",
        "client_uri": "https://example.com/",
        "logo_uri": "https://example.com/logo.png",
        "tos_uri": "https://example.com/tos.html",
        "tos_uri#fr": "https://example.com/fr/tos.html",
        "policy_uri": "https://example.com/policy.html",
        "policy_uri#fr": "https://example.com/fr/policy.html",
        "redirect_uris": ["https://app.example.com/callback"],
        "token_endpoint_auth_method": "none",
        "response_types": ["code"],
        "grant_types": [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:token-exchange"
        ],
        "application_type": "web"
    })
}

#[test]
fn id_tokens_are_signed_as_a_client_wants_or_as_every_client_can_read_and_ids_stay_what_they_were() {
    let before = parse(&example()).unwrap();
    assert_eq!(before.id_token_algorithm, IdTokenAlgorithm::Rs256);
    for (named, expected) in [("RS256", IdTokenAlgorithm::Rs256), ("EdDSA", IdTokenAlgorithm::EdDsa)] {
        let mut wanted = example();
        wanted["id_token_signed_response_alg"] = json!(named);
        let client = parse(&wanted).unwrap();
        assert_eq!(client.id_token_algorithm, expected);
        assert_eq!(client.client_id() == before.client_id(), expected == IdTokenAlgorithm::Rs256);
        assert_eq!(ClientMetadata::parse(client.canonical().as_bytes()).unwrap(), client);
    }
    for other in [json!("none"), json!("HS256"), json!("ES256"), json!("eddsa"), json!(""), json!(1)] {
        let mut wanted = example();
        wanted["id_token_signed_response_alg"] = other.clone();
        assert!(parse(&wanted).is_err(), "{other}");
    }
}

#[test]
fn the_specification_s_example_is_registered_without_what_is_not_understood() {
    let client = parse(&example()).unwrap();
    let mut expected = example();
    expected["grant_types"] = json!(["authorization_code", "refresh_token"]);
    assert_eq!(json!(client.fields()), expected);
    assert_eq!(client.client_name.get("fr-CA"), Some("Mon application"));
    assert_eq!(client.client_name.get("de"), Some("My App"));
    assert!(client.target("https://app.example.com/callback").is_some());
    assert!(!client.may(GrantType::DeviceCode));
}

#[test]
fn whoever_registers_the_same_in_another_order_gets_the_same_id() {
    let first = json!({
        "client_uri": "https://example.com", "contacts": ["a@example.com"],
        "redirect_uris": ["https://example.com/b", "https://example.com/a", "https://example.com/a"],
        "grant_types": ["refresh_token", "authorization_code"], "client_name#DE": "X",
    });
    let second = json!({
        "grant_types": ["authorization_code", "refresh_token", "implicit"], "client_name#de": " X ",
        "redirect_uris": ["https://example.com/a", "https://example.com/b"],
        "client_uri": "https://example.com/", "application_type": "web", "response_types": ["code", "id_token"],
    });
    let (first, second) = (parse(&first).unwrap(), parse(&second).unwrap());
    assert_eq!(first.client_id(), second.client_id());
    assert_eq!(first.client_id().len(), 27);
    let mut other = example();
    other["client_name"] = json!("My Other App");
    assert_ne!(parse(&other).unwrap().client_id(), parse(&example()).unwrap().client_id());
}

#[test]
fn a_client_for_devices_without_a_browser_needs_no_redirect_uri() {
    // What matrix-sdk registers for a login by QR code alone.
    let client = parse(&json!({
        "client_uri": "https://example.com", "token_endpoint_auth_method": "none", "application_type": "native",
        "grant_types": ["refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    }))
    .unwrap();
    assert!(client.may(GrantType::DeviceCode) && !client.may(GrantType::AuthorizationCode));
    assert!(client.redirect_uris.is_empty());
}

#[test]
fn links_that_are_elsewhere_are_not_registered() {
    let mut registration = example();
    registration["logo_uri"] = json!("https://cdn.example.net/logo.png");
    registration["tos_uri"] = json!("http://example.com/tos");
    registration["policy_uri"] = json!("https://user@example.com/policy");
    registration["policy_uri#fr"] = json!("javascript:alert(1)");
    let fields = parse(&registration).unwrap().fields();
    for name in ["logo_uri", "tos_uri", "policy_uri", "policy_uri#fr"] {
        assert!(!fields.contains_key(name), "{name}");
    }
    assert_eq!(fields["tos_uri#fr"], "https://example.com/fr/tos.html");
}

#[test]
fn what_can_t_be_registered_is_refused_by_the_code_of_the_rfc() {
    let spoilt = |field: &str, value: Value| {
        let mut registration = example();
        registration[field] = value;
        parse(&registration).map(|_| ()).map_err(|refusal| refusal.code)
    };
    let (uri, metadata) = (Err(ErrorCode::InvalidRedirectUri), Err(ErrorCode::InvalidClientMetadata));
    for (field, value, expected) in [
        ("redirect_uris", json!([]), uri),
        ("redirect_uris", json!(null), uri),
        ("redirect_uris", json!("https://example.com/"), uri),
        ("redirect_uris", json!([1]), uri),
        ("redirect_uris", json!(["https://evil.org/"]), uri),
        ("redirect_uris", json!(["https://example.com/", "http://example.com/"]), uri),
        (
            "redirect_uris",
            json!((0..33).map(|n| format!("https://example.com/{n}")).collect::<Vec<_>>()),
            uri,
        ),
        ("redirect_uris", json!([format!("https://example.com/{}", "x".repeat(2048))]), uri),
        ("client_uri", json!(null), metadata),
        ("client_uri", json!("http://example.com"), metadata),
        ("client_uri", json!("https://user@example.com"), metadata),
        ("client_uri", json!(1), metadata),
        ("client_name", json!(1), metadata),
        ("client_name", json!("x".repeat(256)), metadata),
        ("client_name", json!("a\u{7}b"), metadata),
        ("client_name#fr", json!({}), metadata),
        ("logo_uri", json!([]), metadata),
        ("application_type", json!("desktop"), metadata),
        ("token_endpoint_auth_method", json!("client_secret_basic"), metadata),
        ("grant_types", json!(["client_credentials"]), metadata),
        ("grant_types", json!(["refresh_token"]), metadata),
        ("grant_types", json!("authorization_code"), metadata),
        ("response_types", json!(["token"]), metadata),
    ] {
        assert_eq!(spoilt(field, value.clone()), expected, "{field}: {value}");
    }
    for body in ["", "[]", "{", "null", "\"x\""] {
        assert!(ClientMetadata::parse(body.as_bytes()).is_err(), "{body}");
    }
    assert!(ClientMetadata::parse(&vec![b' '; 70_000]).is_err());
}

proptest! {
    #[test]
    fn the_canonical_form_reads_as_itself(
        name in "\\PC{0,30}",
        uris in proptest::collection::vec("https://(app\\.)?example\\.com/[a-z?=&%2]{0,10}", 1..4),
        french in proptest::option::of("[a-z ]{0,10}"),
    ) {
        let registration = json!({
            "client_uri": "https://example.com", "client_name": name, "client_name#FR": french, "redirect_uris": uris,
            "policy_uri": uris[0],
        });
        let client = parse(&registration).unwrap();
        let again = ClientMetadata::parse(client.canonical().as_bytes()).unwrap();
        prop_assert_eq!(&again, &client);
        prop_assert_eq!(again.client_id(), client.client_id());
    }
}
