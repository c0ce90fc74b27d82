//! What changed of a profile, for those who are told of changes (MSC4262).

use myelin_model::Topic;
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::schema::users::{Profile, ProfileChange};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};

use crate::profile::fields;

/// Of how many fields it is kept that they were removed. A client that was away for longer shows what was there.
const MAX_REMOVED: usize = 64;
/// In how many rooms of the user others are woken for a change. In those beyond they learn of it with whatever comes next.
const MAX_WOKEN: usize = 1_000;

/// Adds the changed fields to the batch that changes the profile, and wakes those who share a room with its user.
pub(crate) async fn note(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    before: &Profile,
    after: &Profile,
) -> Result<(), ReadError> {
    let user_id = &after.user_id;
    let (old, new) = (fields(before), fields(after));
    let mut put = |field: &str, removed: bool| {
        let changed = batch.next_pos();
        batch.put(&ProfileChange { user_id: user_id.clone(), field: field.to_owned(), removed, changed });
    };
    let is_same =
        |field: &str| old.get(field).map(|value| value.get()) == new.get(field).map(|value| value.get());
    new.keys().filter(|field| !is_same(field)).for_each(|field| put(field, false));
    let removed: Vec<&String> = old.keys().filter(|field| !new.contains_key(*field)).collect();
    removed.iter().for_each(|field| put(field, true));
    if !removed.is_empty() {
        let by_removal = ProfileChange::BY_REMOVAL;
        let kept = Scan::index::<ProfileChange>(by_removal, (user_id.clone(), true), MAX_REMOVED);
        let kept = snapshot.scan::<ProfileChange>(kept).await?;
        let surplus = (kept.len() + removed.len()).saturating_sub(MAX_REMOVED);
        for oldest in kept.into_iter().take(surplus) {
            batch.delete::<ProfileChange>(&(oldest.user_id, oldest.field));
        }
    }
    // A changed name or picture wakes each room with the event that brings it there.
    if before.fields != after.fields {
        let rooms = Scan::index::<Member>(Member::BY_USER, (user_id.clone(),), MAX_WOKEN);
        let rooms = snapshot.scan::<Member>(rooms).await?;
        let joined = rooms.iter().filter(|member| member.membership == Membership::Join);
        joined.for_each(|member| batch.wake(Topic::Room(member.room)));
    }
    Ok(())
}
