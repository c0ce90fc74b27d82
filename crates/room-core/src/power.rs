//! Who has which power in a room, and what each action requires.

use std::fmt;

use myelin_pdu::{AuthRules, CreatorRule};

use crate::{
    content::{LevelField, Levels, NO_LEVELS},
    event::Event,
    user_id,
};

/// The default level of the creator of a room without `m.room.power_levels`, where creators are not privileged.
const CREATOR_DEFAULT: i64 = 100;

/// The power of a user. Orders by strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// An ordinary level, within ±(2^53-1).
    Of(i64),
    /// More than any ordinary level: creators from room version 12 on (MSC4289).
    Unlimited,
}

impl Level {
    /// Whether this suffices where `required` is asked for.
    pub fn reaches(self, required: i64) -> bool {
        self >= Self::Of(required)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(level) => level.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// Whether an event sets state; state events and message events have different default levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// The event has a `state_key`.
    State,
    /// It has none.
    Message,
}

impl EventClass {
    /// The class of an event with this `state_key`.
    pub fn of(state_key: Option<&str>) -> Self {
        if state_key.is_some() { Self::State } else { Self::Message }
    }
}

/// The power levels of a room: its `m.room.power_levels`, read together with its create event.
///
/// Defaults hold for whatever is not stated
/// (<https://spec.matrix.org/v1.18/client-server-api/#mroompower_levels>).
#[derive(Clone, Copy, Debug)]
pub struct PowerLevels<'a> {
    rules: &'a AuthRules,
    create: &'a Event,
    levels: Option<&'a Levels>,
}

impl<'a> PowerLevels<'a> {
    /// The levels that hold in a room with this create event and this `m.room.power_levels`, if it has one.
    ///
    /// A malformed `m.room.power_levels` cannot have been accepted into a room; should one be given, all defaults hold.
    pub fn new(rules: &'a AuthRules, create: &'a Event, power_levels: Option<&'a Event>) -> Self {
        let levels = power_levels.map(|event| event.as_levels().unwrap_or(&NO_LEVELS));
        Self { rules, create, levels }
    }

    /// Whether this user created the room: its sender, and where the room version has them, additional creators.
    pub fn is_creator(&self, user_id: &str) -> bool {
        is_creator(self.rules, self.create, user_id)
    }

    /// The power of this user.
    pub fn user_level(&self, user_id: &str) -> Level {
        if self.rules.creators_are_privileged() && self.is_creator(user_id) {
            return Level::Unlimited;
        }
        match self.levels {
            Some(levels) => Level::Of(
                levels.users.get(user_id).copied().unwrap_or_else(|| self.field(LevelField::UsersDefault)),
            ),
            None if self.is_creator(user_id) => Level::Of(CREATOR_DEFAULT),
            None => Level::Of(self.field(LevelField::UsersDefault)),
        }
    }

    /// The level that sending an event of this type requires. Memberships go by [`PowerLevels::invite`],
    /// [`PowerLevels::kick`] and [`PowerLevels::ban`] instead.
    pub fn to_send(&self, event_type: &str, class: EventClass) -> i64 {
        let listed = self.levels.and_then(|levels| levels.events.get(event_type)).copied();
        listed.unwrap_or_else(|| match class {
            EventClass::State => self.field(LevelField::StateDefault),
            EventClass::Message => self.field(LevelField::EventsDefault),
        })
    }

    /// Whether this user has the power to send an event of this type.
    pub fn may_send(&self, user_id: &str, event_type: &str, class: EventClass) -> bool {
        self.user_level(user_id).reaches(self.to_send(event_type, class))
    }

    /// The level that inviting requires.
    pub fn invite(&self) -> i64 {
        self.field(LevelField::Invite)
    }

    /// The level that kicking requires; the target must also have less power than the sender.
    pub fn kick(&self) -> i64 {
        self.field(LevelField::Kick)
    }

    /// The level that banning requires; the target must also have less power than the sender.
    pub fn ban(&self) -> i64 {
        self.field(LevelField::Ban)
    }

    /// The level that redacting what others sent requires.
    pub fn redact(&self) -> i64 {
        self.field(LevelField::Redact)
    }

    /// The level that a notification of this kind requires; `room` for mentions of the whole room. 50 if not stated.
    pub fn notification(&self, kind: &str) -> i64 {
        self.levels.and_then(|levels| levels.notifications.get(kind)).copied().unwrap_or(50)
    }

    /// The level of this field, or its default.
    pub fn field(&self, field: LevelField) -> i64 {
        self.levels.and_then(|levels| levels.field(field)).unwrap_or_else(|| field.default_level())
    }

    /// Whether a redaction by `redactor` of an event by `sender` is to be carried out (room version 3 and later,
    /// <https://spec.matrix.org/v1.18/rooms/v11/#handling-redactions>).
    pub fn may_redact(&self, redactor: &str, sender: &str) -> bool {
        let same_server =
            user_id::server_name(redactor).is_some_and(|name| user_id::server_name(sender) == Some(name));
        same_server || self.user_level(redactor).reaches(self.redact())
    }
}

/// Whether this user is a creator of the room with this create event.
pub(crate) fn is_creator(rules: &AuthRules, create: &Event, user_id: &str) -> bool {
    if first_creator(rules, create) == Some(user_id) {
        return true;
    }
    let additional = create.as_create().and_then(|content| content.additional_creators.as_ref().ok());
    rules.creators == CreatorRule::SenderAndAdditional
        && additional.is_some_and(|list| list.iter().any(|id| **id == *user_id))
}

/// The user who made the room, and whose join follows the create event. `None` where a create event that had to name
/// them does not.
pub(crate) fn first_creator<'a>(rules: &AuthRules, create: &'a Event) -> Option<&'a str> {
    match rules.creators {
        CreatorRule::ContentCreator => create.as_create().and_then(|content| content.creator.as_deref()),
        CreatorRule::Sender | CreatorRule::SenderAndAdditional => Some(&create.sender),
    }
}

#[cfg(test)]
mod tests;
