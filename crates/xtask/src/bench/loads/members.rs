//! `GET /members` of a large room.

use anyhow::{Context, ensure};

use super::{Goal, Load, Prepared, Unit, Writes};
use crate::bench::{measure::one_by_one, parallel};

pub(super) const LOAD: Load = Load {
    name: "members",
    title: "/members of 1,000",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(3.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let mut user = site.server.user()?;
        let room = user.create_public_room()?;
        parallel::map(site.sizes.members - 1, |_| site.server.user()?.join(&room))?;
        let answer: serde_json::Value = serde_json::from_slice(&user.members(&room)?)?;
        let members = answer["chunk"].as_array().context("members without a chunk")?.len();
        ensure!(members == site.sizes.members, "{members} members in place of {}", site.sizes.members);
        let list = move || user.members(&room).map(drop);
        let mut list = list;
        Ok(Prepared::Rounds(Box::new(move || one_by_one(site.server, site.sizes.lists, &mut list))))
    },
};
