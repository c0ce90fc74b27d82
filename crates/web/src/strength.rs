//! What a person is told of a password that they should not choose.

use maud::Markup;
use myelin_auth::Guess;

use crate::browser::Visit;
use crate::messages::fill;

/// Why it is easily guessed.
pub(crate) fn guessed(visit: &Visit, guess: Guess) -> Markup {
    let say = &visit.messages().strength;
    let why = match guess {
        Guess::Common => &say.common,
        Guess::Word => &say.word,
        Guess::Name => &say.name,
        Guess::Keys => &say.keys,
        Guess::Repeats => &say.repeats,
        Guess::Sequence => &say.sequence,
        Guess::Date => &say.date,
        Guess::Simple => &say.simple,
    };
    fill(&say.guessed, &[("why", why)])
}
