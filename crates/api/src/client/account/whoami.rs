//! `GET /_matrix/client/v3/account/whoami`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami>

use ruma::api::client::account::whoami::v3::Response;

use crate::access::Asks;
use crate::answer::Answer;

/// Tells who asks.
pub(crate) async fn get(Asks(requester): Asks) -> Answer<Response> {
    let mut response = Response::new(requester.user_id, false);
    response.device_id = requester.device_id;
    Answer(response)
}
