//! The refresh token grant (RFC 6749, section 6; client-server API, "Refresh token grant").
//!
//! Tokens come in generations. A refresh token gives the next generation and stays good until a token of that is used:
//! a client whose answer was lost asks again. Once it was used, the older ones are spent; and since only a thief or a
//! client that was stolen from can come with one, all of the family ends then (RFC 9700, section 4.14).

use crate::error::{ErrorCode, Refusal};

/// The tokens that came of one approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family<'a> {
    /// The client that it was given to.
    pub client_id: &'a str,
    /// The newest generation of which a token was used.
    pub generation: i64,
}

/// A refresh token that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One that is kept, of this generation.
    Kept(i64),
    /// One that bears the family's mark and is kept no more: so it was spent long ago.
    Forgotten,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Tokens of generation `next` are issued.
    Rotate {
        /// Their generation.
        next: i64,
        /// Whether this shows that the client holds a generation that none of was used before: the older ones end.
        confirms: bool,
    },
    /// Another client came: nothing happens.
    OtherClient,
    /// The token was spent: every token of the family ends.
    Reused,
}

impl Family<'_> {
    /// Decides about a refresh token.
    #[must_use]
    pub fn refresh(&self, shown: Shown, client_id: &str) -> Outcome {
        match shown {
            _ if self.client_id != client_id => Outcome::OtherClient,
            Shown::Kept(generation) if generation >= self.generation => {
                Outcome::Rotate { next: generation + 1, confirms: generation > self.generation }
            }
            Shown::Kept(_) | Shown::Forgotten => Outcome::Reused,
        }
    }
}

/// The answer to a refresh token that gives nothing.
#[must_use]
pub fn refusal() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidGrant,
        "The refresh token is unknown, was used already, or its session has ended.",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{Family, Outcome, Shown};

    const CLIENT: &str = "client";

    /// The tokens of one family as a server keeps them: one number stands for both tokens of a pair.
    struct Server {
        alive: bool,
        generation: i64,
        kept: HashMap<usize, i64>,
        made: usize,
    }

    impl Server {
        fn new() -> Self {
            Self { alive: true, generation: 1, kept: HashMap::from([(0, 1)]), made: 1 }
        }

        fn confirm(&mut self, generation: i64) {
            self.generation = self.generation.max(generation);
            let oldest = self.generation - 1;
            self.kept.retain(|_, generation| *generation >= oldest);
        }

        fn refresh(&mut self, token: usize) -> Option<usize> {
            if !self.alive {
                return None;
            }
            let shown = self.kept.get(&token).map_or(Shown::Forgotten, |generation| Shown::Kept(*generation));
            let family = Family { client_id: CLIENT, generation: self.generation };
            match family.refresh(shown, CLIENT) {
                Outcome::Rotate { next, confirms } => {
                    if confirms {
                        self.confirm(next - 1);
                    }
                    self.made += 1;
                    self.kept.insert(self.made, next);
                    Some(self.made)
                }
                Outcome::Reused => {
                    self.alive = false;
                    None
                }
                Outcome::OtherClient => panic!("it is the client's"),
            }
        }

        /// A request with the access token of a pair.
        fn ask(&mut self, token: usize) -> bool {
            let found = self.kept.get(&token).copied().filter(|generation| *generation >= self.generation);
            let good = self.alive && found.is_some();
            if let (true, Some(generation)) = (good, found) {
                self.confirm(generation);
            }
            good
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Refreshes, and the answer arrives.
        Refresh,
        /// Refreshes, and the answer is lost.
        Lost,
        /// Uses the access token.
        Ask,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![Just(Step::Refresh), Just(Step::Lost), Just(Step::Ask)];
        proptest::collection::vec(step, 0..40)
    }

    fn go(server: &mut Server, token: &mut usize, step: Step) -> bool {
        match step {
            Step::Ask => server.ask(*token),
            Step::Lost => server.refresh(*token).is_some(),
            Step::Refresh => server.refresh(*token).inspect(|next| *token = *next).is_some(),
        }
    }

    proptest! {
        #[test]
        fn who_loses_answers_is_never_thrown_out(steps in steps()) {
            let (mut server, mut token) = (Server::new(), 0);
            for step in steps {
                prop_assert!(go(&mut server, &mut token, step), "{step:?}");
            }
        }

        /// Somebody copies the client's tokens at some moment, and both go on as they like.
        #[test]
        fn two_who_hold_the_same_tokens_never_both_go_on_for_long(
            before in steps(), after in proptest::collection::vec((any::<bool>(), steps()), 1..8),
        ) {
            let (mut server, mut token) = (Server::new(), 0);
            for step in before {
                go(&mut server, &mut token, step);
            }
            let mut hands = [token, token];
            let held = |server: &Server, token: usize| server.kept.get(&token).copied();
            for (who, steps) in after {
                for step in steps {
                    let hand = usize::from(who);
                    let is_old = held(&server, hands[hand]).is_none_or(|generation| generation < server.generation);
                    let went = go(&mut server, &mut hands[hand], step);
                    if is_old {
                        prop_assert!(!went);
                        // An access token that is spent is only refused; a refresh token ends it for both.
                        prop_assert!(matches!(step, Step::Ask) || !server.alive);
                    }
                }
            }
            if !server.alive {
                for token in hands {
                    prop_assert!(!server.ask(token) && server.refresh(token).is_none());
                }
            }
        }
    }

    #[test]
    fn another_client_changes_nothing() {
        let family = Family { client_id: CLIENT, generation: 3 };
        for shown in [Shown::Kept(1), Shown::Kept(3), Shown::Kept(4), Shown::Forgotten] {
            assert_eq!(family.refresh(shown, "other"), Outcome::OtherClient);
        }
    }
}
