//! By which flows somebody may register: composed of what the operator asks for.

use myelin_store::schema::auth::EmailPurpose;

use crate::Stage;

const EMAIL: Stage = Stage::Email(EmailPurpose::Register);

/// What an operator asks of who registers, and what this server can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asks {
    /// A registration token.
    pub(super) token: bool,
    /// An e-mail address.
    pub(super) email: bool,
    /// Whether an address can be confirmed.
    pub(super) sends_email: bool,
    /// That terms are accepted.
    pub(super) terms: bool,
}

/// The flows; none where nobody can do what is asked.
pub(super) fn flows(asks: Asks) -> Vec<Vec<Stage>> {
    let token = asks.token.then_some(Stage::RegistrationToken);
    let terms = asks.terms.then_some(Stage::Terms);
    match (asks.email, asks.sends_email) {
        (true, false) => Vec::new(),
        (true, true) => vec![flow([token, Some(EMAIL), terms])],
        (false, false) => vec![flow([token, None, terms])],
        // An address that they may give or not comes first: a flow that begins as another one ends would never be gone to its end.
        (false, true) => vec![flow([None, token, terms]), flow([Some(EMAIL), token, terms])],
    }
}

/// A flow has a stage at least.
fn flow(stages: [Option<Stage>; 3]) -> Vec<Stage> {
    let stages: Vec<_> = stages.into_iter().flatten().collect();
    if stages.is_empty() { vec![Stage::Dummy] } else { stages }
}

#[cfg(test)]
mod tests {
    use super::{Asks, EMAIL, flows};
    use crate::Stage;
    use crate::Stage::{Dummy as DUMMY, RegistrationToken as TOKEN, Terms as TERMS};

    /// A token, an address, whether one can be confirmed, terms: 1 where the operator wants it.
    type Wish = (u8, u8, u8, u8);

    /// What must be offered.
    const EXPECTED: [(Wish, &[&[Stage]]); 16] = [
        ((0, 0, 0, 0), &[&[DUMMY]]),
        ((0, 0, 0, 1), &[&[TERMS]]),
        ((0, 0, 1, 0), &[&[DUMMY], &[EMAIL]]),
        ((0, 0, 1, 1), &[&[TERMS], &[EMAIL, TERMS]]),
        ((0, 1, 0, 0), &[]),
        ((0, 1, 0, 1), &[]),
        ((0, 1, 1, 0), &[&[EMAIL]]),
        ((0, 1, 1, 1), &[&[EMAIL, TERMS]]),
        ((1, 0, 0, 0), &[&[TOKEN]]),
        ((1, 0, 0, 1), &[&[TOKEN, TERMS]]),
        ((1, 0, 1, 0), &[&[TOKEN], &[EMAIL, TOKEN]]),
        ((1, 0, 1, 1), &[&[TOKEN, TERMS], &[EMAIL, TOKEN, TERMS]]),
        ((1, 1, 0, 0), &[]),
        ((1, 1, 0, 1), &[]),
        ((1, 1, 1, 0), &[&[TOKEN, EMAIL]]),
        ((1, 1, 1, 1), &[&[TOKEN, EMAIL, TERMS]]),
    ];

    #[test]
    fn each_of_sixteen_wishes_of_an_operator_has_its_flows() {
        for (number, ((token, email, sends, terms), expected)) in EXPECTED.into_iter().enumerate() {
            let bits =
                [token, email, sends, terms].into_iter().fold(0, |bits, bit| bits * 2 + usize::from(bit));
            assert_eq!(bits, number, "every combination is in the table, once");
            let [token, email, sends_email, terms] = [token, email, sends, terms].map(|bit| bit == 1);
            let offered = flows(Asks { token, email, sends_email, terms });
            assert_eq!(offered, expected, "{number:04b}");
            for flow in &offered {
                assert!(!token || flow.contains(&TOKEN), "nobody gets around a token: {flow:?}");
                assert!(!email || flow.contains(&EMAIL), "nor an address: {flow:?}");
                assert!(!terms || flow.contains(&TERMS), "nor the terms: {flow:?}");
                let begins = |other: &Vec<Stage>| other != flow && other.starts_with(flow);
                assert!(!offered.iter().any(begins), "a longer flow could not be gone to its end: {flow:?}");
            }
        }
    }
}
