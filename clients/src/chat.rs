//! An open room: its timeline, what is said in it and what can be seen of it.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use matrix_sdk::Room;
use matrix_sdk::attachment::{AttachmentInfo, BaseImageInfo, Thumbnail};
use matrix_sdk::media::{MediaFormat, MediaRequestParameters};
use matrix_sdk::room::edit::EditedContent;
use matrix_sdk::ruma::events::room::MediaSource;
use matrix_sdk::ruma::events::room::message::{
    MessageType, RoomMessageEventContent, RoomMessageEventContentWithoutRelation,
};
use matrix_sdk::ruma::{OwnedEventId, UInt, UserId};
use matrix_sdk_ui::Timeline;
use matrix_sdk_ui::timeline::{
    AttachmentConfig, AttachmentSource, EncryptedMessage, EventTimelineItem, ReactionStatus, RoomExt,
    TimelineReadReceiptTracking,
};

use crate::wait::{in_time, now_and_then, until};

/// A room's timeline on one device.
pub struct Chat {
    /// Whose it is, for failures.
    pub label: String,
    /// The room.
    pub room: Room,
    timeline: RwLock<Arc<Timeline>>,
}

async fn open_timeline(room: &Room) -> anyhow::Result<Timeline> {
    let builder =
        room.timeline_builder().track_read_marker_and_receipts(TimelineReadReceiptTracking::AllEvents);
    Ok(builder.build().await?)
}

fn shows_the_start(items: &[EventTimelineItem]) -> bool {
    let first = items.first().and_then(|item| item.content().event_type_str());
    first.as_deref() == Some("m.room.create")
}

impl Chat {
    pub(crate) async fn open(label: String, room: &Room) -> anyhow::Result<Self> {
        let timeline = RwLock::new(Arc::new(open_timeline(room).await?));
        Ok(Self { label, room: room.clone(), timeline })
    }

    /// The SDK's timeline.
    pub fn timeline(&self) -> Arc<Timeline> {
        Arc::clone(&self.timeline.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves the room's screen and enters it again.
    async fn reopen(&self) -> anyhow::Result<()> {
        let fresh = Arc::new(open_timeline(&self.room).await?);
        *self.timeline.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Puts a text in the send queue.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn say(&self, text: &str) -> anyhow::Result<()> {
        self.timeline().send(RoomMessageEventContent::text_plain(text).into()).await?;
        Ok(())
    }

    /// Edits a message.
    ///
    /// # Errors
    /// When the message is not there.
    pub async fn edit(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let item = self.sees(from).await?;
        let content = RoomMessageEventContentWithoutRelation::text_plain(to);
        self.timeline().edit(&item.identifier(), EditedContent::RoomMessage(content)).await?;
        Ok(())
    }

    /// Reacts to a message, or takes the reaction back.
    ///
    /// # Errors
    /// When the message is not there.
    pub async fn react(&self, to: &str, key: &str) -> anyhow::Result<()> {
        let item = self.sees(to).await?;
        self.timeline().toggle_reaction(&item.identifier(), key).await?;
        Ok(())
    }

    /// Replies to a message.
    ///
    /// # Errors
    /// When the message is not there.
    pub async fn reply(&self, to: &str, text: &str) -> anyhow::Result<()> {
        let event_id = self.event_id(to).await?;
        let content = RoomMessageEventContentWithoutRelation::text_plain(text);
        self.timeline().send_reply(content, event_id).await?;
        Ok(())
    }

    /// Redacts a message.
    ///
    /// # Errors
    /// When the message is not there or the server refuses.
    pub async fn redact(&self, text: &str) -> anyhow::Result<()> {
        let item = self.sees(text).await?;
        in_time("a redaction", self.timeline().redact(&item.identifier(), None)).await
    }

    /// Sends an image with a thumbnail through the send queue.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn send_image(&self, name: &str, bytes: Vec<u8>, thumbnail: Vec<u8>) -> anyhow::Result<()> {
        let size = |bytes: &[u8]| UInt::new(bytes.len() as u64).unwrap_or_default();
        let (width, height) = (UInt::from(64_u32), UInt::from(48_u32));
        let info = BaseImageInfo {
            height: Some(height),
            width: Some(width),
            size: Some(size(&bytes)),
            ..BaseImageInfo::default()
        };
        let thumbnail = Thumbnail {
            size: size(&thumbnail),
            data: thumbnail,
            content_type: mime::IMAGE_PNG,
            height,
            width,
        };
        let config = AttachmentConfig {
            info: Some(AttachmentInfo::Image(info)),
            thumbnail: Some(thumbnail),
            ..AttachmentConfig::default()
        };
        let source = AttachmentSource::Data { bytes, filename: name.to_owned() };
        self.timeline().send_attachment(source, mime::IMAGE_PNG, config).use_send_queue().await?;
        Ok(())
    }

    /// Downloads an image and its thumbnail from the server and decrypts them.
    ///
    /// # Errors
    /// When it is not there, not encrypted, or the server does not have it.
    pub async fn image(&self, name: &str) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        let item = self.sees(name).await?;
        let message = item.content().as_message().context("not a message")?;
        let MessageType::Image(image) = message.msgtype() else { anyhow::bail!("{name} is no image") };
        let thumbnail = image.info.as_ref().and_then(|info| info.thumbnail_source.clone());
        let thumbnail = thumbnail.with_context(|| format!("{name} has no thumbnail"))?;
        Ok((self.fetch(image.source.clone()).await?, self.fetch(thumbnail).await?))
    }

    async fn fetch(&self, source: MediaSource) -> anyhow::Result<Vec<u8>> {
        anyhow::ensure!(matches!(source, MediaSource::Encrypted(_)), "{}: media in the clear", self.label);
        let request = MediaRequestParameters { source, format: MediaFormat::File };
        let client = self.room.client();
        in_time(&format!("{}: a download", self.label), client.media().get_media_content(&request, false))
            .await
    }

    /// Waits until the timeline shows something.
    ///
    /// # Errors
    /// When it does not in time; the error lists what the timeline shows instead.
    pub async fn shows<R>(
        &self,
        what: &str,
        mut look: impl FnMut(&[EventTimelineItem]) -> Option<R>,
    ) -> anyhow::Result<R> {
        let (_, updates) = self.timeline().subscribe().await;
        until(&format!("{}: {what}", self.label), updates, async || {
            let items = self.items().await;
            look(&items).ok_or_else(|| listing(&items))
        })
        .await
    }

    /// The events of the timeline as they are now.
    pub async fn items(&self) -> Vec<EventTimelineItem> {
        let items = self.timeline().items().await;
        items.iter().filter_map(|item| item.as_event().cloned()).collect()
    }

    /// Waits for a message with this text that the server has acknowledged.
    ///
    /// # Errors
    /// When it does not show in time.
    pub async fn sees(&self, text: &str) -> anyhow::Result<EventTimelineItem> {
        self.shows(&format!("{text:?}"), |items| {
            items.iter().find(|item| body(item) == Some(text) && item.event_id().is_some()).cloned()
        })
        .await
    }

    /// Waits for a message as [`Self::sees`] does, scrolling back for it: what a device missed while the server was away
    /// may lie behind a gap.
    ///
    /// # Errors
    /// When it does not show in time.
    pub async fn finds(&self, text: &str) -> anyhow::Result<()> {
        let (_, updates) = self.timeline().subscribe().await;
        let is_there = |items: &[EventTimelineItem]| {
            items.iter().any(|item| body(item) == Some(text) && item.event_id().is_some())
        };
        until(&format!("{}: {text:?}, scrolling back", self.label), updates, async || {
            if is_there(&self.items().await) {
                return Ok(());
            }
            let scrolled = self.timeline().paginate_backwards(30).await;
            let items = self.items().await;
            if is_there(&items) { Ok(()) } else { Err(format!("{scrolled:?}, {}", listing(&items))) }
        })
        .await
    }

    /// Waits for a message and gives its event id.
    ///
    /// # Errors
    /// When it does not show in time.
    pub async fn event_id(&self, text: &str) -> anyhow::Result<OwnedEventId> {
        let item = self.sees(text).await?;
        item.event_id().map(ToOwned::to_owned).context("an event without an id")
    }

    /// Waits until a message shows as edited.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn sees_edited(&self, text: &str) -> anyhow::Result<()> {
        self.shows(&format!("{text:?} as an edit"), |items| {
            let item = items.iter().find(|item| body(item) == Some(text))?;
            item.content().as_message()?.is_edited().then_some(())
        })
        .await
    }

    /// Waits until somebody's reaction, as the server has it, shows on a message.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn sees_reaction(&self, text: &str, key: &str, by: &UserId) -> anyhow::Result<()> {
        self.shows(&format!("{key} of {by} on {text:?}"), |items| {
            let item = items.iter().find(|item| body(item) == Some(text))?;
            let info = item.content().reactions()?.get(key)?.get(by)?;
            matches!(info.status, ReactionStatus::RemoteToRemote(_)).then_some(())
        })
        .await
    }

    /// Waits until a reaction is gone from a message.
    ///
    /// # Errors
    /// When it stays.
    pub async fn sees_no_reaction(&self, text: &str, key: &str) -> anyhow::Result<()> {
        self.shows(&format!("no {key} on {text:?}"), |items| {
            let item = items.iter().find(|item| body(item) == Some(text))?;
            let reactions = item.content().reactions().cloned().unwrap_or_default();
            (!reactions.contains_key(key)).then_some(())
        })
        .await
    }

    /// Waits for a message that replies to another.
    ///
    /// # Errors
    /// When it does not show in time.
    pub async fn sees_reply(&self, text: &str, to: &OwnedEventId) -> anyhow::Result<()> {
        self.shows(&format!("{text:?} as a reply"), |items| {
            let item = items.iter().find(|item| body(item) == Some(text))?;
            (item.content().in_reply_to()?.event_id == *to).then_some(())
        })
        .await
    }

    /// Waits until a message is redacted.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn sees_redacted(&self, event_id: &OwnedEventId) -> anyhow::Result<()> {
        self.shows(&format!("{event_id} redacted"), |items| {
            let item = items.iter().find(|item| item.event_id() == Some(event_id))?;
            item.content().is_redacted().then_some(())
        })
        .await
    }

    /// Waits until somebody has read up to a message.
    ///
    /// # Errors
    /// When that does not show in time.
    pub async fn sees_read(&self, text: &str, by: &UserId) -> anyhow::Result<()> {
        self.shows(&format!("{text:?} read by {by}"), |items| {
            let at = items.iter().position(|item| body(item) == Some(text))?;
            items[at..].iter().any(|item| item.read_receipts().contains_key(by)).then_some(())
        })
        .await
    }

    /// Loads history until the start of the room shows.
    ///
    /// # Errors
    /// When the server does not give it.
    pub async fn load_history(&self) -> anyhow::Result<()> {
        let (_, updates) = self.timeline().subscribe().await;
        let updates = stream::select(updates.map(drop), now_and_then());
        until(&format!("{}: the start of the room", self.label), updates, async || {
            // Where sync tells of a gap meanwhile, as it may after a restart of the server, the SDK drops what is before
            // the gap, and whoever looks at it has to page again.
            loop {
                match self.timeline().paginate_backwards(30).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => return Ok(Err(error.into())),
                }
            }
            let items = self.items().await;
            if shows_the_start(&items) {
                return Ok(Ok(()));
            }
            // An open timeline of the SDK loses what its event cache tells it in bursts, such as when sync and paging meet
            // after a restart. What the cache has is there when the room is entered again.
            if let Err(error) = self.reopen().await {
                return Ok(Err(error));
            }
            Err(listing(&items))
        })
        .await?
    }

    /// Waits until the server has acknowledged all that was said here.
    ///
    /// # Errors
    /// When something is left in the queue.
    pub async fn has_sent(&self) -> anyhow::Result<()> {
        self.shows("everything sent", |items| {
            items.iter().all(|item| item.event_id().is_some()).then_some(())
        })
        .await
    }

    /// Waits until every event that is shown is decrypted, and none waits to be sent.
    ///
    /// # Errors
    /// When some are not in time; the error lists them.
    pub async fn shows_all_decrypted(&self) -> anyhow::Result<Vec<EventTimelineItem>> {
        let (_, updates) = self.timeline().subscribe().await;
        let updates = stream::select(updates.map(drop), now_and_then());
        until(&format!("{}: everything decrypted and sent", self.label), updates, async || {
            let items = self.items().await;
            let bad = |item: &&EventTimelineItem| {
                item.content().is_unable_to_decrypt() || item.event_id().is_none()
            };
            let missing: Vec<_> = items.iter().filter(bad).cloned().collect();
            if missing.is_empty() {
                return Ok(items);
            }
            // The SDK does not look again at an event that came while the key for it was being downloaded.
            let sessions = missing.iter().filter_map(|item| match item.content().as_unable_to_decrypt() {
                Some(EncryptedMessage::MegolmV1AesSha2 { session_id, .. }) => Some(session_id.clone()),
                _ => None,
            });
            self.timeline().retry_decryption(sessions).await;
            Err(listing(&missing))
        })
        .await
    }
}

/// The text of a message.
#[must_use]
pub fn body(item: &EventTimelineItem) -> Option<&str> {
    Some(item.content().as_message()?.body())
}

/// What a timeline shows, one event in a line.
#[must_use]
pub fn listing(items: &[EventTimelineItem]) -> String {
    let mut lines = format!("there are {} events:", items.len());
    for item in items {
        let what = match body(item) {
            Some(text) => format!("{text:?}"),
            None if item.content().is_unable_to_decrypt() => {
                format!("unable to decrypt: {:?}", item.content().as_unable_to_decrypt())
            }
            None if item.content().is_redacted() => "redacted".to_owned(),
            None => item.content().event_type_str().unwrap_or_else(|| "other".to_owned()),
        };
        let id =
            item.event_id().map_or_else(|| format!("local, {:?}", item.send_state()), ToString::to_string);
        lines.push_str(&format!("\n  {} {what} ({id})", item.sender().localpart()));
    }
    lines
}
