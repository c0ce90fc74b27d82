//! `POST /_matrix/client/v3/user_directory/search`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{Found, SearchError, Users};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// How many users are answered, unless the client says.
const LIMIT: u64 = 10;

#[derive(Deserialize)]
pub(crate) struct SearchBody {
    search_term: String,
    limit: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct SearchAnswer {
    results: Vec<User>,
    limited: bool,
}

#[derive(Serialize)]
struct User {
    user_id: OwnedUserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

pub(crate) async fn post(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Body(body): Body<SearchBody>,
) -> Result<Json<SearchAnswer>, Error> {
    let limit = usize::try_from(body.limit.unwrap_or(LIMIT)).unwrap_or(usize::MAX);
    let found = users.search_users(&requester, &body.search_term, limit).await?;
    let user = |Found { user_id, display_name, avatar_url }| User { user_id, display_name, avatar_url };
    Ok(Json(SearchAnswer { results: found.results.into_iter().map(user).collect(), limited: found.limited }))
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::TooLong => Self::invalid_param("The search_term may have at most 512 bytes."),
            SearchError::Read(error) => error.into(),
        }
    }
}
