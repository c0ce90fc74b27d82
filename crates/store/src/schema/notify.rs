//! What `notify` owns: where unread counts begin, and what the default rules don't say.
//!
//! A user's unread count in a room's main timeline is `room_head.counter` minus the counter at their [`UnreadBase`],
//! plus or minus the [`Notification`] rows above it. A message into a room of ten thousand so writes no row per member;
//! nor does one that is a highlight for all of them ([`RoomHighlight`]). Threads are read one by one, so what notifies in
//! them is counted one by one: a [`ThreadStep`] each, whatever the number of members, and a [`ThreadBase`] for each thread
//! that a user has read. [`unread`] puts the counts together.
//!
//! Who has push rules of their own is found by the room ([`PushMember`]) and judged one by one. Where their rules are
//! silent in a room, the counter does not count for them at all ([`QuietSpan`]), so that a muted room writes no rows
//! either.
//!
//! Who subscribed to a thread once ([`ThreadFollower`]) is told of threads they are subscribed to and of no others: that is
//! judged when the counts are read, so that an event in a thread stays one row.

mod count;
mod plain;
mod read;
mod threads;

pub use count::{Counts, Unread};
pub use plain::{PlainCount, newest_highlights, plain_counts};
pub use read::{
    LiveEnd, MAX_COUNTED, MAX_SPANS, PUSH_RULES, oldest_unread_in_threads, push_rules_content, unread,
};
pub use threads::{ThreadChanges, ThreadStanding, thread_changes, thread_standings};

use bytes::Bytes;
use myelin_model::{EventNid, Pos, RoomNid};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedUserId};

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// Where a user's unread counts in a room begin: their last receipt, own message, invite or join, whichever is
    /// latest. It only moves forward.
    pub struct UnreadBase in "unread_base" {
        key { user_id: OwnedUserId, room: RoomNid }
        value {
            /// Up to here all is read, in every thread.
            order: i64,
            /// Up to here the main timeline is read. Never below `order`.
            main_order: i64,
            /// The room's counter at `main_order`.
            counter: i64,
            /// When the count last changed other than by an event that adds to it.
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (user_id, changed) }
    }
}

keyspace! {
    /// An event in a thread that notifies everyone, as the default push rules say, or everyone who subscribed to the thread.
    /// What notifies in the main timeline steps `room_head.counter` instead.
    pub struct ThreadStep in "thread_step" {
        key { room: RoomNid, order: i64 }
        value {
            root: OwnedEventId,
            /// It notifies only who subscribed to the thread. Absent in rows of older releases: everyone.
            for_subscribers: Option<bool>,
        }
        index {}
    }
}

keyspace! {
    /// How a user stands to a thread that they subscribed to once (MSC4306). Goes when the user leaves the room.
    pub struct ThreadSubscription in "thread_subscription" {
        key { user_id: OwnedUserId, room: RoomNid, root: OwnedEventId }
        value {
            /// Whether they are subscribed now.
            subscribed: bool,
            /// Whether a client subscribed for them, because of an event.
            automatic: bool,
            /// While subscribed, what is above this order notifies; else what is at or below it is no cause for an
            /// automatic subscription.
            order: i64,
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (user_id, changed), BY_THREAD = "by_thread" (room, root, subscribed) }
    }
}

keyspace! {
    /// A user who subscribed to a thread once. To everyone else no thread counts as one that they are not subscribed to:
    /// their clients know nothing of subscriptions, and would never hear of a thread.
    pub struct ThreadFollower in "thread_follower" {
        key { user_id: OwnedUserId }
        value {
            /// Their push rules let threads be silent that they are not subscribed to: a [`ThreadStep`] counts for them
            /// only where a [`ThreadSubscription`] says so.
            filters: bool,
        }
        index {}
    }
}

keyspace! {
    /// Up to where a user has read a thread, by a receipt for it or by writing in it. Goes when the user's [`UnreadBase`]
    /// has passed it, or the user leaves.
    pub struct ThreadBase in "thread_base" {
        key { user_id: OwnedUserId, room: RoomNid, root: OwnedEventId }
        value { order: i64 }
        index {}
    }
}

keyspace! {
    /// An event that notifies one user in another way than the default rules say of everyone. Rows at or below the
    /// user's [`UnreadBase`] count no more.
    pub struct Notification in "notification" {
        key { user_id: OwnedUserId, room: RoomNid, order: i64 }
        value {
            event: EventNid,
            /// The root of the event's thread; none in the main timeline.
            thread: Option<OwnedEventId>,
            /// The room's counter after the event, if the event made it step.
            step: Option<i64>,
            /// Whether it notifies this user, whatever the counter says.
            notifies: bool,
            /// Whether it is a highlight; said of this user, it overrides a [`RoomHighlight`] of the same event.
            highlight: bool,
        }
        index { BY_EVENT = "by_event" (event) }
    }
}

keyspace! {
    /// An event that is a highlight for everyone in its room: a mention of the whole room, or its tombstone.
    pub struct RoomHighlight in "room_highlight" {
        key { room: RoomNid, order: i64 }
        value {
            event: EventNid,
            /// The root of the event's thread; none in the main timeline.
            thread: Option<OwnedEventId>,
        }
        index {}
    }
}

keyspace! {
    /// A user's push rules, once they changed any: the content of `m.push_rules`.
    pub struct PushRules in "push_rules" {
        key { user_id: OwnedUserId }
        value { content: Bytes, changed: Pos }
        index {}
    }
}

keyspace! {
    /// A user at whom events are looked one by one: they have push rules of their own, or had a pusher once. The row
    /// stays when they have no longer.
    pub struct PushUser in "push_user" {
        key { user_id: OwnedUserId }
        value {
            /// When their own rules last changed; absent while they have the default ones.
            rules: Option<Pos>,
            /// Not all of their rooms have a [`PushMember`] yet that says so.
            spreading: bool,
        }
        index { BY_SPREADING = "by_spreading" (spreading) }
    }
}

keyspace! {
    /// A joined member of a room who is a [`PushUser`].
    pub struct PushMember in "push_member" {
        key { room: RoomNid, user_id: OwnedUserId }
        value {
            /// Their push rules are their own.
            own_rules: bool,
            /// Their rules let no ordinary message of the room notify: see [`QuietSpan`].
            quiet: bool,
        }
        index { BY_RULES = "by_rules" (own_rules, room) }
    }
}

keyspace! {
    /// A part of a room that does not count for a user: the steps of its notification counter after `from`, up to `until`,
    /// and its [`ThreadStep`]s after `from_order`, up to `until_order`. What notifies the user nevertheless is a
    /// [`Notification`]. Goes when the user leaves, or has read past its end and changes their rules.
    pub struct QuietSpan in "quiet_span" {
        key { user_id: OwnedUserId, room: RoomNid, from_order: i64 }
        value {
            from: i64,
            /// Absent while it lasts, as is `until_order`.
            until: Option<i64>,
            until_order: Option<i64>,
        }
        index {}
    }
}

keyspace! {
    /// A pusher: a place to which a user's notifications are sent. Set and deleted by its user, deleted with the device
    /// that set it, and when its gateway says that the key is no longer good.
    pub struct Pusher in "pusher" {
        key { user_id: OwnedUserId, app_id: String, pushkey: String }
        value {
            device_id: Option<OwnedDeviceId>,
            app_display_name: String,
            device_display_name: String,
            profile_tag: Option<String>,
            lang: String,
            /// `data` as it was set, a JSON object; the gateway gets it without `url`.
            data: Bytes,
            /// `data.url`.
            url: String,
            /// When it was set, in milliseconds since the Unix epoch.
            set_at: i64,
        }
        index { BY_DEVICE = "by_device" (user_id, device_id), BY_KEY = "by_key" (app_id, pushkey) }
    }
}

keyspace! {
    /// Up to where the log was looked through for what to push. One row, written behind.
    pub struct PushCursor in "push_cursor" {
        key { name: String }
        value { pos: Pos }
        index {}
    }
}

keyspace! {
    /// An event at or below the [`PushCursor`] that a pusher's gateway has not taken yet. What is delivered within a
    /// few seconds never gets a row.
    pub struct PendingPush in "pending_push" {
        key { user_id: OwnedUserId, app_id: String, pushkey: String, pos: Pos }
        value {
            event: EventNid,
            /// When it was found, in milliseconds since the Unix epoch.
            at: i64,
        }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<UnreadBase>(),
    super::def::<ThreadStep>(),
    super::def::<ThreadSubscription>(),
    super::def::<ThreadFollower>(),
    super::def::<ThreadBase>(),
    super::def::<Notification>(),
    super::def::<RoomHighlight>(),
    super::def::<PushRules>(),
    super::def::<PushUser>(),
    super::def::<PushMember>(),
    super::def::<QuietSpan>(),
    super::def::<Pusher>(),
    super::def::<PushCursor>(),
    super::def::<PendingPush>(),
];
