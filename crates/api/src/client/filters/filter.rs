//! `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid>

use std::sync::Arc;

use axum::extract::State;
use myelin_users::Users;

use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::object::UserPath;

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [filter_id]): UserPath<1>,
) -> Result<RawAnswer, Error> {
    let filter = users.filter(&requester, &user_id, &filter_id).await?;
    filter.map(RawAnswer).ok_or_else(|| Error::not_found("There is no filter with this id."))
}
