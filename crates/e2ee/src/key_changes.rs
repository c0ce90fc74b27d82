//! `/keys/changes`: what a client that was away asks instead of syncing from its old token.

use std::collections::BTreeSet;

use myelin_model::{Pos, Requester, RoomNid};
use myelin_store::schema::e2ee::read;
use myelin_store::schema::rooms::{Event, Member, Membership, State};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::OwnedUserId;

use crate::E2ee;

/// Rows or users that one read takes at most.
const PAGE: usize = 1_000;

/// What `/keys/changes` answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// Users sharing a room with the requester whose keys changed, or who may have come to share one.
    pub changed: BTreeSet<OwnedUserId>,
    /// Users who shared a room with the requester and share none any more.
    pub left: BTreeSet<OwnedUserId>,
}

impl E2ee {
    /// Whose devices the requester should look at again, having last looked at `from` (client-server API,
    /// `GET /keys/changes`). There is no end point: what changed after it would be news a moment later anyway.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn key_changes(&self, requester: &Requester, from: Pos) -> Result<KeyChanges, ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let view = View::load(&*snapshot, &requester.user_id, from).await?;
        let mut changed = view.changed_keys().await?;
        changed.extend(read::signed_users(&*snapshot, &requester.user_id, from, PAGE).await?);
        let (came, went) = view.moved().await?;
        changed.extend(came);
        let still = view.sharing(&went).await?;
        let left = went.into_iter().filter(|user| !still.contains(user)).collect();
        Ok(KeyChanges { changed, left })
    }
}

/// What the user sees of others since a position.
struct View<'s> {
    snapshot: &'s dyn Snapshot,
    user_id: &'s OwnedUserId,
    from: Pos,
    /// The rooms the user is in.
    joined: BTreeSet<RoomNid>,
    /// Those of them that the user was not in at the position.
    entered: BTreeSet<RoomNid>,
    /// The rooms that the user has left since.
    left: BTreeSet<RoomNid>,
}

impl<'s> View<'s> {
    async fn load(
        snapshot: &'s dyn Snapshot,
        user_id: &'s OwnedUserId,
        from: Pos,
    ) -> Result<Self, ReadError> {
        let mine = memberships(snapshot, std::slice::from_ref(user_id)).await?;
        let is_in = |member: &&Member| member.membership == Membership::Join;
        let joined = mine.iter().filter(is_in).map(|member| member.room).collect();
        let left = mine.iter().filter(|member| has_left(member, from)).map(|member| member.room).collect();
        let entered = joined_since(snapshot, &mine, from).await?;
        let entered = entered.into_iter().map(|member| member.room).collect();
        Ok(Self { snapshot, user_id, from, joined, entered, left })
    }

    /// Users sharing a room whose keys changed.
    async fn changed_keys(&self) -> Result<BTreeSet<OwnedUserId>, ReadError> {
        let mut changed = BTreeSet::new();
        let mut after = self.from;
        loop {
            let page = read::device_list_changes(self.snapshot, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(changed) };
            after = last.changed;
            let users = page.into_iter().map(|row| row.user_id).collect();
            changed.extend(self.sharing(&users).await?);
        }
    }

    /// Those of `users` who share a room with the user, who shares all of theirs.
    async fn sharing(&self, users: &BTreeSet<OwnedUserId>) -> Result<BTreeSet<OwnedUserId>, ReadError> {
        let mut sharing = BTreeSet::new();
        let users: Vec<_> = users.iter().cloned().collect();
        for page in users.chunks(PAGE) {
            let members = memberships(self.snapshot, page).await?;
            let shared = |m: &Member| m.membership == Membership::Join && self.joined.contains(&m.room);
            sharing.extend(members.into_iter().filter(shared).map(|member| member.user_id));
        }
        if users.contains(self.user_id) {
            sharing.insert(self.user_id.clone());
        }
        Ok(sharing)
    }

    /// Who came into a room with the user, and who went out of one.
    async fn moved(&self) -> Result<(BTreeSet<OwnedUserId>, BTreeSet<OwnedUserId>), ReadError> {
        let (mut came, mut went) = (BTreeSet::new(), BTreeSet::new());
        for room in &self.entered {
            came.extend(self.members(*room).await?);
        }
        for room in &self.left {
            went.extend(self.members(*room).await?);
        }
        for room in self.joined.difference(&self.entered) {
            let moved = self.moved_members(*room).await?;
            went.extend(moved.iter().filter(|m| has_left(m, self.from)).map(|m| m.user_id.clone()));
            let joined = joined_since(self.snapshot, &moved, self.from).await?;
            came.extend(joined.into_iter().map(|member| member.user_id.clone()));
        }
        went.remove(self.user_id);
        Ok((came, went))
    }

    /// Everyone in the room.
    async fn members(&self, room: RoomNid) -> Result<BTreeSet<OwnedUserId>, ReadError> {
        let mut members = BTreeSet::new();
        let mut scan = Scan::prefix::<Member>((room,), PAGE);
        loop {
            let page = self.snapshot.scan::<Member>(scan).await?;
            let Some(last) = page.last() else { return Ok(members) };
            scan = Scan::prefix::<Member>((room,), PAGE).after((last.user_id.clone(),));
            let joined = page.into_iter().filter(|member| member.membership == Membership::Join);
            members.extend(joined.map(|member| member.user_id));
        }
    }

    /// The members of the room whose membership event was set since the position.
    async fn moved_members(&self, room: RoomNid) -> Result<Vec<Member>, ReadError> {
        let mut moved = Vec::new();
        let mut after = self.from;
        loop {
            let scan = Scan::index::<State>(State::BY_CHANGE, (room,), PAGE).after((after,));
            let page = self.snapshot.scan::<State>(scan).await?;
            let Some(last) = page.last() else { return Ok(moved) };
            after = last.changed;
            let users = page.into_iter().filter(|state| state.kind == "m.room.member");
            let keys: Vec<(RoomNid, OwnedUserId)> =
                users.filter_map(|state| Some((room, state.state_key.try_into().ok()?))).collect();
            moved.extend(self.snapshot.get_all::<Member>(&keys).await?.into_iter().flatten());
        }
    }
}

/// Every membership of the users.
async fn memberships(snapshot: &dyn Snapshot, users: &[OwnedUserId]) -> Result<Vec<Member>, ReadError> {
    let scan = |user: &OwnedUserId| Scan::index::<Member>(Member::BY_USER, (user.clone(),), PAGE);
    let mut all = Vec::new();
    let mut scans: Vec<Scan> = users.iter().map(scan).collect();
    while !scans.is_empty() {
        let pages = snapshot.scan_all::<Member>(std::mem::take(&mut scans)).await?;
        for page in pages {
            if let Some(last) = page.last()
                && page.len() == PAGE
            {
                scans.push(scan(&last.user_id).after((last.room,)));
            }
            all.extend(page);
        }
    }
    Ok(all)
}

/// Whether the member was in the room once and went out after the position.
fn has_left(member: &Member, from: Pos) -> bool {
    member.membership != Membership::Join && member.joined_at.is_some() && member.changed > from
}

/// Those of the members who came in after the position. A membership also changes with a display name, so the event
/// that brought them in is looked at.
async fn joined_since<'m>(
    snapshot: &dyn Snapshot,
    members: &'m [Member],
    from: Pos,
) -> Result<Vec<&'m Member>, ReadError> {
    let candidates = members.iter().filter(|m| m.membership == Membership::Join && m.changed > from);
    let candidates: Vec<&Member> = candidates.collect();
    let scans = candidates
        .iter()
        .map(|member| Scan::index::<Event>(Event::BY_ORDER, (member.room, member.joined_at), 1));
    let events = snapshot.scan_all::<Event>(scans.collect()).await?;
    let is_new = |events: &Vec<Event>| events.first().is_none_or(|event| event.pos > from);
    let joined = candidates.into_iter().zip(events).filter(|(_, events)| is_new(events));
    Ok(joined.map(|(member, _)| member).collect())
}

#[cfg(test)]
mod tests;
