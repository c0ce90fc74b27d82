//! Following the log: which events go to which pushers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::notify::{PushMember, Pusher};
use myelin_store::schema::rooms::{Event, EventStatus};
use myelin_store::{CommitError, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::roots;
use ruma::{OwnedUserId, UserId};

use super::queue::{PusherKey, Waiting};
use super::{Gateway, MAX_PUSHERS};
use crate::Notify;
use crate::judge::Asker;
use crate::ruled::{MAX_RULED, names};
use crate::subjects::subjects;
use crate::threads::standings;

/// How many events one look takes.
const EVENTS: usize = 100;
/// How long what is not delivered may go without being written down.
const SAVE: Duration = Duration::from_secs(5);

impl Notify {
    /// Follows the log until the server stops.
    pub(crate) async fn follow(self: Arc<Self>, gateway: Arc<dyn Gateway>) {
        let stopping = self.env.tasks.stopping();
        tokio::pin!(stopping);
        let mut positions = self.engine.positions();
        let mut tick = tokio::time::interval(SAVE);
        let mut loaded = false;
        loop {
            if !loaded {
                match self.load_queues().await {
                    Ok(keys) => {
                        keys.into_iter().for_each(|key| self.serve(&gateway, key));
                        loaded = true;
                        positions.mark_changed();
                    }
                    Err(error) => tracing::warn!(%error, "what is to be pushed could not be read yet"),
                }
            }
            let is_time = tokio::select! {
                biased;
                () = &mut stopping => break,
                _ = tick.tick() => true,
                changed = positions.changed(), if loaded => match changed {
                    Ok(()) => false,
                    Err(_) => break,
                },
            };
            if !loaded {
                continue;
            }
            if let Err(error) = self.look(&gateway).await {
                tracing::warn!(%error, "events to push could not be read; they are looked at again");
            }
            if is_time {
                self.save().await;
            }
        }
        if loaded {
            self.save().await;
        }
    }

    async fn save(&self) {
        // The store tells the operator of a full disk.
        if let Err(error) = self.save_queues().await
            && !matches!(error, CommitError::Full)
        {
            tracing::warn!(%error, "what waits for push gateways could not be written down yet");
        }
    }

    /// Looks through what the log has beyond the cursor.
    async fn look(self: &Arc<Self>, gateway: &Arc<dyn Gateway>) -> Result<(), ReadError> {
        loop {
            let cursor = self.queues.cursor();
            let snapshot = self.engine.snapshot().await?;
            let until = snapshot.position();
            if cursor >= until {
                return Ok(());
            }
            let scan = Scan::index::<Event>(Event::BY_POS, (), EVENTS).after((cursor,)).up_to((until,));
            let events = snapshot.scan::<Event>(scan).await?;
            let seen =
                if events.len() < EVENTS { until } else { events.last().map_or(until, |event| event.pos) };
            for (key, pos, waiting) in self.find(&*snapshot, &events).await? {
                if self.queues.push(&key, pos, waiting) {
                    self.serve(gateway, key);
                }
            }
            self.queues.advance(seen);
        }
    }

    /// Which pushers these events notify.
    async fn find(
        &self,
        snapshot: &dyn Snapshot,
        events: &[Event],
    ) -> Result<Vec<(PusherKey, Pos, Waiting)>, ReadError> {
        let rooms: BTreeSet<RoomNid> = events.iter().map(|event| event.room).collect();
        let scans = rooms.iter().map(|room| Scan::prefix::<PushMember>((*room,), MAX_RULED));
        let members = snapshot.scan_all::<PushMember>(scans.collect()).await?;
        let members: HashMap<RoomNid, Vec<PushMember>> = rooms.into_iter().zip(members).collect();
        let mut found = Vec::new();
        for event in events {
            let users = self.candidates(event, members.get(&event.room).map_or(&[], Vec::as_slice));
            if users.is_empty() || event.status != EventStatus::Accepted || event.order.is_none() {
                continue;
            }
            let scans = users.iter().map(|user_id| Scan::prefix::<Pusher>((user_id.clone(),), MAX_PUSHERS));
            let pushers = snapshot.scan_all::<Pusher>(scans.collect()).await?;
            let with: Vec<(OwnedUserId, Vec<Pusher>)> =
                users.into_iter().zip(pushers).filter(|(_, pushers)| !pushers.is_empty()).collect();
            let users: Vec<OwnedUserId> = with.iter().map(|(user_id, _)| user_id.clone()).collect();
            let notified = self.notified(snapshot, event, &users).await?;
            let waiting = Waiting { event: event.event, at: self.now() };
            let of_notified = with.into_iter().filter(|(user_id, _)| notified.contains(user_id));
            for pusher in of_notified.flat_map(|(_, pushers)| pushers) {
                found.push(((pusher.user_id, pusher.app_id, pusher.pushkey), event.pos, waiting));
            }
        }
        Ok(found)
    }

    /// Whom the event may notify, as far as the room tells.
    fn candidates(&self, event: &Event, members: &[PushMember]) -> Vec<OwnedUserId> {
        let mut users: Vec<OwnedUserId> = members.iter().map(|member| member.user_id.clone()).collect();
        // Who is invited is no member yet.
        let target = event.state_key.as_deref().filter(|_| event.kind == "m.room.member");
        if let Some(target) = target.and_then(|target| UserId::parse(target).ok())
            && self.is_local(&target)
            && !users.contains(&target)
        {
            users.push(target);
        }
        users.retain(|user_id| *user_id != event.sender);
        users
    }

    /// Those of these users whom their rules notify of the event.
    async fn notified(
        &self,
        snapshot: &dyn Snapshot,
        event: &Event,
        users: &[OwnedUserId],
    ) -> Result<BTreeSet<OwnedUserId>, ReadError> {
        if users.is_empty() {
            return Ok(BTreeSet::new());
        }
        let subject = subjects(snapshot, std::slice::from_ref(event)).await?.pop().flatten();
        let Some(subject) = subject else { return Ok(BTreeSet::new()) };
        let rules = self.all_rules(snapshot, users).await?;
        let names = names(snapshot, event.room, &rules).await?;
        let root = roots(snapshot, std::slice::from_ref(event)).await?.pop().flatten();
        let thread = root.map(|root| (event.room, root, event.order.unwrap_or_default()));
        let standings = standings(snapshot, thread, rules.keys()).await?;
        let notified = rules.into_iter().filter(|(user_id, rules)| {
            let display_name = names.get(user_id).map(String::as_str);
            let subscribed = standings.get(user_id).map(|standing| standing.subscribed);
            rules.says(&subject, &Asker { display_name, subscribed }).notifies
        });
        Ok(notified.map(|(user_id, _)| user_id).collect())
    }
}
