//! What a reply does to its thread's row, and what its redaction takes back.

use std::collections::{BTreeMap, HashMap};

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{Relation, Thread, ThreadParticipant};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::THREAD;
use ruma::{OwnedEventId, OwnedUserId};

use crate::overlay::Overlay;

/// A thread as it was before an event: what planning the event reads.
#[derive(Debug)]
pub(crate) struct ThreadBefore {
    root: OwnedEventId,
    sender: OwnedUserId,
    thread: Option<Thread>,
    participant: Option<ThreadParticipant>,
}

impl ThreadBefore {
    /// Reads the rows of the thread under `root`, and `sender`'s part in it.
    pub(crate) async fn read(
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
        root: &OwnedEventId,
        sender: &OwnedUserId,
    ) -> Result<Self, ReadError> {
        let thread = match overlay.find(|layer| layer.threads.get(root)) {
            Some(planned) => planned.clone(),
            None => snapshot.get::<Thread>(&(room, root.clone())).await?,
        };
        let part = (root.clone(), sender.clone());
        let participant = match overlay.find(|layer| layer.participants.get(&part)) {
            Some(planned) => Some(planned.clone()),
            None => snapshot.get::<ThreadParticipant>(&(room, root.clone(), sender.clone())).await?,
        };
        Ok(Self { root: root.clone(), sender: sender.clone(), thread, participant })
    }

    /// Writes one reply more, now the latest.
    pub(crate) fn write_reply(
        self,
        overlay: &mut Overlay,
        batch: &mut Batch,
        room: RoomNid,
        event: EventNid,
        order: i64,
    ) {
        let replies = self.thread.map_or(0, |thread| thread.replies) + 1;
        let thread = Thread { room, root: self.root.clone(), replies, latest: event, latest_order: order };
        batch.put(&thread);
        overlay.next.threads.insert(self.root.clone(), Some(thread));
        let written = self.participant.map_or(0, |part| part.replies) + 1;
        let part = ThreadParticipant {
            room,
            root: self.root.clone(),
            user_id: self.sender.clone(),
            replies: written,
        };
        batch.put(&part);
        overlay.next.participants.insert((self.root, self.sender), part);
    }
}

/// A thread that is about to lose replies.
#[derive(Debug)]
pub(crate) struct ThreadLoss {
    room: RoomNid,
    root: OwnedEventId,
    thread: Option<Thread>,
    lost: i64,
    /// The newest reply that remains.
    latest: Option<(EventNid, i64)>,
    /// Who loses how many.
    parts: Vec<(ThreadParticipant, i64)>,
}

impl ThreadLoss {
    /// Reads the threads that these replies are in.
    pub(crate) async fn read(
        snapshot: &dyn Snapshot,
        overlay: &Overlay,
        room: RoomNid,
        replies: &[&Relation],
    ) -> Result<Vec<Self>, ReadError> {
        let mut by_root: BTreeMap<&OwnedEventId, Vec<&Relation>> = BTreeMap::new();
        for reply in replies {
            by_root.entry(&reply.target).or_default().push(reply);
        }
        let roots: Vec<_> = by_root.keys().map(|root| (room, (*root).clone())).collect();
        let threads = snapshot.get_all::<Thread>(&roots).await?;
        let scans = by_root.iter().map(|(root, lost)| {
            let key = ((*root).clone(), THREAD.to_owned());
            Scan::index::<Relation>(Relation::BY_TYPE, key, lost.len() + 1).backward()
        });
        let newest = snapshot.scan_all::<Relation>(scans.collect()).await?;
        let mut parts = parts(snapshot, overlay, room, &by_root).await?;
        let found = by_root.into_iter().zip(threads).zip(newest);
        Ok(found
            .map(|(((root, lost), stored), newest)| {
                let is_lost = |event: EventNid| lost.iter().any(|reply| reply.event == event);
                let planned = overlay.find(|layer| layer.threads.get(root)).cloned();
                let thread = planned.unwrap_or(stored);
                // Replies that are planned or under way are newer than what the store has.
                let kept = thread.as_ref().map(|thread| (thread.latest, thread.latest_order));
                let found = newest.into_iter().map(|reply| (reply.event, reply.order));
                let latest = kept.into_iter().chain(found).find(|(event, _)| !is_lost(*event));
                let count = i64::try_from(lost.len()).unwrap_or(i64::MAX);
                let parts = parts.remove(root).unwrap_or_default();
                Self { room, root: root.clone(), thread, lost: count, latest, parts }
            })
            .collect())
    }

    /// Writes the thread without them.
    pub(crate) fn write(self, overlay: &mut Overlay, batch: &mut Batch) {
        for (part, lost) in self.parts {
            let part = ThreadParticipant { replies: (part.replies - lost).max(0), ..part };
            batch.put(&part);
            overlay.next.participants.insert((self.root.clone(), part.user_id.clone()), part);
        }
        let Some(thread) = self.thread else { return };
        let remaining = thread.replies - self.lost;
        let after = self.latest.filter(|_| remaining > 0).map(|(latest, latest_order)| Thread {
            replies: remaining,
            latest,
            latest_order,
            ..thread
        });
        match &after {
            Some(thread) => batch.put(thread),
            None => batch.delete::<Thread>(&(self.room, self.root.clone())),
        }
        overlay.next.threads.insert(self.root, after);
    }
}

type Parts = HashMap<OwnedEventId, Vec<(ThreadParticipant, i64)>>;

/// The part of each sender in each of these threads, with how many of these replies are theirs.
async fn parts(
    snapshot: &dyn Snapshot,
    overlay: &Overlay,
    room: RoomNid,
    by_root: &BTreeMap<&OwnedEventId, Vec<&Relation>>,
) -> Result<Parts, ReadError> {
    let mut counts: BTreeMap<(&OwnedEventId, &OwnedUserId), i64> = BTreeMap::new();
    for reply in by_root.values().flatten() {
        *counts.entry((&reply.target, &reply.sender)).or_default() += 1;
    }
    let keys: Vec<_> =
        counts.keys().map(|(root, sender)| (room, (*root).clone(), (*sender).clone())).collect();
    let stored = snapshot.get_all::<ThreadParticipant>(&keys).await?;
    let mut parts = Parts::new();
    for ((_, root, sender), (stored, lost)) in keys.into_iter().zip(stored.into_iter().zip(counts.values())) {
        let key = (root, sender);
        let planned = overlay.find(|layer| layer.participants.get(&key)).cloned();
        parts.entry(key.0).or_default().extend(planned.or(stored).map(|part| (part, *lost)));
    }
    Ok(parts)
}
