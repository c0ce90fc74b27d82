//! One sign-in with a provider: a browser leaves with a `state`, and comes back with it, once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::pkce::Challenge;

/// How long somebody may take at the provider, and to choose a name afterwards, in milliseconds.
pub const LIFETIME: i64 = 20 * 60_000;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The browser was sent to the provider.
    Left,
    /// It came back, and the provider is being asked who that is.
    Back,
    /// Who it is is known, and the person has something to decide: a name, or whether two accounts are theirs.
    Known,
}

/// A sign-in, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The provider's id.
    pub provider: String,
    /// The SHA-256 of what only the browser has that left.
    pub browser: [u8; 32],
    /// How far it is.
    pub stage: Stage,
    /// Until when it can go on.
    pub expires_at: i64,
}

/// Who comes, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Coming<'a> {
    /// The provider whose path it is.
    pub provider: &'a str,
    /// What the browser has.
    pub browser: &'a str,
    /// Who gives the answer, where it says so (RFC 9207).
    pub iss: Option<&'a str>,
}

/// What the provider is known to say.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// Who it is.
    pub issuer: &'a str,
    /// Whether each of its answers says so.
    pub always_says_so: bool,
}

/// Why a sign-in does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// It took too long, or never began.
    #[error("the sign-in has expired")]
    Expired,
    /// The browser is not the one that left: somebody was given a link.
    #[error("the sign-in was begun in another browser")]
    OtherBrowser,
    /// The answer is another provider's (RFC 9700, section 4.4).
    #[error("the answer is another provider's")]
    OtherProvider,
    /// The answer came already.
    #[error("the answer was used already")]
    Repeated,
}

impl Attempt {
    /// A sign-in that begins.
    #[must_use]
    pub fn new(provider: &str, browser: &str, now: i64) -> Self {
        let expires_at = now.saturating_add(LIFETIME);
        Self { provider: provider.to_owned(), browser: hash(browser), stage: Stage::Left, expires_at }
    }

    /// The browser comes back. What is answered is stored before the provider is asked anything, so that of two who come with
    /// one state one goes on.
    ///
    /// # Errors
    /// Why it does not go on; nothing is stored then.
    pub fn come_back(&self, coming: &Coming<'_>, issuer: &Issuer<'_>, now: i64) -> Result<Self, Stopped> {
        self.check(coming.provider, coming.browser, now)?;
        match coming.iss {
            Some(iss) if iss != issuer.issuer => return Err(Stopped::OtherProvider),
            None if issuer.always_says_so => return Err(Stopped::OtherProvider),
            _ => {}
        }
        if self.stage == Stage::Left {
            Ok(Self { stage: Stage::Back, ..self.clone() })
        } else {
            Err(Stopped::Repeated)
        }
    }

    /// Who came is known, and has something to decide.
    #[must_use]
    pub fn known(&self) -> Self {
        Self { stage: Stage::Known, ..self.clone() }
    }

    /// The person decides, or is asked. When they have decided, the attempt ends.
    ///
    /// # Errors
    /// Why they can't.
    pub fn decide(&self, provider: &str, browser: &str, now: i64) -> Result<(), Stopped> {
        self.check(provider, browser, now)?;
        if self.stage == Stage::Known { Ok(()) } else { Err(Stopped::Expired) }
    }

    fn check(&self, provider: &str, browser: &str, now: i64) -> Result<(), Stopped> {
        let is_same = !browser.is_empty() && bool::from(self.browser.ct_eq(&hash(browser)));
        if !is_same {
            Err(Stopped::OtherBrowser)
        } else if self.provider != provider {
            Err(Stopped::OtherProvider)
        } else if now >= self.expires_at {
            Err(Stopped::Expired)
        } else {
            Ok(())
        }
    }
}

/// What goes along with a sign-in and is stored nowhere: made of its state and of what the browser has, so that only both
/// together have it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// What the ID token must repeat.
    pub nonce: String,
    /// The PKCE verifier (RFC 7636).
    pub verifier: String,
}

impl Secrets {
    /// Those of this state in this browser.
    #[must_use]
    pub fn new(state: &str, browser: &str) -> Self {
        Self { nonce: derive("nonce", state, browser), verifier: derive("verifier", state, browser) }
    }

    /// The challenge that the verifier meets.
    #[must_use]
    pub fn challenge(&self) -> Option<Challenge> {
        Challenge::of(&self.verifier)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// 256 bits that say nothing of the browser's secret (HMAC-SHA-256, RFC 2104).
fn derive(purpose: &str, state: &str, browser: &str) -> String {
    // A key of any length will do for this MAC; where none did, the text would be empty, which no check takes.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(browser.as_bytes()) else { return String::new() };
    let mac = mac.chain_update(purpose).chain_update(b"\0").chain_update(state);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Attempt, Coming, Issuer, LIFETIME, Secrets, Stage, Stopped};

    const ISSUER: Issuer<'_> = Issuer { issuer: "https://id.example", always_says_so: true };

    #[test]
    fn what_goes_along_is_the_browser_s_and_the_state_s_alone() {
        let own = Secrets::new("state", "browser");
        assert_eq!(own, Secrets::new("state", "browser"));
        assert!(own.challenge().unwrap().is_met_by(&own.verifier));
        assert_ne!(own.nonce, own.verifier);
        for (state, browser) in [("state", "other"), ("other", "browser")] {
            let other = Secrets::new(state, browser);
            assert!(own.nonce != other.nonce && own.verifier != other.verifier);
        }
        assert_eq!(format!("{own:?}"), "Secrets");
    }

    #[test]
    fn an_answer_that_does_not_say_whose_it_is_is_taken_only_of_a_provider_that_never_does() {
        let attempt = Attempt::new("a", "browser", 0);
        let coming = Coming { provider: "a", browser: "browser", iss: None };
        assert_eq!(attempt.come_back(&coming, &ISSUER, 1), Err(Stopped::OtherProvider));
        let silent = Issuer { always_says_so: false, ..ISSUER };
        assert!(attempt.come_back(&coming, &silent, 1).is_ok());
        let other = Coming { iss: Some("https://evil.example"), ..coming };
        assert_eq!(attempt.come_back(&other, &silent, 1), Err(Stopped::OtherProvider));
        let nobody = Coming { browser: "", ..coming };
        assert_eq!(Attempt::new("a", "", 0).come_back(&nobody, &silent, 1), Err(Stopped::OtherBrowser));
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Somebody comes to a callback.
        Comes { provider: bool, browser: bool, iss: Option<bool> },
        /// The provider told who it is.
        Known,
        /// Somebody decides.
        Decides { provider: bool, browser: bool },
    }

    fn step() -> impl Strategy<Value = (Step, i64)> {
        let flag = || prop::bool::weighted(0.7);
        let comes = (flag(), flag(), prop::option::weighted(0.9, flag()))
            .prop_map(|(provider, browser, iss)| Step::Comes { provider, browser, iss });
        let decides = (flag(), flag()).prop_map(|(provider, browser)| Step::Decides { provider, browser });
        (prop_oneof![3 => comes, 1 => Just(Step::Known), 2 => decides], 0..2 * LIFETIME)
    }

    proptest! {
        /// Whoever comes from wherever with whatever, as often as they like and in any order: the provider is asked once at
        /// most, for the browser that left, by the provider that it left for, in time; and the same of who decides. What
        /// strangers try takes nothing from the browser that left.
        #[test]
        fn one_answer_is_taken_and_it_is_for_the_browser_that_left(mut steps in prop::collection::vec(step(), 1..16)) {
            steps.sort_by_key(|(_, at)| *at);
            let mut attempt = Some(Attempt::new("a", "own", 0));
            let (mut asked, mut decided) = (0, 0);
            for (step, at) in steps {
                let Some(now) = attempt.clone() else { break };
                let provider = |own| if own { "a" } else { "b" };
                let browser = |own| if own { "own" } else { "stranger" };
                match step {
                    Step::Comes { provider: own_provider, browser: own_browser, iss } => {
                        let iss = iss.map(|own| if own { ISSUER.issuer } else { "https://evil.example" });
                        let coming = Coming { provider: provider(own_provider), browser: browser(own_browser), iss };
                        let fits = own_provider && own_browser && iss == Some(ISSUER.issuer) && at < LIFETIME;
                        match now.come_back(&coming, &ISSUER, at) {
                            Ok(next) => {
                                prop_assert!(fits && now.stage == Stage::Left);
                                asked += 1;
                                attempt = Some(next);
                            }
                            Err(why) => prop_assert!(!fits || (now.stage != Stage::Left && why == Stopped::Repeated)),
                        }
                    }
                    Step::Known if now.stage == Stage::Back => attempt = Some(now.known()),
                    Step::Known => {}
                    Step::Decides { provider: own_provider, browser: own_browser } => {
                        let fits = own_provider && own_browser && at < LIFETIME && now.stage == Stage::Known;
                        let result = now.decide(provider(own_provider), browser(own_browser), at);
                        prop_assert_eq!(result.is_ok(), fits);
                        if result.is_ok() {
                            decided += 1;
                            attempt = None;
                        }
                    }
                }
            }
            prop_assert!(asked <= 1 && decided <= asked);
        }
    }
}
