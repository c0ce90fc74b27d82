//! The parts of event content that authorisation looks at, parsed once when an event is read.
//!
//! Reading is tolerant: what the rules do not mention is never a reason to refuse an event, because other servers would
//! not refuse it either. What the rules do mention keeps its faults, so that a rejection can name them.

use std::collections::BTreeMap;

use myelin_pdu::{AuthRules, CanonicalObject, CanonicalValue, MAX_CANONICAL_INTEGER, PowerLevelFormat};

use crate::{key, membership::Membership, user_id};

/// A field of the content is not what the room version demands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`content.{field}` {problem}")]
pub struct ContentError {
    /// Path of the field below `content`.
    pub field: Box<str>,
    /// What is wrong with it, as the end of a sentence.
    pub problem: &'static str,
}

impl ContentError {
    fn new(field: impl Into<Box<str>>, problem: &'static str) -> Self {
        Self { field: field.into(), problem }
    }
}

/// The content of an event, as far as authorisation needs it.
#[derive(Clone, Debug)]
pub enum Content {
    /// Of `m.room.create`.
    Create(Create),
    /// Of `m.room.member`.
    Member(Member),
    /// Of `m.room.join_rules`.
    JoinRules(JoinRule),
    /// Of `m.room.power_levels`: the levels, or the first fault found.
    PowerLevels(Result<Levels, ContentError>),
    /// Of `m.room.third_party_invite`.
    ThirdPartyInvite(ThirdPartyInvite),
    /// Of any other type: authorisation does not look inside.
    Other,
}

impl Content {
    /// Whether [`Content::parse`] looks into the content of events of this type.
    pub fn matters(event_type: &str) -> bool {
        matches!(
            event_type,
            key::CREATE | key::MEMBER | key::JOIN_RULES | key::POWER_LEVELS | key::THIRD_PARTY_INVITE
        )
    }

    /// Reads the content of an event of this type in a room of these rules. Only the five types that affect
    /// authorisation are looked into.
    pub fn parse(rules: &AuthRules, event_type: &str, map: &CanonicalObject) -> Self {
        match event_type {
            key::CREATE => Self::Create(Create::parse(map)),
            key::MEMBER => Self::Member(Member::parse(map)),
            key::JOIN_RULES => Self::JoinRules(JoinRule::parse(map)),
            key::POWER_LEVELS => Self::PowerLevels(Levels::parse(rules.power_level_format, map)),
            key::THIRD_PARTY_INVITE => Self::ThirdPartyInvite(ThirdPartyInvite::parse(map)),
            _ => Self::Other,
        }
    }
}

/// What authorisation reads of `m.room.create`.
#[derive(Clone, Debug)]
pub struct Create {
    /// `room_version` as text; `None` where it is absent (which means version 1).
    pub room_version: Option<Box<str>>,
    /// Faults of `room_version` and `additional_creators`, which only some room versions ask for.
    pub room_version_fault: Option<ContentError>,
    /// `creator`, which names the creator before room version 11; `None` where it is absent or not a string.
    pub creator: Option<Box<str>>,
    /// Whether `m.federate` is `false`: only users of the creator's server may take part.
    pub local_only: bool,
    /// `additional_creators` (MSC4289), or why the list is not valid.
    pub additional_creators: Result<Vec<Box<str>>, ContentError>,
}

impl Create {
    fn parse(map: &CanonicalObject) -> Self {
        let room_version = map.get("room_version");
        Self {
            room_version: room_version.and_then(CanonicalValue::as_str).map(Into::into),
            room_version_fault: room_version
                .is_some_and(|version| version.as_str().is_none())
                .then(|| ContentError::new("room_version", "is not a string")),
            creator: map.get_str("creator").map(Into::into),
            local_only: map.get("m.federate") == Some(&CanonicalValue::Bool(false)),
            additional_creators: parse_additional_creators(map.get("additional_creators")),
        }
    }
}

fn parse_additional_creators(value: Option<&CanonicalValue>) -> Result<Vec<Box<str>>, ContentError> {
    const FIELD: &str = "additional_creators";
    let Some(value) = value else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| ContentError::new(FIELD, "is not an array of user ids"))?;
    list.iter()
        .map(|entry| match entry.as_str() {
            Some(id) if user_id::server_name(id).is_some() => Ok(id.into()),
            Some(id) => Err(ContentError::new(format!("{FIELD}.{id}"), "is not a valid user id")),
            None => Err(ContentError::new(FIELD, "has an entry that is not a string")),
        })
        .collect()
}

/// What authorisation reads of `m.room.member`.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// `membership`; `None` where it is absent or not a string.
    pub membership: Option<Membership>,
    /// `join_authorised_via_users_server`.
    pub authorised_via: AuthorisedVia,
    /// `third_party_invite`, where present.
    pub third_party_invite: Option<Redemption>,
}

/// The `join_authorised_via_users_server` of a membership event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthorisedVia {
    /// The key is not there.
    #[default]
    Absent,
    /// The user whose server vouches for the join.
    User(Box<str>),
    /// The key is there, but holds no user id.
    Invalid,
}

/// The `third_party_invite` of an invite: the redemption of an `m.room.third_party_invite`.
#[derive(Clone, Debug, Default)]
pub struct Redemption {
    /// `signed`, as it must be canonicalised to check its signatures; `None` where it is absent or no object.
    pub signed: Option<CanonicalObject>,
}

impl Redemption {
    /// `signed.mxid`: the user who redeems the invite.
    pub fn mxid(&self) -> Option<&str> {
        self.signed.as_ref()?.get_str("mxid")
    }

    /// `signed.token`: the state key of the `m.room.third_party_invite`.
    pub fn token(&self) -> Option<&str> {
        self.signed.as_ref()?.get_str("token")
    }
}

impl Member {
    fn parse(map: &CanonicalObject) -> Self {
        let authorised_via = match map.get("join_authorised_via_users_server") {
            None => AuthorisedVia::Absent,
            Some(CanonicalValue::String(id)) if user_id::server_name(id).is_some() => {
                AuthorisedVia::User(id.as_str().into())
            }
            Some(_) => AuthorisedVia::Invalid,
        };
        Self {
            membership: map.get("membership").and_then(CanonicalValue::as_str).map(Membership::from),
            authorised_via,
            third_party_invite: map.get("third_party_invite").map(|invite| Redemption {
                signed: invite.as_object().and_then(|o| o.get_object("signed")).cloned(),
            }),
        }
    }
}

/// The `join_rule` of `m.room.join_rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JoinRule {
    /// Only who is invited may join. Also what holds where a room says nothing, as other servers have it.
    #[default]
    Invite,
    /// Anybody may join.
    Public,
    /// Like `invite`, and users may ask for an invite (room version 7).
    Knock,
    /// Members of certain rooms may join; else like `invite` (room version 8).
    Restricted,
    /// `restricted` and `knock` together (room version 10).
    KnockRestricted,
    /// `private`, or a rule that this server does not know: nobody may join.
    Unknown(Box<str>),
}

impl JoinRule {
    fn parse(map: &CanonicalObject) -> Self {
        match map.get("join_rule") {
            None => Self::Invite,
            Some(CanonicalValue::String(rule)) => Self::from(rule.as_str()),
            Some(other) => Self::Unknown(format!("{other:?}").into()),
        }
    }

    /// The rule as it stands in events.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "invite",
            Self::Public => "public",
            Self::Knock => "knock",
            Self::Restricted => "restricted",
            Self::KnockRestricted => "knock_restricted",
            Self::Unknown(rule) => rule,
        }
    }
}

impl From<&str> for JoinRule {
    fn from(rule: &str) -> Self {
        match rule {
            "invite" => Self::Invite,
            "public" => Self::Public,
            "knock" => Self::Knock,
            "restricted" => Self::Restricted,
            "knock_restricted" => Self::KnockRestricted,
            other => Self::Unknown(other.into()),
        }
    }
}

/// What authorisation reads of `m.room.third_party_invite`.
#[derive(Clone, Debug, Default)]
pub struct ThirdPartyInvite {
    /// `public_key` and all of `public_keys`, in base64 as they stand.
    pub public_keys: Vec<Box<str>>,
}

impl ThirdPartyInvite {
    fn parse(map: &CanonicalObject) -> Self {
        let listed = map.get("public_keys").and_then(CanonicalValue::as_array).into_iter().flatten();
        let keys = map
            .get("public_key")
            .into_iter()
            .chain(listed.filter_map(|key| key.as_object()?.get("public_key")));
        Self { public_keys: keys.filter_map(CanonicalValue::as_str).map(Into::into).collect() }
    }
}

/// The seven single levels of `m.room.power_levels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LevelField {
    /// `users_default`: of users who are not listed. 0 if absent.
    UsersDefault,
    /// `events_default`: to send message events that are not listed. 0 if absent.
    EventsDefault,
    /// `state_default`: to send state events that are not listed. 50 if absent.
    StateDefault,
    /// `ban`: to ban. 50 if absent.
    Ban,
    /// `redact`: to redact what others sent. 50 if absent.
    Redact,
    /// `kick`: to make others leave. 50 if absent.
    Kick,
    /// `invite`: to invite. 0 if absent.
    Invite,
}

impl LevelField {
    /// All of them, in the order of the auth rules.
    pub const ALL: [Self; 7] = [
        Self::UsersDefault,
        Self::EventsDefault,
        Self::StateDefault,
        Self::Ban,
        Self::Redact,
        Self::Kick,
        Self::Invite,
    ];

    /// The property's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsersDefault => "users_default",
            Self::EventsDefault => "events_default",
            Self::StateDefault => "state_default",
            Self::Ban => "ban",
            Self::Redact => "redact",
            Self::Kick => "kick",
            Self::Invite => "invite",
        }
    }

    /// What holds where the property is absent.
    pub fn default_level(self) -> i64 {
        match self {
            Self::UsersDefault | Self::EventsDefault | Self::Invite => 0,
            Self::StateDefault | Self::Ban | Self::Redact | Self::Kick => 50,
        }
    }
}

/// A map of names to levels, such as `users` or `events`.
pub type LevelMap = BTreeMap<Box<str>, i64>;

/// What authorisation reads of `m.room.power_levels`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    fields: BTreeMap<LevelField, i64>,
    /// `events`: event type to the level that sending it requires.
    pub events: LevelMap,
    /// `notifications`: notification key (such as `room`) to the level that using it requires.
    pub notifications: LevelMap,
    /// `users`: user id to level.
    pub users: LevelMap,
}

/// No level stated: all defaults hold.
pub(crate) static NO_LEVELS: Levels = Levels {
    fields: BTreeMap::new(),
    events: BTreeMap::new(),
    notifications: BTreeMap::new(),
    users: BTreeMap::new(),
};

impl Levels {
    /// Reads the content, with levels spelt in this format; an error names the first property that is not valid (rules
    /// 9.1 to 9.3 of room version 11).
    pub fn parse(format: PowerLevelFormat, map: &CanonicalObject) -> Result<Self, ContentError> {
        let mut fields = BTreeMap::new();
        for field in LevelField::ALL {
            if let Some(value) = map.get(field.as_str()) {
                let level = parse_level(format, value);
                let level = level.ok_or_else(|| ContentError::new(field.as_str(), "is not an integer"))?;
                fields.insert(field, level);
            }
        }
        let events = parse_levels(format, map, "events")?;
        let notifications = parse_levels(format, map, "notifications")?;
        let users = parse_levels(format, map, "users")?;
        if let Some(id) = users.keys().find(|id| user_id::server_name(id).is_none()) {
            return Err(ContentError::new(format!("users.{id}"), "is not a valid user id"));
        }
        Ok(Self { fields, events, notifications, users })
    }

    /// The level of this field where the event states it.
    pub fn field(&self, field: LevelField) -> Option<i64> {
        self.fields.get(&field).copied()
    }
}

fn parse_levels(
    format: PowerLevelFormat,
    map: &CanonicalObject,
    field: &'static str,
) -> Result<LevelMap, ContentError> {
    let Some(value) = map.get(field) else { return Ok(LevelMap::new()) };
    let entries = value.as_object().ok_or_else(|| ContentError::new(field, "is not an object"))?;
    entries
        .iter()
        .map(|(name, level)| match parse_level(format, level) {
            Some(level) => Ok((name.into(), level)),
            None => Err(ContentError::new(format!("{field}.{name}"), "is not an integer")),
        })
        .collect()
}

/// A level in one of the spellings that the format reads
/// (<https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-strings>).
fn parse_level(format: PowerLevelFormat, value: &CanonicalValue) -> Option<i64> {
    match (format, value) {
        (_, CanonicalValue::Integer(level)) => Some(*level),
        (PowerLevelFormat::Integers, _) => None,
        (_, CanonicalValue::String(text)) => parse_level_text(text),
        // Cut at the decimal point; what is too large for an integer is no level.
        (PowerLevelFormat::FloatsAndStrings, CanonicalValue::Legacy(number)) => {
            let float: f64 = number.as_str().parse().ok()?;
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the range is checked, and the fraction is to go"
            )]
            (float.abs() <= MAX_CANONICAL_INTEGER as f64).then(|| float.trunc() as i64)
        }
        _ => None,
    }
}

/// An integer in decimal, with space around it, one sign and leading zeroes allowed.
fn parse_level_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let level: i64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(if text.starts_with('-') { -level } else { level })
}

#[cfg(test)]
mod tests;
