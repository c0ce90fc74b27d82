//! Any query or form: nothing in it leads a browser anywhere but to the registered place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use myelin_oauth_core::authorization::{Problem, Request};
use myelin_oauth_core::client::ClientMetadata;
use myelin_oauth_core::device::UserCode;
use myelin_oauth_core::legacy::LegacyRedirect;
use myelin_oauth_core::params::Params;
use myelin_oauth_core::token::TokenRequest;

const PLACE: &str = "https://app.example.com/callback";

fuzz_target!(|query: &[u8]| {
    let registration =
        br#"{"client_uri": "https://example.com/", "redirect_uris": ["https://app.example.com/callback"]}"#;
    let client = ClientMetadata::parse(registration).expect("a good registration");
    let Ok(params) = Params::parse(query) else { return };
    let leads = |place: &str| {
        assert!(place.bytes().all(|b| b.is_ascii_graphic()), "{place}");
        let rest = place.strip_prefix(PLACE).expect("the registered place");
        assert!(rest.starts_with(['?', '#']), "{place}");
    };
    match Request::parse(&params, &client) {
        Ok(request) => leads(&request.answer.with_code("code", "https://example.org/")),
        Err(Problem::Redirect(answer, refusal)) => {
            leads(&answer.with_refusal(&refusal, "https://example.org/"));
        }
        Err(Problem::Page(_)) => {}
    }
    let _ = TokenRequest::parse(&params);
    let text = String::from_utf8_lossy(query);
    if let Some(place) = LegacyRedirect::parse(&text) {
        assert_eq!(LegacyRedirect::parse(place.as_str()).as_ref(), Some(&place));
        assert!(!place.with_token("token").starts_with("javascript:"));
    }
    if let Some(code) = UserCode::parse(&text) {
        assert_eq!(UserCode::parse(&code.shown()), Some(code));
    }
});
