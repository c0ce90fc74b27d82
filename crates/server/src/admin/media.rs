//! Operators' commands on uploaded files.

use myelin_media::{About, BlobId, Media};
use ruma::MxcUri;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::text;
use crate::compose::Server;

/// What to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaAction {
    /// Tell what is recorded of it.
    Show,
    /// Withhold it. Of a content: all files that have it, and those to come.
    Quarantine,
    /// Give it free again.
    Release,
    /// Delete it.
    Delete,
}

/// What a command is about.
enum Target {
    File(String),
    Content(BlobId),
}

pub(super) async fn run(server: &Server, action: MediaAction, target: &str) -> Result<Value, String> {
    let media = &server.state.media;
    match target_of(media, target)? {
        Target::File(media_id) => on_file(media, action, &media_id).await,
        Target::Content(blob) => on_content(media, action, blob).await,
    }
}

async fn on_file(media: &Media, action: MediaAction, media_id: &str) -> Result<Value, String> {
    let missing = || "there is no such file on this server".to_owned();
    let done = match action {
        MediaAction::Show => {
            let about = media.about(media_id).await.map_err(text)?;
            return Ok(line(media_id, &about.ok_or_else(missing)?));
        }
        MediaAction::Quarantine => media.quarantine(media_id).await,
        MediaAction::Release => media.unquarantine(media_id).await,
        MediaAction::Delete => media.delete(media_id).await,
    };
    if done.map_err(text)? { Ok(Value::Null) } else { Err(missing()) }
}

async fn on_content(media: &Media, action: MediaAction, blob: BlobId) -> Result<Value, String> {
    let files = match action {
        MediaAction::Quarantine => media.quarantine_content(blob).await,
        MediaAction::Release => media.unquarantine_content(blob).await,
        MediaAction::Show | MediaAction::Delete => {
            return Err("this takes a file, not a content: an mxc:// URI or a media id".to_owned());
        }
    };
    Ok(json!({ "files": files.map_err(text)? }))
}

fn target_of(media: &Media, target: &str) -> Result<Target, String> {
    if target.starts_with("mxc://") {
        let uri: &MxcUri = target.into();
        let (server, media_id) =
            uri.parts().map_err(|error| format!("{target} is no URI of a file: {error}"))?;
        return if media.is_local(server) {
            Ok(Target::File(media_id.to_owned()))
        } else {
            Err(format!("{target} is a file of another server"))
        };
    }
    Ok(digest(target).map_or_else(|| Target::File(target.to_owned()), Target::Content))
}

/// 64 hexadecimal digits. Media ids of this server have 32 letters and digits.
fn digest(text: &str) -> Option<BlobId> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let byte = |n: usize| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    BlobId::from_bytes(&bytes?)
}

fn line(media_id: &str, about: &About) -> Value {
    json!({
        "media_id": media_id,
        "sha256": about.blob.to_string(),
        "size": about.size,
        "content_type": about.content_type,
        "filename": about.filename,
        "uploader": about.uploader,
        "created": about.created,
        "last_access": about.last_access,
        "quarantined": about.quarantined,
    })
}
