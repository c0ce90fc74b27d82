//! The rooms of an answer: what is due, read together and written.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_model::RoomNid;
use myelin_store::schema::notify::{Counts, LiveEnd, unread};
use myelin_store::schema::rooms::{Event, Member, State};
use myelin_store::{ReadError, Snapshot};
use myelin_sync_core::connection::{RoomDue, TimelineSent};
use myelin_sync_core::lazy::LazyMembers;
use myelin_sync_core::rooms::Standing;
use myelin_timeline::{Format, Viewer, client_events, stripped_state};
use serde_json::value::RawValue;

use crate::heroes::{Hero, heroes};
use crate::section::{TimelineRead, TimelineWanted, timelines};
use crate::sliding::followed::Followed;
use crate::sliding::room_answer::RoomAnswer;
use crate::state::{Departure, MEMBER, StateWish, departures, read_state, state_events};
use crate::user_rooms::Facts;

/// A room that was written, with what the connection must remember of it.
pub(crate) struct WrittenRoom {
    pub(crate) room: RoomNid,
    pub(crate) room_id: String,
    pub(crate) answer: RoomAnswer,
    pub(crate) timeline: TimelineSent,
    pub(crate) lazy: LazyMembers,
    /// The events shown, for the receipts that go with them.
    pub(crate) shown: Vec<Event>,
    /// The heroes, and the members that the state shows.
    pub(crate) people: Vec<String>,
}

/// A room that is due, with what is known of it without reading.
pub(crate) struct Due {
    pub(crate) due: RoomDue,
    pub(crate) facts: Facts,
    /// The room just goes on, and this is what is new in it.
    pub(crate) followed: Option<Followed>,
}

impl Due {
    pub(super) fn room(&self) -> RoomNid {
        self.facts.member.room
    }

    fn is_initial(&self) -> bool {
        self.due.known.is_none()
    }

    fn is_stripped(&self) -> bool {
        self.due.standing.is_stripped()
    }

    /// Whether the user has left, by whatever way: they are told so, and nothing of what came after.
    fn is_gone(&self) -> bool {
        matches!(self.due.standing, Standing::Left | Standing::Removed)
    }

    fn changed_since(&self, position: i64) -> bool {
        position > self.due.since()
    }
}

/// How rooms are told to a client.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// The position after which events are news to a client of this connection, wherever they stand; `None` on a new
    /// connection, to which everything is history.
    pub(crate) live_since: Option<i64>,
    /// It knows sticky events by the names that they are to have.
    pub(crate) stable_sticky: bool,
}

impl Manner {
    pub(crate) fn format(self, format: Format) -> Format {
        if self.stable_sticky { format.with_stable_sticky() } else { format }
    }
}

/// Reads and writes all rooms that are due.
pub(crate) async fn write_rooms(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    due: &mut [Due],
    manner: Manner,
) -> Result<Vec<WrittenRoom>, ReadError> {
    let (mut written, mut stripped, mut whole) = (Vec::with_capacity(due.len()), Vec::new(), Vec::new());
    for due in due {
        match due.followed.take() {
            Some(followed) => written.push(followed.write(due)),
            None if due.is_stripped() => stripped.push(&*due),
            None => whole.push(&*due),
        }
    }
    written.extend(write_stripped(snapshot, &stripped).await?);
    written.extend(write_whole(snapshot, viewer, &whole, manner).await?);
    Ok(written)
}

async fn write_stripped(snapshot: &dyn Snapshot, due: &[&Due]) -> Result<Vec<WrittenRoom>, ReadError> {
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let members: Vec<Member> = due.iter().map(|due| Member::clone(&due.facts.member)).collect();
    let states = stripped_state(snapshot, &members).await?;
    let write = |(due, state): (&&Due, Vec<Box<RawValue>>)| WrittenRoom {
        room: due.room(),
        room_id: due.facts.room_id.to_string(),
        answer: RoomAnswer {
            initial: due.is_initial(),
            is_dm: due.due.told_is_dm(),
            invite_state: Some(state),
            bump_stamp: Some(due.facts.member.changed.get()),
            ..RoomAnswer::default()
        },
        timeline: TimelineSent::Newest,
        lazy: LazyMembers::default(),
        shown: Vec::new(),
        people: Vec::new(),
    };
    Ok(due.iter().zip(states).map(write).collect())
}

async fn write_whole(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    due: &[&Due],
    manner: Manner,
) -> Result<Vec<WrittenRoom>, ReadError> {
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<TimelineWanted<'_>> = due.iter().map(|due| timeline_wanted(due)).collect();
    let timelines = timelines(snapshot, viewer, &wanted).await?;
    let states = read_states(snapshot, viewer, due, &timelines).await?;
    let counted: Vec<_> = due.iter().map(|due| LiveEnd::from(&due.facts.head)).collect();
    let counts = unread(snapshot, &viewer.user_id, &counted).await?;
    let unnamed: Vec<RoomNid> = due
        .iter()
        .zip(&states)
        .filter(|(due, state)| needs_heroes(due, state))
        .map(|(due, _)| due.room())
        .collect();
    let heroes = heroes(snapshot, &viewer.user_id, &unnamed).await?;
    let mut heroes: HashMap<RoomNid, Vec<Hero>> = unnamed.into_iter().zip(heroes).collect();
    let mut forms = Forms::read(snapshot, viewer, manner, &timelines, &states).await?;
    let mut written = Vec::with_capacity(due.len());
    for (((due, timeline), state), unread) in due.iter().zip(timelines).zip(states).zip(counts) {
        let own_heroes = heroes.remove(&due.room());
        written.push(forms.write(due, timeline, state, unread.total(), own_heroes, manner.live_since));
    }
    Ok(written)
}

fn timeline_wanted(due: &Due) -> TimelineWanted<'static> {
    TimelineWanted {
        room: due.room(),
        since: due.due.since(),
        limit: due.due.config.timeline_limit as usize,
        newest: due.is_initial() || due.due.widen,
        until: due.is_gone().then_some(due.facts.member.order),
        filter: None,
    }
}

/// The state to be shown of a room, and what the client then knows of its members.
#[derive(Default)]
struct RoomState {
    events: Vec<Event>,
    lazy: LazyMembers,
}

async fn read_states(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    due: &[&Due],
    timelines: &[TimelineRead],
) -> Result<Vec<RoomState>, ReadError> {
    let mut wishes = Vec::new();
    let mut shares = Vec::with_capacity(due.len());
    let mut lazies = Vec::with_capacity(due.len());
    let gone: Vec<&Member> = due.iter().filter(|due| due.is_gone()).map(|due| &*due.facts.member).collect();
    let mut departures = departures(snapshot, &gone).await?.into_iter();
    for (due, timeline) in due.iter().zip(timelines) {
        let before = wishes.len();
        let mut lazy = due.due.known.as_ref().map(|known| known.lazy.clone()).unwrap_or_default();
        let departure = due.is_gone().then(|| departures.next().unwrap_or(Departure::FROM_OUTSIDE));
        if departure.is_none_or(|departure| departure.from_inside) {
            state_wishes(due, timeline, &mut lazy, &mut wishes);
        }
        if due.is_gone() {
            // That they left is what the client must learn, whether it asked for its own membership or not.
            wishes.push(StateWish::Members(due.room(), vec![viewer.user_id.to_string()]));
        }
        shares.push(wishes.len() - before);
        lazies.push(lazy);
    }
    let found = read_state(snapshot, &wishes).await?;
    let mut found = wishes.iter().zip(found);
    let mut rows: Vec<Vec<State>> = Vec::with_capacity(due.len());
    for (due, share) in due.iter().zip(shares) {
        let mut own: HashMap<(String, String), State> = HashMap::new();
        for (wish, found) in found.by_ref().take(share) {
            let wanted = |row: &State| match wish {
                StateWish::Changed(..) => is_wanted(due, row),
                StateWish::All(..) | StateWish::Members(..) => true,
            };
            // Of a room that was left nothing is shown that came after.
            let visible = |row: &State| !due.is_gone() || row.order <= due.facts.member.order;
            let found = found.into_iter().filter(|row| wanted(row) && visible(row));
            own.extend(found.map(|row| ((row.kind.clone(), row.state_key.clone()), row)));
        }
        rows.push(own.into_values().collect());
    }
    let events = state_events(snapshot, rows.iter().flatten().map(|row| row.event)).await?;
    let in_order = |rows: Vec<State>| {
        let mut events: Vec<Event> = rows.iter().filter_map(|row| events.get(&row.event).cloned()).collect();
        events.sort_by_key(|event| event.order);
        events
    };
    Ok(rows.into_iter().zip(lazies).map(|(rows, lazy)| RoomState { events: in_order(rows), lazy }).collect())
}

fn state_wishes<'d>(
    due: &'d Due,
    timeline: &TimelineRead,
    lazy: &mut LazyMembers,
    wishes: &mut Vec<StateWish<'d>>,
) {
    let room = due.room();
    let wanted = &due.due.config.required_state;
    match &due.due.known {
        None => wishes.push(StateWish::All(room, wanted)),
        Some(known) => {
            wishes.push(StateWish::Changed(room, known.up_to));
            wishes.extend(due.due.new_state.as_ref().map(|new| StateWish::All(room, new)));
        }
    }
    if wanted.is_lazy() {
        let senders = timeline.events.iter().map(|event| event.sender.as_str());
        let targets = timeline.events.iter().filter(|event| event.kind == MEMBER);
        let targets = targets.filter_map(|event| event.state_key.as_deref());
        let members = lazy.need(senders.chain(targets)).into_iter().map(str::to_owned);
        wishes.push(StateWish::Members(room, members.collect()));
    }
}

/// Whether a changed entry goes to the client: it asked for it, or was shown the member before as a timeline needed it,
/// which counts though it may not want members so by now: when it does again, it is not shown those again that it has.
fn is_wanted(due: &Due, row: &State) -> bool {
    let wanted = &due.due.config.required_state;
    let shown = |known: &LazyMembers| row.kind == MEMBER && known.knows(&row.state_key);
    wanted.wants(&row.kind, &row.state_key) || due.due.known.as_ref().is_some_and(|known| shown(&known.lazy))
}

/// Heroes stand in for a missing name, and change with the members.
fn needs_heroes(due: &Due, state: &RoomState) -> bool {
    let (summary, head) = (&due.facts.summary, &due.facts.head);
    let named = summary.name.as_deref().is_some_and(|name| !name.is_empty());
    let members_changed = state.events.iter().any(|event| event.kind == MEMBER);
    // In small rooms any member may be a hero, shown to the client or not.
    let small = head.joined + head.invited <= 10 && due.changed_since(head.last_pos.get());
    let changed = due.is_initial() || members_changed || small || due.changed_since(summary.changed.get());
    !named && !due.is_gone() && changed
}

/// The client forms of all events of an answer, in the order in which they are asked for.
struct Forms {
    timeline: std::vec::IntoIter<Box<RawValue>>,
    state: std::vec::IntoIter<Box<RawValue>>,
}

impl Forms {
    async fn read(
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        manner: Manner,
        timelines: &[TimelineRead],
        states: &[RoomState],
    ) -> Result<Self, ReadError> {
        // Where every timeline goes on without a gap the client has the related events, and nothing is bundled.
        let gap = timelines.iter().any(|timeline| timeline.cut);
        let format = if gap { Format::SYNC } else { Format::SYNC_LIVE };
        let events: Vec<Event> =
            timelines.iter().flat_map(|timeline| timeline.events.iter().cloned()).collect();
        let timeline = client_events(snapshot, viewer, manner.format(format), &events).await?;
        let events: Vec<Event> = states.iter().flat_map(|state| state.events.iter().cloned()).collect();
        let state = client_events(snapshot, viewer, manner.format(Format::SYNC_STATE), &events).await?;
        Ok(Self { timeline: timeline.into_iter(), state: state.into_iter() })
    }

    fn write(
        &mut self,
        due: &Due,
        timeline: TimelineRead,
        state: RoomState,
        unread: Counts,
        heroes: Option<Vec<Hero>>,
        live_since: Option<i64>,
    ) -> WrittenRoom {
        let (head, summary) = (&due.facts.head, &due.facts.summary);
        let told = due.is_initial() || due.changed_since(summary.changed.get());
        let shown_summary = told && !due.is_gone();
        // What is set, or has been removed since the client was told.
        let shown = |value: &Option<String>| {
            (shown_summary && (value.is_some() || !due.is_initial())).then(|| value.clone())
        };
        let is_new = |event: &&Event| {
            let since = due.due.known.as_ref().map(|known| known.up_to).or(live_since);
            since.is_some_and(|since| event.pos.get() > since)
        };
        let count = |count: i64| (!due.is_gone()).then_some(count);
        let named = heroes.iter().flatten().map(|hero| hero.user_id.clone());
        let members = state.events.iter().filter(|event| event.kind == MEMBER);
        let people = named.chain(members.filter_map(|event| event.state_key.clone())).collect();
        let answer = RoomAnswer {
            name: shown(&summary.name),
            avatar: shown(&summary.avatar_url),
            heroes,
            is_dm: due.due.told_is_dm(),
            initial: due.is_initial(),
            unstable_expanded_timeline: due.due.widen && !due.is_initial(),
            invite_state: None,
            required_state: self.state.by_ref().take(state.events.len()).map(Arc::from).collect(),
            timeline: self.timeline.by_ref().take(timeline.events.len()).map(Arc::from).collect(),
            prev_batch: Some(timeline.prev_batch()),
            limited: timeline.limited,
            num_live: Some(timeline.events.iter().filter(is_new).count()),
            joined_count: count(head.joined),
            invited_count: count(head.invited),
            notification_count: (!due.is_gone()).then_some(unread.notifications),
            highlight_count: (!due.is_gone()).then_some(unread.highlights),
            bump_stamp: Some(if due.is_gone() {
                due.facts.member.changed.get()
            } else {
                head.bump_pos.get()
            }),
        };
        let continued = u32::try_from(timeline.new).unwrap_or(u32::MAX);
        WrittenRoom {
            room: due.room(),
            room_id: due.facts.room_id.to_string(),
            answer,
            timeline: if timeline.cut { TimelineSent::Newest } else { TimelineSent::Continued(continued) },
            lazy: state.lazy,
            shown: timeline.events,
            people,
        }
    }
}
