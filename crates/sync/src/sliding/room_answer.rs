//! A room of an answer in the form that clients spoke before MSC4186 was merged.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::heroes::Hero;
use crate::sliding::merged::MergedRoomAnswer;

/// A room in an answer.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RoomAnswer {
    /// Nothing inside where the name was removed: only the merged form can say so.
    #[serde(skip_serializing_if = "has_no_name")]
    pub(super) name: Option<Option<String>>,
    /// `null` where the picture was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avatar: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heroes: Option<Vec<Hero>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_dm: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) initial: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unstable_expanded_timeline: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invite_state: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) required_state: Vec<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) timeline: Vec<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prev_batch: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) num_live: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) joined_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invited_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notification_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) highlight_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bump_stamp: Option<i64>,
}

fn has_no_name(name: &Option<Option<String>>) -> bool {
    !matches!(name, Some(Some(_)))
}

impl RoomAnswer {
    /// The same in the merged form.
    pub(crate) fn merged(self, membership: &'static str, lists: Vec<String>) -> MergedRoomAnswer {
        MergedRoomAnswer {
            bump_stamp: self.bump_stamp,
            membership,
            lists,
            name: self.name,
            avatar: self.avatar,
            heroes: self.heroes,
            is_dm: self.is_dm,
            initial: self.initial,
            expanded_timeline: self.unstable_expanded_timeline,
            required_state: self.required_state,
            timeline: self.timeline,
            prev_batch: self.prev_batch,
            limited: self.limited,
            num_live: self.num_live,
            joined_count: self.joined_count,
            invited_count: self.invited_count,
            stripped_state: self.invite_state,
        }
    }
}
