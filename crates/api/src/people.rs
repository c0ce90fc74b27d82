//! What people see who open one of these endpoints in a browser.

use http::{HeaderMap, header};

/// The languages that a request says its user reads (RFC 9110, section 12.5.4).
#[must_use]
pub fn accept_language(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
