//! The rooms of a `/v3/sync` answer that the user is in, or has left.

use std::collections::{BTreeMap, HashMap};

use myelin_model::RoomNid;
use myelin_store::schema::notify::{LiveEnd, Unread, unread};
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{Format, Viewer, client_events};
use serde_json::value::RawValue;

use crate::parts::{ReceiptsWanted, all_of_rooms, bare, filtered, receipts, typing_event};
use crate::section::{TimelineRead, TimelineWanted, timelines};
use crate::state::Departure;
use crate::sticky::unshown;
use crate::user_rooms::Facts;
use crate::v3::Asked;
use crate::v3::answer::{Events, JoinedRoom, Summary, Timeline, UnreadCounts};
use crate::v3::state::{RoomState, RoomStateWanted, StateAt, StateRules};

/// How many rooms are worked on at once, so that a first sync of a large account does not hold all of it twice.
const AT_ONCE: usize = 256;

/// A room to be shown.
pub(crate) struct ShownRoom {
    pub(crate) facts: Facts,
    /// Whether the user is in it now.
    pub(crate) joined: bool,
    /// The client has nothing of it, or wants everything.
    pub(crate) full: bool,
    pub(crate) since: i64,
    /// Something may have happened besides the timeline.
    pub(crate) receipts: bool,
    /// How the user went, where they are gone.
    pub(crate) departure: Option<Departure>,
}

impl ShownRoom {
    fn room(&self) -> RoomNid {
        self.facts.member.room
    }

    /// Whether there may be more than the client has before what is new to it, because it had nothing of this stay.
    fn has_gap(&self) -> bool {
        let continued =
            |departure: Departure| departure.from_inside && departure.stood_since.get() <= self.since;
        !self.full && self.departure.is_some_and(|departure| !continued(departure))
    }

    fn is_unnamed(&self) -> bool {
        let unset = |name: &Option<String>| name.as_deref().is_none_or(str::is_empty);
        unset(&self.facts.summary.name) && unset(&self.facts.summary.canonical_alias)
    }

    fn until(&self) -> Option<i64> {
        (!self.joined).then_some(self.facts.member.order)
    }
}

/// What goes with rooms besides timeline and state, by room.
#[derive(Default)]
pub(crate) struct Besides {
    pub(crate) account_data: HashMap<RoomNid, Vec<Box<RawValue>>>,
    pub(crate) typing: HashMap<RoomNid, Vec<ruma::OwnedUserId>>,
    pub(crate) sticky: HashMap<RoomNid, Vec<Event>>,
}

/// Of rooms whose membership changed, those that the user joined after the position: of them the client has nothing.
pub(crate) async fn newly_joined(
    snapshot: &dyn Snapshot,
    rooms: &[&Facts],
    since: i64,
) -> Result<Vec<RoomNid>, ReadError> {
    let joins = rooms.iter().filter_map(|facts| Some((facts.member.room, facts.member.joined_at?)));
    let scan = |(room, order): (RoomNid, i64)| Scan::index::<Event>(Event::BY_ORDER, (room, Some(order)), 1);
    let found = snapshot.scan_all::<Event>(joins.map(scan).collect()).await?;
    Ok(found.into_iter().flatten().filter(|event| event.pos.get() > since).map(|event| event.room).collect())
}

/// Reads and writes the rooms; those in which nothing happened are left out.
pub(crate) async fn write_rooms(
    snapshot: &dyn Snapshot,
    asked: &Asked<'_>,
    viewer: &Viewer,
    rooms: &[ShownRoom],
    mut besides: Besides,
) -> Result<BTreeMap<String, JoinedRoom>, ReadError> {
    let mut written = BTreeMap::new();
    for part in rooms.chunks(AT_ONCE) {
        let read = Part::read(snapshot, asked, viewer, part, &mut besides).await?;
        written.extend(read.write(asked, part, &mut besides));
    }
    Ok(written)
}

/// Everything read of some rooms.
struct Part {
    timelines: Vec<TimelineRead>,
    states: Vec<RoomState>,
    timeline_forms: Vec<Box<RawValue>>,
    state_forms: Vec<Box<RawValue>>,
    unread: Vec<Unread>,
    sticky: Vec<Vec<Box<RawValue>>>,
    receipts: HashMap<RoomNid, Box<RawValue>>,
}

impl Part {
    async fn read(
        snapshot: &dyn Snapshot,
        asked: &Asked<'_>,
        viewer: &Viewer,
        rooms: &[ShownRoom],
        besides: &mut Besides,
    ) -> Result<Self, ReadError> {
        let filter = &asked.filter;
        let wanted: Vec<TimelineWanted<'_>> = rooms
            .iter()
            .map(|room| TimelineWanted {
                room: room.room(),
                since: room.since,
                limit: if filter.timeline.is_closed() { 0 } else { filter.timeline_limit },
                newest: room.full,
                until: room.until(),
                filter: Some(&filter.timeline),
            })
            .collect();
        let mut timelines = timelines(snapshot, viewer, &wanted).await?;
        for (room, timeline) in rooms.iter().zip(&mut timelines) {
            // Of a room that was joined again the client may hold some of this: `limited` tells it to start over.
            let joined_since = room.full && asked.since.is_some();
            timeline.limited |= joined_since || room.has_gap();
        }
        let states = read_states(snapshot, asked, viewer, rooms, &timelines).await?;
        let counters: Vec<_> = rooms.iter().map(|room| LiveEnd::from(&room.facts.head)).collect();
        let unread = unread(snapshot, &viewer.user_id, &counters).await?;
        let all: Vec<Event> = timelines.iter().flat_map(|timeline| timeline.events.iter().cloned()).collect();
        let gap = timelines.iter().any(|timeline| timeline.cut);
        let format = if gap { Format::SYNC } else { Format::SYNC_LIVE };
        let timeline_forms = client_events(snapshot, viewer, format, &all).await?;
        let all: Vec<Event> = states.iter().flat_map(|state| state.events.iter().cloned()).collect();
        let state_forms = client_events(snapshot, viewer, Format::SYNC_STATE, &all).await?;
        let first: Vec<RoomNid> =
            rooms.iter().filter(|room| room.joined && room.full).map(ShownRoom::room).collect();
        besides.account_data.extend(all_of_rooms(snapshot, &viewer.user_id, &first).await?);
        let receipts = read_receipts(snapshot, asked, viewer, rooms).await?;
        let sticky = read_sticky(snapshot, viewer, rooms, &timelines, &mut besides.sticky).await?;
        Ok(Self { timelines, states, timeline_forms, state_forms, unread, sticky, receipts })
    }

    fn write(
        mut self,
        asked: &Asked<'_>,
        rooms: &[ShownRoom],
        besides: &mut Besides,
    ) -> Vec<(String, JoinedRoom)> {
        let mut timeline_forms = self.timeline_forms.into_iter();
        let mut state_forms = self.state_forms.into_iter();
        let mut written = Vec::with_capacity(rooms.len());
        let timelines = rooms.iter().zip(self.timelines).zip(self.states).zip(self.unread);
        for ((((room, timeline), state), unread), sticky) in timelines.zip(self.sticky) {
            let trim = |events| asked.filter.trim(events);
            let events = trim(timeline_forms.by_ref().take(timeline.events.len()).collect());
            let state_events = trim(state_forms.by_ref().take(state.events.len()).collect());
            let nid = room.room();
            let mut ephemeral: Vec<_> = self.receipts.remove(&nid).into_iter().collect();
            if let Some(users) =
                besides.typing.remove(&nid).filter(|_| asked.filter.ephemeral.allows_type("m.typing"))
            {
                ephemeral.extend(typing_event(&users));
            }
            let account_data = besides.account_data.remove(&nid).unwrap_or_default();
            let account_data = filtered(account_data, &asked.filter.room_account_data);
            let happened = room.full
                || !events.is_empty()
                || timeline.limited
                || !state_events.is_empty()
                || !ephemeral.is_empty()
                || !sticky.is_empty()
                || !account_data.is_empty();
            if !happened {
                continue;
            }
            let summary =
                (room.joined && (state.members_changed || state.heroes.is_some())).then(|| Summary {
                    heroes: state.heroes.map(|heroes| heroes.into_iter().map(|hero| hero.user_id).collect()),
                    joined: room.facts.head.joined,
                    invited: room.facts.head.invited,
                });
            let by_thread = asked.filter.unread_thread_notifications;
            let counts = if by_thread { unread.main } else { unread.total() };
            let mut answer = JoinedRoom {
                summary,
                timeline: Timeline { prev_batch: timeline.prev_batch(), limited: timeline.limited, events },
                ephemeral: Events { events: ephemeral },
                sticky: Events { events: trim(sticky) },
                account_data: Events { events: account_data },
                unread_notifications: room.joined.then_some(UnreadCounts(counts)),
                unread_thread_notifications: Some(unread.threads)
                    .filter(|threads| by_thread && room.joined && !threads.is_empty())
                    .map(|threads| {
                        threads.into_iter().map(|(root, counts)| (root, UnreadCounts(counts))).collect()
                    }),
                ..JoinedRoom::default()
            };
            place_state(asked, &mut answer, state_events);
            written.push((room.facts.room_id.to_string(), answer));
        }
        written
    }
}

fn place_state(asked: &Asked<'_>, answer: &mut JoinedRoom, events: Vec<Box<RawValue>>) {
    let request = asked.request;
    if request.use_state_after {
        answer.state_after = Some(Events { events: events.clone() });
    }
    if request.unstable_use_state_after {
        answer.unstable_state_after = Some(Events { events: events.clone() });
    }
    if state_at(asked) == StateAt::Before {
        answer.state = Some(Events { events });
    }
}

fn state_at(asked: &Asked<'_>) -> StateAt {
    let after = asked.request.use_state_after || asked.request.unstable_use_state_after;
    if after { StateAt::After } else { StateAt::Before }
}

async fn read_states(
    snapshot: &dyn Snapshot,
    asked: &Asked<'_>,
    viewer: &Viewer,
    rooms: &[ShownRoom],
    timelines: &[TimelineRead],
) -> Result<Vec<RoomState>, ReadError> {
    let rules = StateRules {
        at: state_at(asked),
        lazy: asked.filter.lazy_load_members,
        filter: &asked.filter.state,
        own_user_id: &viewer.user_id,
    };
    let wanted: Vec<RoomStateWanted<'_>> = rooms
        .iter()
        .zip(timelines)
        .map(|(room, timeline)| RoomStateWanted {
            room: room.room(),
            full: room.full || asked.request.full_state,
            since: room.since,
            until: room.until(),
            bare: room.departure.is_some_and(|departure| !departure.from_inside),
            unnamed: room.joined && room.is_unnamed(),
            renamed: room.facts.summary.changed.get() > room.since,
            timeline,
        })
        .collect();
    rules.read(snapshot, &wanted).await
}

/// The sticky events of each room that its timeline does not show.
async fn read_sticky(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    rooms: &[ShownRoom],
    timelines: &[TimelineRead],
    sticky: &mut HashMap<RoomNid, Vec<Event>>,
) -> Result<Vec<Vec<Box<RawValue>>>, ReadError> {
    let mut events = Vec::new();
    let mut shares = Vec::with_capacity(rooms.len());
    for (room, timeline) in rooms.iter().zip(timelines) {
        let before = events.len();
        events.extend(unshown(sticky.remove(&room.room()).unwrap_or_default(), &timeline.events));
        shares.push(events.len() - before);
    }
    let mut forms = client_events(snapshot, viewer, Format::SYNC_LIVE, &events).await?.into_iter();
    Ok(shares.into_iter().map(|share| forms.by_ref().take(share).collect()).collect())
}

async fn read_receipts(
    snapshot: &dyn Snapshot,
    asked: &Asked<'_>,
    viewer: &Viewer,
    rooms: &[ShownRoom],
) -> Result<HashMap<RoomNid, Box<RawValue>>, ReadError> {
    if !asked.filter.ephemeral.allows_type("m.receipt") {
        return Ok(HashMap::new());
    }
    let wanted: Vec<_> = rooms
        .iter()
        .filter(|room| room.joined && (room.full || room.receipts))
        .map(|room| {
            let wanted = if room.full { ReceiptsWanted::Latest } else { ReceiptsWanted::After(room.since) };
            (room.room(), wanted)
        })
        .collect();
    let contents = receipts(snapshot, &viewer.user_id, &wanted).await?;
    Ok(contents
        .into_iter()
        .filter_map(|(room, content)| Some((room, bare("m.receipt", &content)?)))
        .collect())
}
