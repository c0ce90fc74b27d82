//! Making new events.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, ServerName};

use crate::hash::signing_bytes;
use crate::header::Header;
use crate::pdu::{check_size, event_id_over};
use crate::sign::{add_content_hash, add_signature};
use crate::{
    CanonicalObject, CanonicalValue, EventIdFormat, EventReferenceFormat, Pdu, PduError, RedactsLocation,
    RoomRules, STICKY_KEYS, Sha256Hash, SigningKey, base64, sticky,
};

/// An event about to be made: everything but hashes, signatures and, where it is a hash, its id.
#[derive(Debug, Clone)]
pub struct EventDraft {
    /// The room; none only for a create event that makes the room's id (v12).
    pub room_id: Option<OwnedRoomId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its `type`.
    pub event_type: String,
    /// Its `state_key`, if it is a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: CanonicalObject,
    /// What it redacts, if it is a redaction; written where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// Its parents.
    pub prev_events: Vec<EventReference>,
    /// The events that allow it.
    pub auth_events: Vec<EventReference>,
    /// One more than the greatest depth of its parents; the limit is applied here.
    pub depth: i64,
    /// The time, in milliseconds since 1970.
    pub origin_server_ts: i64,
    /// Its id, where ids are chosen (v1, v2): `$`, something never used before, `:`, and the server's name. Left out
    /// of account elsewhere.
    pub event_id: Option<OwnedEventId>,
    /// What to add under `unsigned`, outside hashes and signatures.
    pub unsigned: Option<CanonicalObject>,
    /// For how many milliseconds it is to be sticky (MSC4354), if at all.
    pub sticky: Option<i64>,
}

/// An event referred to by `prev_events` or `auth_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventReference {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its reference hash, which v1 and v2 write beside the id; elsewhere the id says it all.
    pub reference_hash: Option<Sha256Hash>,
}

impl From<OwnedEventId> for EventReference {
    fn from(event_id: OwnedEventId) -> Self {
        Self { event_id, reference_hash: None }
    }
}

impl From<&Pdu> for EventReference {
    fn from(pdu: &Pdu) -> Self {
        let reference_hash = match pdu.rules().event_reference_format {
            EventReferenceFormat::IdAndHash => Some(pdu.reference_hash()),
            EventReferenceFormat::Id => None,
        };
        Self { event_id: pdu.event_id().to_owned(), reference_hash }
    }
}

impl EventDraft {
    /// Makes the event: hashes it and signs it as `server_name`.
    ///
    /// # Errors
    /// [`PduError`] if it would not be an event of its room version.
    pub fn sign(
        self,
        rules: &'static RoomRules,
        server_name: &ServerName,
        key: &SigningKey,
    ) -> Result<Pdu, PduError> {
        Pdu::hash_and_sign(self.into_object(rules)?, rules, server_name, key)
    }

    /// The event without hashes and signatures, as `make_join` and its like hand it out.
    ///
    /// # Errors
    /// [`PduError::MissingReferenceHash`]
    pub fn into_object(self, rules: &RoomRules) -> Result<CanonicalObject, PduError> {
        let mut content = self.content;
        let mut event: Vec<(&str, CanonicalValue)> = Vec::with_capacity(15);
        event.push(("auth_events", references(self.auth_events, rules)?));
        event.push(("prev_events", references(self.prev_events, rules)?));
        event.push(("depth", self.depth.min(rules.max_depth).into()));
        event.push(("origin_server_ts", self.origin_server_ts.into()));
        event.push(("sender", self.sender.as_str().into()));
        event.push(("type", self.event_type.into()));
        match (rules.redaction.redacts_location, self.redacts) {
            (_, None) => {}
            (RedactsLocation::TopLevel, Some(target)) => event.push(("redacts", target.as_str().into())),
            (RedactsLocation::Content, Some(target)) => {
                content.insert("redacts", target.as_str());
            }
        }
        event.push(("content", content.into()));
        if rules.event_id_format == EventIdFormat::Chosen {
            event.extend(self.event_id.map(|id| ("event_id", id.as_str().into())));
        }
        event.extend(self.room_id.map(|id| ("room_id", id.as_str().into())));
        event.extend(self.state_key.map(|key| ("state_key", key.into())));
        event.extend(self.sticky.map(|duration| (STICKY_KEYS[0], sticky::written(duration).into())));
        event.extend(self.unsigned.map(|unsigned| ("unsigned", unsigned.into())));
        Ok(event.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

fn references(references: Vec<EventReference>, rules: &RoomRules) -> Result<CanonicalValue, PduError> {
    let written = references.into_iter().map(|reference| match rules.event_reference_format {
        EventReferenceFormat::Id => Ok(reference.event_id.as_str().into()),
        EventReferenceFormat::IdAndHash => {
            let EventReference { event_id, reference_hash } = reference;
            let Some(hash) = reference_hash else {
                return Err(PduError::MissingReferenceHash { event_id });
            };
            let hashes: CanonicalObject =
                [("sha256".to_owned(), base64::encode(&hash).into())].into_iter().collect();
            Ok(CanonicalValue::Array(vec![event_id.as_str().into(), hashes.into()]))
        }
    });
    written.collect::<Result<Vec<_>, _>>().map(CanonicalValue::Array)
}

impl Pdu {
    /// Makes an event of an object that lacks only hashes and signatures, such as a template from `make_join` that was
    /// checked and completed. Hashes it already bears are replaced; signatures by others stay.
    ///
    /// # Errors
    /// [`PduError`] if it is not an event of this room version.
    pub fn hash_and_sign(
        mut event: CanonicalObject,
        rules: &'static RoomRules,
        server_name: &ServerName,
        key: &SigningKey,
    ) -> Result<Self, PduError> {
        event.check(rules.canonical_json)?;
        add_content_hash(&mut event);
        let signed = signing_bytes(&event, rules);
        add_signature(&mut event, server_name.as_str(), key.id(), key.sign(&signed))?;
        let header = Header::read(&event, rules)?;
        check_size(&event)?;
        let event_id = event_id_over(&signed, &header, rules)?;
        Self::from_checked(&event, header, event_id, rules)
    }
}
