//! Whether a user has read single events.

use myelin_store::schema::notify::{Notification, ThreadBase, ThreadStep, UnreadBase};
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::UserId;

/// Of each of these events, which notify the user, whether it was read. Four reads, however many.
pub(crate) async fn are_read(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    events: &[&Event],
) -> Result<Vec<bool>, ReadError> {
    let user = || user_id.to_owned();
    let order = |event: &Event| event.order.unwrap_or_default();
    let keys: Vec<_> = events.iter().map(|event| (user(), event.room)).collect();
    let bases = snapshot.get_all::<UnreadBase>(&keys).await?;
    let keys: Vec<_> = events.iter().map(|event| (event.room, order(event))).collect();
    let steps = snapshot.get_all::<ThreadStep>(&keys).await?;
    let keys: Vec<_> = events.iter().map(|event| (user(), event.room, order(event))).collect();
    let own = snapshot.get_all::<Notification>(&keys).await?;
    let roots: Vec<_> =
        steps.into_iter().zip(own).map(|(step, own)| step.map(|step| step.root).or(own?.thread)).collect();
    let in_threads = events.iter().zip(&roots);
    let keys: Vec<_> =
        in_threads.filter_map(|(event, root)| Some((user(), event.room, root.clone()?))).collect();
    let mut thread_bases = snapshot.get_all::<ThreadBase>(&keys).await?.into_iter();
    let each = events.iter().zip(bases).zip(roots).map(|((event, base), root)| {
        let order = order(event);
        let thread = root.as_ref().and_then(|_| thread_bases.next().flatten());
        base.is_some_and(|base| base.order >= order || (root.is_none() && base.main_order >= order))
            || thread.is_some_and(|thread| thread.order >= order)
    });
    Ok(each.collect())
}
