//! The size limits of events ([size limits](https://spec.matrix.org/latest/client-server-api/#size-limits)).

/// The most bytes of canonical JSON an event may take, signatures included and `unsigned` left out.
///
/// `unsigned` is left out because any server on the way may change it: were it counted, servers would disagree on
/// whether an event exists.
pub const MAX_PDU_BYTES: usize = 65_536;

/// The most bytes an event may take as received: room for white space, escapes and `unsigned`. The specification has
/// no such bound; this one keeps what is stored in proportion.
pub const MAX_RECEIVED_BYTES: usize = 4 * MAX_PDU_BYTES;

/// The most bytes of a `sender`, `room_id`, `state_key`, `type` or `event_id`.
pub const MAX_ID_BYTES: usize = 255;

/// The most entries of `prev_events`.
pub const MAX_PREV_EVENTS: usize = 20;

/// The most entries of `auth_events`.
pub const MAX_AUTH_EVENTS: usize = 10;
