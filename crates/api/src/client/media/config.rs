//! `GET /_matrix/client/v1/media/config`, and deprecated `GET /_matrix/media/v3/config`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig>

use std::sync::Arc;

use axum::extract::State;
use myelin_media::Media;
use ruma::UInt;
use ruma::api::client::authenticated_media::get_media_config::v1::Response;

use crate::answer::Answer;

/// How large an upload may be.
pub(crate) async fn get(State(media): State<Arc<Media>>) -> Answer<Response> {
    Answer(Response::new(UInt::try_from(media.max_upload_size()).unwrap_or(UInt::MAX)))
}
