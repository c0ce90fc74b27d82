//! Bringing a user's rooms in line with their push rules: which rooms judge events for them one by one, and in which
//! the counter does not count for them.
//!
//! It comes after the commit of the rules, page by page, and is finished after a crash by the next start. The rules are
//! in force from their commit on in the rooms that know of the user already; that a room is quiet is only a cheaper way
//! to write down what they say. Who joins meanwhile is seen to by the join itself, which expects that the user's rules
//! are as it read them.

use std::sync::Arc;

use myelin_model::{RoomNid, Topic};
use myelin_store::schema::notify::{MAX_SPANS, PushMember, PushUser, QuietSpan, UnreadBase};
use myelin_store::schema::rooms::{Member, Membership, Room, RoomHead};
use myelin_store::{Batch, CommitError, Reader, Scan, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId, UserId};

use crate::judge::Rules;
use crate::rules::RuleError;
use crate::{ATTEMPTS, Notify};

/// How many rooms one commit brings in line.
const PAGE: usize = 200;
/// How many users the start looks at, at once.
const LEFT_OVER: usize = 100;

/// A room of the user's, as it was read.
struct Place {
    room: RoomNid,
    room_id: OwnedRoomId,
    /// The room's counter and its newest order.
    end: (i64, i64),
    /// The user's base: the counter, and up to where all is read.
    base: Option<(i64, i64)>,
    member: Option<PushMember>,
    spans: Vec<QuietSpan>,
}

impl Notify {
    /// Finishes what the last process left over. Call it once, when the server starts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish_spreading(&self) -> Result<(), RuleError> {
        loop {
            let scan = Scan::index::<PushUser>(PushUser::BY_SPREADING, (true,), LEFT_OVER);
            let left_over = self.engine.snapshot().await?.scan::<PushUser>(scan).await?;
            if left_over.is_empty() {
                return Ok(());
            }
            for PushUser { user_id, .. } in left_over {
                let _turn = self.turns.of(myelin_model::Shard::of(user_id.as_str())).await;
                self.spread(&user_id).await?;
            }
        }
    }

    /// Brings all rooms of the user in line. To be called in the user's turn.
    pub(crate) async fn spread(&self, user_id: &UserId) -> Result<(), RuleError> {
        let mut after = RoomNid(i64::MIN);
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let key = (user_id.to_owned(),);
            let Some(push_user) = snapshot.get::<PushUser>(&key).await?.filter(|user| user.spreading) else {
                return Ok(());
            };
            let rules = self.own_rules(&*snapshot, std::slice::from_ref(&push_user.user_id)).await?;
            let rules = rules.get(user_id);
            let scan = Scan::index::<Member>(Member::BY_USER, (user_id.to_owned(),), PAGE).after((after,));
            let members = snapshot.scan::<Member>(scan).await?;
            let mut batch = self.batch(user_id);
            for place in places(&*snapshot, &push_user.user_id, &members).await? {
                if rules.is_some() {
                    self.ruled_rooms.note(place.room);
                }
                plan(&mut batch, &push_user.user_id, rules, place);
            }
            drop(snapshot);
            let last = members.last().map(|member| member.room).filter(|_| members.len() == PAGE);
            if last.is_none() {
                batch.expect_column::<PushUser>(&key, "rules", &push_user.rules);
                batch.put(&PushUser { spreading: false, ..push_user });
            }
            // Whoever keeps the user's counts in memory reads them anew: they are told, and by the position that these are
            // others.
            batch.wake(Topic::user(user_id.as_str()));
            batch.next_pos();
            match self.engine.commit(batch).await {
                Ok(_) => (attempt, after) = (0, last.unwrap_or(after)),
                Err(CommitError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What is known of the rooms that the user is in.
async fn places(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    members: &[Member],
) -> Result<Vec<Place>, myelin_store::ReadError> {
    let joined = members.iter().filter(|member| member.membership == Membership::Join);
    let rooms: Vec<RoomNid> = joined.map(|member| member.room).collect();
    let by_room: Vec<_> = rooms.iter().map(|room| (*room,)).collect();
    let of_user: Vec<_> = rooms.iter().map(|room| (user_id.clone(), *room)).collect();
    let of_room: Vec<_> = rooms.iter().map(|room| (*room, user_id.clone())).collect();
    let ids = snapshot.get_all::<Room>(&by_room).await?;
    let heads = snapshot.get_all::<RoomHead>(&by_room).await?;
    let bases = snapshot.get_all::<UnreadBase>(&of_user).await?;
    let known = snapshot.get_all::<PushMember>(&of_room).await?;
    let scans = of_user.into_iter().map(|key| Scan::prefix::<QuietSpan>(key, MAX_SPANS).backward());
    let spans = snapshot.scan_all::<QuietSpan>(scans.collect()).await?;
    let each = rooms.into_iter().zip(ids).zip(heads).zip(bases).zip(known).zip(spans);
    let places = each.filter_map(|(((((room, id), head), base), member), spans)| {
        let (room_id, head) = (id?.room_id, head?);
        let (end, base) = ((head.counter, head.last_order), base.map(|base| (base.counter, base.order)));
        Some(Place { room, room_id, end, base, member, spans })
    });
    Ok(places.collect())
}

/// Writes what is not as it should be in one room, under the expectation that the user still is in it.
fn plan(batch: &mut Batch, user_id: &OwnedUserId, rules: Option<&Arc<Rules>>, place: Place) {
    let quiet = rules.is_some_and(|rules| rules.are_quiet_in(&place.room_id));
    let key = (place.room, user_id.clone());
    let wanted = PushMember { room: place.room, user_id: user_id.clone(), own_rules: rules.is_some(), quiet };
    if place.member.as_ref() == Some(&wanted) {
        return;
    }
    batch.expect_column::<Member>(&key, "membership", &Membership::Join);
    match &place.member {
        Some(member) => batch.expect_column::<PushMember>(&key, "quiet", &member.quiet),
        None => batch.expect_absent::<PushMember>(&key),
    }
    batch.put(&wanted);
    let was_quiet = place.member.is_some_and(|member| member.quiet);
    let (counter, order) = place.end;
    for span in place.spans {
        let (until, until_order) = (span.until.unwrap_or(counter), span.until_order.unwrap_or(order));
        let is_empty = until <= span.from && until_order <= span.from_order;
        let is_read = place.base.is_none_or(|(counter, order)| until <= counter && until_order <= order);
        if span.until.is_none() && quiet {
            continue;
        } else if is_empty || is_read {
            batch.delete::<QuietSpan>(&(span.user_id, span.room, span.from_order));
        } else if span.until.is_none() {
            batch.put(&QuietSpan { until: Some(until), until_order: Some(until_order), ..span });
        }
    }
    if quiet && !was_quiet {
        let (user_id, room, until, until_order) = (user_id.clone(), place.room, None, None);
        batch.put(&QuietSpan { user_id, room, from_order: order, from: counter, until, until_order });
    }
}
