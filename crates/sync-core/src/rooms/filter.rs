//! Which rooms a list shows.

use std::collections::BTreeSet;

use super::{RoomEntry, RoomKey, Standing};

/// Which rooms a list shows. Every criterion given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Direct chats only, or all but them.
    pub is_dm: Option<bool>,
    /// Encrypted rooms only, or all but them.
    pub is_encrypted: Option<bool>,
    /// Invites only, or all but them.
    pub is_invite: Option<bool>,
    /// Rooms of these types only (`None` is a room without a type), where not empty.
    pub room_types: Vec<Option<String>>,
    /// No rooms of these types; stronger than `room_types`.
    pub not_room_types: Vec<Option<String>>,
    /// Rooms with one of these tags only, where given.
    pub tags: Option<Vec<String>>,
    /// No rooms with one of these tags.
    pub not_tags: Vec<String>,
    /// These rooms only, where given: those whose name is like the one asked for.
    pub named: Option<BTreeSet<RoomKey>>,
    /// These rooms only, where given: what the spaces asked for contain.
    pub within: Option<BTreeSet<RoomKey>>,
}

impl ListFilter {
    /// Whether every room passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the room passes.
    #[must_use]
    pub fn allows(&self, room: RoomKey, entry: &RoomEntry) -> bool {
        let agrees = |asked: Option<bool>, is: bool| asked.is_none_or(|asked| asked == is);
        let is_type =
            |types: &[Option<String>]| types.iter().any(|kind| kind.as_deref() == entry.room_type.as_deref());
        let has_tag = |tags: &[String]| {
            entry.tags.iter().flat_map(|own| own.iter()).any(|tag| tags.iter().any(|asked| **asked == **tag))
        };
        let is_among =
            |rooms: &Option<BTreeSet<RoomKey>>| rooms.as_ref().is_none_or(|in_it| in_it.contains(&room));
        agrees(self.is_dm, entry.is_dm)
            && agrees(self.is_encrypted, entry.is_encrypted)
            && agrees(self.is_invite, entry.standing == Standing::Invited)
            && (self.room_types.is_empty() || is_type(&self.room_types))
            && !is_type(&self.not_room_types)
            && self.tags.as_deref().is_none_or(has_tag)
            && !has_tag(&self.not_tags)
            && is_among(&self.named)
            && is_among(&self.within)
    }
}
