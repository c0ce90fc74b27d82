//! The authorization code grant (RFC 6749, section 4.1.3, with PKCE): a code is redeemed once, by who asked for it.

use subtle::ConstantTimeEq;

use crate::pkce::Challenge;

/// How long a code is good for, in milliseconds: a browser has to find its way back to the client.
pub const LIFETIME: i64 = 5 * 60_000;
/// How long a code is remembered after it was redeemed, in milliseconds, to know one that comes back.
pub const REMEMBERED: i64 = 24 * 3_600_000;

/// A code, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The client that it was made for.
    pub client_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What who redeems it must meet.
    pub challenge: Challenge,
    /// Until when it is good.
    pub expires_at: i64,
    /// Whether it was redeemed.
    pub is_redeemed: bool,
}

/// What comes with a code to the token endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Who comes.
    pub client_id: &'a str,
    /// Where the code came to them.
    pub redirect_uri: &'a str,
    /// What meets the challenge.
    pub verifier: &'a str,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Tokens are issued, and this is stored.
    Issue(Code),
    /// Nothing happens: who comes is not who asked, or the code has expired.
    Refused,
    /// The code was redeemed before, by somebody with the same proof: one of the two stole it. Every token that came of it
    /// ends (RFC 6749, section 4.1.2).
    Reused,
}

impl Code {
    /// Decides about a code that is shown at `now`.
    ///
    /// Who can't prove that they asked for it changes nothing, before or after it was redeemed: a code that leaked on its
    /// way through the browser is no means to throw its owner out.
    #[must_use]
    pub fn redeem(&self, shown: &Shown<'_>, now: i64) -> Outcome {
        let same = |own: &str, other: &str| bool::from(own.as_bytes().ct_eq(other.as_bytes()));
        let proves = same(&self.client_id, shown.client_id)
            && same(&self.redirect_uri, shown.redirect_uri)
            && self.challenge.is_met_by(shown.verifier);
        if !proves {
            Outcome::Refused
        } else if self.is_redeemed {
            Outcome::Reused
        } else if now >= self.expires_at {
            Outcome::Refused
        } else {
            Outcome::Issue(Self { is_redeemed: true, ..self.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Code, LIFETIME, Outcome, Shown};
    use crate::pkce::Challenge;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const OWNER: Shown<'_> =
        Shown { client_id: "client", redirect_uri: "https://example.com/cb", verifier: VERIFIER };

    fn code() -> Code {
        Code {
            client_id: "client".to_owned(),
            redirect_uri: "https://example.com/cb".to_owned(),
            challenge: Challenge::of(VERIFIER).unwrap(),
            expires_at: LIFETIME,
            is_redeemed: false,
        }
    }

    #[test]
    fn a_code_is_redeemed_once_and_its_return_is_told_from_expiry() {
        let Outcome::Issue(redeemed) = code().redeem(&OWNER, LIFETIME - 1) else { panic!() };
        assert_eq!(redeemed.redeem(&OWNER, LIFETIME - 1), Outcome::Reused);
        assert_eq!(redeemed.redeem(&OWNER, LIFETIME * 9), Outcome::Reused, "late, and stolen all the same");
        assert_eq!(code().redeem(&OWNER, LIFETIME), Outcome::Refused);
    }

    /// What somebody tries, who may know everything but the verifier.
    fn attempt() -> impl Strategy<Value = (bool, bool, bool, i64)> {
        (any::<bool>(), any::<bool>(), any::<bool>(), 0..2 * LIFETIME)
    }

    proptest! {
        /// Whoever tries whatever in whatever order: one at most gets in, it is one with the whole proof and in time; and
        /// while nobody but the owner has the proof, nothing that others do takes from the owner.
        #[test]
        fn one_gets_in_and_it_is_the_owner(mut attempts in proptest::collection::vec(attempt(), 1..12)) {
            attempts.sort_by_key(|(.., at)| *at);
            let (mut code, mut issued) = (code(), 0);
            for (client, redirect, verifier, at) in attempts {
                let shown = Shown {
                    client_id: if client { OWNER.client_id } else { "other" },
                    redirect_uri: if redirect { OWNER.redirect_uri } else { "https://example.com/other" },
                    verifier: if verifier { VERIFIER } else { "x".repeat(43).leak() },
                };
                let whole = client && redirect && verifier;
                match code.redeem(&shown, at) {
                    Outcome::Issue(next) => {
                        prop_assert!(whole && at < LIFETIME);
                        issued += 1;
                        code = next;
                    }
                    Outcome::Reused => prop_assert!(whole && issued == 1),
                    Outcome::Refused => prop_assert!(!whole || (issued == 0 && at >= LIFETIME)),
                }
            }
            prop_assert!(issued <= 1);
        }
    }
}
