//! Planning one event: what must be known is read first, then the room's machine judges, then the rows are written.
//!
//! Reading comes before judging because a judged event is part of the head: whatever fails after that leaves a head that
//! can't be committed, and the planner says so ([`Planner::is_broken`]).

mod expire;
mod purge;
mod repeats;
mod sticky;
mod sweep;

use std::sync::Arc;

use myelin_model::{EventNid, Pos, RoomNid, Topic};
use myelin_pdu::RoomRules;
use myelin_room_core::key::StateKey;
use myelin_room_core::machine::{self, Planned, RoomMachine};
use myelin_room_core::order_key::OrderKey;
use myelin_store::schema::rooms::{Member, Relation, RoomHead, RoomSummary, State};
use myelin_store::{Batch, Durability, Reader, Snapshot};
use myelin_timeline::THREAD;
use ruma::{EventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Map, Value};

pub(crate) use self::purge::delete_event;
use crate::command::{Answer, Command, What};
use crate::head::Head;
use crate::overlay::Overlay;
use crate::redaction::Targets;
use crate::relations::{self, Stated};
use crate::rows::Placed;
use crate::service::Deps;
use crate::threads::ThreadBefore;
use crate::{
    Arrival, Draft, Notifies, Refusal, SendError, Sent, TransactionKey, gate, judge, load, retention, summary,
};

/// What became of a command.
pub(crate) enum Outcome {
    /// Its event is planned and goes with the next commit.
    Planned(Answer),
    /// What it asks for is planned already.
    RepeatsPlanned(Answer),
    /// What it asks for is being committed.
    RepeatsUnderWay(Answer),
    /// What it asks for was committed before.
    RepeatsStored(Answer),
}

/// A room's head in memory, and what was planned on it.
pub(crate) struct Planner {
    deps: Arc<Deps>,
    room: RoomNid,
    room_id: OwnedRoomId,
    rules: &'static RoomRules,
    machine: RoomMachine,
    head: Head,
    /// The head's order that the next group finds in the store; none for a room that is not there yet.
    expected_order: Option<i64>,
    summary: RoomSummary,
    overlay: Overlay,
    broken: bool,
}

/// What was read before an event is judged.
struct Known {
    member: Option<Member>,
    target: Option<Targets>,
    thread: Option<ThreadBefore>,
    relation: Option<Stated>,
    replaces: Option<EventNid>,
}

impl Planner {
    /// The head of a room as the store has it.
    pub(crate) async fn load(deps: Arc<Deps>, room: RoomNid) -> Result<Self, SendError> {
        let snapshot = deps.engine.snapshot().await?;
        let loaded = load::room(&*snapshot, room).await?.ok_or(SendError::NoSuchRoom)?;
        drop(snapshot);
        let machine = judge::machine(&loaded)?;
        let mut planner = Self::for_new_room(deps, room, loaded.room.room_id, machine);
        planner.expected_order = Some(loaded.head.last_order);
        planner.head = Head::stored(loaded.head);
        planner.summary = loaded.summary;
        Ok(planner)
    }

    /// The head of a room that is being made: its create event is the first to place.
    pub(crate) fn for_new_room(
        deps: Arc<Deps>,
        room: RoomNid,
        room_id: OwnedRoomId,
        machine: RoomMachine,
    ) -> Self {
        Self {
            deps,
            room,
            room_id,
            rules: machine.rules().get(),
            machine,
            head: Head::new(room),
            expected_order: None,
            summary: RoomSummary::empty(room),
            overlay: Overlay::default(),
            broken: false,
        }
    }

    /// Whether an event was judged and could then not be written: the head in memory must be dropped.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn overlay_mut(&mut self) -> &mut Overlay {
        &mut self.overlay
    }

    /// Puts the head's row into a group that is about to be committed, with what it expects of the store.
    pub(crate) fn seal(&mut self, batch: &mut Batch) {
        batch.fence = self.deps.fence(&self.room_id);
        if let Some(order) = self.expected_order {
            batch.expect_column::<RoomHead>(&(self.room,), "last_order", &order);
        }
        batch.put(self.head.seal());
        // Whoever keeps the head in memory reads it anew: they are told, and by the position that it is another one.
        batch.wake(Topic::Room(self.room));
        if batch.positions == 0 {
            batch.next_pos();
        }
        self.expected_order = Some(self.head.row.last_order);
    }

    /// The positions of the group just committed are known now.
    pub(crate) fn committed(&mut self, first: Pos) {
        self.overlay.committed();
        self.head.committed(first);
        if let Some(order) = self.expected_order {
            self.machine.committed(OrderKey(order));
        }
    }

    /// Plans one request into the group.
    pub(crate) async fn plan(&mut self, command: &Command, batch: &mut Batch) -> Result<Outcome, SendError> {
        // Before the snapshot; what turns out to be a repetition leaves its number unused.
        let event = self.deps.ids.event().await?;
        let snapshot = self.deps.engine.snapshot().await?;
        let (draft, transaction) = match &command.what {
            What::Send(draft, transaction) => (draft, transaction.as_ref()),
            What::Sweep(page) => return self.sweep(&*snapshot, page, batch).await,
            What::Purge(page) => return self.purge(&*snapshot, page, batch).await,
            What::Expire(page) => return self.expire(&*snapshot, page, batch).await,
        };
        if let Some(repeat) = self.repeats(&*snapshot, draft, transaction).await? {
            return Ok(repeat);
        }
        Ok(Outcome::Planned(Some(self.place(&*snapshot, draft, transaction, event, batch).await?)))
    }

    /// Judges a draft on the planned head and writes its rows into the batch.
    pub(crate) async fn place(
        &mut self,
        snapshot: &dyn Snapshot,
        draft: &Draft,
        transaction: Option<&TransactionKey>,
        event: EventNid,
        batch: &mut Batch,
    ) -> Result<Sent, SendError> {
        gate::admit(&self.deps, snapshot, &self.room_id, draft).await?;
        self.admit_sticky(snapshot, draft).await?;
        let core = judge::core(draft);
        self.supply_state(snapshot, &core).await?;
        let known = self.read(snapshot, draft).await?;
        let planned = judge::propose(&self.deps, &mut self.machine, core)?;
        self.write(snapshot, planned, event, known, transaction, batch).await
    }

    /// Places the create event of a new room.
    pub(crate) async fn place_create(
        &mut self,
        snapshot: &dyn Snapshot,
        planned: Planned,
        event: EventNid,
        batch: &mut Batch,
    ) -> Result<Sent, SendError> {
        let known = Known { member: None, target: None, thread: None, relation: None, replaces: None };
        self.write(snapshot, planned, event, known, None, batch).await
    }

    /// Everything that must be known before the draft is judged, in as few reads as there are kinds of things.
    async fn read(&self, snapshot: &dyn Snapshot, draft: &Draft) -> Result<Known, SendError> {
        let relation = relations::stated(&draft.content);
        let thread = match relation.as_ref().filter(|relation| relation.rel_type == THREAD) {
            Some(stated) => {
                let (root, sender) = (&stated.target, &draft.sender);
                Some(ThreadBefore::read(snapshot, &self.overlay, self.room, root, sender).await?)
            }
            None => None,
        };
        let target = match &draft.redacts {
            Some(event_id) => Some(self.read_target(snapshot, draft, event_id).await?),
            None => None,
        };
        let replaces = match &draft.state_key {
            Some(state_key) => self.current(snapshot, &StateKey::new(&draft.kind, state_key)).await?,
            None => None,
        };
        Ok(Known { member: self.read_member(snapshot, draft).await?, target, thread, relation, replaces })
    }

    /// Hands the machine the state it has not seen yet and needs for this draft. What is planned and not committed it
    /// knows itself.
    async fn supply_state(
        &mut self,
        snapshot: &dyn Snapshot,
        draft: &machine::Draft,
    ) -> Result<(), SendError> {
        let missing = self.machine.needs(draft);
        if missing.is_empty() {
            return Ok(());
        }
        let found = load::state(snapshot, self.room, self.rules, &missing).await?;
        for (key, event) in missing.into_iter().zip(found) {
            self.machine.supply(key, event);
        }
        Ok(())
    }

    /// The event a redaction names, and whether its sender may redact it.
    async fn read_target(
        &self,
        snapshot: &dyn Snapshot,
        draft: &Draft,
        event_id: &EventId,
    ) -> Result<Targets, SendError> {
        let target = Targets::named(snapshot, &self.overlay, self.room, self.rules, event_id).await?;
        let others = target.senders().any(|author| *author != draft.sender);
        if others && !self.may_redact_others(&draft.sender) {
            return Err(Refusal::MayNotRedact.into());
        }
        Ok(target)
    }

    /// The event that holds a key of the planned state.
    async fn current(&self, snapshot: &dyn Snapshot, key: &StateKey) -> Result<Option<EventNid>, SendError> {
        if let Some(event) = self.overlay.find(|layer| layer.state.get(key)) {
            return Ok(Some(*event));
        }
        let row = snapshot.get::<State>(&load::state_key(self.room, key)).await?;
        Ok(row.map(|row| row.event))
    }

    async fn read_member(&self, snapshot: &dyn Snapshot, draft: &Draft) -> Result<Option<Member>, SendError> {
        let target = draft.state_key.as_deref().filter(|_| draft.kind == "m.room.member");
        let Some(user) = target.and_then(|user| OwnedUserId::try_from(user).ok()) else { return Ok(None) };
        if let Some(member) = self.overlay.find(|layer| layer.members.get(&user)) {
            return Ok(Some(member.clone()));
        }
        Ok(snapshot.get::<Member>(&(self.room, user)).await?)
    }

    /// Writes the rows of a judged event. Nothing here may fail but the observer, whose failure breaks the planner.
    async fn write(
        &mut self,
        snapshot: &dyn Snapshot,
        planned: Planned,
        event: EventNid,
        known: Known,
        transaction: Option<&TransactionKey>,
        batch: &mut Batch,
    ) -> Result<Sent, SendError> {
        let pdu = planned.pdu;
        let (order, now) = (planned.order_key.0, self.deps.now());
        let mut placed = Placed {
            room: self.room,
            event,
            pdu: &pdu,
            order,
            pos: batch.next_pos(),
            counter: self.head.row.counter,
            replaces: known.replaces,
            transaction,
            sticky_until: pdu.sticky_until(now),
        };
        if pdu.event_type() == "m.room.member" {
            self.write_member(&placed, known.member.as_ref(), batch);
            self.write_sweep(&placed, known.member.as_ref(), batch);
        }
        self.write_derived_state(&placed, batch);
        if let Some(relation) = known.relation {
            self.write_relation(&placed, relation, batch);
        }
        if let Some(thread) = known.thread {
            thread.write_reply(&mut self.overlay, batch, self.room, event, order);
        }
        if let Some(target) = known.target {
            target.write(&mut self.overlay, &mut self.summary, batch, (event, placed.pos));
        }
        let joined_before = known.member.as_ref().is_some_and(|member| member.joined_at.is_some());
        match self.observe(snapshot, &placed, joined_before, batch).await? {
            Notifies::Yes => placed.counter += 1,
            Notifies::InThread => self.head.row.thread_order = Some(order),
            Notifies::No => {}
        }
        placed.write_event(batch);
        self.write_sticky(&placed, now, batch);
        placed.write_transaction(batch, now);
        self.head.advance(&placed);
        if !matches!(pdu.event_type(), "m.room.message" | "m.room.encrypted" | "m.reaction" | "m.sticker") {
            batch.durability = Durability::Required;
        }
        if let Some(key) = transaction {
            self.overlay.next.transactions.insert(key.clone(), pdu.event_id().to_owned());
        }
        Ok(Sent { event_id: pdu.event_id().to_owned(), room: self.room })
    }

    /// Whether the user may redact what others wrote. (The room's own rules let a whole server redact what its users
    /// wrote; among its users, the server decides.)
    fn may_redact_others(&self, user: &UserId) -> bool {
        let levels = self.machine.power_levels();
        levels.is_some_and(|levels| levels.user_level(user.as_str()).reaches(levels.redact()))
    }

    fn may_notify_room(&self, user: &UserId) -> bool {
        let levels = self.machine.power_levels();
        levels.is_some_and(|levels| levels.user_level(user.as_str()).reaches(levels.notification("room")))
    }

    fn write_member(&mut self, placed: &Placed<'_>, before: Option<&Member>, batch: &mut Batch) {
        let Some(member) = placed.member(before) else { return };
        self.head.count(before.map(|member| member.membership), member.membership);
        batch.put(&member);
        batch.wake(Topic::user(member.user_id.as_str()));
        self.overlay.next.members.insert(member.user_id.clone(), member);
    }

    /// Current state, its history, and the summary of it.
    fn write_derived_state(&mut self, placed: &Placed<'_>, batch: &mut Batch) {
        let Some(state_key) = placed.pdu.state_key() else { return };
        placed.write_state(batch);
        let key = StateKey::new(placed.pdu.event_type(), state_key);
        self.overlay.next.state.insert(key, placed.event);
        let content: Map<String, Value> = placed.pdu.content_as().unwrap_or_default();
        if summary::apply(&mut self.summary, placed.pdu.event_type(), state_key, &content) {
            self.summary.changed = placed.pos;
            batch.put(&self.summary);
        }
        retention::apply(batch, self.room, placed.pdu.event_type(), state_key, &content);
    }

    fn write_relation(&self, placed: &Placed<'_>, relation: Stated, batch: &mut Batch) {
        batch.put(&Relation {
            target: relation.target,
            order: placed.order,
            event: placed.event,
            room: self.room,
            rel_type: relation.rel_type,
            kind: placed.pdu.event_type().to_owned(),
            sender: placed.pdu.sender().to_owned(),
            aggregation_key: relation.key,
        });
    }

    /// Asks the observer; answers by how much the room's notification counter grows.
    async fn observe(
        &mut self,
        snapshot: &dyn Snapshot,
        placed: &Placed<'_>,
        joined_before: bool,
        batch: &mut Batch,
    ) -> Result<Notifies, SendError> {
        let joins_first = !joined_before && placed.pdu.membership() == Some("join");
        let predecessor = self.summary.predecessor.as_deref().filter(|_| joins_first);
        let arrival = Arrival {
            room: self.room,
            event: placed.event,
            pdu: placed.pdu,
            order: placed.order,
            pos: placed.pos,
            counter: placed.counter,
            thread_order: self.head.row.thread_order,
            joined: self.head.row.joined,
            may_notify_room: self.may_notify_room(placed.pdu.sender()),
            replaces_room: predecessor.and_then(|room_id| room_id.try_into().ok()),
        };
        let notifies = self.deps.observer.observe(snapshot, &arrival, batch).await;
        self.broken |= notifies.is_err();
        Ok(notifies?)
    }
}
