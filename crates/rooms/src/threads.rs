//! What a reply does to its thread's row, and what its redaction takes back.

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{Relation, Thread, ThreadParticipant};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedEventId, OwnedUserId};

use crate::overlay::Overlay;
use crate::relations::THREAD;

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

    /// Writes one reply less; `latest` is the newest that remains.
    pub(crate) fn write_redacted_reply(
        self,
        overlay: &mut Overlay,
        batch: &mut Batch,
        room: RoomNid,
        latest: Option<(EventNid, i64)>,
    ) {
        if let Some(part) = self.participant {
            let part = ThreadParticipant { replies: (part.replies - 1).max(0), ..part };
            batch.put(&part);
            overlay.next.participants.insert((self.root.clone(), self.sender), part);
        }
        let Some(thread) = self.thread else { return };
        let after = latest.filter(|_| thread.replies > 1).map(|(latest, latest_order)| Thread {
            replies: thread.replies - 1,
            latest,
            latest_order,
            ..thread
        });
        match &after {
            Some(thread) => batch.put(thread),
            None => batch.delete::<Thread>(&(room, self.root.clone())),
        }
        overlay.next.threads.insert(self.root, after);
    }
}

/// The newest reply of a thread but for one that is being redacted.
pub(crate) async fn newest_but(
    snapshot: &dyn Snapshot,
    root: &OwnedEventId,
    redacted: EventNid,
) -> Result<Option<(EventNid, i64)>, ReadError> {
    let scan = Scan::index::<Relation>(Relation::BY_TYPE, (root.clone(), THREAD.to_owned()), 2).backward();
    let newest = snapshot.scan::<Relation>(scan).await?;
    Ok(newest.into_iter().find(|reply| reply.event != redacted).map(|reply| (reply.event, reply.order)))
}
