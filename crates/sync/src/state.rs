//! Current state for answers: wishes of many rooms, read together.

use std::collections::HashMap;

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_store::schema::rooms::{Event, Member, State};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::config::{RequiredState, StateQuery};
use serde::Deserialize;

pub(crate) const MEMBER: &str = "m.room.member";

/// The most rows that one wish for a room may find. A room of that many members is the largest there is.
const MOST_STATE: usize = 1_000_000;

/// What is wanted of one room's current state. Several wishes may be for one room.
#[derive(Clone, Debug)]
pub(crate) enum StateWish<'c> {
    /// Everything that matches.
    All(RoomNid, &'c RequiredState),
    /// What matches and changed after a position; members known to be with the client count as matching.
    Changed(RoomNid, i64),
    /// These members.
    Members(RoomNid, Vec<String>),
}

/// The rows that the wishes find, for each wish.
pub(crate) async fn read_state(
    snapshot: &dyn Snapshot,
    wishes: &[StateWish<'_>],
) -> Result<Vec<Vec<State>>, ReadError> {
    let mut keys = Vec::new();
    let mut scans = Vec::new();
    // For each wish: how many keys and how many scans are its own.
    let mut shares = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let (keys_before, scans_before) = (keys.len(), scans.len());
        match wish {
            StateWish::All(room, wanted) => {
                for query in wanted.queries() {
                    match query {
                        StateQuery::Entry(kind, key) => keys.push((*room, kind, key)),
                        StateQuery::Type(kind) => {
                            scans.push(Scan::prefix::<State>((*room, kind), MOST_STATE));
                        }
                        StateQuery::Everything => everything(*room, wanted, &mut scans),
                    }
                }
            }
            StateWish::Changed(room, since) => {
                let scan = Scan::index::<State>(State::BY_CHANGE, (*room,), MOST_STATE);
                scans.push(scan.after((Pos::new(*since),)));
            }
            StateWish::Members(room, users) => {
                keys.extend(users.iter().map(|user| (*room, MEMBER.to_owned(), user.clone())));
            }
        }
        shares.push((keys.len() - keys_before, scans.len() - scans_before));
    }
    let rows = if keys.is_empty() { Vec::new() } else { snapshot.get_all::<State>(&keys).await? };
    let scanned = if scans.is_empty() { Vec::new() } else { snapshot.scan_all::<State>(scans).await? };
    let (mut rows, mut scanned) = (rows.into_iter(), scanned.into_iter());
    let mut answer = Vec::with_capacity(wishes.len());
    for (wish, (own_keys, own_scans)) in wishes.iter().zip(shares) {
        let mut found: Vec<State> = rows.by_ref().take(own_keys).flatten().collect();
        found.extend(scanned.by_ref().take(own_scans).flatten());
        if let StateWish::All(_, wanted) = wish {
            found.retain(|row| wanted.wants(&row.kind, &row.state_key));
        }
        answer.push(found);
    }
    Ok(answer)
}

/// The scans for all state of a room; where members load lazily, for all but members.
fn everything(room: RoomNid, wanted: &RequiredState, scans: &mut Vec<Scan>) {
    let whole = || Scan::prefix::<State>((room,), MOST_STATE);
    if wanted.is_lazy() {
        scans.push(whole().before((MEMBER.to_owned(),)));
        scans.push(whole().after((MEMBER.to_owned(),)));
    } else {
        scans.push(whole());
    }
}

/// Of users who are no longer in a room: where they stood before their last change of membership.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    /// They were in the room. If not, nothing of its state was theirs to see, whatever they saw in an earlier stay.
    pub(crate) from_inside: bool,
    /// When the membership they had before was set.
    pub(crate) stood_since: Pos,
}

impl Departure {
    /// They were never in the room, or nothing is known of it.
    pub(crate) const FROM_OUTSIDE: Self = Self { from_inside: false, stood_since: Pos::ZERO };
}

/// How these users, who are gone, went; in the order of the rows.
pub(crate) async fn departures(
    snapshot: &dyn Snapshot,
    members: &[&Member],
) -> Result<Vec<Departure>, ReadError> {
    #[derive(Deserialize)]
    struct Stored {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let last = state_events(snapshot, members.iter().map(|member| member.event)).await?;
    let before = |member: &Member| last.get(&member.event).and_then(|event| event.replaces);
    let replaced = state_events(snapshot, members.iter().filter_map(|member| before(member))).await?;
    let nids: Vec<EventNid> = replaced.keys().copied().collect();
    let contents = myelin_timeline::contents(snapshot, &nids).await?;
    let departure = |member: &&Member| {
        let event = replaced.get(&before(member)?)?;
        let stored: Stored = serde_json::from_slice(contents.get(&event.event)?).ok()?;
        Some(Departure { from_inside: stored.content.membership == "join", stood_since: event.pos })
    };
    Ok(members.iter().map(|member| departure(member).unwrap_or(Departure::FROM_OUTSIDE)).collect())
}

/// The events of these state rows, by their ids.
pub(crate) async fn state_events(
    snapshot: &dyn Snapshot,
    events: impl Iterator<Item = EventNid>,
) -> Result<HashMap<EventNid, Event>, ReadError> {
    let mut nids: Vec<EventNid> = events.collect();
    nids.sort_unstable();
    nids.dedup();
    if nids.is_empty() {
        return Ok(HashMap::new());
    }
    let events = myelin_timeline::load(snapshot, &nids).await?;
    Ok(events.into_iter().map(|event| (event.event, event)).collect())
}
