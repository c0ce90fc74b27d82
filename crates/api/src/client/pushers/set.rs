//! `POST /_matrix/client/v3/pushers/set`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::{NewPusher, Notify};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// A pusher, or which one to delete.
#[derive(Deserialize)]
pub(crate) struct SetBody {
    /// Null deletes; nothing at all is a mistake.
    #[serde(default, deserialize_with = "present")]
    kind: Option<Option<String>>,
    app_id: Option<String>,
    pushkey: Option<String>,
    app_display_name: Option<String>,
    device_display_name: Option<String>,
    profile_tag: Option<String>,
    lang: Option<String>,
    data: Option<Map<String, Value>>,
    append: Option<bool>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

pub(crate) async fn post(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Body(body): Body<SetBody>,
) -> Result<Json<Value>, Error> {
    let app_id = body.app_id.ok_or_else(|| missing(&["app_id"]))?;
    let pushkey = body.pushkey.ok_or_else(|| missing(&["pushkey"]))?;
    let Some(kind) = body.kind.ok_or_else(|| missing(&["kind"]))? else {
        notify.delete_pusher(&requester, &app_id, &pushkey).await?;
        return Ok(Json(json!({})));
    };
    if kind != "http" {
        return Err(Error::invalid_param("This server has pushers of the kind \"http\" only."));
    }
    let (Some(app_display_name), Some(device_display_name), Some(lang), Some(data)) =
        (&body.app_display_name, &body.device_display_name, &body.lang, &body.data)
    else {
        let fields = [
            ("app_display_name", body.app_display_name.is_some()),
            ("device_display_name", body.device_display_name.is_some()),
            ("lang", body.lang.is_some()),
            ("data", body.data.is_some()),
        ];
        let absent: Vec<&str> = fields.iter().filter(|(_, given)| !given).map(|(name, _)| *name).collect();
        return Err(missing(&absent));
    };
    let new = NewPusher {
        pushkey,
        app_id,
        app_display_name: app_display_name.clone(),
        device_display_name: device_display_name.clone(),
        profile_tag: body.profile_tag,
        lang: lang.clone(),
        data: data.clone(),
        append: body.append.unwrap_or(false),
    };
    notify.set_pusher(&requester, &new).await?;
    Ok(Json(json!({})))
}

fn missing(fields: &[&str]) -> Error {
    Error::missing_param(format!("Missing parameters: {}", fields.join(", ")))
}
