//! `GET /_matrix/media/v3/download/{serverName}/{mediaId}[/{fileName}]`, and `GET .../thumbnail/{serverName}/{mediaId}`:
//! deprecated, without authentication
//! <https://spec.matrix.org/v1.19/client-server-api/#content-repo-client-behaviour>

use crate::Error;

/// Frozen, as the spec asks since version 1.12: what was uploaded before the freeze is served here, and this server
/// has never had another state. Nothing of the request matters, so none of it is read.
pub(crate) async fn get() -> Error {
    Error::not_found("Media is served with authentication only: see /_matrix/client/v1/media.")
}
