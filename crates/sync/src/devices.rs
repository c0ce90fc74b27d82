//! Device lists and key counts, for both faces of sync.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::e2ee::read::{
    device_list_changes, one_time_key_counts, signed_users, unused_fallback_key_types,
};
use myelin_store::schema::rooms::{Member, Membership, State};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::devices::{DeviceListInput, DeviceLists};
use myelin_sync_core::rooms::Standing;
use ruma::{DeviceId, OwnedUserId, UserId};
use serde::Serialize;

use crate::state::MEMBER;
use crate::user_rooms::UserRooms;

/// The most changes, and members of a room, that one answer follows.
const MOST: usize = 100_000;

/// What is left of the key counts of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct KeyCounts {
    pub(crate) device_one_time_keys_count: BTreeMap<String, i64>,
    pub(crate) device_unused_fallback_key_types: Vec<String>,
}

pub(crate) async fn key_counts(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<KeyCounts, ReadError> {
    Ok(KeyCounts {
        device_one_time_keys_count: one_time_key_counts(snapshot, user_id, device_id).await?,
        device_unused_fallback_key_types: unused_fallback_key_types(snapshot, user_id, device_id).await?,
    })
}

/// Rooms in which memberships may have changed since a position, and how the user stands to them.
pub(crate) struct MemberChanges {
    since: i64,
    /// Joined now, and something happened.
    joined: Vec<RoomNid>,
    /// The user's own membership changed: all members of the room count.
    moved: Vec<RoomNid>,
    own_rooms: Arc<HashSet<RoomNid>>,
}

/// Whose memberships in the user's rooms changed since a position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    /// They are in a room with the user.
    pub(crate) met: BTreeSet<OwnedUserId>,
    /// They, or the user, have left a room.
    pub(crate) parted: BTreeSet<OwnedUserId>,
}

impl MemberChanges {
    /// What must be looked at, taken from the user's rooms without reading.
    pub(crate) fn collect(rooms: &UserRooms, since: i64) -> Self {
        let mut changes = Self { since, joined: Vec::new(), moved: Vec::new(), own_rooms: rooms.joined() };
        for (room, entry) in rooms.list.changed_after(since) {
            let room = RoomNid(room.0);
            let own = entry.moved_at > since;
            let was_in = entry.joined_at.is_some();
            if own && was_in {
                changes.moved.push(room);
            } else if entry.standing == Standing::Joined {
                changes.joined.push(room);
            }
        }
        changes
    }

    /// Whose devices must be looked at again, and who may be forgotten.
    pub(crate) async fn device_lists(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &UserId,
        moves: Moves,
    ) -> Result<DeviceLists<OwnedUserId>, ReadError> {
        let since = Pos::new(self.since);
        let updated = device_list_changes(snapshot, since, MOST).await?;
        let input = DeviceListInput {
            own: user_id.to_owned(),
            updated: updated.into_iter().map(|row| row.user_id).collect(),
            met: moves.met,
            parted: moves.parted,
        };
        let sharing = sharing(snapshot, &self.own_rooms, &input.candidates()).await?;
        let mut lists = input.decide(&sharing);
        // One's own signatures on others' keys are news to one's own devices.
        lists.changed.extend(signed_users(snapshot, user_id, since, MOST).await?);
        Ok(lists)
    }

    /// Whose membership changed.
    pub(crate) async fn read(&self, snapshot: &dyn Snapshot) -> Result<Moves, ReadError> {
        let mut moves = Moves::default();
        let since = Pos::new(self.since);
        let changes = |room: &RoomNid| Scan::index::<State>(State::BY_CHANGE, (*room,), MOST).after((since,));
        let changed = snapshot.scan_all::<State>(self.joined.iter().map(changes).collect()).await?;
        let changed = changed.into_iter().flatten().filter(|row| row.kind == MEMBER);
        let keys: Vec<_> =
            changed.filter_map(|row| Some((row.room, OwnedUserId::try_from(row.state_key).ok()?))).collect();
        let mut members: Vec<Member> =
            snapshot.get_all::<Member>(&keys).await?.into_iter().flatten().collect();
        let all = |room: &RoomNid| Scan::prefix::<Member>((*room,), MOST);
        members.extend(
            snapshot.scan_all::<Member>(self.moved.iter().map(all).collect()).await?.into_iter().flatten(),
        );
        for member in members {
            let in_it = member.membership == Membership::Join && self.own_rooms.contains(&member.room);
            if in_it {
                moves.met.insert(member.user_id);
            } else {
                moves.parted.insert(member.user_id);
            }
        }
        Ok(moves)
    }
}

/// Which of these users are in one of the rooms.
pub(crate) async fn sharing(
    snapshot: &dyn Snapshot,
    own_rooms: &HashSet<RoomNid>,
    users: &BTreeSet<OwnedUserId>,
) -> Result<BTreeSet<OwnedUserId>, ReadError> {
    if users.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rooms = |user: &OwnedUserId| Scan::index::<Member>(Member::BY_USER, (user.clone(),), MOST);
    let members = snapshot.scan_all::<Member>(users.iter().map(rooms).collect()).await?;
    let shares = |member: &Member| member.membership == Membership::Join && own_rooms.contains(&member.room);
    Ok(members.into_iter().flatten().filter(shares).map(|member| member.user_id).collect())
}
