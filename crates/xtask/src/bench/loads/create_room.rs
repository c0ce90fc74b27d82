//! `POST /createRoom`, one after the other: about eight events each.

use super::{Goal, Load, Prepared, Unit, Writes};
use crate::bench::measure::one_by_one;

pub(super) const LOAD: Load = Load {
    name: "create-room",
    title: "createRoom",
    unit: Unit::Milliseconds,
    goal: Goal::FsyncAnd(3.0),
    writes: Writes::EachRequest,
    prepare: |site| {
        let mut user = site.server.user()?;
        let round = move || one_by_one(site.server, site.sizes.rooms, || user.create_room().map(drop));
        Ok(Prepared::Rounds(Box::new(round)))
    },
};
