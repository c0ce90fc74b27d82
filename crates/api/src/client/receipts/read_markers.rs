//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers>

use std::sync::Arc;

use axum::extract::State;
use myelin_users::{Marks, Thread, Users};
use ruma::api::client::read_marker::set_read_marker::v3::{Request, Response};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn post(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let marks = Marks {
        read: request.read_receipt,
        read_private: request.private_read_receipt,
        fully_read: request.fully_read,
        thread: Thread::Unthreaded,
    };
    users.mark_read(&requester, &request.room_id, &marks).await?;
    Ok(Answer(Response::new()))
}
