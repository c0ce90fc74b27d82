//! What is bundled with an event: its latest edit, its thread, what refers to it
//! (client-server API, "Aggregations of child events").

use std::collections::{HashMap, HashSet};

use myelin_model::EventNid;
use myelin_store::schema::rooms::{Event, Relation, Thread, ThreadParticipant};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedEventId, OwnedUserId};
use rustc_hash::FxHashMap;

use crate::load::load;
use crate::view::{Viewer, views};

/// How many of the newest edits of one event are looked at to find the one that counts.
const MOST_EDITS: usize = 64;
/// How many references to one event are listed.
const MOST_REFERENCES: usize = 100;

/// What is bundled with one event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Related {
    /// The edit that replaces it.
    pub(crate) edit: Option<Event>,
    pub(crate) references: Vec<OwnedEventId>,
    pub(crate) thread: Option<ThreadSummary>,
}

impl Related {
    /// Whether whole events are bundled, not only numbers and ids.
    pub(crate) const fn bundles_events(&self) -> bool {
        self.edit.is_some() || self.thread.is_some()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ThreadSummary {
    pub(crate) replies: i64,
    pub(crate) latest: Event,
    /// The latest reply may have been edited itself.
    pub(crate) latest_edit: Option<Event>,
    pub(crate) participated: bool,
}

/// What is bundled with these events, as far as the viewer may see it. Events with nothing bundled are absent.
pub(crate) async fn related(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    ignored: &HashSet<OwnedUserId>,
    events: &[Event],
) -> Result<FxHashMap<EventNid, Related>, ReadError> {
    let threads = threads(snapshot, viewer, events).await?;
    let latest: Vec<EventNid> = threads.values().map(|(thread, _)| thread.latest).collect();
    let latest: Vec<Event> = load(snapshot, &latest).await?;
    let latest = visible_of(snapshot, viewer, ignored, latest).await?;

    let parents: Vec<&Event> = events.iter().chain(latest.values()).collect();
    let (mut edits, mut references) = children(snapshot, viewer, ignored, &parents).await?;

    let mut found = FxHashMap::default();
    for event in events {
        let thread = threads.get(&event.event).and_then(|(thread, participated)| {
            let latest = latest.get(&thread.latest)?.clone();
            let latest_edit = edits.get(&latest.event).cloned();
            let participated = *participated || event.sender == viewer.user_id;
            Some(ThreadSummary { replies: thread.replies, latest, latest_edit, participated })
        });
        let edit = edits.remove(&event.event);
        let references = references.remove(&event.event).unwrap_or_default();
        if edit.is_some() || thread.is_some() || !references.is_empty() {
            found.insert(event.event, Related { edit, references, thread });
        }
    }
    Ok(found)
}

/// The threads that these events are the roots of, and whether the viewer replied.
async fn threads(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    events: &[Event],
) -> Result<HashMap<EventNid, (Thread, bool)>, ReadError> {
    let roots: Vec<&Event> = events.iter().filter(|event| event.state_key.is_none()).collect();
    let keys: Vec<_> = roots.iter().map(|event| (event.room, event.event_id.clone())).collect();
    let threads = snapshot.get_all::<Thread>(&keys).await?;
    let found: Vec<(EventNid, Thread)> = roots
        .iter()
        .zip(threads)
        .filter_map(|(root, thread)| Some((root.event, thread?)))
        .filter(|(_, thread)| thread.replies > 0)
        .collect();
    let own = |(_, thread): &(EventNid, Thread)| (thread.room, thread.root.clone(), viewer.user_id.clone());
    let keys: Vec<_> = found.iter().map(own).collect();
    let participation = snapshot.get_all::<ThreadParticipant>(&keys).await?;
    let participated = participation.into_iter().map(|row| row.is_some_and(|row| row.replies > 0));
    Ok(found
        .into_iter()
        .zip(participated)
        .map(|((root, thread), took_part)| (root, (thread, took_part)))
        .collect())
}

type Children = (HashMap<EventNid, Event>, HashMap<EventNid, Vec<OwnedEventId>>);

/// The edit that counts, and the references, of each parent.
async fn children(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    ignored: &HashSet<OwnedUserId>,
    parents: &[&Event],
) -> Result<Children, ReadError> {
    // Most events have nothing related: one look at each says so.
    let any = |parent: &&Event| Scan::index::<Relation>(Relation::BY_TYPE, (parent.event_id.clone(),), 1);
    let any = snapshot.scan_all::<Relation>(parents.iter().map(any).collect()).await?;
    let has_any = parents.iter().zip(any).filter(|(_, found)| !found.is_empty());
    let parents: Vec<&Event> = has_any.map(|(parent, _)| *parent).collect();
    let mut scans = Vec::with_capacity(parents.len() * 2);
    for parent in &parents {
        let of_type = |rel_type: &str, limit| {
            let prefix = (parent.event_id.clone(), rel_type.to_owned());
            Scan::index::<Relation>(Relation::BY_TYPE, prefix, limit)
        };
        scans.push(of_type("m.replace", MOST_EDITS).backward());
        scans.push(of_type("m.reference", MOST_REFERENCES));
    }
    let found = snapshot.scan_all::<Relation>(scans).await?;
    let is_edit = |parent: &Event, relation: &Relation| {
        relation.sender == parent.sender && relation.kind == parent.kind && relation.room == parent.room
    };
    let mut wanted = Vec::new();
    for (parent, rows) in parents.iter().zip(found.chunks(2)) {
        let [edits, references] = rows else { continue };
        wanted.extend(edits.iter().filter(|row| is_edit(parent, row)).map(|row| row.event));
        wanted.extend(references.iter().filter(|row| row.room == parent.room).map(|row| row.event));
    }
    if wanted.is_empty() {
        return Ok(Children::default());
    }
    let events = load(snapshot, &wanted).await?;
    let events = visible_of(snapshot, viewer, ignored, events).await?;
    let mut children = Children::default();
    for (parent, rows) in parents.iter().zip(found.chunks(2)) {
        let [edits, references] = rows else { continue };
        let edits = edits.iter().filter(|row| is_edit(parent, row)).filter_map(|row| events.get(&row.event));
        // The newest by its own time; of equals, the greatest id ("Server-side aggregation of m.replace").
        let newest = edits.max_by_key(|edit| (edit.origin_server_ts, edit.event_id.clone()));
        let can_be_edited = parent.state_key.is_none() && parent.redacted_by.is_none();
        if let Some(edit) = newest.filter(|_| can_be_edited) {
            children.0.insert(parent.event, edit.clone());
        }
        let ids: Vec<_> =
            references.iter().filter_map(|row| events.get(&row.event)).map(|e| e.event_id.clone()).collect();
        if !ids.is_empty() {
            children.1.insert(parent.event, ids);
        }
    }
    Ok(children)
}

/// Those that may be bundled: visible, not redacted, not from someone ignored.
async fn visible_of(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    ignored: &HashSet<OwnedUserId>,
    events: Vec<Event>,
) -> Result<HashMap<EventNid, Event>, ReadError> {
    if events.is_empty() {
        return Ok(HashMap::new());
    }
    let views = views(snapshot, viewer, &events).await?;
    Ok(events
        .into_iter()
        .zip(views)
        .filter(|(event, view)| {
            view.visible && event.redacted_by.is_none() && !ignored.contains(&event.sender)
        })
        .map(|(event, _)| (event.event, event))
        .collect())
}
