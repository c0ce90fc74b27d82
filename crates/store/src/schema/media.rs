//! Uploads, the content they point at, and the thumbnails made of them. Owner: `media`.
//!
//! The bytes themselves are in the blob store, under the SHA-256 of the content. Every blob there has a row in
//! [`MediaContent`] that was durable before the blob, so that none is ever lost track of.

use bytes::Bytes;
use ruma::OwnedUserId;

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// An upload: what stands behind `mxc://<this server>/<media_id>`.
    pub struct Media in "media" {
        key { media_id: String }
        value {
            /// The key of its [`MediaContent`].
            sha256: Bytes,
            /// In bytes.
            size: i64,
            /// As the uploader declared it.
            content_type: String,
            /// As the uploader declared it.
            filename: Option<String>,
            uploader: OwnedUserId,
            /// In milliseconds since the Unix epoch, as all times of these rows.
            created: i64,
            /// Exact to a day or so.
            last_access: i64,
            /// Kept, and served to nobody.
            quarantined: bool,
            /// How many rows of [`MediaThumbnail`] it has.
            thumbnails: i64,
        }
        index {}
    }
}

keyspace! {
    /// A blob, and how many rows of [`Media`] and [`MediaThumbnail`] point at it.
    pub struct MediaContent in "media_content" {
        key { sha256: Bytes }
        value {
            /// In bytes.
            size: i64,
            /// 0 while an upload is under way, and from the last deletion until the blob is gone.
            refs: i64,
        }
        index { BY_REFS = "by_refs" (refs) }
    }
}

keyspace! {
    /// A thumbnail that was made once.
    pub struct MediaThumbnail in "media_thumbnail" {
        key {
            media_id: String,
            /// The size it was made for, in pixels; one of a fixed list. The picture may be smaller.
            width: i64,
            height: i64,
            /// `crop` or `scale`.
            method: String,
            /// Whether it was made for those who prefer that it moves.
            animated: bool,
        }
        value {
            /// The key of its [`MediaContent`]; that of the upload itself where this is small enough.
            sha256: Bytes,
            /// In bytes.
            size: i64,
            content_type: String,
            created: i64,
        }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] =
    &[super::def::<Media>(), super::def::<MediaContent>(), super::def::<MediaThumbnail>()];
