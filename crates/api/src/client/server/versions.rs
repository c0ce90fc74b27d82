//! `GET /_matrix/client/versions`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions>

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::state::Oauth;

/// The spec versions this server's served endpoints follow, and the unstable features that clients look for. Some clients
/// look for those that were merged long ago, and not at the versions: Element Web lists a public space in the directory
/// where it finds `org.matrix.msc3827.stable`. Sign-in by QR code is one by OAuth 2.0, and offered where that is.
pub(crate) async fn get(State(Oauth(oauth)): State<Oauth>) -> Json<Value> {
    Json(json!({
        "versions": [
            "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12",
            "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
        ],
        "unstable_features": {
            "com.beeper.msc4169": true,
            "org.matrix.simplified_msc3575": true,
            "org.matrix.e2e_cross_signing": true,
            "org.matrix.msc2285.stable": true,
            "org.matrix.msc3391": true,
            "org.matrix.msc3440.stable": true,
            "org.matrix.msc3771": true,
            "org.matrix.msc3827.stable": true,
            "org.matrix.msc3874": true,
            "org.matrix.msc3890": true,
            "io.element.msc4388": oauth.is_some(),
            "org.matrix.msc4108": oauth.is_some(),
            "org.matrix.msc4140": true,
            "org.matrix.msc4140.stable": true,
            "org.matrix.msc4155": true,
            "org.matrix.msc4262": true,
            "org.matrix.msc4293": true,
            "org.matrix.msc4306": true,
            "org.matrix.msc4308": true,
            "org.matrix.msc4354": true,
            "org.matrix.msc4380": true,
            "org.matrix.msc4380.stable": true,
            "uk.half-shot.msc2666.query_mutual_rooms": true,
            "uk.half-shot.msc2666.query_mutual_rooms.stable": true,
            "uk.tcpip.msc4133.stable": true,
        },
    }))
}
