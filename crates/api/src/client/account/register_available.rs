//! `GET /_matrix/client/v3/register/available`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable>

use std::sync::Arc;

use axum::extract::State;
use myelin_auth::Auth;
use ruma::api::client::account::get_username_availability::v3::{Request, Response};

use crate::Error;
use crate::answer::Answer;
use crate::args::Args;

/// Whether a user name can be had.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    auth.registration_flows()?;
    auth.available(&request.username).await?;
    Ok(Answer(Response::new(true)))
}
