//! Deleting what was written in a room up to some place.
//!
//! Events that are no state go whole: header, content, relations, their part in threads, and by the log of erasures their
//! words in the search index. State stays, since authorisation, membership and visibility stand on it, and so does the newest
//! event, on which the next one builds. What clients page through simply has fewer events. Media stay: they have owners of
//! their own.

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::moderation::{JobKind, JobStatus, RoomJob};
use myelin_store::schema::rooms::{Event, RoomHead};
use myelin_store::{Reader, Scan, Snapshot};
use ruma::{OwnedEventId, RoomId};

use crate::command::{PurgePage, What};
use crate::redaction::event_by_id;
use crate::{Refusal, Rooms, SendError, extremities};

/// How many events one page looks at.
const PAGE: usize = 256;

/// Up to where history goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// What was sent before this time, by the events' own word, in milliseconds since 1970.
    Time(i64),
    /// What stands before this event.
    Event(OwnedEventId),
}

impl Rooms {
    /// Orders the deletion of a room's history. It is under way when this returns.
    ///
    /// # Errors
    /// See [`SendError`]; [`Refusal::NoSuchEvent`] where the room does not have the event.
    pub async fn purge_history(&self, room_id: &RoomId, before: &Before) -> Result<RoomJob, SendError> {
        let mut job = self.new_job(JobKind::PurgeHistory, room_id, None).await?;
        match before {
            Before::Time(time) => job.before_ts = Some(*time),
            Before::Event(event_id) => {
                let snapshot = self.deps.engine.snapshot().await?;
                let event = event_by_id(&*snapshot, job.room, event_id).await?.ok_or(Refusal::NoSuchEvent)?;
                job.before_order = Some(event.order.ok_or(Refusal::NoSuchEvent)?);
            }
        }
        self.order(job).await
    }

    pub(super) async fn purge_history_page(&self, job: &RoomJob) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let page = snapshot.scan::<Event>(scan(job)).await?;
        let kept = kept(&*snapshot, job.room).await?;
        let below = match job.before_ts {
            Some(time) => oldest_from(&*snapshot, job.room, time).await?,
            None => job.before_order.unwrap_or(i64::MAX),
        };
        drop(snapshot);
        let goes = |event: &&Event| event.state_key.is_none() && !kept.contains(&event.event_id);
        let events: Vec<EventNid> = page.iter().filter(goes).map(|event| event.event).collect();
        let mut next = job.clone();
        next.cursor = page.last().map(|last| cursor(job, last)).or(next.cursor);
        next.done += i64::try_from(events.len()).unwrap_or(i64::MAX);
        if page.len() < PAGE {
            next.status = JobStatus::Done;
            next.ended_at = Some(self.job_time());
        }
        let page = PurgePage { job: job.clone(), events, below, next };
        self.ask_owner(job.room, What::Purge(Box::new(page))).await?;
        Ok(())
    }
}

/// The next events to look at. By time where the job says a time, by place where it says a place.
fn scan(job: &RoomJob) -> Scan {
    let after = job.cursor.as_deref().and_then(parse);
    if let Some(time) = job.before_ts {
        let scan = Scan::index::<Event>(Event::BY_TIME, (job.room,), PAGE).before((time,));
        return match after {
            Some((at, event)) => scan.after((at, EventNid(event))),
            None => scan,
        };
    }
    let scan = Scan::index::<Event>(Event::BY_ORDER, (job.room,), PAGE);
    let scan = scan.before((Some(job.before_order.unwrap_or(i64::MIN)),));
    match after {
        Some((order, _)) => scan.after((Some(order),)),
        None => scan.from((Some(i64::MIN),)),
    }
}

/// Where a page ended: the time or the order of its last event, and its number.
fn cursor(job: &RoomJob, last: &Event) -> String {
    let at = if job.before_ts.is_some() { last.origin_server_ts } else { last.order.unwrap_or(i64::MIN) };
    format!("{at} {}", last.event.0)
}

fn parse(cursor: &str) -> Option<(i64, i64)> {
    let (at, event) = cursor.split_once(' ')?;
    Some((at.parse().ok()?, event.parse().ok()?))
}

/// The order of the oldest event of this time or a later one.
pub(crate) async fn oldest_from(snapshot: &dyn Snapshot, room: RoomNid, time: i64) -> Result<i64, SendError> {
    let scan = Scan::index::<Event>(Event::BY_TIME, (room,), 1).from((time,));
    let oldest = snapshot.scan::<Event>(scan).await?.pop();
    Ok(oldest.and_then(|event| event.order).unwrap_or(i64::MAX))
}

/// The events that the next one will name as those before it.
pub(crate) async fn kept(snapshot: &dyn Snapshot, room: RoomNid) -> Result<Vec<OwnedEventId>, SendError> {
    let head = snapshot.get::<RoomHead>(&(room,)).await?.ok_or(SendError::NoSuchRoom)?;
    let extremities = extremities::read(&head.extremities)
        .map_err(|error| SendError::Unavailable(std::sync::Arc::new(error)))?;
    Ok(extremities.into_iter().map(|extremity| extremity.event_id).collect())
}
