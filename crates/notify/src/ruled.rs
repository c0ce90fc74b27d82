//! Judging an event for those who have push rules of their own.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_model::{RoomNid, Topic};
use myelin_store::schema::notify::{
    Notification, PushMember, PushUser, QuietSpan, RoomHighlight, ThreadBase, ThreadStanding, ThreadStep,
    ThreadSubscription,
};
use myelin_store::schema::rooms::Member;
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedEventId, OwnedUserId, UserId};

use crate::judge::{Asker, Rules, Says, Subject};
use crate::threads::standings;
use crate::verdict::Others;
use crate::{NewEvent, Notify};

/// How many members of one room are judged by rules of their own; who comes after them is notified like everyone else.
pub const MAX_RULED: usize = 50_000;

/// After how many members others have their turn on the processor.
const TURN: usize = 256;

/// What an event does for everyone who has the default rules and is not named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common<'a> {
    /// Whom of them it notifies.
    pub(crate) others: Others,
    /// The room's counter after the event, if the event made it step.
    pub(crate) step: Option<i64>,
    /// It is a highlight for them.
    pub(crate) highlight: bool,
    /// The root of the thread it is in.
    pub(crate) thread: Option<&'a OwnedEventId>,
}

impl Common<'_> {
    /// Writes what is said of everyone and does not follow from the counter.
    pub(crate) fn write(&self, new: &NewEvent<'_>, batch: &mut Batch) {
        let (room, order, event) = (new.room, new.order, new.event);
        if let Some(root) = self.thread.filter(|_| self.others != Others::None) {
            let for_subscribers = Some(self.others == Others::Subscribers);
            batch.put(&ThreadStep { room, order, root: root.clone(), for_subscribers });
        }
        if self.highlight {
            batch.put(&RoomHighlight { room, order, event, thread: self.thread.cloned() });
        }
    }

    /// What it is to a user of whom nothing else is said: as the counts are read ([`Unread`]).
    ///
    /// [`Unread`]: myelin_store::schema::notify::Unread
    fn unsaid(&self, quiet: bool, standing: Option<ThreadStanding>) -> Says {
        let by_subscription = match (self.thread, standing) {
            (Some(_), Some(ThreadStanding { filters: true, subscribed })) => Some(subscribed),
            _ => None,
        };
        let counts = match self.others {
            Others::None => false,
            Others::Subscribers => by_subscription == Some(true),
            Others::All => by_subscription != Some(false) || self.highlight,
        };
        Says { notifies: counts && !quiet, highlight: self.highlight }
    }

    /// What is said of one user instead.
    pub(crate) fn but_for(&self, new: &NewEvent<'_>, user_id: OwnedUserId, says: Says) -> Notification {
        let (room, order, event) = (new.room, new.order, new.event);
        let (thread, step) = (self.thread.cloned(), self.step);
        let Says { notifies, highlight } = says;
        Notification { user_id, room, order, event, thread, step, notifies, highlight }
    }
}

/// The members of the room who have rules of their own, with whether these are quiet in it.
pub(crate) struct Ruled(HashMap<OwnedUserId, bool>);

impl Ruled {
    pub(crate) fn contains(&self, user_id: &UserId) -> bool {
        self.0.contains_key(user_id)
    }
}

impl Notify {
    /// The members of the event's room who have rules of their own, but its sender.
    pub(crate) async fn ruled(
        &self,
        snapshot: &dyn Snapshot,
        new: &NewEvent<'_>,
    ) -> Result<Ruled, ReadError> {
        if !self.ruled_rooms.may_have(new.room) {
            return Ok(Ruled(HashMap::new()));
        }
        let scan = Scan::index::<PushMember>(PushMember::BY_RULES, (true, new.room), MAX_RULED);
        let mut members = snapshot.scan::<PushMember>(scan).await?;
        members.retain(|member| member.user_id != new.pdu.sender());
        Ok(Ruled(members.into_iter().map(|member| (member.user_id, member.quiet)).collect()))
    }

    /// Writes a row for each of them for whom the event is something else than what is said of everyone.
    /// Answers whether it notifies any of them.
    pub(crate) async fn judge_ruled(
        &self,
        snapshot: &dyn Snapshot,
        new: &NewEvent<'_>,
        ruled: &Ruled,
        common: &Common<'_>,
        batch: &mut Batch,
    ) -> Result<bool, ReadError> {
        if ruled.0.is_empty() {
            return Ok(false);
        }
        let users: Vec<OwnedUserId> = ruled.0.keys().cloned().collect();
        let rules = self.own_rules(snapshot, &users).await?;
        let names = names(snapshot, new.room, &rules).await?;
        let thread = common.thread.map(|root| (new.room, root.clone(), new.order));
        let standings = standings(snapshot, thread, rules.keys()).await?;
        let subject = Subject::of(new.pdu, new.joined, new.may_notify_room);
        let mut told = false;
        for (n, (user_id, rules)) in rules.into_iter().enumerate() {
            if n % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let standing = standings.get(&user_id).copied();
            let display_name = names.get(&user_id).map(String::as_str);
            let subscribed = standing.map(|standing| standing.subscribed);
            let says = rules.says(&subject, &Asker { display_name, subscribed });
            let quiet = ruled.0.get(&user_id).is_some_and(|quiet| *quiet);
            if says != common.unsaid(quiet, standing) {
                told |= says.notifies || says.highlight;
                batch.wake(Topic::user(user_id.as_str()));
                batch.put(&common.but_for(new, user_id, says));
            }
        }
        Ok(told)
    }

    /// What the rules of a user, who is not in the room, say of an invite. By the default rules it notifies.
    pub(crate) async fn judge_invite(
        &self,
        snapshot: &dyn Snapshot,
        new: &NewEvent<'_>,
        user_id: &OwnedUserId,
    ) -> Result<Says, ReadError> {
        let rules = self.own_rules(snapshot, std::slice::from_ref(user_id)).await?;
        let subject = || Subject::of(new.pdu, new.joined, new.may_notify_room);
        let by_default = Says { notifies: true, highlight: false };
        Ok(rules.get(user_id).map_or(by_default, |rules| rules.says(&subject(), &Asker::default())))
    }

    /// Notes of someone who comes in that their events are judged one by one, if they are.
    pub(crate) async fn comes(
        &self,
        snapshot: &dyn Snapshot,
        new: &NewEvent<'_>,
        user_id: OwnedUserId,
        counter: i64,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let key = (user_id,);
        let Some(push_user) = snapshot.get::<PushUser>(&key).await? else {
            // Rules that come to be meanwhile don't know of this room.
            batch.expect_absent::<PushUser>(&key);
            return Ok(());
        };
        batch.expect_column::<PushUser>(&key, "rules", &push_user.rules);
        let (user_id,) = key;
        let rules = self.own_rules(snapshot, std::slice::from_ref(&user_id)).await?;
        let rules = rules.get(&user_id);
        let quiet = rules.is_some_and(|rules| rules.are_quiet_in(new.pdu.room_id()));
        let room = new.room;
        if rules.is_some() {
            self.ruled_rooms.note(room);
        }
        batch.put(&PushMember { room, user_id: user_id.clone(), own_rules: rules.is_some(), quiet });
        if quiet {
            let (from, from_order, until, until_order) = (counter, new.order, None, None);
            batch.put(&QuietSpan { user_id, room, from_order, from, until, until_order });
        }
        Ok(())
    }
}

/// Forgets what was noted of someone who goes.
pub(crate) fn goes(user_id: OwnedUserId, new: &NewEvent<'_>, batch: &mut Batch) {
    batch.delete::<PushMember>(&(new.room, user_id.clone()));
    batch.delete_range(Scan::prefix::<QuietSpan>((user_id.clone(), new.room), usize::MAX));
    batch.delete_range(Scan::prefix::<ThreadBase>((user_id.clone(), new.room), usize::MAX));
    batch.delete_range(Scan::prefix::<ThreadSubscription>((user_id.clone(), new.room), usize::MAX));
    batch.delete_range(Scan::prefix::<Notification>((user_id, new.room), usize::MAX));
}

/// The display names of those whose rules ask for them.
pub(crate) async fn names(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    rules: &HashMap<OwnedUserId, Arc<Rules>>,
) -> Result<HashMap<OwnedUserId, String>, ReadError> {
    let asking = rules.iter().filter(|(_, rules)| rules.wants_name);
    let keys: Vec<_> = asking.map(|(user_id, _)| (room, user_id.clone())).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let members = snapshot.get_all::<Member>(&keys).await?;
    let named = members.into_iter().flatten();
    Ok(named.filter_map(|member| Some((member.user_id, member.display_name?))).collect())
}
