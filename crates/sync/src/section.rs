//! What of a room's timeline an answer shows, for both faces of sync.

use myelin_model::RoomNid;
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::event_filter::EventFilter;
use myelin_sync_core::token::PageToken;
use myelin_timeline::{Viewer, filter_events};

/// How many events are looked through at most to fill a timeline behind a filter.
const MOST_FILTERED: usize = 1000;

/// A timeline that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimelineWanted<'f> {
    pub(crate) room: RoomNid,
    /// What came after this position is new.
    pub(crate) since: i64,
    pub(crate) limit: usize,
    /// Show the newest events even if they are not new.
    pub(crate) newest: bool,
    /// Nothing above this order.
    pub(crate) until: Option<i64>,
    pub(crate) filter: Option<&'f EventFilter>,
}

/// A timeline that was read.
#[derive(Debug, Default)]
pub(crate) struct TimelineRead {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// There is more between these and what the client has.
    pub(crate) limited: bool,
    /// How many events are new, shown or not.
    pub(crate) new: usize,
    /// The shown events are the newest ones, and not all of the new ones.
    pub(crate) cut: bool,
    /// The order that all events shown are at or above; what is older can be asked for from here.
    pub(crate) start: i64,
}

impl TimelineRead {
    /// The token for what is older.
    pub(crate) fn prev_batch(&self) -> String {
        PageToken::Before(self.start).to_string()
    }
}

/// Reads timelines, in one scan each and one round trip for all.
pub(crate) async fn timelines(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    wanted: &[TimelineWanted<'_>],
) -> Result<Vec<TimelineRead>, ReadError> {
    let scans = wanted.iter().map(|wanted| {
        let scan = Scan::index::<Event>(Event::BY_ORDER, (wanted.room,), most(wanted)).backward();
        match wanted.until {
            // Events without an order sort first and are not part of the timeline.
            Some(until) => scan.after((None::<i64>,)).up_to((Some(until),)),
            None => scan.after((None::<i64>,)),
        }
    });
    let found = snapshot.scan_all::<Event>(scans.collect()).await?;
    let all: Vec<Event> = found.iter().flatten().cloned().collect();
    let mut visible = myelin_timeline::visible(snapshot, viewer, &all).await?;
    let filters = wanted.iter().zip(&found).flat_map(|(wanted, rows)| rows.iter().map(|_| wanted.filter));
    let marks = visible.iter_mut().zip(&all).zip(filters);
    let marks = marks.filter_map(|((shown, event), filter)| Some((shown, event, filter?)));
    filter_events(snapshot, marks.collect()).await?;
    let mut visible = visible.into_iter();
    let mut answer = Vec::with_capacity(wanted.len());
    for (wanted, rows) in wanted.iter().zip(found) {
        let rows: Vec<(Event, bool)> = rows.into_iter().zip(visible.by_ref()).collect();
        answer.push(cut(wanted, rows));
    }
    Ok(answer)
}

fn most(wanted: &TimelineWanted<'_>) -> usize {
    match wanted.filter {
        Some(filter) if !filter.is_open() => MOST_FILTERED,
        _ => wanted.limit + 1,
    }
}

/// Decides what to show of the newest rows, which come newest first.
fn cut(wanted: &TimelineWanted<'_>, rows: Vec<(Event, bool)>) -> TimelineRead {
    let exhausted = rows.len() < most(wanted);
    let top = rows.first().and_then(|(event, _)| event.order).unwrap_or_default();
    let new = rows.iter().take_while(|(event, _)| event.pos.get() > wanted.since).count();
    let reaches_since = new < rows.len() || exhausted;
    let in_span = if wanted.newest { rows.len() } else { new };
    let mut events = Vec::new();
    let (mut start, mut more) = (top + 1, false);
    for (event, shown) in rows.into_iter().take(in_span) {
        if !shown {
            continue;
        }
        if events.len() == wanted.limit {
            more = true;
            break;
        }
        start = event.order.unwrap_or(start);
        events.push(event);
    }
    events.reverse();
    let cut = wanted.newest || more || !reaches_since;
    // Where events were hidden or filtered out, older ones that could be shown may not have been looked at.
    let limited = more || if wanted.newest { !exhausted } else { !reaches_since };
    TimelineRead { events, limited, new, cut, start }
}
