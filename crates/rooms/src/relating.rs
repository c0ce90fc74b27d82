//! `/relations`: the events that relate to an event
//! (<https://spec.matrix.org/v1.19/client-server-api/#relationships-api>).

use std::collections::HashSet;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Event, Relation};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::token::PageToken;
use myelin_timeline::{Format, Viewer, client_events, load, visible};
use ruma::{EventId, OwnedEventId, RoomId};
use serde_json::value::RawValue;

use crate::paging::order_of;
use crate::reading::{ReadingError, standing, visible_event};
use crate::{Rooms, Towards};

/// The most events one page holds.
const MOST_RELATED: usize = 100;
/// The most relations that are looked at for one page.
const MOST_SEEN: usize = 10_000;
/// How far indirect relations are followed: a reaction to an edit of a reply in a thread.
pub const RECURSION_DEPTH: u32 = 3;

/// Which related events to list.
#[derive(Clone, Debug)]
pub struct RelationRequest {
    /// Only these relationship types.
    pub rel_type: Option<String>,
    /// Only these types of events.
    pub event_type: Option<String>,
    /// Where the page starts; by default at the end it goes away from.
    pub from: Option<PageToken>,
    /// Where it ends at the latest.
    pub to: Option<PageToken>,
    /// Which way.
    pub towards: Towards,
    /// How many events.
    pub limit: usize,
    /// Whether to follow relations to related events, up to [`RECURSION_DEPTH`].
    pub recurse: bool,
}

/// A page of related events.
#[derive(Debug)]
pub struct RelatedPage {
    /// The events, nearest to the start first.
    pub chunk: Vec<Box<RawValue>>,
    /// Where the next page starts; absent where there is none.
    pub next: Option<PageToken>,
}

impl Rooms {
    /// A page of the events that relate to an event, as far as the viewer may see them.
    ///
    /// # Errors
    /// See [`ReadingError`]; [`ReadingError::NotFound`] where the viewer may not see the event itself.
    pub async fn relations(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        event_id: &EventId,
        request: &RelationRequest,
    ) -> Result<RelatedPage, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, _) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        let parent = visible_event(&*snapshot, viewer, room_id, event_id).await?;
        let span = Span::new(&*snapshot, room, request).await?;
        let (events, more) = if request.recurse {
            indirect(&*snapshot, viewer, &parent, request, span).await?
        } else {
            direct(&*snapshot, viewer, &parent, request, span).await?
        };
        let next = events.last().and_then(|last| last.order).filter(|_| more).map(|last| {
            PageToken::Before(match request.towards {
                Towards::Past => last,
                Towards::Future => last.saturating_add(1),
            })
        });
        let chunk = client_events(&*snapshot, viewer, Format::CLIENT, &events).await?;
        Ok(RelatedPage { chunk, next })
    }
}

/// The orders that a page may hold: from the first, up to but without the second.
#[derive(Clone, Copy)]
struct Span(i64, i64);

impl Span {
    async fn new(
        snapshot: &dyn Snapshot,
        room: RoomNid,
        request: &RelationRequest,
    ) -> Result<Self, ReadError> {
        let order = async |token: Option<PageToken>| match token {
            Some(token) => order_of(snapshot, room, token).await.map(Some),
            None => Ok(None),
        };
        let (from, to) = (order(request.from).await?, order(request.to).await?);
        Ok(match request.towards {
            Towards::Past => Self(to.unwrap_or(i64::MIN), from.unwrap_or(i64::MAX)),
            Towards::Future => Self(from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)),
        })
    }

    fn is_empty(self) -> bool {
        self.0 >= self.1
    }
}

/// A page of direct relations, and whether there are more.
async fn direct(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    parent: &Event,
    request: &RelationRequest,
    mut span: Span,
) -> Result<(Vec<Event>, bool), ReadError> {
    let limit = request.limit.min(MOST_RELATED);
    let (mut page, mut seen) = (Vec::with_capacity(limit), 0);
    while seen < MOST_SEEN && !span.is_empty() {
        const BATCH: usize = 256;
        let rows = snapshot.scan::<Relation>(children(parent, request, span, BATCH)).await?;
        seen += rows.len();
        let whole = rows.len() < BATCH;
        if let Some(last) = rows.last() {
            match request.towards {
                Towards::Past => span.1 = last.order,
                Towards::Future => span.0 = last.order.saturating_add(1),
            }
        }
        let wanted = |row: &&Relation| {
            row.room == parent.room && request.event_type.as_ref().is_none_or(|kind| *kind == row.kind)
        };
        let wanted: Vec<_> = rows.iter().filter(wanted).map(|row| row.event).collect();
        for event in shown(snapshot, viewer, load(snapshot, &wanted).await?).await? {
            if page.len() == limit {
                return Ok((page, true));
            }
            page.push(event);
        }
        if whole {
            return Ok((page, false));
        }
    }
    let more = !span.is_empty();
    Ok((page, more))
}

fn children(parent: &Event, request: &RelationRequest, span: Span, limit: usize) -> Scan {
    let scan = match &request.rel_type {
        Some(rel_type) => {
            let prefix = (parent.event_id.clone(), rel_type.clone());
            Scan::index::<Relation>(Relation::BY_TYPE, prefix, limit)
        }
        None => Scan::prefix::<Relation>((parent.event_id.clone(),), limit),
    };
    let scan = scan.from((span.0,)).before((span.1,));
    if request.towards == Towards::Past { scan.backward() } else { scan }
}

/// A page of direct and indirect relations, and whether there are more. What the filters want is chosen among all that
/// is found: a reply to an edit counts even where edits are not asked for.
async fn indirect(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    parent: &Event,
    request: &RelationRequest,
    span: Span,
) -> Result<(Vec<Event>, bool), ReadError> {
    let mut parents = vec![parent.event_id.clone()];
    let mut found: HashSet<OwnedEventId> = parents.iter().cloned().collect();
    let mut events = Vec::new();
    for _ in 0..RECURSION_DEPTH {
        let room_left = MOST_SEEN.saturating_sub(found.len());
        let scans = parents.iter().map(|id| Scan::prefix::<Relation>((id.clone(),), room_left.max(1)));
        let rows: Vec<Relation> =
            snapshot.scan_all::<Relation>(scans.collect()).await?.into_iter().flatten().collect();
        let in_room = rows.iter().filter(|row| row.room == parent.room).take(room_left);
        let wanted = |row: &Relation| {
            request.rel_type.as_ref().is_none_or(|rel_type| *rel_type == row.rel_type)
                && request.event_type.as_ref().is_none_or(|kind| *kind == row.kind)
        };
        let (numbers, wanted): (Vec<_>, Vec<_>) = in_room.map(|row| (row.event, wanted(row))).unzip();
        let wanted: HashSet<_> =
            numbers.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(event, _)| *event).collect();
        let level = load(snapshot, &numbers).await?;
        parents = level.iter().map(|event| event.event_id.clone()).collect();
        parents.retain(|id| found.insert(id.clone()));
        events.extend(level.into_iter().filter(|event| wanted.contains(&event.event)));
        if parents.is_empty() {
            break;
        }
    }
    let within = |event: &Event| event.order.is_some_and(|order| order >= span.0 && order < span.1);
    events.retain(within);
    events.sort_unstable_by_key(|event| event.order);
    events.dedup_by_key(|event| event.event);
    if request.towards == Towards::Past {
        events.reverse();
    }
    let mut events = shown(snapshot, viewer, events).await?;
    let limit = request.limit.min(MOST_RELATED);
    let more = events.len() > limit;
    events.truncate(limit);
    Ok((events, more))
}

/// Those that are listed: visible, not from someone ignored, not redacted.
async fn shown(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    events: Vec<Event>,
) -> Result<Vec<Event>, ReadError> {
    let visible = visible(snapshot, viewer, &events).await?;
    let shown = events.into_iter().zip(visible);
    Ok(shown
        .filter(|(event, visible)| *visible && event.redacted_by.is_none())
        .map(|(event, _)| event)
        .collect())
}
