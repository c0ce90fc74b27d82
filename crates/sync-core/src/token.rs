//! Tokens: where a client stands. Opaque to clients, plain to us: ASCII, versioned, and parsed strictly, so that a
//! token of another server, of another kind or with a typing error in it is refused and never misread.
//!
//! Numbers are decimal without sign or leading zeros, so that each token has exactly one spelling.

use std::fmt;
use std::str::FromStr;

/// A text that is no token of the kind wanted: made by somebody else, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no token that this server gave out for this purpose")]
pub struct InvalidToken;

/// `next_batch` and `since` of `/v3/sync`: everything up to a position of the log has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyncToken {
    /// The position of the log.
    pub position: i64,
    /// The position up to which the device's inbox was sent.
    pub inbox: i64,
    /// The counter of typing changes, which counts from 0 in each run of the server.
    pub typing: u64,
    /// The run of the server that `typing` belongs to.
    pub run: u64,
}

/// `pos` of sliding sync: the answer of a connection that the client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionPos {
    /// The position of the log that the answer was about.
    pub position: i64,
    /// The connection, as it was made: not guessable, and new whenever the client starts over.
    pub nonce: u64,
    /// The number of the answer on its connection, from 1.
    pub answer: u64,
}

/// A place in one room's timeline, for `prev_batch` and the `from` and `to` of paginated requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageToken {
    /// Before the event with this room-local order: the events below it are older, it and those above it newer.
    Before(i64),
    /// After everything that was known at this position of the log (from `since` and `pos` tokens).
    At(i64),
}

/// The token of a to-device inbox: everything up to a position has been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InboxToken(pub i64);

fn number(text: &str) -> Result<i64, InvalidToken> {
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidToken);
    }
    text.parse().map_err(|_| InvalidToken)
}

fn hex(text: &str) -> Result<u64, InvalidToken> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 16 || !text.bytes().all(digit) {
        return Err(InvalidToken);
    }
    u64::from_str_radix(text, 16).map_err(|_| InvalidToken)
}

/// The parts of a token that begins with `prefix`.
fn parts<'t, const N: usize>(text: &'t str, prefix: &str) -> Result<[&'t str; N], InvalidToken> {
    let rest = text.strip_prefix(prefix).ok_or(InvalidToken)?;
    let parts: Vec<&str> = rest.splitn(N + 1, '_').collect();
    parts.try_into().map_err(|_| InvalidToken)
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s1_{}_{}_{}_{:016x}", self.position, self.inbox, self.typing, self.run)
    }
}

impl FromStr for SyncToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [position, inbox, typing, run] = parts(text, "s1_")?;
        let typing = u64::try_from(number(typing)?).map_err(|_| InvalidToken)?;
        Ok(Self { position: number(position)?, inbox: number(inbox)?, typing, run: hex(run)? })
    }
}

impl fmt::Display for ConnectionPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c1_{}_{:016x}_{}", self.position, self.nonce, self.answer)
    }
}

impl FromStr for ConnectionPos {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [position, nonce, answer] = parts(text, "c1_")?;
        let answer = u64::try_from(number(answer)?).map_err(|_| InvalidToken)?;
        Ok(Self { position: number(position)?, nonce: hex(nonce)?, answer })
    }
}

impl fmt::Display for PageToken {
    /// Tokens of either sync are not written in this form, but read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Backfilled events have orders below zero.
            Self::Before(order) if *order < 0 => write!(f, "t1_m{}", order.unsigned_abs()),
            Self::Before(order) => write!(f, "t1_{order}"),
            Self::At(position) => write!(f, "a1_{position}"),
        }
    }
}

impl FromStr for PageToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if let Ok([order]) = parts(text, "t1_") {
            return match order.strip_prefix('m') {
                Some("0") => Err(InvalidToken),
                Some(below) => Ok(Self::Before(-number(below)?)),
                None => Ok(Self::Before(number(order)?)),
            };
        }
        if let Ok([position]) = parts(text, "a1_") {
            return Ok(Self::At(number(position)?));
        }
        let sync = text.parse().map(|token: SyncToken| token.position);
        sync.or_else(|_| text.parse().map(|token: ConnectionPos| token.position)).map(Self::At)
    }
}

impl fmt::Display for InboxToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d1_{}", self.0)
    }
}

impl FromStr for InboxToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [position] = parts(text, "d1_")?;
        number(position).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ConnectionPos, InboxToken, PageToken, SyncToken};

    proptest! {
        #[test]
        fn every_token_reads_back(position in 0..i64::MAX, inbox in 0..i64::MAX, typing in 0..i64::MAX as u64, run: u64, order in -i64::MAX..i64::MAX) {
            let token = SyncToken { position, inbox, typing, run };
            prop_assert_eq!(token.to_string().parse(), Ok(token));
            let pos = ConnectionPos { position, nonce: run, answer: typing };
            prop_assert_eq!(pos.to_string().parse(), Ok(pos));
            prop_assert_eq!(PageToken::Before(order).to_string().parse(), Ok(PageToken::Before(order)));
            prop_assert_eq!(PageToken::At(position).to_string().parse(), Ok(PageToken::At(position)));
            prop_assert_eq!(token.to_string().parse(), Ok(PageToken::At(position)));
            prop_assert_eq!(pos.to_string().parse(), Ok(PageToken::At(position)));
            prop_assert_eq!(InboxToken(position).to_string().parse(), Ok(InboxToken(position)));
        }

        #[test]
        fn a_text_that_parses_is_the_tokens_only_spelling(text in "[scadtm]1_[0-9a-f_m+ -]{0,40}") {
            if let Ok(token) = text.parse::<SyncToken>() {
                prop_assert_eq!(token.to_string(), text.as_str());
            }
            if let Ok(pos) = text.parse::<ConnectionPos>() {
                prop_assert_eq!(pos.to_string(), text.as_str());
            }
            if let Ok(token) = text.parse::<InboxToken>() {
                prop_assert_eq!(token.to_string(), text.as_str());
            }
        }

        #[test]
        fn any_text_at_all_is_refused_or_read_without_a_panic(text in ".*") {
            let _ = (text.parse::<SyncToken>(), text.parse::<ConnectionPos>(), text.parse::<PageToken>());
        }
    }

    #[test]
    fn tokens_of_other_servers_and_kinds_are_refused() {
        for text in [
            "",
            "s72594_4483_1934",
            "s1_1_2",
            "s1_01_1_2_00000000000000ff",
            "s2_1_1_2_00000000000000ff",
            "t1_m0",
        ] {
            assert!(text.parse::<SyncToken>().is_err(), "{text}");
            assert!(text.parse::<PageToken>().is_err(), "{text}");
        }
        let pos = ConnectionPos { position: 1, nonce: 2, answer: 3 }.to_string();
        assert!(pos.parse::<SyncToken>().is_err());
    }
}
