//! Requests as forms.

use axum::RequestExt;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header;
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_oauth_core::params::Params;

use super::Failure;
use crate::args::body_error;

/// The parameters of a form.
pub(crate) struct Form(pub(crate) Params);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = kind.is_some_and(|kind| {
            let essence = kind.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        // Read first, so that the connection stays open.
        let Raw(body) = Raw::from_request(request, &()).await?;
        if !is_form {
            let wrong = "The request must be a form: application/x-www-form-urlencoded.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, wrong).into());
        }
        Ok(Self(Params::parse(&body)?))
    }
}

/// A body, as it was sent.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let body = Bytes::from_request(request.with_limited_body(), &()).await;
        body.map(Self).map_err(|rejection| body_error(rejection.status()).into())
    }
}
