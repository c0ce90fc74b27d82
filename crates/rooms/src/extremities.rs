//! The stored form of a room's forward extremities ([`RoomHead::extremities`]).
//!
//! [`RoomHead::extremities`]: myelin_store::schema::rooms::RoomHead::extremities

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use myelin_room_core::machine::Extremity;
use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};

/// One of them: its id, its depth, and where the room version refers to events by it, its reference hash.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Stored {
    ById(OwnedEventId, i64),
    ByHash(OwnedEventId, i64, String),
}

/// Reads the stored form.
pub(crate) fn read(stored: &str) -> serde_json::Result<Vec<Extremity>> {
    let list: Vec<Stored> = serde_json::from_str(stored)?;
    let each = list.into_iter().map(|stored| match stored {
        Stored::ById(event_id, depth) => Ok(Extremity { event_id, depth, reference_hash: None }),
        Stored::ByHash(event_id, depth, hash) => {
            let hash = BASE64_STANDARD_NO_PAD.decode(hash).ok().and_then(|hash| hash.try_into().ok());
            let reference_hash = Some(hash.ok_or_else(|| serde::de::Error::custom("no reference hash"))?);
            Ok(Extremity { event_id, depth, reference_hash })
        }
    });
    each.collect()
}

/// Writes the stored form.
pub(crate) fn write(extremities: &[Extremity]) -> String {
    let each = extremities.iter().map(|Extremity { event_id, depth, reference_hash }| match reference_hash {
        None => Stored::ById(event_id.clone(), *depth),
        Some(hash) => Stored::ByHash(event_id.clone(), *depth, BASE64_STANDARD_NO_PAD.encode(hash)),
    });
    serde_json::json!(each.collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use myelin_room_core::machine::Extremity;

    use super::{read, write};

    #[test]
    fn extremities_are_read_as_they_were_written() {
        let of = |name: &str, hash| Extremity {
            event_id: name.try_into().unwrap(),
            depth: 7,
            reference_hash: hash,
        };
        let extremities = [of("$one:here.test", Some([9; 32])), of("$two", None)];
        assert_eq!(read(&write(&extremities)).unwrap(), extremities);
        assert_eq!(write(&extremities[1..]), r#"[["$two",7]]"#);
        assert!(read(r#"[["$one:here.test",7,"short"]]"#).is_err());
    }
}
