//! From the start of the process to the first 200, with the files in the page cache.

use anyhow::Result;

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    homeserver::Homeserver,
    measure::{Cost, Sample, milliseconds},
    parallel,
};

pub(super) const EMPTY: Load = Load {
    name: "start-empty",
    title: "start to first 200, empty folder",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(80.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let mut number = 0;
        rounds(site, move || {
            number += 1;
            format!("empty-{number}")
        })
    },
};

pub(super) const WITH_ROOMS: Load = Load {
    name: "start-rooms",
    title: "start to first 200, 1,000 rooms",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(200.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let Some(program) = site.program else { return Ok(Prepared::Absent("runs elsewhere")) };
        let server = Homeserver::start(program, &site.folder.join("rooms"), None)?;
        let user = server.user()?;
        parallel::map(site.sizes.rooms_at_start, |_| {
            user.another_connection(&server.address).create_room().map(drop)
        })?;
        server.stop()?;
        rounds(site, || "rooms".to_owned())
    },
};

fn rounds<'a>(site: &'a Site<'a>, mut folder: impl FnMut() -> String + 'a) -> Result<Prepared<'a>> {
    let Some(program) = site.program else { return Ok(Prepared::Absent("runs elsewhere")) };
    let round = move || {
        let server = Homeserver::start(program, &site.folder.join(folder()), None)?;
        let value = milliseconds(server.started_in);
        server.stop()?;
        Ok(Sample { value, latencies: Vec::new(), requests: 0, cost: Cost::default() })
    };
    Ok(Prepared::Rounds(Box::new(round)))
}
