use proptest::prelude::*;
use serde_json::json;

use super::{Problem, Prompt, Request};
use crate::client::ClientMetadata;
use crate::error::ErrorCode;
use crate::params::Params;

const ISSUER: &str = "https://matrix.example.org/";
const GOOD: &[(&str, &str)] = &[
    ("client_id", "abc"),
    ("redirect_uri", "https://example.com/cb"),
    ("response_type", "code"),
    ("response_mode", "fragment"),
    ("scope", "urn:matrix:client:api:* urn:matrix:client:device:AAABBBCCCD"),
    ("state", "xyz"),
    ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
    ("code_challenge_method", "S256"),
];

fn client() -> ClientMetadata {
    let registration =
        json!({"client_uri": "https://example.com", "redirect_uris": ["https://example.com/cb"]});
    ClientMetadata::parse(registration.to_string().as_bytes()).unwrap()
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn ask(pairs: &[(&str, &str)]) -> Result<Request, Problem> {
    Request::parse(&Params::parse(encoded(pairs).as_bytes()).unwrap(), &client())
}

/// The good request with one parameter changed; `None` takes it away.
fn with(name: &str, value: Option<&str>) -> Result<Request, Problem> {
    let mut pairs: Vec<_> = GOOD.iter().copied().filter(|(other, _)| *other != name).collect();
    pairs.extend(value.map(|value| (name, value)));
    ask(&pairs)
}

#[test]
fn a_good_request_says_what_is_asked_and_where_the_code_goes() {
    let request = ask(GOOD).unwrap();
    assert_eq!((request.client_id.as_str(), request.wanted.device_id()), ("abc", Some("AAABBBCCCD")));
    assert_eq!(request.prompt, Prompt::Any);
    let answer = request.answer.with_code("c0de", ISSUER);
    assert_eq!(answer, "https://example.com/cb#state=xyz&code=c0de&iss=https%3A%2F%2Fmatrix.example.org%2F");
}

#[test]
fn what_is_wrong_with_client_or_redirect_uri_is_shown_on_a_page() {
    for (name, value) in [
        ("client_id", None),
        ("redirect_uri", None),
        ("redirect_uri", Some("")),
        ("redirect_uri", Some("https://evil.org/cb")),
        ("redirect_uri", Some("https://example.com/cb/../x")),
        ("redirect_uri", Some("https://example.com/cb#x")),
        ("redirect_uri", Some("javascript:alert(1)")),
    ] {
        assert!(matches!(with(name, value), Err(Problem::Page(_))), "{name}={value:?}");
    }
    for twice in [("client_id", "abc"), ("redirect_uri", "https://evil.org/")] {
        let pairs: Vec<_> = GOOD.iter().copied().chain([twice]).collect();
        assert!(matches!(ask(&pairs), Err(Problem::Page(_))), "{twice:?}");
    }
}

#[test]
fn everything_else_that_is_wrong_is_told_to_the_client() {
    for (name, value, code) in [
        ("response_type", None, ErrorCode::InvalidRequest),
        ("response_type", Some("token"), ErrorCode::UnsupportedResponseType),
        ("response_type", Some("code id_token"), ErrorCode::UnsupportedResponseType),
        ("response_mode", Some("form_post"), ErrorCode::InvalidRequest),
        ("scope", None, ErrorCode::InvalidScope),
        ("scope", Some("profile"), ErrorCode::InvalidScope),
        ("code_challenge", None, ErrorCode::InvalidRequest),
        ("code_challenge", Some("short"), ErrorCode::InvalidRequest),
        ("code_challenge_method", None, ErrorCode::InvalidRequest),
        ("code_challenge_method", Some("plain"), ErrorCode::InvalidRequest),
        ("prompt", Some("none login"), ErrorCode::InvalidRequest),
        ("request", Some("x"), ErrorCode::RequestNotSupported),
        ("request_uri", Some("https://example.com/r"), ErrorCode::RequestUriNotSupported),
    ] {
        let Err(Problem::Redirect(answer, refusal)) = with(name, value) else { panic!("{name}={value:?}") };
        assert_eq!(refusal.code, code, "{name}={value:?}");
        let told = answer.with_refusal(&refusal, ISSUER);
        let separator = if name == "response_mode" { "?" } else { "#" };
        let start = format!("https://example.com/cb{separator}state=xyz&error={}&", code.as_str());
        assert!(told.starts_with(&start), "{told}");
    }
    let long = "x".repeat(3000);
    let Err(Problem::Redirect(answer, refusal)) = with("state", Some(&long)) else { panic!() };
    assert!(!answer.with_refusal(&refusal, ISSUER).contains("state="), "it is not sent back");
}

#[test]
fn a_parameter_that_stands_twice_is_refused() {
    for twice in
        ["scope", "state", "response_type", "response_mode", "code_challenge", "code_challenge_method"]
    {
        let value = GOOD.iter().find(|(name, _)| *name == twice).unwrap().1;
        let pairs: Vec<_> = GOOD.iter().copied().chain([(twice, value)]).collect();
        let Err(Problem::Redirect(_, refusal)) = ask(&pairs) else { panic!("{twice}") };
        assert_eq!(refusal.code, ErrorCode::InvalidRequest, "{twice}");
    }
}

#[test]
fn prompts_hints_and_languages_are_read_and_nonsense_in_them_is_none() {
    let prompt = |value| with("prompt", Some(value)).unwrap().prompt;
    assert_eq!(prompt("create"), Prompt::Create);
    assert_eq!(prompt("consent login"), Prompt::SignIn);
    assert_eq!(prompt("none"), Prompt::None);
    assert_eq!(prompt("select_account"), Prompt::Any);
    let hint = |value| with("login_hint", Some(value)).unwrap().login_hint;
    assert_eq!(hint("mxid:@alice:example.org").as_deref(), Some("@alice:example.org"));
    assert_eq!(hint("alice").as_deref(), Some("alice"));
    assert_eq!(hint("a\u{0}b"), None);
    assert_eq!(hint(&"a".repeat(300)), None);
    assert_eq!(with("ui_locales", Some("de-AT  fr")).unwrap().ui_locales, ["de-AT", "fr"]);
}

proptest! {
    /// Whatever else the request says, the browser goes to the registered place or nowhere.
    #[test]
    fn no_request_leads_elsewhere(
        redirect in "https://example\\.com/cb|https?://[a-z.@:/\\\\#?]{0,20}|[a-z:/.]{0,20}",
        state in "\\PC{0,20}", mode in "query|fragment|x?", scope in "\\PC{0,20}",
    ) {
        let mut pairs: Vec<_> = GOOD.to_vec();
        pairs.retain(|(name, _)| !["redirect_uri", "state", "response_mode", "scope"].contains(name));
        pairs.extend([("redirect_uri", &*redirect), ("state", &*state), ("response_mode", &*mode), ("scope", &*scope)]);
        match ask(&pairs) {
            Err(Problem::Page(_)) => prop_assert_ne!(redirect, "https://example.com/cb"),
            Err(Problem::Redirect(answer, refusal)) => {
                prop_assert_eq!(answer.target().as_str(), "https://example.com/cb");
                let told = answer.with_refusal(&refusal, ISSUER);
                prop_assert!(told.starts_with("https://example.com/cb?") || told.starts_with("https://example.com/cb#"));
                prop_assert!(told.bytes().all(|b| b.is_ascii_graphic()));
            }
            Ok(request) => prop_assert_eq!(request.answer.target().as_str(), "https://example.com/cb"),
        }
    }
}
