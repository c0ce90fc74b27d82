//! `POST /_matrix/client/v3/account/3pid/bind`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidbind>

use serde::Deserialize;

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::client::account::bad_request;

/// What to bind, and where.
#[derive(Deserialize)]
pub(crate) struct BindBody {
    id_server: String,
}

/// Refuses: this server binds addresses to no identity server. (Clients can, without it.)
pub(crate) async fn post(_: Asks, Body(body): Body<BindBody>) -> Error {
    let message =
        format!("This server binds nothing to the identity server {:?}, nor to another one.", body.id_server);
    bad_request("M_SERVER_NOT_TRUSTED", &message)
}
