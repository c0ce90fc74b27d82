//! What a user's account data says of their rooms.

use std::collections::{HashMap, HashSet};

use myelin_sync_core::rooms::Tags;
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Which rooms are direct chats (client-server API, `m.direct`).
pub(crate) const DIRECT: &str = "m.direct";
/// The tags of a room (`m.tag`).
pub(crate) const TAG: &str = "m.tag";

/// The rooms of `m.direct`. What can't be read names none.
pub(crate) fn read_direct(content: &[u8]) -> HashSet<OwnedRoomId> {
    let direct: HashMap<String, Vec<String>> = serde_json::from_slice(content).unwrap_or_default();
    direct.into_values().flatten().filter_map(|room| OwnedRoomId::try_from(room).ok()).collect()
}

/// The names of a room's tags. What can't be read has none.
pub(crate) fn read_tags(content: &[u8]) -> Tags {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Content {
        tags: HashMap<String, IgnoredAny>,
    }
    let content: Content = serde_json::from_slice(content).unwrap_or_default();
    let tags: Vec<Box<str>> = content.tags.into_keys().map(String::into_boxed_str).collect();
    if tags.is_empty() { None } else { Some(tags.into()) }
}
