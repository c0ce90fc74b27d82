//! `next_batch` of a search: where an answer, or a group of it, ended.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use myelin_model::Pos;
use ruma::{OwnedRoomId, OwnedUserId};

use crate::rank::Rank;

/// A text that this server gave out as no `next_batch` of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`next_batch` is not a token that this server gave out for a search")]
pub struct BadToken;

/// The place of a result among the results, and what the next answer must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) rank: Rank,
    pub(crate) pos: Pos,
    /// How many results the first answer found.
    pub(crate) count: usize,
    pub(crate) scope: Scope,
}

/// What a token goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All results.
    All,
    /// Those of one room.
    Room(OwnedRoomId),
    /// Those of one sender.
    Sender(OwnedUserId),
}

/// The first character says the version, for the day when tokens change.
const VERSION: char = '1';

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, of) = match &self.scope {
            Scope::All => ("a", ""),
            Scope::Room(room_id) => ("r", room_id.as_str()),
            Scope::Sender(user_id) => ("s", user_id.as_str()),
        };
        let text = format!("{VERSION}_{}_{}_{}_{kind}{of}", self.rank, self.pos, self.count);
        // In base64, because clients have been seen to put tokens into URLs as they are.
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken)?;
        let text = String::from_utf8(bytes).map_err(|_| BadToken)?;
        let mut parts = text
            .strip_prefix(VERSION)
            .and_then(|text| text.strip_prefix('_'))
            .ok_or(BadToken)?
            .splitn(4, '_');
        let rank = number(parts.next())?;
        let pos = Pos::new(number(parts.next())?);
        let count = usize::try_from(number(parts.next())?).map_err(|_| BadToken)?;
        let scope = parts.next().ok_or(BadToken)?;
        let scope = match scope.split_at_checked(1).ok_or(BadToken)? {
            ("a", "") => Scope::All,
            ("r", room_id) => Scope::Room(room_id.try_into().map_err(|_| BadToken)?),
            ("s", user_id) => Scope::Sender(user_id.try_into().map_err(|_| BadToken)?),
            _ => return Err(BadToken),
        };
        Ok(Self { rank, pos, count, scope })
    }
}

fn number(text: Option<&str>) -> Result<i64, BadToken> {
    let text = text.ok_or(BadToken)?;
    let number: i64 = text.parse().map_err(|_| BadToken)?;
    if number >= 0 && number.to_string() == text { Ok(number) } else { Err(BadToken) }
}

#[cfg(test)]
mod tests {
    use myelin_model::Pos;
    use proptest::prelude::*;

    use super::{BadToken, Scope, Token};

    #[test]
    fn a_token_comes_back_as_it_was_made_and_nothing_else_is_one() {
        let scopes = [
            Scope::All,
            Scope::Room("!room_a:hs".try_into().unwrap()),
            Scope::Sender("@_b_:hs".try_into().unwrap()),
        ];
        for scope in scopes {
            let token = Token { rank: 1_234, pos: Pos::new(99), count: 7, scope };
            let text = token.to_string();
            assert_eq!(text.parse(), Ok(token));
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{text}");
        }
        for bad in ["", "s12_3", "MV8xXzJfM19h=", "!!"] {
            assert_eq!(bad.parse::<Token>(), Err(BadToken), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "[A-Za-z0-9_-]{0,40}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
