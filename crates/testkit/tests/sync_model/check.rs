//! Holds what clients were told against what there is.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::clients::{Client, Face};
use super::picture::Picture;
use super::truth::{Truth, View};

const MEMBER: &str = "m.room.member";

/// What there is, for one user.
pub(crate) struct Everything<'t> {
    pub(crate) user_id: &'t str,
    pub(crate) rooms: &'t HashMap<String, Truth>,
    /// The rooms that the user forgot, by the membership they had then.
    pub(crate) forgotten: &'t HashSet<String>,
    /// By room and kind; the user's own belong to no room.
    pub(crate) notes: &'t BTreeMap<(String, String), Value>,
    /// A client that has asked for the first time just now.
    pub(crate) fresh: Option<&'t Client>,
}

impl Everything<'_> {
    pub(crate) fn check(&self, client: &Client) -> Result<(), String> {
        let mut listed = 0;
        for (room_id, truth) in self.rooms {
            let view = truth.view(self.user_id);
            let is_forgotten = view.own.as_ref().is_some_and(|own| self.forgotten.contains(own));
            let is_here = matches!(view.membership.as_str(), "join" | "invite" | "knock");
            listed += u64::from(is_here || (view.was_removed && !is_forgotten));
            self.check_room(client, room_id, truth, &view)
                .map_err(|error| format!("{:?}, {room_id}, {}: {error}", client.face, view.membership))?;
        }
        if client.is_sliding() && client.known.count != Some(listed) {
            return Err(format!("{:?}: a list of {listed} has {:?}", client.face, client.known.count));
        }
        self.check_notes("", &client.known.notes)
    }

    fn check_notes(&self, room_id: &str, known: &BTreeMap<String, Value>) -> Result<(), String> {
        for ((_, kind), content) in self.notes.iter().filter(|((of, _), _)| of == room_id) {
            same(kind, known.get(kind), Some(content))?;
        }
        Ok(())
    }

    fn check_room(&self, client: &Client, room_id: &str, truth: &Truth, view: &View) -> Result<(), String> {
        let is_here = matches!(view.membership.as_str(), "join" | "invite" | "knock");
        let Some(picture) = client.known.rooms.get(room_id).filter(|room| !room.membership.is_empty()) else {
            // Of a room left before it was ever shown nothing is told.
            return if is_here { Err("it is not known".to_owned()) } else { Ok(()) };
        };
        let told = |membership: &str| if membership == "ban" { "leave" } else { membership }.to_owned();
        same("membership", told(&picture.membership), told(&view.membership))?;
        if matches!(view.membership.as_str(), "invite" | "knock") {
            return Ok(());
        }
        check_timeline(picture, view)?;
        if view.membership != "join" {
            return Ok(());
        }
        check_state(client, picture, truth)?;
        same("joined members", picture.members.0, Some(truth.count("join")))?;
        same("invited members", picture.members.1, Some(truth.count("invite")))?;
        self.check_notes(room_id, &picture.notes)?;
        let Some(fresh) = self.fresh.and_then(|fresh| fresh.known.rooms.get(room_id)) else { return Ok(()) };
        if client.face != Face::Merged {
            same("unread", picture.unread, fresh.unread)?;
        }
        for (key, event) in &picture.receipts {
            same(&format!("the receipt {key:?}"), Some(event), fresh.receipts.get(key))?;
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the values in place")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, known: T, expected: T) -> Result<(), String> {
    if known == expected { Ok(()) } else { Err(format!("{what}: {known:?} instead of {expected:?}")) }
}

/// Each event once, in order, with every gap marked.
fn check_timeline(picture: &Picture, view: &View) -> Result<(), String> {
    let places: HashMap<&String, usize> =
        view.visible.iter().enumerate().map(|(place, id)| (id, place)).collect();
    let mut before: Option<usize> = None;
    for id in &picture.timeline {
        let Some(place) = places.get(id).copied() else { return Err(format!("{id} is not theirs to see")) };
        match before {
            Some(before) if place <= before => return Err(format!("{id} is out of order")),
            Some(before) if place > before + 1 && !picture.gaps.contains(id) => {
                return Err(format!("the gap before {id} is not marked"));
            }
            _ => before = Some(place),
        }
    }
    let ends = picture.timeline.last() == view.visible.last();
    let is_left = view.membership != "join";
    // Of a room that was left while no timeline was wanted of it, only that is told, and that there is more. An invite
    // that came and went unseen after that is not told of.
    let is_told = is_left && (picture.open || picture.timeline.last().is_some());
    // A timeline of which nothing was wanted has a gap at its end.
    if ends || is_told || picture.open { Ok(()) } else { Err("it does not go on to the end".to_owned()) }
}

fn check_state(client: &Client, picture: &Picture, truth: &Truth) -> Result<(), String> {
    let is_lazy = client.lazy;
    for (key, id) in &truth.state {
        let needed = key.0 != MEMBER || !is_lazy || picture.senders.contains(&key.1);
        if !needed && client.looked_away {
            continue;
        }
        match picture.state.get(key) {
            Some(known) => same(&format!("state {key:?}"), known, id)?,
            None if needed => return Err(format!("state {key:?} is missing")),
            None => {}
        }
    }
    let stray = picture.state.keys().find(|key| !truth.state.contains_key(*key));
    stray.map_or(Ok(()), |key| Err(format!("there is no state {key:?}")))
}
