//! The names of the room versions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::RoomRules;

/// A room version this server knows all rules of ([room versions](https://spec.matrix.org/latest/rooms/)).
///
/// It orders by age, for showing lists to people. Code that decides anything asks [`RoomVersionId::rules`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum RoomVersionId {
    /// [Room version 1](https://spec.matrix.org/latest/rooms/v1/), also what a create event without
    /// `room_version` means.
    V1,
    /// [Room version 2](https://spec.matrix.org/latest/rooms/v2/): state resolution v2.
    V2,
    /// [Room version 3](https://spec.matrix.org/latest/rooms/v3/): event ids are hashes.
    V3,
    /// [Room version 4](https://spec.matrix.org/latest/rooms/v4/): event ids in URL-safe base64.
    V4,
    /// [Room version 5](https://spec.matrix.org/latest/rooms/v5/): signing keys expire.
    V5,
    /// [Room version 6](https://spec.matrix.org/latest/rooms/v6/): canonical JSON is enforced.
    V6,
    /// [Room version 7](https://spec.matrix.org/latest/rooms/v7/): knocking.
    V7,
    /// [Room version 8](https://spec.matrix.org/latest/rooms/v8/): restricted joins.
    V8,
    /// [Room version 9](https://spec.matrix.org/latest/rooms/v9/): redaction keeps what restricted joins need.
    V9,
    /// [Room version 10](https://spec.matrix.org/latest/rooms/v10/): power levels are integers.
    V10,
    /// [Room version 11](https://spec.matrix.org/latest/rooms/v11/): redaction cleaned up.
    V11,
    /// [Room version 12](https://spec.matrix.org/latest/rooms/v12/): the room id is the create event's hash.
    #[default]
    V12,
}

impl RoomVersionId {
    /// Every known version, oldest first.
    pub const ALL: [Self; 12] = [
        Self::V1,
        Self::V2,
        Self::V3,
        Self::V4,
        Self::V5,
        Self::V6,
        Self::V7,
        Self::V8,
        Self::V9,
        Self::V10,
        Self::V11,
        Self::V12,
    ];

    /// The version new rooms get when their creator does not choose one.
    pub const DEFAULT: Self = Self::V12;

    /// The version as the protocol writes it, such as `"12"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::V3 => "3",
            Self::V4 => "4",
            Self::V5 => "5",
            Self::V6 => "6",
            Self::V7 => "7",
            Self::V8 => "8",
            Self::V9 => "9",
            Self::V10 => "10",
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }

    /// The rules of this version.
    #[must_use]
    pub const fn rules(self) -> &'static RoomRules {
        RoomRules::for_version(&self)
    }
}

impl fmt::Display for RoomVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RoomVersionId {
    type Err = UnknownRoomVersion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == name)
            .ok_or_else(|| UnknownRoomVersion { name: name.chars().take(64).collect() })
    }
}

impl From<RoomVersionId> for &'static str {
    fn from(version: RoomVersionId) -> Self {
        version.as_str()
    }
}

impl TryFrom<String> for RoomVersionId {
    type Error = UnknownRoomVersion;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl TryFrom<&str> for RoomVersionId {
    type Error = UnknownRoomVersion;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        name.parse()
    }
}

/// A room version this server does not know; answered with `M_UNSUPPORTED_ROOM_VERSION` or
/// `M_INCOMPATIBLE_ROOM_VERSION`, as the endpoint says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("room version {name:?} is not supported by this server")]
pub struct UnknownRoomVersion {
    /// The name that was asked for, cut to 64 characters.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_reads_back_what_it_writes() {
        for version in RoomVersionId::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
    }

    #[test]
    fn names_that_only_look_like_versions_are_refused() {
        for name in ["", "0", "01", "13", "1.0", " 1", "org.matrix.msc4242.12"] {
            assert!(name.parse::<RoomVersionId>().is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn new_rooms_are_version_12() {
        assert_eq!(RoomVersionId::default(), RoomVersionId::V12);
        assert_eq!(RoomVersionId::DEFAULT, RoomVersionId::V12);
    }
}
