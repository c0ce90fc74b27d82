//! The rules for `m.room.power_levels` (rule 9 of room version 11, 10 of 12).

use super::{Rejection, Room, StateView};
use crate::{
    content::{Content, LevelField, LevelMap, Levels, NO_LEVELS},
    event::Event,
    key,
    power::Level,
};

pub(super) fn check<S: StateView + ?Sized>(
    room: &Room<'_, S>,
    event: &Event,
    has: Level,
) -> Result<(), Rejection> {
    let Content::PowerLevels(parsed) = &event.content else { return Ok(()) };
    let new = parsed.as_ref().map_err(Clone::clone)?;
    if room.rules.auth.creators_are_privileged()
        && let Some(user_id) = new.users.keys().find(|user_id| room.power.is_creator(user_id))
    {
        return Err(Rejection::CreatorListed { user_id: user_id.clone() });
    }
    let Some(current) = room.state.state(key::POWER_LEVELS, "") else { return Ok(()) };
    let current = current.as_levels().unwrap_or(&NO_LEVELS);
    let author = Author { sender: &event.sender, has };
    author.check_fields(current, new)?;
    author.check_map("events", &current.events, &new.events, |_, level| Level::Of(level) > has)?;
    if room.rules.auth.notification_levels_are_guarded {
        author.check_map("notifications", &current.notifications, &new.notifications, |_, level| {
            Level::Of(level) > has
        })?;
    }
    author.check_map("users", &current.users, &new.users, |user_id, level| {
        *user_id != *event.sender && Level::Of(level) >= has
    })
}

/// Who changes the levels, and the power they have before the change.
struct Author<'a> {
    sender: &'a str,
    has: Level,
}

impl Author<'_> {
    /// The seven single levels: neither the old nor the new value may be above the author's. An absent value counts as
    /// its default, in the sense of the specification's note that levels are inferred from defaults.
    fn check_fields(&self, current: &Levels, new: &Levels) -> Result<(), Rejection> {
        for field in LevelField::ALL {
            if current.field(field) == new.field(field) {
                continue;
            }
            let level = |levels: &Levels| levels.field(field).unwrap_or_else(|| field.default_level());
            self.check_change(
                || field.as_str().into(),
                Some(level(current)),
                Some(level(new)),
                |level| Level::Of(level) > self.has,
            )?;
        }
        Ok(())
    }

    /// The entries of a map that are added, changed or removed. `guarded` tells whether an entry with this current level
    /// is out of the author's reach.
    fn check_map(
        &self,
        property: &'static str,
        current: &LevelMap,
        new: &LevelMap,
        guarded: impl Fn(&str, i64) -> bool,
    ) -> Result<(), Rejection> {
        let added = new.keys().filter(|name| !current.contains_key(*name));
        for name in current.keys().chain(added) {
            let (before, after) = (current.get(name).copied(), new.get(name).copied());
            if before != after {
                let what = || format!("{property}.{name}").into();
                self.check_change(what, before, after, |level| guarded(name, level))?;
            }
        }
        Ok(())
    }

    fn check_change(
        &self,
        what: impl FnOnce() -> Box<str>,
        before: Option<i64>,
        after: Option<i64>,
        guarded: impl FnOnce(i64) -> bool,
    ) -> Result<(), Rejection> {
        let (sender, has) = (self.sender, self.has);
        if let Some(current) = before
            && guarded(current)
        {
            return Err(Rejection::LevelAboveOwn { sender: sender.into(), what: what(), has, current });
        }
        match after {
            Some(new) if Level::Of(new) > has => {
                Err(Rejection::RaisesAboveOwn { sender: sender.into(), what: what(), has, new })
            }
            _ => Ok(()),
        }
    }
}
