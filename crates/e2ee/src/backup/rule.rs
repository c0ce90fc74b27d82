//! Which of two copies of a session's key a backup keeps.

use std::cmp::Reverse;

use myelin_store::schema::e2ee::BackedUpSession;

/// Whether `new` is kept in the place of `old`: rather one from a verified device, then one that decrypts more of the
/// session, then one that came through fewer hands. Of equal ones the first stays.
pub(super) fn replaces(new: &BackedUpSession, old: &BackedUpSession) -> bool {
    let worth = |session: &BackedUpSession| {
        (session.is_verified, Reverse(session.first_message_index), Reverse(session.forwarded_count))
    };
    worth(new) > worth(old)
}
