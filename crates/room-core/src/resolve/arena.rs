//! The events of one resolution, under small integers.

use std::collections::HashMap;

use myelin_pdu::RoomIdFormat;

use crate::{
    auth::{Standing, SupportedRules, judging_keys},
    event::Event,
    key::{StateKey, StateKeyRef},
};

/// An event within an [`Arena`]. Carries no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIdx(u32);

/// A state key within an [`Arena`]. Carries no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIdx(u32);

impl EventIdx {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// The arena holds as many events or keys as its limit allows: the room is too large to be resolved with these bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resolution would need more than {limit} events or state keys")]
pub struct ArenaFull {
    /// The limit given to [`Arena::new`].
    pub limit: u32,
}

/// The events of one room that a resolution works on: each with a header (its key and auth events), and where it is
/// needed, as a whole.
///
/// Hash maps here are only looked up, never walked, so that results do not depend on hashing.
#[derive(Debug)]
pub struct Arena {
    rules: SupportedRules,
    limit: u32,
    nodes: Vec<Node>,
    by_id: HashMap<Box<str>, EventIdx>,
    keys: Vec<StateKey>,
    by_key: HashMap<Box<str>, HashMap<Box<str>, KeyIdx>>,
    /// The create event, where the room's id names it.
    create: Option<EventIdx>,
}

#[derive(Debug)]
struct Node {
    event_id: Box<str>,
    header: Option<Header>,
    body: Option<Body>,
}

/// What the shape of the auth graph needs of an event.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// `None` on events that are no state, and on those that cannot be had.
    pub(super) key: Option<KeyIdx>,
    pub(super) auth: Box<[EventIdx]>,
}

/// A whole event.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) event: Event,
    pub(super) standing: Standing,
    /// The entries of a state that judging this event looks at.
    pub(super) judged_by: Box<[KeyIdx]>,
}

impl Arena {
    /// An empty arena for events of this room. It takes up to `limit` events and as many keys.
    pub fn new(rules: SupportedRules, room_id: &str, limit: u32) -> Self {
        let mut arena = Self {
            rules,
            limit: limit.max(1),
            nodes: Vec::new(),
            by_id: HashMap::new(),
            keys: Vec::new(),
            by_key: HashMap::new(),
            create: None,
        };
        if rules.room_id_format == RoomIdFormat::CreateEventHash
            && let Some(hash) = room_id.strip_prefix('!')
        {
            arena.create = arena.intern(&format!("${hash}")).ok();
        }
        arena
    }

    /// The integer of the event with this id; the first call assigns it.
    ///
    /// # Errors
    /// [`ArenaFull`], when the limit is reached.
    pub fn intern(&mut self, event_id: &str) -> Result<EventIdx, ArenaFull> {
        if let Some(&idx) = self.by_id.get(event_id) {
            return Ok(idx);
        }
        let idx = EventIdx(self.next(self.nodes.len())?);
        self.nodes.push(Node { event_id: event_id.into(), header: None, body: None });
        self.by_id.insert(event_id.into(), idx);
        Ok(idx)
    }

    /// The integer of this state key; the first call assigns it.
    ///
    /// # Errors
    /// [`ArenaFull`], when the limit is reached.
    pub fn intern_key(&mut self, key: StateKeyRef<'_>) -> Result<KeyIdx, ArenaFull> {
        if let Some(idx) = self.find_key(key.event_type, key.state_key) {
            return Ok(idx);
        }
        let idx = KeyIdx(self.next(self.keys.len())?);
        self.keys.push(key.to_key());
        self.by_key.entry(key.event_type.into()).or_default().insert(key.state_key.into(), idx);
        Ok(idx)
    }

    fn next(&self, len: usize) -> Result<u32, ArenaFull> {
        let full = ArenaFull { limit: self.limit };
        u32::try_from(len).ok().filter(|next| *next < self.limit).ok_or(full)
    }

    /// Says which state entry an event sets, if any, and which auth events it has. Enough for events that are only on
    /// the way between others.
    ///
    /// # Errors
    /// [`ArenaFull`], when the limit is reached.
    pub fn set_header<'e>(
        &mut self,
        idx: EventIdx,
        key: Option<StateKeyRef<'_>>,
        auth_events: impl IntoIterator<Item = &'e str>,
    ) -> Result<(), ArenaFull> {
        let key = key.map(|key| self.intern_key(key)).transpose()?;
        let auth = auth_events.into_iter().map(|id| self.intern(id)).collect::<Result<_, _>>()?;
        if let Some(node) = self.nodes.get_mut(idx.at()) {
            node.header = Some(Header { key, auth });
        }
        Ok(())
    }

    /// Says that an event cannot be had, from anywhere. Resolution goes on as if nothing cited it.
    pub fn set_unavailable(&mut self, idx: EventIdx) {
        if let Some(node) = self.nodes.get_mut(idx.at()) {
            node.header = Some(Header::default());
        }
    }

    /// Adds a whole event, header included, under its id.
    ///
    /// # Errors
    /// [`ArenaFull`], when the limit is reached.
    pub fn set_event(&mut self, event: Event, standing: Standing) -> Result<EventIdx, ArenaFull> {
        let idx = self.intern(&event.event_id)?;
        self.set_header(idx, event.key(), event.auth_events.iter().map(|id| &**id))?;
        let state_key = event.state_key.as_deref();
        let keys = judging_keys(
            &self.rules.get().auth,
            event.event_type.as_str(),
            &event.sender,
            state_key,
            &event.content,
        );
        let judged_by = keys.into_iter().map(|key| self.intern_key(key)).collect::<Result<_, _>>()?;
        if let Some(node) = self.nodes.get_mut(idx.at()) {
            node.body = Some(Body { event, standing, judged_by });
        }
        Ok(idx)
    }

    /// The events on the auth chains of `of`, and those events themselves, whose headers are not known yet. Adding them
    /// may reveal more: ask again until none is left.
    pub fn unknown_ancestors(&self, of: impl IntoIterator<Item = EventIdx>) -> Vec<EventIdx> {
        let mut seen = vec![false; self.len()];
        let mut stack: Vec<EventIdx> = of.into_iter().collect();
        let mut unknown = Vec::new();
        while let Some(idx) = stack.pop() {
            let Some(seen) = seen.get_mut(idx.at()) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            match self.header(idx) {
                Some(header) => stack.extend(header.auth.iter()),
                None => unknown.push(idx),
            }
        }
        unknown.sort_unstable();
        unknown
    }

    /// The id of an event of this arena.
    pub fn event_id(&self, idx: EventIdx) -> &str {
        self.nodes.get(idx.at()).map(|node| &*node.event_id).unwrap_or_default()
    }

    /// A key of this arena; `None` if it belongs to another one.
    pub fn key(&self, idx: KeyIdx) -> Option<&StateKey> {
        self.keys.get(idx.0 as usize)
    }

    /// The integer of this state key, if it has one.
    pub fn find_key(&self, event_type: &str, state_key: &str) -> Option<KeyIdx> {
        self.by_key.get(event_type)?.get(state_key).copied()
    }

    /// How many events were interned.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no event was interned.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The create event that the room's id names, in room versions where it does.
    pub(super) fn create(&self) -> Option<EventIdx> {
        self.create
    }

    pub(super) fn header(&self, idx: EventIdx) -> Option<&Header> {
        self.nodes.get(idx.at())?.header.as_ref()
    }

    pub(super) fn body(&self, idx: EventIdx) -> Option<&Body> {
        self.nodes.get(idx.at())?.body.as_ref()
    }

    /// Whether the whole event is still to be had: it was neither given, nor said to be unavailable.
    pub(super) fn lacks_body(&self, idx: EventIdx) -> bool {
        let unavailable = |header: &Header| header.key.is_none() && header.auth.is_empty();
        self.body(idx).is_none() && !self.header(idx).is_some_and(unavailable)
    }

    /// The auth events of an event; none where its header is not known.
    pub(super) fn auth(&self, idx: EventIdx) -> &[EventIdx] {
        self.header(idx).map(|header| &*header.auth).unwrap_or_default()
    }

    pub(super) fn key_of(&self, idx: EventIdx) -> Option<KeyIdx> {
        self.header(idx)?.key
    }
}
