//! Files of messages: one for each language, of the same keys.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use crate::{LOCALES, Language};

/// Declares tables of messages: a type for each, whose fields are keys of a file. `all` gives them with their names.
#[macro_export]
macro_rules! messages {
    ($($name:ident { $($key:ident),+ $(,)? })+) => {
        $(#[derive(Debug, $crate::serde::Deserialize)]
        #[serde(crate = "myelin_language::serde", deny_unknown_fields)]
        pub(crate) struct $name { $(pub(crate) $key: String),+ }

        #[cfg(test)]
        impl $name {
            fn all(&self) -> Vec<(&'static str, &str)> {
                vec![$((concat!(stringify!($name), ".", stringify!($key)), &*self.$key)),+]
            }
        })+
    };
}

/// What is said, in every language.
#[derive(Debug)]
pub struct Said<T>([T; LOCALES.len()]);

impl<T: DeserializeOwned> Said<T> {
    /// Reads the files, in the order of [`LOCALES`].
    ///
    /// # Errors
    /// Where a key is missing, or one too many.
    pub fn read(files: [&str; LOCALES.len()]) -> Result<Self, toml::de::Error> {
        let [first, second, third] = files;
        Ok(Self([toml::from_str(first)?, toml::from_str(second)?, toml::from_str(third)?]))
    }
}

impl<T> Said<T> {
    /// What is said in a language.
    #[must_use]
    pub fn of(&self, language: Language) -> &T {
        let [first, ..] = &self.0;
        self.0.get(language.0).unwrap_or(first)
    }
}

/// A piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text.
    Text(&'a str),
    /// The name of what is filled in: a word in braces.
    Word(&'a str),
}

/// The pieces of a message, in their order.
pub fn pieces(message: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = message;
    let mut word = None;
    std::iter::from_fn(move || {
        if let Some(name) = word.take() {
            return Some(Piece::Word(name));
        }
        if rest.is_empty() {
            return None;
        }
        let Some((before, name, after)) = first_word(rest) else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        rest = after;
        if before.is_empty() {
            return Some(Piece::Word(name));
        }
        word = Some(name);
        Some(Piece::Text(before))
    })
}

/// The text before the first word in braces, the word, and what comes after it.
fn first_word(text: &str) -> Option<(&str, &str, &str)> {
    let (before, from) = text.split_once('{')?;
    let (name, after) = from.split_once('}')?;
    Some((before, name, after))
}

/// A message as text, with its words filled in. What has no value is left out.
#[must_use]
pub fn fill(message: &str, words: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(message.len());
    for piece in pieces(message) {
        filled.push_str(match piece {
            Piece::Text(text) => text,
            Piece::Word(name) => words.iter().find(|(known, _)| *known == name).map_or("", |(_, word)| *word),
        });
    }
    filled
}

/// In what a language differs from the first one so that its readers would be told less, or see what was written for programs.
/// For the test of whoever has files of messages: `all` gives those of a language, with their keys.
#[must_use]
pub fn differences<'a, T>(
    said: &'a Said<T>,
    all: impl Fn(&'a T) -> Vec<(&'static str, &'a str)>,
) -> Vec<String> {
    let [english, ..] = &said.0;
    let english = all(english);
    let mut found = Vec::new();
    for (messages, locale) in said.0.iter().zip(LOCALES) {
        let messages = all(messages);
        for ((key, english), (other_key, other)) in english.iter().zip(&messages) {
            let problem = if key != other_key {
                "is another key"
            } else if words(english) != words(other) {
                "has other words to fill in"
            } else if other.trim().is_empty() {
                "is empty"
            } else if other.contains('<') {
                "is no text"
            } else {
                continue;
            };
            found.push(format!("{key} in {locale} {problem}"));
        }
        if messages.len() != english.len() {
            found.push(format!("{locale} has more or fewer messages"));
        }
    }
    found
}

fn words(message: &str) -> BTreeSet<&str> {
    let word = |piece| match piece {
        Piece::Word(name) => Some(name),
        Piece::Text(_) => None,
    };
    pieces(message).filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Piece, Said, differences, fill, pieces};
    use crate::Language;

    #[derive(Deserialize)]
    struct Two {
        hello: String,
        bye: String,
    }

    impl Two {
        fn all(&self) -> Vec<(&'static str, &str)> {
            vec![("hello", &self.hello), ("bye", &self.bye)]
        }
    }

    const ENGLISH: &str = "hello = \"Hello {name} of {server}\"\nbye = \"Bye\"";

    #[test]
    fn words_in_braces_are_filled_in_and_whatever_else_is_text() {
        let words = [("name", "{server}"), ("server", "x")];
        assert_eq!(fill("Hello {name} of {server}{other}, {", &words), "Hello {server} of x, {");
        assert_eq!(fill("", &words), "");
        let all: Vec<_> = pieces("{a}{b} c").collect();
        assert_eq!(all, [Piece::Word("a"), Piece::Word("b"), Piece::Text(" c")]);
    }

    #[test]
    fn each_language_has_its_own_words() {
        let german = "hello = \"Hallo {name} von {server}\"\nbye = \"Ade\"";
        let said = Said::<Two>::read([ENGLISH, german, ENGLISH]).unwrap();
        assert_eq!(said.of(Language::of_tag("de-AT").unwrap()).bye, "Ade");
        assert_eq!(said.of(Language::default()).bye, "Bye");
        assert_eq!(differences(&said, Two::all), Vec::<String>::new());
    }

    #[test]
    fn what_a_language_lacks_is_found() {
        assert!(Said::<Two>::read([ENGLISH, "hello = \"x\"", ENGLISH]).is_err(), "a key");
        let (german, french) =
            ("hello = \"Hallo {name}\"\nbye = \" \"", "hello = \"{server} {name}\"\nbye = \"<b>\"");
        let said = Said::<Two>::read([ENGLISH, german, french]).unwrap();
        let found = differences(&said, Two::all);
        assert_eq!(
            found,
            ["hello in de has other words to fill in", "bye in de is empty", "bye in fr is no text"]
        );
    }
}
