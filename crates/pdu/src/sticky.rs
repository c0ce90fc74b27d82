//! Sticky events (MSC4354): events that reach every client of a room for as long as they are sticky, however far the
//! timeline has gone on. What makes one sticky stands beside its content, so that it is seen of encrypted events too. It is
//! covered by the hashes and goes with redaction.

use crate::{CanonicalObject, CanonicalValue, Pdu};

/// The longest that an event is sticky, in milliseconds: an hour.
pub const MAX_STICKY_MS: i64 = 3_600_000;

/// The names of the key, that which servers write first: MSC4354 is not accepted yet.
pub const STICKY_KEYS: [&str; 2] = ["msc4354_sticky", "sticky"];

/// The key's value for a new event.
pub(crate) fn written(duration_ms: i64) -> CanonicalObject {
    [("duration_ms".to_owned(), CanonicalValue::Integer(duration_ms))].into_iter().collect()
}

/// How long an event is sticky, in milliseconds; nothing where it is like any other, which whoever made it may have meant
/// otherwise.
pub(crate) fn duration(event: &CanonicalObject) -> Option<i64> {
    let stated = STICKY_KEYS.iter().find_map(|key| event.get(key))?;
    let duration = stated.as_object()?.get("duration_ms")?.as_integer()?;
    (duration >= 0).then_some(duration.min(MAX_STICKY_MS))
}

impl Pdu {
    /// When it stops being sticky, in milliseconds since 1970, given when this server received it; nothing where it never
    /// was sticky. An event from the future is sticky from when it was received.
    #[must_use]
    pub fn sticky_until(&self, received: i64) -> Option<i64> {
        let start = received.min(self.origin_server_ts());
        self.sticky_duration().map(|duration| start.saturating_add(duration))
    }
}
