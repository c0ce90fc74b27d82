//! One answer of `/v3/sync`, from one snapshot.

use std::collections::{HashMap, HashSet};

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::e2ee::read::to_device;
use myelin_store::schema::rooms::Member;
use myelin_store::schema::users::GLOBAL;
use myelin_store::{ReadError, Snapshot};
use myelin_sync_core::rooms::Standing;
use myelin_sync_core::sticky::{StickyMark, StickyToken};
use myelin_sync_core::token::SyncToken;
use myelin_timeline::{Viewer, stripped_state};
use ruma::OwnedUserId;
use serde_json::value::RawValue;

use crate::Sync;
use crate::devices::{MemberChanges, Moves, key_counts};
use crate::parts::{DeviceListsAnswer, all_global, changed_account_data, filtered, to_device_event};
use crate::presence::{PRESENCE, events, present_sharing};
use crate::state::departures;
use crate::sticky::{MOST_STICKY, Sought, by_room};
use crate::user_rooms::{Facts, UserRooms};
use crate::users::Reading;
use crate::v3::Asked;
use crate::v3::answer::{Events, InvitedRoom, KnockedRoom, Rooms, V3Answer};
use crate::v3::rooms::{Besides, ShownRoom, newly_joined, write_rooms};

/// Messages of an inbox in one answer.
const MESSAGES: usize = 100;

type AccountData = HashMap<RoomNid, Vec<Box<RawValue>>>;

pub(crate) struct Making<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) asked: &'a Asked<'a>,
}

/// The user's rooms that an answer is about, taken from memory.
#[derive(Default)]
struct Picked {
    joined: Vec<Facts>,
    left: Vec<Facts>,
    invited: Vec<Facts>,
    knocking: Vec<Facts>,
    /// Rooms in which receipts may have changed.
    receipts: HashSet<RoomNid>,
    members: Option<MemberChanges>,
}

impl Making<'_> {
    pub(crate) async fn make(&self, reading: Reading<'_>) -> Result<V3Answer, ReadError> {
        let asked = self.asked;
        let requester = asked.requester;
        let Reading { snapshot, mut rooms, .. } = reading;
        let snapshot = &*snapshot;
        let position = snapshot.position().get();
        let (typing, typing_counter) = self.typing();
        let mut account_data = match asked.since {
            Some(since) => changed_account_data(snapshot, &requester.user_id, since.position).await?,
            None => AccountData::new(),
        };
        let now = i64::try_from(self.sync.env.clock.now()).unwrap_or(i64::MAX);
        let told = StickyToken::from(asked.since.map_or(StickyMark::default(), |since| since.sticky));
        let (cache, none) = (&self.sync.users.cache, HashSet::new());
        let sticky = Sought::new((snapshot, cache), &mut rooms, &told, (&none, now), |_, facts, _| {
            asked.filter.allows_room(facts.room_id.as_str()).then_some(true)
        });
        let sticky = sticky.await?;
        let picked = self.pick(snapshot, &mut rooms, (&account_data, &typing, &sticky)).await?;
        let presence_counter = self.sync.presences.counter();
        let own_rooms = rooms.joined();
        drop(rooms);

        let viewer = Viewer { user_id: requester.user_id.clone(), session: Some(requester.session), now };
        let global = match asked.since {
            Some(_) => account_data.remove(&GLOBAL).unwrap_or_default(),
            None => all_global(snapshot, &requester.user_id).await?,
        };
        let mut sticky = sticky.read(snapshot, &viewer, MOST_STICKY).await?;
        let besides = Besides { account_data, typing, sticky: by_room(std::mem::take(&mut sticky.events)) };
        let mut answer = V3Answer {
            account_data: Events { events: filtered(global, &asked.filter.account_data) },
            rooms: self.rooms(snapshot, &viewer, &picked, besides).await?,
            more_sticky: sticky.end.is_some(),
            ..V3Answer::default()
        };
        let moves = match &picked.members {
            Some(members) => members.read(snapshot).await?,
            None => Moves::default(),
        };
        self.presence(snapshot, &picked, (presence_counter, &own_rooms), &moves, &mut answer).await?;
        let inbox = self.devices(snapshot, &picked, moves, &mut answer).await?;
        let (typing, presence, run) = (typing_counter, presence_counter, self.sync.run);
        let sticky = sticky.next(&told, position).mark;
        answer.next_batch = SyncToken { position, inbox, typing, presence, run, sticky }.to_string();
        Ok(answer)
    }

    /// Fills in whose presence the client does not know: it has changed since, or they are new in a room with the user.
    async fn presence(
        &self,
        snapshot: &dyn Snapshot,
        picked: &Picked,
        (counter, own_rooms): (u64, &HashSet<RoomNid>),
        moves: &Moves,
        answer: &mut V3Answer,
    ) -> Result<(), ReadError> {
        let filter = &self.asked.filter.presence;
        if !filter.allows_type(PRESENCE) || filter.is_closed() {
            return Ok(());
        }
        let (presence, own) = (&*self.sync.presence, &self.asked.requester.user_id);
        let mut users = match self.asked.since {
            None => present_sharing(snapshot, presence, own, &picked.joined).await?,
            Some(since) => {
                let seen = if since.run == self.sync.run { since.presence } else { 0 };
                let changed =
                    (counter != seen).then(|| self.sync.presences.changed_after(seen, own, own_rooms));
                changed.into_iter().flatten().chain(moves.met.iter().cloned()).collect()
            }
        };
        users.retain(|user_id| filter.allows(PRESENCE, user_id.as_str()));
        let own = users.iter().any(|user_id| user_id == own) && presence.content(own).is_some();
        answer.presence.events = events(presence, users);
        answer.presence_of_others = answer.presence.events.len() > usize::from(own);
        Ok(())
    }

    /// Who types in which room, as far as the client does not know, and the counter that goes with it.
    fn typing(&self) -> (HashMap<RoomNid, Vec<OwnedUserId>>, u64) {
        let typing = &self.sync.typing;
        // The counter comes first: what changes in between is told twice rather than never.
        let counter = typing.counter();
        let seen =
            self.asked.since.filter(|since| since.run == self.sync.run).map_or(0, |since| since.typing);
        let changed = if counter == seen { Vec::new() } else { typing.changed_after(seen) };
        let changed = changed.into_iter().filter(|(_, users)| seen != 0 || !users.is_empty());
        (changed.collect(), counter)
    }

    async fn pick(
        &self,
        snapshot: &dyn Snapshot,
        rooms: &mut UserRooms,
        (account_data, typing, sticky): (&AccountData, &HashMap<RoomNid, Vec<OwnedUserId>>, &Sought),
    ) -> Result<Picked, ReadError> {
        let since = self.asked.since.map_or(0, |since| since.position);
        let mut picked = Picked::default();
        let mut wanted: HashSet<RoomNid> =
            rooms.list.changed_after(since).map(|(room, _)| RoomNid(room.0)).collect();
        if self.asked.since.is_some() {
            let joined = rooms.joined();
            let position = snapshot.position().get();
            picked.receipts = match self.sync.notifier.recent(since, position, joined.len()) {
                Some(recent) => recent.into_iter().filter(|room| joined.contains(room)).collect(),
                None => (*joined).clone(),
            };
            wanted.extend(picked.receipts.iter().copied());
            wanted.extend(account_data.keys().chain(typing.keys()).copied());
            picked.members = Some(MemberChanges::collect(rooms, since));
        }
        wanted.extend(sticky.rooms());
        if self.asked.request.full_state {
            wanted.extend(rooms.list.listed().map(|(room, _)| RoomNid(room.0)));
        }
        let is_shown = |room: &RoomNid| {
            let entry = rooms.entry(*room);
            entry.is_some_and(|entry| entry.standing == Standing::Joined || entry.moved_at > since)
        };
        let wanted: Vec<RoomNid> = wanted.into_iter().filter(is_shown).collect();
        for (room, facts) in rooms.facts(snapshot, &self.sync.users.cache, &wanted).await? {
            if !self.asked.filter.allows_room(facts.room_id.as_str()) {
                continue;
            }
            match rooms.entry(room).map(|entry| entry.standing) {
                Some(Standing::Joined) => picked.joined.push(facts),
                Some(Standing::Invited) => picked.invited.push(facts),
                Some(Standing::Knocking) => picked.knocking.push(facts),
                Some(Standing::Left | Standing::Removed) if self.shows_left(&facts) => {
                    picked.left.push(facts);
                }
                _ => {}
            }
        }
        Ok(picked)
    }

    /// Rooms that were left are told of once; on a first sync only where the client asks for them. One that was forgotten
    /// since is told of as well: the user's other devices have to learn that it was left.
    fn shows_left(&self, facts: &Facts) -> bool {
        match self.asked.since {
            Some(_) => true,
            None => self.asked.filter.include_leave && !facts.member.forgotten,
        }
    }

    async fn rooms(
        &self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        picked: &Picked,
        besides: Besides,
    ) -> Result<Rooms, ReadError> {
        let since = self.asked.since.map_or(0, |since| since.position);
        let moved: Vec<&Facts> =
            picked.joined.iter().filter(|facts| since > 0 && facts.member.changed.get() > since).collect();
        let new: HashSet<RoomNid> = newly_joined(snapshot, &moved, since).await?.into_iter().collect();
        let full = |facts: &Facts| since == 0 || new.contains(&facts.member.room);
        let shown = |facts: &Facts, joined: bool| ShownRoom {
            facts: facts.clone(),
            joined,
            full: full(facts),
            since: if full(facts) { 0 } else { since },
            receipts: picked.receipts.contains(&facts.member.room),
            departure: None,
        };
        let joined: Vec<ShownRoom> = picked.joined.iter().map(|facts| shown(facts, true)).collect();
        let gone: Vec<&Member> = picked.left.iter().map(|facts| &*facts.member).collect();
        let departures = departures(snapshot, &gone).await?;
        let left = picked.left.iter().zip(departures);
        let left =
            left.map(|(facts, departure)| ShownRoom { departure: Some(departure), ..shown(facts, false) });
        let left: Vec<ShownRoom> = left.collect();
        Ok(Rooms {
            join: write_rooms(snapshot, self.asked, viewer, &joined, besides).await?,
            leave: write_rooms(snapshot, self.asked, viewer, &left, Besides::default()).await?,
            invite: stripped(snapshot, &picked.invited)
                .await?
                .map(|(id, state)| (id, invited(state)))
                .collect(),
            knock: stripped(snapshot, &picked.knocking)
                .await?
                .map(|(id, state)| (id, knocking(state)))
                .collect(),
        })
    }

    /// Fills in what concerns the device; answers up to where its inbox was sent.
    async fn devices(
        &self,
        snapshot: &dyn Snapshot,
        picked: &Picked,
        moves: Moves,
        answer: &mut V3Answer,
    ) -> Result<i64, ReadError> {
        let requester = self.asked.requester;
        let position = snapshot.position().get();
        let Some(device_id) = requester.device_id() else { return Ok(position) };
        let after = Pos::new(self.asked.since.map_or(0, |since| since.inbox));
        let messages = to_device(snapshot, &requester.user_id, device_id, after, MESSAGES).await?;
        answer.to_device.events = messages.iter().filter_map(to_device_event).collect();
        answer.counts = Some(key_counts(snapshot, &requester.user_id, device_id).await?);
        if let Some(members) = &picked.members {
            let lists = members.device_lists(snapshot, &requester.user_id, moves).await?;
            let changed = lists.changed.into_iter().collect();
            answer.device_lists = Some(DeviceListsAnswer { changed, left: lists.left.into_iter().collect() });
        }
        let more = messages.len() == MESSAGES;
        Ok(messages.last().filter(|_| more).map_or(position, |message| message.pos.get()))
    }
}

async fn stripped(
    snapshot: &dyn Snapshot,
    rooms: &[Facts],
) -> Result<impl Iterator<Item = (String, Vec<Box<RawValue>>)>, ReadError> {
    let members: Vec<Member> = rooms.iter().map(|facts| Member::clone(&facts.member)).collect();
    let states = if members.is_empty() { Vec::new() } else { stripped_state(snapshot, &members).await? };
    let ids: Vec<String> = rooms.iter().map(|facts| facts.room_id.to_string()).collect();
    Ok(ids.into_iter().zip(states))
}

fn invited(events: Vec<Box<RawValue>>) -> InvitedRoom {
    InvitedRoom { invite_state: Events { events } }
}

fn knocking(events: Vec<Box<RawValue>>) -> KnockedRoom {
    KnockedRoom { knock_state: Events { events } }
}
