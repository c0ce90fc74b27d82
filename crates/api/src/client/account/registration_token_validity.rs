//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity>

use std::sync::Arc;

use axum::extract::State;
use myelin_auth::Auth;
use ruma::api::client::account::check_registration_token_validity::v1::{Request, Response};

use crate::Error;
use crate::answer::Answer;
use crate::args::Args;

/// Whether a registration token could be used now.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    auth.registration_flows()?;
    Ok(Answer(Response::new(auth.registration_token_valid(&request.token).await?)))
}
