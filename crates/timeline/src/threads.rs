//! Which thread an event belongs to (client-server API, "Threaded read receipts").

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{Event, Relation};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{EventId, OwnedEventId};

use crate::load_by_id;

/// The relation type of a thread's replies.
pub const THREAD: &str = "m.thread";

/// How many relations are followed to find a thread, as the specification recommends.
const HOPS: usize = 3;

/// Where the relations of an event lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The root of the thread that the event is in; none for the main timeline.
    pub root: Option<OwnedEventId>,
    /// The events that were passed on the way, nearest first, the root among them.
    pub passed: Vec<OwnedEventId>,
}

/// Follows the relations of a stored event.
///
/// # Errors
/// When the store can't be read.
pub async fn lineage(snapshot: &dyn Snapshot, event: &Event) -> Result<Lineage, ReadError> {
    let relation = relation_of(snapshot, event.event).await?;
    follow(snapshot, event.room, relation.map(|row| (row.rel_type, row.target))).await
}

/// The root of the thread that a new event comes into, which states a relation to a target.
///
/// # Errors
/// When the store can't be read.
pub async fn thread_of(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    rel_type: &str,
    target: &EventId,
) -> Result<Option<OwnedEventId>, ReadError> {
    Ok(follow(snapshot, room, Some((rel_type.to_owned(), target.to_owned()))).await?.root)
}

/// The roots of the threads that stored events are in; none for the main timeline. A few reads, however many events.
///
/// # Errors
/// When the store can't be read.
pub async fn roots(
    snapshot: &dyn Snapshot,
    events: &[Event],
) -> Result<Vec<Option<OwnedEventId>>, ReadError> {
    let mut roots = vec![None; events.len()];
    // By the number of the event that began: the room, and the event on the way to its thread.
    let mut open: Vec<(usize, RoomNid, EventNid)> =
        events.iter().enumerate().map(|(number, event)| (number, event.room, event.event)).collect();
    for hop in 1..=HOPS {
        let scans = open.iter().map(|(.., event)| Scan::index::<Relation>(Relation::BY_EVENT, (*event,), 1));
        let relations = snapshot.scan_all::<Relation>(scans.collect()).await?;
        let mut targets = Vec::new();
        for ((number, room, _), relation) in open.into_iter().zip(relations) {
            match relation.into_iter().next() {
                Some(row) if row.rel_type == THREAD => {
                    if let Some(root) = roots.get_mut(number) {
                        *root = Some(row.target);
                    }
                }
                Some(row) if hop < HOPS => targets.push((number, room, row.target)),
                _ => {}
            }
        }
        if targets.is_empty() {
            break;
        }
        let ids: Vec<&EventId> = targets.iter().map(|(.., target)| &**target).collect();
        let parents = load_by_id(snapshot, &ids).await?;
        let same_room = |((number, room, _), parent): (&(usize, RoomNid, _), Option<Event>)| {
            let parent = parent.filter(|parent| parent.room == *room)?;
            Some((*number, *room, parent.event))
        };
        open = targets.iter().zip(parents).filter_map(same_room).collect();
    }
    Ok(roots)
}

async fn follow(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    mut relation: Option<(String, OwnedEventId)>,
) -> Result<Lineage, ReadError> {
    let mut passed = Vec::new();
    while let Some((rel_type, target)) = relation.take() {
        passed.push(target.clone());
        if rel_type == THREAD {
            return Ok(Lineage { root: Some(target), passed });
        }
        if passed.len() == HOPS {
            break;
        }
        let scan = Scan::index::<Event>(Event::BY_ID, (target,), 1);
        let parent = snapshot.scan::<Event>(scan).await?.pop().filter(|parent| parent.room == room);
        let Some(parent) = parent else { break };
        relation = relation_of(snapshot, parent.event).await?.map(|row| (row.rel_type, row.target));
    }
    Ok(Lineage { root: None, passed })
}

/// By what type each event relates to another; none where it states no relation.
///
/// # Errors
/// When the store can't be read.
pub async fn rel_types(snapshot: &dyn Snapshot, events: &[&Event]) -> Result<Vec<Option<String>>, ReadError> {
    let scan = |event: &&Event| Scan::index::<Relation>(Relation::BY_EVENT, (event.event,), 1);
    let found = snapshot.scan_all::<Relation>(events.iter().map(scan).collect()).await?;
    Ok(found.into_iter().map(|mut rows| rows.pop().map(|row| row.rel_type)).collect())
}

/// What the event relates to, if it states a relation.
///
/// # Errors
/// When the store can't be read.
pub async fn relation_of(snapshot: &dyn Snapshot, event: EventNid) -> Result<Option<Relation>, ReadError> {
    Ok(snapshot.scan::<Relation>(Scan::index::<Relation>(Relation::BY_EVENT, (event,), 1)).await?.pop())
}
