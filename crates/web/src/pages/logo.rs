//! `GET /oauth2/logo/{id}`: the operator's logo.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::state::Pages;

/// The logo, for as long as anybody wants it: another one has another address.
pub(crate) async fn get(State(pages): State<Pages>, Path(id): Path<String>) -> Response {
    let Some(logo) = pages.brand.logo(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, logo.content_type),
        // A drawing is a document to who opens its address: it may have its style, and nothing else.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (headers, logo.bytes.clone()).into_response()
}
