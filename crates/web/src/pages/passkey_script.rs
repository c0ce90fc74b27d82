//! `GET /oauth2/passkey.js`: the one script of these pages, which asks the browser for a passkey.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use maud::{Markup, html};
use sha2::{Digest, Sha256};

use crate::next::PASSKEY_SCRIPT;

/// The script.
const SCRIPT: &str = include_str!("../passkey.js");

/// By which a page says which script it means.
static INTEGRITY: LazyLock<String> =
    LazyLock::new(|| format!("sha256-{}", STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()))));
/// Under which the script is fetched, so that a newer one is not taken for it.
static ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(SCRIPT.as_bytes());
    let version: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{PASSKEY_SCRIPT}?v={version}")
});

/// The script, for as long as anybody wants it: another one has another address.
pub(crate) async fn get() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, SCRIPT).into_response()
}

/// What a page has that uses it. The nonce is what its policy allows.
pub(crate) fn tag(nonce: &str) -> Markup {
    html! { script src=(*ADDRESS) integrity=(*INTEGRITY) nonce=(nonce) defer {} }
}
