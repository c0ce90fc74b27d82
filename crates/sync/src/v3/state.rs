//! The state sections of `/v3/sync`.

use std::collections::{HashMap, HashSet};

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_store::schema::rooms::{Event, State, StateVersion};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::config::RequiredState;
use myelin_sync_core::event_filter::EventFilter;
use myelin_timeline::filter_events;
use ruma::UserId;

use crate::heroes::{Hero, heroes};
use crate::section::TimelineRead;
use crate::state::{MEMBER, StateWish, read_state, state_events};

/// Whether state is shown as it was before the timeline or as it is after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateAt {
    Before,
    After,
}

/// The state of one room that is wanted.
pub(crate) struct RoomStateWanted<'t> {
    pub(crate) room: RoomNid,
    /// Everything, whatever the client has.
    pub(crate) full: bool,
    pub(crate) since: i64,
    /// Nothing above this order.
    pub(crate) until: Option<i64>,
    /// Nothing but the user's own membership: they were not in the room.
    pub(crate) bare: bool,
    /// The room has no name, so that it is called by its heroes.
    pub(crate) unnamed: bool,
    /// Its name or alias changed: an incremental client may know no heroes.
    pub(crate) renamed: bool,
    pub(crate) timeline: &'t TimelineRead,
}

/// The state of one room as found.
#[derive(Debug, Default)]
pub(crate) struct RoomState {
    pub(crate) events: Vec<Event>,
    /// Somebody's membership changed.
    pub(crate) members_changed: bool,
    /// Where the client has to be told by whom the room is called.
    pub(crate) heroes: Option<Vec<Hero>>,
}

/// How state is chosen in all rooms of an answer.
pub(crate) struct StateRules<'f> {
    pub(crate) at: StateAt,
    pub(crate) lazy: bool,
    pub(crate) filter: &'f EventFilter,
    pub(crate) own_user_id: &'f UserId,
}

/// The events that do not pass the filter.
async fn unwanted(
    snapshot: &dyn Snapshot,
    events: Vec<&Event>,
    filter: &EventFilter,
) -> Result<HashSet<EventNid>, ReadError> {
    let mut marks: Vec<(bool, &Event)> = events.into_iter().map(|event| (true, event)).collect();
    let marked = marks.iter_mut().map(|(passes, event)| (passes, *event, filter)).collect();
    filter_events(snapshot, marked).await?;
    Ok(marks.into_iter().filter(|(passes, _)| !passes).map(|(_, event)| event.event).collect())
}

impl StateRules<'_> {
    /// Reads the state of all rooms together.
    pub(crate) async fn read(
        &self,
        snapshot: &dyn Snapshot,
        wanted: &[RoomStateWanted<'_>],
    ) -> Result<Vec<RoomState>, ReadError> {
        let lazily = [("m.room.member", "$LAZY"), ("m.room.member", "$ME")];
        let pairs = [("*", "*")].into_iter().chain(lazily.into_iter().filter(|_| self.lazy));
        let everything = RequiredState::parse(pairs, self.own_user_id.as_str());
        let wishes: Vec<StateWish<'_>> =
            wanted.iter().flat_map(|wanted| self.wishes(wanted, &everything)).collect();
        let mut found = read_state(snapshot, &wishes).await?.into_iter();
        let mut read = Vec::with_capacity(wanted.len());
        let mut members_changed = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let (main, members) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
            members_changed.push(wanted.full || main.iter().any(|row| row.kind == MEMBER));
            read.push((main, members));
        }
        let mut heroes = self.heroes(snapshot, wanted, &members_changed, &mut read).await?;
        let mut rooms: Vec<Vec<State>> = wanted
            .iter()
            .zip(read)
            .map(|(wanted, (main, members))| self.choose(wanted, main, members))
            .collect();
        if self.at == StateAt::Before {
            rooms = before_timelines(snapshot, wanted, rooms).await?;
        }
        let events = state_events(snapshot, rooms.iter().flatten().map(|row| row.event)).await?;
        let unwanted = unwanted(snapshot, events.values().collect(), self.filter).await?;
        let mut answer = Vec::with_capacity(rooms.len());
        for ((wanted, rows), members_changed) in wanted.iter().zip(rooms).zip(members_changed) {
            let shown = |row: &State| {
                let event = events.get(&row.event)?;
                let passes = !unwanted.contains(&row.event);
                // Before the timeline, what an incremental client has already is left out; members that the timeline
                // needs, and heroes, are not known to be with it.
                let changed = row.changed.max(event.pos).get() > wanted.since;
                let news = wanted.full || changed || (self.lazy && event.kind == MEMBER);
                (passes && news).then(|| event.clone())
            };
            let mut events: Vec<Event> = rows.iter().filter_map(shown).collect();
            events.sort_by_key(|event| event.order);
            answer.push(RoomState { events, members_changed, heroes: heroes.remove(&wanted.room) });
        }
        Ok(answer)
    }

    /// Finds the heroes of rooms that are called by them. Where members load lazily, the heroes' memberships join those
    /// that the timelines need.
    async fn heroes(
        &self,
        snapshot: &dyn Snapshot,
        wanted: &[RoomStateWanted<'_>],
        members_changed: &[bool],
        read: &mut [(Vec<State>, Vec<State>)],
    ) -> Result<HashMap<RoomNid, Vec<Hero>>, ReadError> {
        let called = |(_, (wanted, changed)): &(usize, (&RoomStateWanted<'_>, &bool))| {
            wanted.unnamed && (**changed || wanted.renamed)
        };
        let called = wanted.iter().zip(members_changed).enumerate().filter(called);
        let (places, rooms): (Vec<usize>, Vec<RoomNid>) =
            called.map(|(place, (wanted, _))| (place, wanted.room)).unzip();
        let found = heroes(snapshot, self.own_user_id, &rooms).await?;
        if self.lazy && !rooms.is_empty() {
            let ids = |heroes: &Vec<Hero>| heroes.iter().map(|hero| hero.user_id.clone()).collect();
            let wishes: Vec<StateWish<'_>> = rooms
                .iter()
                .zip(&found)
                .map(|(room, heroes)| StateWish::Members(*room, ids(heroes)))
                .collect();
            for (place, rows) in places.into_iter().zip(read_state(snapshot, &wishes).await?) {
                if let Some((_, members)) = read.get_mut(place) {
                    members.extend(rows);
                }
            }
        }
        Ok(rooms.into_iter().zip(found).collect())
    }

    /// Two wishes for each room: its state, and the members that the timeline needs.
    fn wishes<'w>(&self, wanted: &RoomStateWanted<'_>, everything: &'w RequiredState) -> [StateWish<'w>; 2] {
        let main = if wanted.full {
            StateWish::All(wanted.room, everything)
        } else {
            StateWish::Changed(wanted.room, wanted.since)
        };
        let mut members: Vec<String> = Vec::new();
        if self.lazy {
            members.extend(wanted.timeline.events.iter().map(|event| event.sender.to_string()));
            // Who takes state from after the timeline takes none from its events, and learns here whom they are about.
            let about = wanted.timeline.events.iter().filter(|event| event.kind == MEMBER);
            let about = about.filter_map(|event| event.state_key.clone());
            members.extend(about.filter(|_| self.at == StateAt::After));
            members.sort_unstable();
            members.dedup();
        }
        [main, StateWish::Members(wanted.room, members)]
    }

    fn choose(&self, wanted: &RoomStateWanted<'_>, main: Vec<State>, members: Vec<State>) -> Vec<State> {
        let own = |row: &State| row.kind == MEMBER && row.state_key == self.own_user_id.as_str();
        let visible =
            |row: &State| wanted.until.is_none_or(|until| row.order <= until) && (!wanted.bare || own(row));
        // Where members load lazily, others than those of the timeline, the heroes and the user's own don't follow.
        let follows = |row: &State| !self.lazy || row.kind != MEMBER || own(row);
        let main = main.into_iter().filter(follows);
        let mut rows: HashMap<(String, String), State> = HashMap::new();
        for row in main.chain(members).filter(visible) {
            rows.insert((row.kind.clone(), row.state_key.clone()), row);
        }
        rows.into_values().collect()
    }
}

/// Whether the client learns of the entry by the timeline: it was set there, by an event that is shown.
fn in_timelines(wanted: &[RoomStateWanted<'_>]) -> impl Fn(&State) -> bool {
    let shown = wanted.iter().flat_map(|wanted| &wanted.timeline.events);
    let shown: HashSet<EventNid> =
        shown.filter(|event| event.state_key.is_some()).map(|event| event.event).collect();
    move |row| shown.contains(&row.event)
}

/// Replaces what changed within a timeline by what it was before. What changed in its span unseen, because the event was
/// not the user's to see or not what they wanted, stays as it is: they are told of it nowhere else.
async fn before_timelines(
    snapshot: &dyn Snapshot,
    wanted: &[RoomStateWanted<'_>],
    rooms: Vec<Vec<State>>,
) -> Result<Vec<Vec<State>>, ReadError> {
    let is_shown = in_timelines(wanted);
    let mut scans = Vec::new();
    for (wanted, rows) in wanted.iter().zip(&rooms) {
        for row in rows.iter().filter(|row| is_shown(row)) {
            let prefix = (wanted.room, 0, row.kind.clone(), row.state_key.clone());
            let scan = Scan::prefix::<StateVersion>(prefix, 1).before((wanted.timeline.start,)).backward();
            scans.push(scan);
        }
    }
    if scans.is_empty() {
        return Ok(rooms);
    }
    let mut earlier = snapshot.scan_all::<StateVersion>(scans).await?.into_iter();
    let mut answer = Vec::with_capacity(rooms.len());
    for rows in rooms {
        let mut before = Vec::with_capacity(rows.len());
        for row in rows {
            if !is_shown(&row) {
                before.push(row);
            } else if let Some(version) = earlier.next().and_then(|mut found| found.pop()) {
                // When it was set is for its event to say.
                before.push(State {
                    event: version.event,
                    order: version.version,
                    changed: Pos::ZERO,
                    ..row
                });
            }
        }
        answer.push(before);
    }
    Ok(answer)
}
