//! Whom a user may know of, and under which name.

use std::collections::{HashMap, HashSet};

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership, RoomSummary};
use myelin_store::schema::users::Profile;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedServerName, OwnedUserId, UserId};

/// No user is in more rooms than this.
const MOST_ROOMS: usize = 1_000_000;

/// How many rooms of a user are looked at to see whether they may be known of. Somebody in more is in a public one.
const MOST_LOOKED_AT: usize = 1_024;

/// What a user may see of others, as of one snapshot.
pub(super) struct Sight {
    server_name: OwnedServerName,
    joined: HashSet<RoomNid>,
    /// Rooms that were looked up: whether anybody may join or read them.
    public: HashMap<RoomNid, bool>,
}

/// A user who may be known of.
pub(super) struct Seen {
    pub(super) user_id: OwnedUserId,
    /// Their names, each with a picture. The first is to be shown.
    pub(super) profiles: Vec<(Option<String>, Option<String>)>,
}

impl Sight {
    pub(super) async fn of(
        snapshot: &dyn Snapshot,
        user_id: &UserId,
        server_name: &OwnedServerName,
    ) -> Result<Self, ReadError> {
        let rooms = Scan::index::<Member>(Member::BY_USER, (user_id.to_owned(),), MOST_ROOMS);
        let rooms = snapshot.scan::<Member>(rooms).await?.into_iter();
        let joined = rooms.filter(|row| row.membership == Membership::Join).map(|row| row.room).collect();
        Ok(Self { server_name: server_name.clone(), joined, public: HashMap::new() })
    }

    /// Those of the users who may be known of.
    pub(super) async fn look(
        &mut self,
        snapshot: &dyn Snapshot,
        users: Vec<OwnedUserId>,
    ) -> Result<Vec<Seen>, ReadError> {
        let rooms =
            |user: &OwnedUserId| Scan::index::<Member>(Member::BY_USER, (user.clone(),), MOST_LOOKED_AT);
        let memberships = snapshot.scan_all::<Member>(users.iter().map(rooms).collect()).await?;
        self.look_up_rooms(snapshot, &memberships).await?;
        let keys: Vec<_> = users.iter().map(|user| (user.clone(),)).collect();
        let profiles = snapshot.get_all::<Profile>(&keys).await?;
        let mut seen = Vec::new();
        for ((user_id, rows), profile) in users.into_iter().zip(memberships).zip(profiles) {
            let visible: Vec<Member> = rows.into_iter().filter(|row| self.is_visible(row)).collect();
            if visible.is_empty() {
                continue;
            }
            let shown = visible.into_iter().map(|row| (row.display_name, row.avatar_url));
            let profiles = if user_id.server_name() == self.server_name {
                profile.map(|profile| (profile.display_name, profile.avatar_url)).into_iter().collect()
            } else {
                shown.collect()
            };
            seen.push(Seen { user_id, profiles });
        }
        Ok(seen)
    }

    async fn look_up_rooms(
        &mut self,
        snapshot: &dyn Snapshot,
        memberships: &[Vec<Member>],
    ) -> Result<(), ReadError> {
        let unknown: HashSet<RoomNid> = memberships
            .iter()
            .flatten()
            .filter(|row| row.membership == Membership::Join)
            .map(|row| row.room)
            .filter(|room| !self.joined.contains(room) && !self.public.contains_key(room))
            .collect();
        let keys: Vec<_> = unknown.iter().map(|room| (*room,)).collect();
        let summaries = snapshot.get_all::<RoomSummary>(&keys).await?;
        let is_public = |summary: RoomSummary| {
            summary.join_rule.as_deref() == Some("public")
                || summary.history_visibility.as_deref() == Some("world_readable")
        };
        let rooms = unknown.into_iter().zip(summaries);
        self.public.extend(rooms.map(|(room, summary)| (room, summary.is_some_and(is_public))));
        Ok(())
    }

    fn is_visible(&self, row: &Member) -> bool {
        let is_known = || self.joined.contains(&row.room) || self.public.get(&row.room) == Some(&true);
        row.membership == Membership::Join && is_known()
    }
}
