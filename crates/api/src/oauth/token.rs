//! `POST /oauth2/token` (RFC 6749, section 3.2; RFC 8628, section 3.4)
//! <https://spec.matrix.org/v1.19/client-server-api/#grant-types>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use myelin_auth::{Auth, IdentityTokens, OauthTokens, Redeemed};
use myelin_oauth_core::code::Shown;
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_oauth_core::token::{TokenAnswer, TokenRequest};

use serde_json::json;

use super::Failure;
use super::form::Form;

/// Issues tokens.
pub(crate) async fn post(State(auth): State<Arc<Auth>>, Form(params): Form) -> Result<Response, Failure> {
    let tokens = match TokenRequest::parse(&params)? {
        TokenRequest::Code { client_id, code, redirect_uri, verifier } => {
            let shown = Shown { client_id: &client_id, redirect_uri: &redirect_uri, verifier: &verifier };
            match auth.redeem_code(&code, &shown).await? {
                Redeemed::Session(tokens) => tokens,
                Redeemed::Identity(tokens) => return Ok(identity(&tokens)),
            }
        }
        TokenRequest::Refresh { client_id, refresh_token } => {
            auth.refresh_grant(&refresh_token, &client_id).await?
        }
        TokenRequest::Device { client_id, device_code } => auth.poll_device(&device_code, &client_id).await?,
    };
    answer(&tokens)
}

/// Renews tokens, and issues no others: for a server on which OAuth 2.0 is switched off.
pub(crate) async fn post_refresh(
    State(auth): State<Arc<Auth>>,
    Form(params): Form,
) -> Result<Response, Failure> {
    let TokenRequest::Refresh { client_id, refresh_token } = TokenRequest::parse(&params)? else {
        let off = "Nobody logs in by OAuth 2.0 here any more.";
        return Err(Refusal::new(ErrorCode::UnsupportedGrantType, off).into());
    };
    answer(&auth.refresh_grant(&refresh_token, &client_id).await?)
}

fn identity(tokens: &IdentityTokens) -> Response {
    let body = json!({
        "access_token": tokens.access_token.expose(),
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "id_token": tokens.id_token.expose(),
        "scope": tokens.scope,
    });
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (headers, Json(body)).into_response()
}

fn answer(tokens: &OauthTokens) -> Result<Response, Failure> {
    let issued = &tokens.issued;
    let (Some(refresh), Some(expires_in)) = (&issued.refresh_token, issued.expires_in) else {
        return Err(Refusal::new(ErrorCode::ServerError, "The server failed to answer.").into());
    };
    let body = TokenAnswer {
        access_token: issued.access_token.expose(),
        token_type: "Bearer",
        expires_in: expires_in.as_secs(),
        refresh_token: refresh.expose(),
        scope: &tokens.scope,
    };
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    Ok((headers, Json(body)).into_response())
}
