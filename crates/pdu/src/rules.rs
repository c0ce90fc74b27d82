//! What differs between room versions, as plain data.
//!
//! Each version is one constant, written as what it changes against the version before it, so that the file reads like
//! the history of the specification.

use crate::RoomVersionId;

/// Everything that differs between room versions. There is one value per version; it is borrowed for ever
/// ([`RoomRules::for_version`]).
#[derive(Debug, PartialEq, Eq)]
pub struct RoomRules {
    /// The version these are the rules of: for writing `room_version`, never for deciding.
    pub version: RoomVersionId,
    /// How an event gets its id.
    pub event_id_format: EventIdFormat,
    /// How `prev_events` and `auth_events` are written.
    pub event_reference_format: EventReferenceFormat,
    /// How a room gets its id.
    pub room_id_format: RoomIdFormat,
    /// Which state resolution algorithm joins forks.
    pub state_resolution: StateResolution,
    /// Whether events must comply with canonical JSON.
    pub canonical_json: CanonicalJsonRule,
    /// The largest allowed `depth`; new events stay at it once it is reached.
    pub max_depth: i64,
    /// Whether a signing key counts only while it is valid.
    pub key_validity: KeyValidityRule,
    /// What redaction leaves of an event.
    pub redaction: RedactionRules,
    /// Which servers must have signed an event.
    pub signatures: SignatureRules,
    /// The flags of the authorisation rules.
    pub auth: AuthRules,
}

/// How an event gets its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventIdFormat {
    /// `$opaque:server`, chosen by the sending server and part of the event (v1, v2).
    Chosen,
    /// `$` and the reference hash in standard unpadded base64 (v3).
    HashStandardBase64,
    /// `$` and the reference hash in URL-safe unpadded base64 (v4 and later).
    HashUrlSafeBase64,
}

/// How `prev_events` and `auth_events` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventReferenceFormat {
    /// `[["$id:server", {"sha256": "..."}], ...]` (v1, v2).
    IdAndHash,
    /// `["$id", ...]` (v3 and later).
    Id,
}

/// How a room gets its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomIdFormat {
    /// `!opaque:server`, chosen by the creating server (before v12).
    Chosen,
    /// The create event's id with `!` for `$`; the create event itself bears no `room_id` (v12,
    /// [MSC4291](https://github.com/matrix-org/matrix-spec-proposals/pull/4291)).
    CreateEventHash,
}

/// Which state resolution algorithm joins forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateResolution {
    /// The first algorithm (v1).
    V1,
    /// Power events first, then mainline order (v2 to v11).
    V2,
    /// v2 that starts from the empty state and adds the conflicted state subgraph (v12,
    /// [MSC4297](https://github.com/matrix-org/matrix-spec-proposals/pull/4297)).
    V2_1,
}

/// Whether events must comply with canonical JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanonicalJsonRule {
    /// Numbers of any size and shape are kept, and of a repeated key the last value (v1 to v5).
    Lenient,
    /// Only integers within ±(2^53-1), no `-0`, no repeated key (v6 and later).
    Strict,
}

/// Whether a signing key counts only while it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyValidityRule {
    /// `valid_until_ts` is ignored (v1 to v4).
    Ignored,
    /// The lesser of `valid_until_ts` and seven days from now must reach the event's `origin_server_ts`
    /// (v5 and later).
    Enforced,
}

/// What redaction keeps, where versions differ; the rest is the same in all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactionRules {
    /// Top-level `origin`, `membership` and `prev_state` survive (before v11).
    pub keeps_origin_membership_prev_state: bool,
    /// `aliases` of `m.room.aliases` survives (before v6).
    pub keeps_aliases: bool,
    /// `allow` of `m.room.join_rules` survives (v8 and later).
    pub keeps_join_rule_allow: bool,
    /// `join_authorised_via_users_server` of `m.room.member` survives (v9 and later).
    pub keeps_member_authorising_user: bool,
    /// `third_party_invite.signed` of `m.room.member` survives (v11 and later).
    pub keeps_member_third_party_signed: bool,
    /// The whole content of `m.room.create` survives, not only `creator` (v11 and later).
    pub keeps_create_content: bool,
    /// `invite` of `m.room.power_levels` survives (v11 and later).
    pub keeps_power_levels_invite: bool,
    /// `redacts` in the content of `m.room.redaction` survives (v11 and later).
    pub keeps_redaction_redacts: bool,
    /// Where `m.room.redaction` names its target.
    pub redacts_location: RedactsLocation,
}

/// Where an `m.room.redaction` event names the event it redacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedactsLocation {
    /// The top-level key `redacts` (before v11).
    TopLevel,
    /// The key `redacts` of `content` (v11 and later).
    Content,
}

/// Which servers must have signed an event, besides the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureRules {
    /// The server in the event's id must have signed it (v1, v2).
    pub event_id_server: bool,
    /// The server of `join_authorised_via_users_server` must have signed a join (v8 and later).
    pub authorising_server: bool,
}

/// Flags of the authorisation rules. Each is the name of a difference the specification's versions mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthRules {
    /// Redactions are decided by the authorisation rules (v1, v2); later versions decide when applying them
    /// ("handling redactions").
    pub redactions_are_authorised: bool,
    /// `m.room.aliases` has a rule of its own (before v6).
    pub aliases_have_own_rule: bool,
    /// Changes to `notifications` in `m.room.power_levels` need power (v6 and later).
    pub notification_levels_are_guarded: bool,
    /// `membership: knock` and `join_rule: knock` exist (v7 and later).
    pub knocking: bool,
    /// `join_rule: restricted` exists (v8 and later).
    pub restricted: bool,
    /// `join_rule: knock_restricted` exists (v10 and later).
    pub knock_restricted: bool,
    /// Which spellings of a power level are read.
    pub power_level_format: PowerLevelFormat,
    /// Who created the room.
    pub creators: CreatorRule,
    /// The create event is among the `auth_events` of every other event (before v12). If not, it must not be there,
    /// and `room_id` must name an accepted create event.
    pub create_event_in_auth_events: bool,
}

impl AuthRules {
    /// Whether creators have unlimited power and may not be listed in `m.room.power_levels` (v12 and later).
    #[must_use]
    pub const fn creators_are_privileged(&self) -> bool {
        matches!(self.creators, CreatorRule::SenderAndAdditional)
    }
}

/// Which spellings of a power level are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLevelFormat {
    /// Integers, integers in strings, and floats cut at the decimal point (v1 to v5).
    FloatsAndStrings,
    /// Integers, and integers in strings (v6 to v9).
    Strings,
    /// Integers only (v10 and later).
    Integers,
}

/// Who created the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatorRule {
    /// `content.creator` of the create event, which must be present (before v11).
    ContentCreator,
    /// The sender of the create event (v11).
    Sender,
    /// The sender of the create event and `content.additional_creators`, all with unlimited power (v12,
    /// [MSC4289](https://github.com/matrix-org/matrix-spec-proposals/pull/4289)).
    SenderAndAdditional,
}

/// The largest depth a signed 64-bit integer holds (v1 to v5).
const DEPTH_I64: i64 = i64::MAX;
/// The largest depth canonical JSON holds: 2^53-1 (v6 and later).
const DEPTH_CANONICAL: i64 = 9_007_199_254_740_991;

impl RoomRules {
    /// The rules of `version`.
    #[must_use]
    pub const fn for_version(version: &RoomVersionId) -> &'static Self {
        match version {
            RoomVersionId::V1 => &V1,
            RoomVersionId::V2 => &V2,
            RoomVersionId::V3 => &V3,
            RoomVersionId::V4 => &V4,
            RoomVersionId::V5 => &V5,
            RoomVersionId::V6 => &V6,
            RoomVersionId::V7 => &V7,
            RoomVersionId::V8 => &V8,
            RoomVersionId::V9 => &V9,
            RoomVersionId::V10 => &V10,
            RoomVersionId::V11 => &V11,
            RoomVersionId::V12 => &V12,
        }
    }
}

impl Default for &'static RoomRules {
    fn default() -> Self {
        RoomRules::for_version(&RoomVersionId::DEFAULT)
    }
}

static V1: RoomRules = RoomRules {
    version: RoomVersionId::V1,
    event_id_format: EventIdFormat::Chosen,
    event_reference_format: EventReferenceFormat::IdAndHash,
    room_id_format: RoomIdFormat::Chosen,
    state_resolution: StateResolution::V1,
    canonical_json: CanonicalJsonRule::Lenient,
    max_depth: DEPTH_I64,
    key_validity: KeyValidityRule::Ignored,
    redaction: RedactionRules {
        keeps_origin_membership_prev_state: true,
        keeps_aliases: true,
        keeps_join_rule_allow: false,
        keeps_member_authorising_user: false,
        keeps_member_third_party_signed: false,
        keeps_create_content: false,
        keeps_power_levels_invite: false,
        keeps_redaction_redacts: false,
        redacts_location: RedactsLocation::TopLevel,
    },
    signatures: SignatureRules { event_id_server: true, authorising_server: false },
    auth: AuthRules {
        redactions_are_authorised: true,
        aliases_have_own_rule: true,
        notification_levels_are_guarded: false,
        knocking: false,
        restricted: false,
        knock_restricted: false,
        power_level_format: PowerLevelFormat::FloatsAndStrings,
        creators: CreatorRule::ContentCreator,
        create_event_in_auth_events: true,
    },
};
static V2: RoomRules = RoomRules { version: RoomVersionId::V2, state_resolution: StateResolution::V2, ..V1 };
static V3: RoomRules = RoomRules {
    version: RoomVersionId::V3,
    event_id_format: EventIdFormat::HashStandardBase64,
    event_reference_format: EventReferenceFormat::Id,
    signatures: SignatureRules { event_id_server: false, ..V2.signatures },
    auth: AuthRules { redactions_are_authorised: false, ..V2.auth },
    ..V2
};
static V4: RoomRules =
    RoomRules { version: RoomVersionId::V4, event_id_format: EventIdFormat::HashUrlSafeBase64, ..V3 };
static V5: RoomRules =
    RoomRules { version: RoomVersionId::V5, key_validity: KeyValidityRule::Enforced, ..V4 };
static V6: RoomRules = RoomRules {
    version: RoomVersionId::V6,
    canonical_json: CanonicalJsonRule::Strict,
    max_depth: DEPTH_CANONICAL,
    redaction: RedactionRules { keeps_aliases: false, ..V5.redaction },
    auth: AuthRules {
        aliases_have_own_rule: false,
        notification_levels_are_guarded: true,
        power_level_format: PowerLevelFormat::Strings,
        ..V5.auth
    },
    ..V5
};
static V7: RoomRules =
    RoomRules { version: RoomVersionId::V7, auth: AuthRules { knocking: true, ..V6.auth }, ..V6 };
static V8: RoomRules = RoomRules {
    version: RoomVersionId::V8,
    redaction: RedactionRules { keeps_join_rule_allow: true, ..V7.redaction },
    signatures: SignatureRules { authorising_server: true, ..V7.signatures },
    auth: AuthRules { restricted: true, ..V7.auth },
    ..V7
};
static V9: RoomRules = RoomRules {
    version: RoomVersionId::V9,
    redaction: RedactionRules { keeps_member_authorising_user: true, ..V8.redaction },
    ..V8
};
static V10: RoomRules = RoomRules {
    version: RoomVersionId::V10,
    auth: AuthRules { knock_restricted: true, power_level_format: PowerLevelFormat::Integers, ..V9.auth },
    ..V9
};
static V11: RoomRules = RoomRules {
    version: RoomVersionId::V11,
    redaction: RedactionRules {
        keeps_origin_membership_prev_state: false,
        keeps_member_third_party_signed: true,
        keeps_create_content: true,
        keeps_power_levels_invite: true,
        keeps_redaction_redacts: true,
        redacts_location: RedactsLocation::Content,
        ..V10.redaction
    },
    auth: AuthRules { creators: CreatorRule::Sender, ..V10.auth },
    ..V10
};
static V12: RoomRules = RoomRules {
    version: RoomVersionId::V12,
    room_id_format: RoomIdFormat::CreateEventHash,
    state_resolution: StateResolution::V2_1,
    auth: AuthRules {
        creators: CreatorRule::SenderAndAdditional,
        create_event_in_auth_events: false,
        ..V11.auth
    },
    ..V11
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_the_rules_that_bear_its_name() {
        for version in RoomVersionId::ALL {
            assert_eq!(version.rules().version, version);
        }
        let default: &RoomRules = Default::default();
        assert_eq!(default.version, RoomVersionId::V12);
    }

    #[test]
    fn the_flags_change_in_the_versions_the_specification_says() {
        fn since(flag: impl Fn(&RoomRules) -> bool) -> String {
            let holds: Vec<_> = RoomVersionId::ALL
                .into_iter()
                .filter(|v| flag(v.rules()))
                .map(RoomVersionId::as_str)
                .collect();
            holds.first().zip(holds.last()).map(|(a, b)| format!("{a}-{b}")).unwrap_or_default()
        }
        type Flag = fn(&RoomRules) -> bool;
        let cases: [(&str, Flag); 22] = [
            ("1-2", |r| r.event_id_format == EventIdFormat::Chosen),
            ("3-3", |r| r.event_id_format == EventIdFormat::HashStandardBase64),
            ("1-2", |r| r.event_reference_format == EventReferenceFormat::IdAndHash),
            ("12-12", |r| r.room_id_format == RoomIdFormat::CreateEventHash),
            ("1-1", |r| r.state_resolution == StateResolution::V1),
            ("2-11", |r| r.state_resolution == StateResolution::V2),
            ("6-12", |r| r.canonical_json == CanonicalJsonRule::Strict),
            ("5-12", |r| r.key_validity == KeyValidityRule::Enforced),
            ("1-5", |r| r.redaction.keeps_aliases),
            ("8-12", |r| r.redaction.keeps_join_rule_allow),
            ("9-12", |r| r.redaction.keeps_member_authorising_user),
            ("1-10", |r| r.redaction.keeps_origin_membership_prev_state),
            ("11-12", |r| r.redaction.redacts_location == RedactsLocation::Content),
            ("1-2", |r| r.signatures.event_id_server),
            ("8-12", |r| r.signatures.authorising_server),
            ("1-2", |r| r.auth.redactions_are_authorised),
            ("7-12", |r| r.auth.knocking),
            ("10-12", |r| r.auth.knock_restricted),
            ("1-5", |r| r.auth.power_level_format == PowerLevelFormat::FloatsAndStrings),
            ("10-12", |r| r.auth.power_level_format == PowerLevelFormat::Integers),
            ("12-12", |r| r.auth.creators_are_privileged()),
            ("1-11", |r| r.auth.create_event_in_auth_events),
        ];
        for (index, (expected, flag)) in cases.into_iter().enumerate() {
            assert_eq!(since(flag), expected, "case {index}");
        }
    }
}
