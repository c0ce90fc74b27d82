//! `PUT /send`, each message after the answer to the one before.

use super::{Goal, Load, Prepared, Unit, Writes};
use crate::bench::measure::one_by_one;

pub(super) const LOAD: Load = Load {
    name: "send",
    title: "send in sequence",
    unit: Unit::Milliseconds,
    goal: Goal::FsyncAnd(1.0),
    writes: Writes::EachRequest,
    prepare: |site| {
        let mut user = site.server.user()?;
        let room = user.create_room()?;
        let send = move || user.send(&room, "One after the other, as in a conversation of two.");
        let mut send = send;
        Ok(Prepared::Rounds(Box::new(move || one_by_one(site.server, site.sizes.messages, &mut send))))
    },
};
