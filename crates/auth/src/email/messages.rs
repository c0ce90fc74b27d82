//! What mails say, by language: one file each, of the same keys. Words in braces are filled in.

use std::sync::LazyLock;

use myelin_language::{Language, Said, messages};
use serde::Deserialize;

static ALL: LazyLock<Said<Messages>> = LazyLock::new(|| {
    let files = [
        include_str!("messages/en.toml"),
        include_str!("messages/de.toml"),
        include_str!("messages/fr.toml"),
    ];
    Said::read(files).expect("the message files are part of the program, and a test reads them")
});

/// The messages of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Messages {
    pub(crate) common: Common,
    pub(crate) confirm: Confirm,
    pub(crate) taken: Taken,
    pub(crate) changed: Changed,
}

messages! {
    Common { hello, not_you }
    Confirm { subject, subject_reset, register, add, reset, open, button, after }
    Taken { subject, register, add, log_in }
    Changed {
        subject, account, was_you, totp_added, totp_removed, recovery_codes_made, recovery_code_used, passkey_added,
        passkey_removed, passkey_copied, all_removed,
    }
}

impl Messages {
    pub(crate) fn of(language: Language) -> &'static Self {
        ALL.of(language)
    }
}

#[cfg(test)]
mod tests {
    use myelin_language::differences;

    use super::{ALL, Messages};

    #[test]
    fn every_language_says_everything_with_the_same_words_to_fill_in() {
        let all = |messages: &'static Messages| {
            let Messages { common, confirm, taken, changed } = messages;
            [common.all(), confirm.all(), taken.all(), changed.all()].concat()
        };
        assert_eq!(differences(&ALL, all), Vec::<String>::new());
    }
}
