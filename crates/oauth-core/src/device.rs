//! The device authorization grant (RFC 8628): a client without a browser shows a short code, its user types it
//! elsewhere and decides, and the client asks until it is answered.

mod user_code;

use crate::error::ErrorCode;

pub use self::user_code::UserCode;

/// How long a device code is good for, in milliseconds.
pub const LIFETIME: i64 = 30 * 60_000;
/// How long a client waits between two questions at first, in milliseconds.
pub const INTERVAL: i64 = 5_000;
/// How much longer it waits after it asked too soon (RFC 8628, section 3.5).
const SLOWER: i64 = 5_000;
/// The longest it is told to wait.
const SLOWEST: i64 = 60_000;
/// How much earlier than told a question may come: clocks and networks jitter.
const JITTER: i64 = 500;

/// How far a device code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its user has not decided.
    Pending,
    /// They said yes.
    Approved,
    /// They said no.
    Denied,
    /// Tokens were issued.
    Issued,
}

/// What its user says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// A device code, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The client that it was made for.
    pub client_id: String,
    /// Until when it is good.
    pub expires_at: i64,
    /// How far it is.
    pub stage: Stage,
    /// How long the client waits between two questions.
    pub interval: i64,
    /// When it asked last.
    pub polled_at: Option<i64>,
}

/// Whether a token that came of the code was used. Who has the answer uses it; so who asks again without having used any
/// has lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// None was.
    Unused,
    /// One was, or they have ended since.
    Used,
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Tokens of a new session are issued.
    Issue,
    /// The answer was lost: tokens of the same session are issued once more.
    Again,
    /// Tokens were issued and used, and somebody comes with the code again: they end.
    Reused,
    /// Nothing yet, or nothing ever.
    Refused(ErrorCode),
}

/// Why a decision comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Late {
    /// The code has expired.
    #[error("the code has expired")]
    Expired,
    /// It was decided before.
    #[error("it has been decided already")]
    Decided,
}

impl DeviceCode {
    /// A new one, at `now`.
    #[must_use]
    pub fn new(client_id: String, now: i64) -> Self {
        let expires_at = now.saturating_add(LIFETIME);
        Self { client_id, expires_at, stage: Stage::Pending, interval: INTERVAL, polled_at: None }
    }

    /// What its user decides at `now`: the first time, and in time.
    ///
    /// # Errors
    /// Why it comes to nothing.
    pub fn decide(&self, decision: Decision, now: i64) -> Result<Self, Late> {
        if self.stage != Stage::Pending {
            return Err(Late::Decided);
        }
        if now >= self.expires_at {
            return Err(Late::Expired);
        }
        let stage = match decision {
            Decision::Approve => Stage::Approved,
            Decision::Deny => Stage::Denied,
        };
        Ok(Self { stage, ..self.clone() })
    }

    /// Decides about a client that asks at `now`; answers what is stored, too.
    #[must_use]
    pub fn poll(&self, client_id: &str, tokens: Tokens, now: i64) -> (Outcome, Self) {
        let mut next = self.clone();
        if self.client_id != client_id {
            return (Outcome::Refused(ErrorCode::InvalidGrant), next);
        }
        let outcome = match self.stage {
            Stage::Issued if tokens == Tokens::Used => Outcome::Reused,
            _ if now >= self.expires_at => Outcome::Refused(ErrorCode::ExpiredToken),
            Stage::Issued => Outcome::Again,
            Stage::Approved => {
                next.stage = Stage::Issued;
                Outcome::Issue
            }
            Stage::Denied => Outcome::Refused(ErrorCode::AccessDenied),
            Stage::Pending => Outcome::Refused(next.pace(now)),
        };
        (outcome, next)
    }

    /// Whether the client asks too often, which makes it wait longer from now on.
    fn pace(&mut self, now: i64) -> ErrorCode {
        let due = self.polled_at.map(|at| at.saturating_add(self.interval - JITTER));
        self.polled_at = Some(now);
        if due.is_none_or(|due| now >= due) {
            return ErrorCode::AuthorizationPending;
        }
        self.interval = (self.interval + SLOWER).min(SLOWEST);
        ErrorCode::SlowDown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decision, DeviceCode, INTERVAL, LIFETIME, Late, Outcome, Stage, Tokens};
    use crate::error::ErrorCode::{AccessDenied, AuthorizationPending, ExpiredToken, InvalidGrant, SlowDown};

    fn code() -> DeviceCode {
        DeviceCode::new("client".to_owned(), 0)
    }

    fn asked(code: &DeviceCode, now: i64) -> (Outcome, DeviceCode) {
        code.poll("client", Tokens::Unused, now)
    }

    #[test]
    fn who_asks_too_often_is_told_to_slow_down_and_each_time_more() {
        let (first, code) = asked(&code(), 0);
        assert_eq!(first, Outcome::Refused(AuthorizationPending));
        let (early, code) = asked(&code, 1_000);
        assert_eq!(early, Outcome::Refused(SlowDown));
        let (still, code) = asked(&code, 1_000 + INTERVAL);
        assert_eq!(still, Outcome::Refused(SlowDown), "ten seconds now");
        let (patient, code) = asked(&code, 1_000 + INTERVAL + 15_000);
        assert_eq!(patient, Outcome::Refused(AuthorizationPending));
        let mut hasty = code;
        for n in 0..100 {
            hasty = asked(&hasty, 30_000 + n).1;
        }
        assert_eq!(hasty.interval, 60_000);
    }

    #[test]
    fn what_the_user_decides_is_told_once_and_a_lost_answer_once_more() {
        let denied = code().decide(Decision::Deny, 1).unwrap();
        assert_eq!(asked(&denied, 2).0, Outcome::Refused(AccessDenied));
        let approved = code().decide(Decision::Approve, 1).unwrap();
        assert_eq!(approved.decide(Decision::Deny, 2), Err(Late::Decided));
        let (outcome, issued) = asked(&approved, 2);
        assert_eq!((outcome, issued.stage), (Outcome::Issue, Stage::Issued));
        assert_eq!(asked(&issued, 3).0, Outcome::Again);
        assert_eq!(issued.poll("client", Tokens::Used, 4).0, Outcome::Reused);
        assert_eq!(asked(&issued, LIFETIME).0, Outcome::Refused(ExpiredToken));
    }

    #[test]
    fn nothing_comes_of_an_expired_code() {
        assert_eq!(code().decide(Decision::Approve, LIFETIME), Err(Late::Expired));
        assert_eq!(asked(&code(), LIFETIME).0, Outcome::Refused(ExpiredToken));
        let approved = code().decide(Decision::Approve, LIFETIME - 1).unwrap();
        assert_eq!(asked(&approved, LIFETIME).0, Outcome::Refused(ExpiredToken));
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Poll,
        LostPoll,
        OtherClient,
        Decide(Decision),
        Use,
    }

    proptest! {
        /// Whatever happens in whatever order: tokens only after a yes and in time, only to the client; the client that
        /// loses answers gets them again until it used some, and never after.
        #[test]
        fn tokens_go_to_the_client_whose_user_said_yes(events in proptest::collection::vec((prop_oneof![
            Just(Event::Poll), Just(Event::LostPoll), Just(Event::OtherClient), Just(Event::Use),
            Just(Event::Decide(Decision::Approve)), Just(Event::Decide(Decision::Deny)),
        ], 0..LIFETIME / 8), 0..24)) {
            let (mut code, mut now, mut decided, mut has_tokens, mut used) = (code(), 0, None, false, false);
            for (event, later) in events {
                now += later;
                match event {
                    Event::Decide(decision) => {
                        let result = code.decide(decision, now);
                        prop_assert_eq!(result.is_ok(), decided.is_none() && now < LIFETIME);
                        if let Ok(next) = result {
                            (code, decided) = (next, Some(decision));
                        }
                    }
                    Event::Use => used |= has_tokens,
                    Event::OtherClient => {
                        let (outcome, next) = code.poll("other", Tokens::Unused, now);
                        prop_assert_eq!(outcome, Outcome::Refused(InvalidGrant));
                        prop_assert_eq!(&next, &code);
                    }
                    Event::Poll | Event::LostPoll => {
                        let tokens = if used { Tokens::Used } else { Tokens::Unused };
                        let (outcome, next) = code.poll("client", tokens, now);
                        let may = decided == Some(Decision::Approve) && now < LIFETIME && !used;
                        prop_assert_eq!(matches!(outcome, Outcome::Issue | Outcome::Again), may);
                        prop_assert_eq!(outcome == Outcome::Reused, used);
                        has_tokens |= may && matches!(event, Event::Poll);
                        code = next;
                    }
                }
            }
        }
    }
}
