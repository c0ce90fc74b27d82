//! `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{Tags, Users};
use serde::Serialize;

use super::room_id;
use crate::Error;
use crate::access::Asks;
use crate::object::UserPath;

#[derive(Serialize)]
pub(crate) struct TagsAnswer {
    tags: Tags,
}

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [room]): UserPath<1>,
) -> Result<Json<TagsAnswer>, Error> {
    let tags = users.tags(&requester, &user_id, &room_id(&room)?).await?;
    Ok(Json(TagsAnswer { tags }))
}
