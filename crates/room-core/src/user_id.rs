//! The little that authorisation must know about user ids.

use ruma::UserId;

/// The server name within a user id, or `None` where this is no user id.
///
/// This is the reading that the `sender` of an event gets, tolerant of historical user ids: any localpart, even an empty
/// one, then a server name, 255 bytes at most (<https://spec.matrix.org/v1.18/appendices/#historical-user-ids>).
pub(crate) fn server_name(user_id: &str) -> Option<&str> {
    <&UserId>::try_from(user_id).ok().map(|user_id| user_id.server_name().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_name_follows_the_first_colon() {
        assert_eq!(server_name("@a:example.org"), Some("example.org"));
        assert_eq!(server_name("@a:example.org:8448"), Some("example.org:8448"));
        assert_eq!(server_name("@a:[::1]:8448"), Some("[::1]:8448"));
        assert_eq!(server_name("@A b!ü:1.2.3.4"), Some("1.2.3.4"));
        assert_eq!(server_name("@:example.org"), Some("example.org"));
    }

    #[test]
    fn what_is_no_user_id_has_no_server_name() {
        let long = format!("@{}:x", "a".repeat(253));
        for bad in ["", "a:x", "@a", "@a:", "@a:x y", "@a:[::1", "@a:[zz]", "@a:x:", "@a:x:123456", &long] {
            assert_eq!(server_name(bad), None, "{bad}");
        }
    }
}
