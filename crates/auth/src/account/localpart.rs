//! Names of users: strict when one is made, tolerant when one is looked up
//! (<https://spec.matrix.org/v1.19/appendices/#user-identifiers>).

use myelin_model::NOTICE_SENDER;
use ruma::{OwnedUserId, ServerName, UserId};

/// The longest user id, with sigil and domain, in bytes.
const MAX_USER_ID_BYTES: usize = 255;

/// Why a name can't become a user id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// There is nothing.
    #[error("a user name has at least one character")]
    Empty,
    /// A character that the spec does not allow.
    #[error("{0:?} can't be in a user name: it consists of a-z, 0-9 and . _ = - / +")]
    Character(char),
    /// The server speaks by this name.
    #[error("this name is the server's own")]
    Reserved,
    /// Longer than an id may be.
    #[error("the user name is too long: with the server's name it may have 255 bytes")]
    TooLong,
}

/// The user id for a new account. Capitals become small letters, as the spec wants of new names; anything else that
/// is not allowed is refused rather than mapped, so that people get the name they read.
///
/// # Errors
/// What is wrong with the name.
pub fn new_user_id(name: &str, server_name: &ServerName) -> Result<OwnedUserId, NameProblem> {
    let name = name.to_ascii_lowercase();
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if name == NOTICE_SENDER {
        return Err(NameProblem::Reserved);
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._=-/+".contains(c);
    if let Some(other) = name.chars().find(|c| !allowed(*c)) {
        return Err(NameProblem::Character(other));
    }
    let user_id = format!("@{name}:{server_name}");
    if user_id.len() > MAX_USER_ID_BYTES {
        return Err(NameProblem::TooLong);
    }
    OwnedUserId::try_from(user_id).map_err(|_| NameProblem::TooLong)
}

/// Whom somebody may mean who logs in as `name`, a localpart or a whole user id: first exactly that (an old account
/// may have capitals or stranger letters), then the same in small letters. Nobody, if it is another server's.
pub(crate) fn meant(name: &str, server_name: &ServerName) -> Vec<OwnedUserId> {
    let exact = if name.starts_with('@') {
        UserId::parse(name).ok().filter(|user_id| user_id.server_name() == server_name)
    } else {
        UserId::parse(format!("@{name}:{server_name}")).ok()
    };
    let Some(exact) = exact else { return Vec::new() };
    let folded = new_user_id(exact.localpart(), server_name).ok().filter(|folded| *folded != exact);
    std::iter::once(exact).chain(folded).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruma::{ServerName, server_name};

    use super::{NameProblem, meant, new_user_id};

    fn server() -> &'static ServerName {
        server_name!("example.org")
    }

    #[test]
    fn capitals_become_small_and_the_spec_s_punctuation_stays() {
        let made = |name: &str| new_user_id(name, server()).map(|user_id| user_id.localpart().to_owned());
        assert_eq!(made("Alice"), Ok("alice".to_owned()));
        assert_eq!(made("a.b_c=d-e/f+0"), Ok("a.b_c=d-e/f+0".to_owned()));
        assert_eq!(made(""), Err(NameProblem::Empty));
        assert_eq!(made("al ice"), Err(NameProblem::Character(' ')));
        assert_eq!(made("álice"), Err(NameProblem::Character('á')));
        assert_eq!(made("@alice:example.org"), Err(NameProblem::Character('@')));
        assert_eq!(made(&"a".repeat(255 - 13)), Ok("a".repeat(242)));
        assert_eq!(made(&"a".repeat(256 - 13)), Err(NameProblem::TooLong));
    }

    #[test]
    fn an_old_name_is_found_as_written_before_its_modern_form() {
        let names = |name: &str| meant(name, server()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("Alice"), ["@Alice:example.org", "@alice:example.org"]);
        assert_eq!(names("@Alice:example.org"), ["@Alice:example.org", "@alice:example.org"]);
        assert_eq!(names("alice"), ["@alice:example.org"]);
        assert_eq!(names("old!name"), ["@old!name:example.org"]);
        assert!(names("@alice:elsewhere.org").is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_made_conforms_to_the_spec_and_is_found_again(name in "\\PC{0,40}|[A-Za-z0-9._=/+-]{1,260}") {
            let made = new_user_id(&name, server());
            let legal = |c: char| c.is_ascii_alphanumeric() || "._=-/+".contains(c);
            let fits = !name.is_empty() && name.chars().all(legal) && name.len() <= 242;
            prop_assert_eq!(made.is_ok(), fits);
            if let Ok(user_id) = made {
                prop_assert!(ruma::UserId::parse(user_id.as_str()).is_ok());
                prop_assert!(!user_id.localpart().chars().any(|c| c.is_ascii_uppercase()));
                prop_assert!(user_id.as_str().len() <= 255);
                prop_assert!(meant(&name, server()).contains(&user_id));
                prop_assert_eq!(new_user_id(user_id.localpart(), server()), Ok(user_id));
            }
        }
    }
}
