//! `/v3/sync` of an account with many rooms.

use std::time::Instant;

use super::{Goal, Load, Prepared, Unit, Writes, first_rooms::TOO_SLOW};
use crate::bench::{
    accounts::folder_of,
    homeserver::Homeserver,
    matrix::User,
    measure::{Cost, Sample, milliseconds, one_by_one},
};

pub(super) const COLD: Load = Load {
    name: "v3-first-cold",
    title: "first /v3/sync of 1,000 rooms, first request after a restart",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(150.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let [_, rooms, _] = site.sizes.accounts;
        let Some(program) = site.program else { return Ok(Prepared::Absent("runs elsewhere")) };
        let Some(account) = site.accounts.stopped(site, rooms)? else {
            return Ok(Prepared::Absent(TOO_SLOW));
        };
        Ok(Prepared::Rounds(Box::new(move || {
            let server = Homeserver::start(program, &site.folder.join(folder_of(rooms)), None)?;
            let mut user = User::resume(&server.address, &account.login);
            let start = Instant::now();
            user.sync_now(None)?;
            let value = milliseconds(start.elapsed());
            server.stop()?;
            Ok(Sample { value, latencies: Vec::new(), requests: 0, cost: Cost::default() })
        })))
    },
};

pub(super) const NOTHING_NEW: Load = Load {
    name: "v3-idle",
    title: "/v3/sync of 10,000 rooms, nothing new",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(1.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let [.., rooms] = site.sizes.accounts;
        let Some(account) = site.accounts.running(site, rooms)? else {
            return Ok(Prepared::Absent(TOO_SLOW));
        };
        let mut user = User::resume(&site.server.address, &account.login);
        let mut since = user.sync_now(None)?.token()?;
        Ok(Prepared::Rounds(Box::new(move || {
            one_by_one(site.server, site.sizes.syncs, || {
                since = user.sync_now(Some(&since))?.token()?;
                Ok(())
            })
        })))
    },
};
