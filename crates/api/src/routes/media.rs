//! The content repository.

use super::{get, post, put};
use crate::client::media;
use crate::{RateClass, Route};

/// The prefix of authenticated media.
const MEDIA: &[&str] = &["/_matrix/client/v1/media"];
/// The prefixes of media as it was before it was authenticated, uploads included, which are there still.
const OLD_MEDIA: &[&str] = &["/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"];
/// The prefix of what makes a URI for media.
const NEW_MEDIA: &[&str] = &["/_matrix/media/v1"];
/// The prefix of what uploads the file of such a URI.
const FILLED_MEDIA: &[&str] = &["/_matrix/media/v3"];

/// In the order of the specification.
pub(super) fn routes() -> Vec<Route> {
    const FILE: &str = "/download/{server_name}/{media_id}";
    const NAMED: &str = "/download/{server_name}/{media_id}/{filename}";
    const THUMBNAIL: &str = "/thumbnail/{server_name}/{media_id}";
    const FILL: &str = "/upload/{server_name}/{media_id}";
    vec![
        get(MEDIA, "/config", media::config::get),
        get(MEDIA, FILE, media::download::get),
        get(MEDIA, NAMED, media::download_as::get),
        get(MEDIA, THUMBNAIL, media::thumbnail::get),
        get(MEDIA, "/preview_url", media::preview_url::get).class(RateClass::Preview),
        get(OLD_MEDIA, "/preview_url", media::preview_url::get).class(RateClass::Preview),
        post(OLD_MEDIA, "/upload", media::upload::post).class(RateClass::Upload).unsuspended().streaming(),
        put(FILLED_MEDIA, FILL, media::upload_to::put).class(RateClass::Upload).unsuspended().streaming(),
        post(NEW_MEDIA, "/create", media::create::post).class(RateClass::Upload).unsuspended(),
        get(OLD_MEDIA, "/config", media::config::get),
        // Nobody is asked for a token here, since without one there is nothing: see `client::media::admitted`.
        get(OLD_MEDIA, FILE, media::download::get).optional(),
        get(OLD_MEDIA, NAMED, media::download_as::get).optional(),
        get(OLD_MEDIA, THUMBNAIL, media::thumbnail::get).optional(),
    ]
}
