//! Pages of a room's history: `/messages` and `/context`.

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_store::schema::rooms::{Event, State};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::event_filter::EventFilter;
use myelin_sync_core::token::PageToken;
use myelin_timeline::{Format, Viewer, client_events, filter_events, load, visible};
use ruma::{EventId, OwnedUserId, RoomId};
use serde_json::value::RawValue;

use crate::reading::{MOST_STATE, ReadingError, Until, standing, state_at_each, visible_event, whole_state};
use crate::{Rooms, members};

/// The most events one page holds.
pub const MOST_EVENTS: usize = 1_000;
/// The most events that are looked at for one page; a filter that lets few through gets short pages, not slow ones.
const MOST_SEEN: usize = 10_000;

/// Which way a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// To older events.
    Past,
    /// To newer events.
    Future,
}

/// What to show of a page.
#[derive(Clone, Debug, Default)]
pub struct PageFilter {
    /// Which events.
    pub events: EventFilter,
    /// Only the members who sent them, as state.
    pub lazy_members: bool,
}

/// A request for a page.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Where it starts; by default at the end of the timeline it goes away from.
    pub from: Option<PageToken>,
    /// Where it ends at the latest.
    pub to: Option<PageToken>,
    /// Which way.
    pub towards: Towards,
    /// How many events.
    pub limit: usize,
    /// Which ones.
    pub filter: PageFilter,
}

/// A page of events.
#[derive(Debug)]
pub struct Page {
    /// Where it starts.
    pub start: PageToken,
    /// Where the next one starts; absent where there is none.
    pub end: Option<PageToken>,
    /// The events, nearest to the start first.
    pub chunk: Vec<Box<RawValue>>,
    /// Member events of their senders, where members are loaded lazily.
    pub state: Vec<Box<RawValue>>,
}

/// An event with what surrounds it.
#[derive(Debug)]
pub struct Surroundings {
    /// The event.
    pub event: Box<RawValue>,
    /// Events before it, newest first.
    pub before: Page,
    /// Events after it, oldest first.
    pub after: Page,
    /// The state at the last of them.
    pub state: Vec<Box<RawValue>>,
}

impl Rooms {
    /// A page of the room's history, as far as the viewer may see it.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn messages(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        request: &PageRequest,
    ) -> Result<Page, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, _) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        read_page(&*snapshot, viewer, room, request).await
    }

    /// An event of the room with `limit` events around it.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn context(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        event_id: &EventId,
        limit: usize,
        filter: &PageFilter,
    ) -> Result<Surroundings, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let event = visible_event(&*snapshot, viewer, room_id, event_id).await?;
        let order = event.order.ok_or(ReadingError::NotFound)?;
        let side = async |towards, from, limit| {
            let from = Some(PageToken::Before(from));
            let request = PageRequest { from, to: None, towards, limit, filter: filter.clone() };
            let walk = Walk::new(&*snapshot, event.room, &request).await?;
            let (events, end) = walk.page(&*snapshot, viewer).await?;
            let last = events.last().and_then(|event| event.order);
            let senders: Vec<OwnedUserId> = events.iter().map(|event| event.sender.clone()).collect();
            // A context gives tokens even where nothing follows: something may, later.
            let end = end.or(last.map(|last| towards.past(last))).or(request.from);
            let page = show(&*snapshot, viewer, &request, (walk.start, events, end)).await?;
            Ok::<_, ReadingError>((page, last, senders))
        };
        let (before, _, mut senders) = side(Towards::Past, order, limit.div_ceil(2)).await?;
        let (after, last, later) = side(Towards::Future, order + 1, limit / 2).await?;
        senders.extend(later);
        senders.push(event.sender.clone());
        let until = Until::Order(last.unwrap_or(order));
        let lazily = filter.lazy_members.then_some(senders);
        let state = context_state(&*snapshot, event.room, until, lazily).await?;
        let headers = load(&*snapshot, &state).await?;
        let state = client_events(&*snapshot, viewer, Format::STATE, &headers).await?;
        let mut shown = client_events(&*snapshot, viewer, Format::CLIENT, &[event]).await?;
        let event = shown.pop().ok_or(ReadingError::NotFound)?;
        Ok(Surroundings { event, before, after, state })
    }
}

impl Towards {
    /// The place after an event, this way.
    fn past(self, order: i64) -> PageToken {
        match self {
            Self::Past => PageToken::Before(order),
            Self::Future => PageToken::Before(order.saturating_add(1)),
        }
    }
}

/// A way through a room's timeline.
struct Walk<'a> {
    room: RoomNid,
    request: &'a PageRequest,
    start: PageToken,
    /// The order the walk starts before (to the past) or at (to the future).
    from: i64,
    /// The order it ends at.
    to: Option<i64>,
}

impl<'a> Walk<'a> {
    async fn new(
        snapshot: &dyn Snapshot,
        room: RoomNid,
        request: &'a PageRequest,
    ) -> Result<Self, ReadError> {
        let from = match (request.from, request.towards) {
            (Some(token), _) => order_of(snapshot, room, token).await?,
            (None, Towards::Past) => i64::MAX,
            (None, Towards::Future) => i64::MIN,
        };
        let start = match request.from {
            Some(token) => token,
            None if from == i64::MAX => PageToken::At(snapshot.position().get()),
            None => PageToken::Before(first_order(snapshot, room).await?),
        };
        let to = match request.to {
            Some(token) => Some(order_of(snapshot, room, token).await?),
            None => None,
        };
        Ok(Self { room, request, start, from, to })
    }

    /// The events of the page, and where the next page starts.
    async fn page(
        &self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
    ) -> Result<(Vec<Event>, Option<PageToken>), ReadError> {
        let limit = self.request.limit.min(MOST_EVENTS);
        let mut page = Vec::with_capacity(limit);
        let (mut at, mut seen) = (self.from, 0);
        while seen < MOST_SEEN {
            let wanted = (limit - page.len()).clamp(1, 256) + 1;
            let events = snapshot.scan::<Event>(self.scan(at, wanted)).await?;
            let more = events.len() == wanted;
            seen += events.len();
            let orders: Vec<i64> = events.iter().filter_map(|event| event.order).collect();
            let shown = self.shown(snapshot, viewer, &events).await?;
            for ((event, order), shown) in events.into_iter().zip(orders).zip(shown) {
                if page.len() == limit {
                    return Ok((page, Some(self.token_before_reaching(order))));
                }
                at = self.next(order);
                if shown {
                    page.push(event);
                }
            }
            if !more {
                let end = self.end_of_filtered(&page, at);
                return Ok((page, end));
            }
        }
        Ok((page, Some(PageToken::Before(at))))
    }

    /// Where a page ends that a filter thinned and that has come to the end of the timeline: after its last event,
    /// where there are others behind it. A page without a token says that nothing follows, by whatever filter.
    fn end_of_filtered(&self, page: &[Event], reached: i64) -> Option<PageToken> {
        let last = page.last().and_then(|event| event.order)?;
        let skipped = !self.request.filter.events.is_open() && self.next(last) != reached;
        skipped.then(|| self.request.towards.past(last))
    }

    fn scan(&self, at: i64, limit: usize) -> Scan {
        let scan = Scan::index::<Event>(Event::BY_ORDER, (self.room,), limit);
        let to = self.to;
        match self.request.towards {
            // Events without an order (outliers) sort before all others and are no part of the timeline.
            Towards::Past => scan.before((Some(at),)).from((Some(to.unwrap_or(i64::MIN)),)).backward(),
            Towards::Future => match to {
                Some(to) => scan.from((Some(at),)).before((Some(to),)),
                None => scan.from((Some(at),)),
            },
        }
    }

    /// Where to go on after an event.
    fn next(&self, order: i64) -> i64 {
        match self.request.towards {
            Towards::Past => order,
            Towards::Future => order.saturating_add(1),
        }
    }

    /// The place right before an event that is not shown any more, seen from the way the walk goes.
    fn token_before_reaching(&self, order: i64) -> PageToken {
        match self.request.towards {
            Towards::Past => PageToken::Before(order.saturating_add(1)),
            Towards::Future => PageToken::Before(order),
        }
    }

    async fn shown(
        &self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        events: &[Event],
    ) -> Result<Vec<bool>, ReadError> {
        let filter = &self.request.filter.events;
        let mut shown = visible(snapshot, viewer, events).await?;
        let marks = shown.iter_mut().zip(events).map(|(shown, event)| (shown, event, filter));
        filter_events(snapshot, marks.collect()).await?;
        Ok(shown)
    }
}

/// A page of the history of a room that the viewer may look at.
pub(crate) async fn read_page(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    room: RoomNid,
    request: &PageRequest,
) -> Result<Page, ReadingError> {
    let walk = Walk::new(snapshot, room, request).await?;
    let (events, end) = walk.page(snapshot, viewer).await?;
    show(snapshot, viewer, request, (walk.start, events, end)).await
}

/// Writes the events of a page for the viewer.
async fn show(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    request: &PageRequest,
    (start, events, end): (PageToken, Vec<Event>, Option<PageToken>),
) -> Result<Page, ReadingError> {
    let chunk = client_events(snapshot, viewer, Format::CLIENT, &events).await?;
    let state = match (request.filter.lazy_members, events.first()) {
        (true, Some(first)) => {
            let senders = events.iter().map(|event| event.sender.clone()).collect();
            let members = members::current(snapshot, first.room, senders).await?;
            let headers = load(snapshot, &members).await?;
            client_events(snapshot, viewer, Format::STATE, &headers).await?
        }
        _ => Vec::new(),
    };
    Ok(Page { start, end, chunk, state })
}

/// The state shown with a context: all of it, or of members only those who are seen.
async fn context_state(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    until: Until,
    lazily: Option<Vec<OwnedUserId>>,
) -> Result<Vec<EventNid>, ReadError> {
    let Some(mut seen) = lazily else {
        return whole_state(snapshot, room, until, Scan::prefix::<State>((room,), MOST_STATE)).await;
    };
    seen.sort_unstable();
    seen.dedup();
    let below = Scan::prefix::<State>((room,), MOST_STATE).before(("m.room.member".to_owned(),));
    let above = Scan::prefix::<State>((room,), MOST_STATE).after(("m.room.member".to_owned(),));
    let mut state = whole_state(snapshot, room, until, below).await?;
    state.extend(whole_state(snapshot, room, until, above).await?);
    let keys = seen.into_iter().map(|user| (room, "m.room.member".to_owned(), user.to_string()));
    state.extend(state_at_each(snapshot, until, keys.collect()).await?);
    Ok(state)
}

/// The order a token stands for: events below it are before the token.
pub(crate) async fn order_of(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    token: PageToken,
) -> Result<i64, ReadError> {
    let position = match token {
        PageToken::Before(order) => return Ok(order),
        PageToken::At(position) => Pos::new(position),
    };
    if position >= snapshot.position() {
        return Ok(i64::MAX);
    }
    let mut before = i64::MAX;
    for _ in 0..MOST_SEEN / 256 {
        let scan = Scan::index::<Event>(Event::BY_ORDER, (room,), 256);
        let events =
            snapshot.scan::<Event>(scan.before((Some(before),)).from((Some(i64::MIN),)).backward()).await?;
        let Some(last) = events.last().and_then(|event| event.order) else { break };
        let known = events.iter().find(|event| event.pos <= position).and_then(|event| event.order);
        if let Some(order) = known {
            return Ok(order.saturating_add(1));
        }
        before = last;
    }
    Ok(before)
}

/// The order of the room's oldest event.
async fn first_order(snapshot: &dyn Snapshot, room: RoomNid) -> Result<i64, ReadError> {
    let scan = Scan::index::<Event>(Event::BY_ORDER, (room,), 1).from((Some(i64::MIN),));
    let first = snapshot.scan::<Event>(scan).await?;
    Ok(first.first().and_then(|event| event.order).unwrap_or(0))
}

/// The order of the second event known of the room: that of its creator's join, where the whole room is known.
pub(crate) async fn second_order(snapshot: &dyn Snapshot, room: RoomNid) -> Result<i64, ReadError> {
    let scan = Scan::index::<Event>(Event::BY_ORDER, (room,), 2).from((Some(i64::MIN),));
    let first = snapshot.scan::<Event>(scan).await?;
    Ok(first.last().and_then(|event| event.order).unwrap_or(0))
}
