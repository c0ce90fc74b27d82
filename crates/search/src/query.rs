//! A query: what the index proposes, checked against the rooms, in order, by pages.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Snapshot};
use myelin_timeline::{ClientEvents, Format, Viewer, client_events, filter_events, load, visible};
use ruma::OwnedRoomId;

use crate::Search;
use crate::candidates::{Candidate, candidates};
use crate::context::contexts;
use crate::document::stands;
use crate::found::{Found, Hit};
use crate::groups::groups;
use crate::rank::{Rank, shown};
use crate::request::{MAX_RESULTS, Order, SearchRequest};
use crate::rooms::rooms;
use crate::token::{Scope, Token};
use crate::words::Terms;

/// How long a query waits for the index. After that it answers with what is there.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most words that are highlighted.
const MOST_HIGHLIGHTS: usize = 64;

/// An event that is a result.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) event: Event,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) candidate: Candidate,
}

impl Search {
    /// Searches what the viewer may see.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn search(&self, viewer: &Viewer, request: &SearchRequest) -> Result<Found, ReadError> {
        let Some(terms) = Terms::parse(&request.term) else { return Ok(nothing(request)) };
        self.catch_up().await?;
        // The semaphore is never closed, so there is always a turn.
        let _turn = self.turns.acquire().await.ok();
        let snapshot = self.engine.snapshot().await?;
        let rooms = rooms(&*snapshot, &viewer.user_id, request).await?;
        let (mut matches, floor) = matches(&*snapshot, viewer, request, &terms, &rooms).await?;
        let count = request.from.as_ref().map_or(matches.len(), |token| token.count);
        let place = |found: &Match| place(request.order, found.candidate.rank, found.event.pos);
        matches.sort_unstable_by_key(|found| Reverse(place(found)));
        if let Some(token) = &request.from {
            let after = self::place(request.order, token.rank, token.pos);
            matches.retain(|found| place(found) < after);
        }
        // By rank nothing is known of what was not looked at; by age, it comes after what was.
        let floor = floor.filter(|_| request.order == Order::Recent);
        if let Some(floor) = floor {
            matches.retain(|found| found.event.pos >= floor);
        }
        let limit = request.limit.min(MAX_RESULTS);
        let next = next(request, &matches, limit, floor, count);
        let by_group = (!request.group_by.is_empty())
            .then(|| groups(&request.group_by, &matches, limit, count, floor.is_some()));
        matches.truncate(limit);
        let results = hits(&*snapshot, viewer, request, &matches).await?;
        drop(snapshot);
        let state = match request.include_state {
            true => Some(self.states(viewer, &matches).await?),
            false => None,
        };
        let highlights = highlights(&matches);
        Ok(Found { count, highlights, results, state, groups: by_group, next_batch: next })
    }

    /// Waits until the index has what the store has now.
    async fn catch_up(&self) -> Result<(), ReadError> {
        let now = self.engine.snapshot().await?.position();
        let mut reached = self.reached.subscribe();
        if *reached.borrow() >= now {
            return Ok(());
        }
        self.hurry.notify_one();
        let caught_up = reached.wait_for(|reached| *reached >= now);
        if tokio::time::timeout(PATIENCE, caught_up).await.is_err() {
            tracing::debug!("a search was answered before the index had caught up");
        }
        Ok(())
    }

    async fn states(
        &self,
        viewer: &Viewer,
        matches: &[Match],
    ) -> Result<BTreeMap<OwnedRoomId, ClientEvents<'static>>, ReadError> {
        let rooms: BTreeSet<&OwnedRoomId> = matches.iter().map(|found| &found.room_id).collect();
        let mut states = BTreeMap::new();
        for room_id in rooms {
            if let Some(state) = self.states.state(viewer, room_id).await? {
                states.insert(room_id.clone(), state);
            }
        }
        Ok(states)
    }
}

/// The answer to a query without words.
fn nothing(request: &SearchRequest) -> Found {
    Found {
        state: request.include_state.then(BTreeMap::new),
        groups: (!request.group_by.is_empty()).then(BTreeMap::new),
        ..Found::default()
    }
}

/// What results are ordered by, the greatest first.
fn place(order: Order, rank: Rank, pos: Pos) -> (Rank, Pos) {
    match order {
        Order::Rank => (rank, pos),
        Order::Recent => (0, pos),
    }
}

/// Where the next page starts.
fn next(
    request: &SearchRequest,
    matches: &[Match],
    limit: usize,
    floor: Option<Pos>,
    count: usize,
) -> Option<String> {
    let scope = request.from.as_ref().map_or(Scope::All, |token| token.scope.clone());
    // A full page has a token even if it is the last: clients are used to finding out by an empty page.
    let full = limit.checked_sub(1).and_then(|last| matches.get(last));
    let (rank, pos) = match (full, floor) {
        (Some(last), _) => (last.candidate.rank, last.event.pos),
        (None, Some(floor)) => (0, floor),
        (None, None) => return None,
    };
    Some(Token { rank, pos, count, scope }.to_string())
}

/// The candidates that the viewer may see and wants.
async fn matches(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    request: &SearchRequest,
    terms: &Terms,
    rooms: &HashMap<RoomNid, OwnedRoomId>,
) -> Result<(Vec<Match>, Option<Pos>), ReadError> {
    let mut nids: Vec<RoomNid> = rooms.keys().copied().collect();
    // The newest rooms first, should there be more than are looked into.
    nids.sort_unstable_by_key(|room| Reverse(*room));
    let before = request.from.as_ref().filter(|_| request.order == Order::Recent);
    let before = before.map_or(Pos::MAX, |token| token.pos);
    let proposed = candidates(snapshot, &nids, terms, before).await?;
    let mut by_event: HashMap<EventNid, Candidate> =
        proposed.found.into_iter().map(|candidate| (candidate.event, candidate)).collect();
    let wanted: Vec<EventNid> = by_event.keys().copied().collect();
    let mut events = load(snapshot, &wanted).await?;
    events.retain(|event| is_wanted(request, event));
    let mut shown = visible(snapshot, viewer, &events).await?;
    let marks = shown.iter_mut().zip(&events).map(|(shown, event)| (shown, event, &request.events));
    filter_events(snapshot, marks.collect()).await?;
    let mut shown = shown.into_iter();
    events.retain(|_| shown.next() == Some(true));
    let hidden = hidden_edits(snapshot, viewer, &events, &by_event).await?;
    let matches = events.into_iter().filter_map(|event| {
        let candidate = by_event.remove(&event.event)?;
        let room_id = rooms.get(&event.room)?.clone();
        (!hidden.contains(&candidate.source)).then_some(Match { event, room_id, candidate })
    });
    Ok((matches.collect(), proposed.floor))
}

fn is_wanted(request: &SearchRequest, event: &Event) -> bool {
    let in_scope = match request.from.as_ref().map(|token| &token.scope) {
        Some(Scope::Sender(sender)) => event.sender == *sender,
        _ => true,
    };
    in_scope
        && stands(event)
        && request.keys.iter().any(|key| key.kind() == event.kind)
        && request.events.allows(&event.kind, event.sender.as_str())
}

/// The edits by whose words events were found and that the viewer may not see, such as those made after they left.
async fn hidden_edits(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    events: &[Event],
    by_event: &HashMap<EventNid, Candidate>,
) -> Result<BTreeSet<EventNid>, ReadError> {
    let source = |event: &Event| by_event.get(&event.event).map(|candidate| candidate.source);
    let edits: BTreeSet<EventNid> =
        events.iter().filter_map(|event| source(event).filter(|source| *source != event.event)).collect();
    if edits.is_empty() {
        return Ok(edits);
    }
    let wanted: Vec<EventNid> = edits.iter().copied().collect();
    let loaded = load(snapshot, &wanted).await?;
    let seen = visible(snapshot, viewer, &loaded).await?;
    let mut hidden = edits;
    for (edit, _) in loaded.iter().zip(seen).filter(|(edit, seen)| *seen && stands(edit)) {
        hidden.remove(&edit.event);
    }
    Ok(hidden)
}

async fn hits(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    request: &SearchRequest,
    matches: &[Match],
) -> Result<Vec<Hit>, ReadError> {
    let events: Vec<Event> = matches.iter().map(|found| found.event.clone()).collect();
    let forms = client_events(snapshot, viewer, Format::CLIENT, &events).await?;
    let contexts = match request.context {
        Some(wanted) => contexts(snapshot, viewer, matches, wanted).await?.into_iter().map(Some).collect(),
        None => (0..matches.len()).map(|_| None).collect::<Vec<_>>(),
    };
    let all = matches.iter().zip(forms).zip(contexts);
    Ok(all
        .map(|((found, result), context)| Hit { rank: shown(found.candidate.rank), result, context })
        .collect())
}

/// The words of the query as they stand in the results.
fn highlights(matches: &[Match]) -> Vec<String> {
    let words: BTreeSet<&String> = matches.iter().flat_map(|found| &found.candidate.matched).collect();
    words.into_iter().take(MOST_HIGHLIGHTS).cloned().collect()
}
