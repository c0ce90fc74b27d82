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
            /// Of a preview's picture, the user who was the first to see it.
            uploader: OwnedUserId,
            /// In milliseconds since the Unix epoch, as all times of these rows.
            created: i64,
            /// Exact to a day or so.
            last_access: i64,
            /// Kept, and served to nobody.
            quarantined: bool,
            /// How many rows of [`MediaThumbnail`] it has.
            thumbnails: i64,
            /// Whether it counts in its uploader's [`MediaUsage`]. A picture of a preview does not.
            counted: bool,
        }
        index { BY_CONTENT = "by_content" (sha256) }
    }
}

keyspace! {
    /// A URI whose file is still to be uploaded. The upload turns it into a row of [`Media`]; without one it goes some
    /// time after it has expired.
    pub struct MediaPending in "media_pending" {
        key { media_id: String }
        value {
            /// Who may upload the file.
            creator: OwnedUserId,
            expires: i64,
        }
        index { BY_CREATOR = "by_creator" (creator, expires), BY_EXPIRY = "by_expiry" (expires) }
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

keyspace! {
    /// How much a user has uploaded that is still there. Made by the first upload.
    pub struct MediaUsage in "media_usage" {
        key { user_id: OwnedUserId }
        value {
            files: i64,
            bytes: i64,
        }
        index {}
    }
}

keyspace! {
    /// Content that is withheld, whoever uploads it, until the operator gives it free.
    pub struct MediaQuarantine in "media_quarantine" {
        key { sha256: Bytes }
        value { since: i64 }
        index {}
    }
}

keyspace! {
    /// What a web page says of itself. The table has a fixed size: a new row takes the place of whatever stood there.
    pub struct UrlPreview in "url_preview" {
        key {
            /// Made of the URL's SHA-256, below 16,384.
            slot: i64,
        }
        value {
            url: String,
            /// The answer to clients, a JSON object; null where the page could not be had.
            answer: Option<String>,
            /// The media id of the picture in it, a key of [`PreviewImage`].
            image: Option<String>,
            expires: i64,
        }
        index {}
    }
}

keyspace! {
    /// A picture that the server took from the web for a preview: an upload that nobody made. The oldest go when there
    /// are too many, and all after some time.
    pub struct PreviewImage in "preview_image" {
        key { media_id: String }
        value {
            /// In bytes.
            size: i64,
            created: i64,
        }
        index { BY_CREATED = "by_created" (created) }
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<Media>(),
    super::def::<MediaPending>(),
    super::def::<MediaContent>(),
    super::def::<MediaThumbnail>(),
    super::def::<MediaUsage>(),
    super::def::<MediaQuarantine>(),
    super::def::<UrlPreview>(),
    super::def::<PreviewImage>(),
];
