//! `GET /_matrix/client/v3/profile/{userId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid>

use std::sync::Arc;

use axum::extract::State;
use myelin_users::Users;

use crate::Error;
use crate::answer::RawAnswer;
use crate::object::UserPath;

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    UserPath(user_id, []): UserPath<0>,
) -> Result<RawAnswer, Error> {
    Ok(RawAnswer(users.profile(&user_id).await?))
}
