//! What counts as a word, of a text and of a query.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// How many characters of a word count; longer words are cut, in texts and queries alike.
pub const MAX_WORD: usize = 32;
/// The most different words of one event that can be found.
pub const MAX_WORDS: usize = 512;
/// The most words of one event that are looked at.
const MOST_SEEN: usize = 8_192;
/// The most words of a query; what comes after is not looked for.
pub const MAX_TERMS: usize = 16;

/// The words of a text as Unicode separates them (UAX 29), in small letters; scripts without spaces by their characters.
fn split(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(|word| word.chars().flat_map(char::to_lowercase).take(MAX_WORD).collect())
}

/// The words of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) counts: Counts,
    /// How many words there are, repetitions counted.
    pub(crate) length: u32,
}

/// How often each word occurs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Counts(pub(crate) BTreeMap<String, u32>);

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let mut words = Self::default();
        for word in split(text).take(MOST_SEEN) {
            let full = words.counts.0.len() >= MAX_WORDS;
            match words.counts.0.entry(word) {
                Entry::Occupied(mut count) => *count.get_mut() += 1,
                Entry::Vacant(_) if full => continue,
                Entry::Vacant(place) => {
                    place.insert(1);
                }
            }
            words.length += 1;
        }
        words
    }
}

/// What a query looks for: all of these words, the last by its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Words that must be there as they are, in the query's order.
    pub(crate) exact: Vec<String>,
    /// The beginning of a word that must be there.
    pub(crate) prefix: String,
}

impl Terms {
    /// The terms of a query; none where it has no word in it.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let mut exact: Vec<String> = Vec::new();
        let mut words = split(query).take(MAX_TERMS).peekable();
        while let Some(word) = words.next() {
            if words.peek().is_none() {
                return Some(Self { exact, prefix: word });
            }
            if !exact.contains(&word) {
                exact.push(word);
            }
        }
        None
    }

    /// How often each term occurs among the words; none where one of them does not.
    pub(crate) fn occurrences(&self, words: &Counts) -> Option<Vec<u32>> {
        let exact = self.exact.iter().map(|term| words.0.get(term).copied());
        let begun = self.begun(words).map(|(_, count)| count).fold(0, u32::saturating_add);
        exact.chain(std::iter::once((begun > 0).then_some(begun))).collect()
    }

    /// The words that match, as they stand in the text.
    pub(crate) fn matched<'a>(&'a self, words: &'a Counts) -> impl Iterator<Item = &'a str> {
        self.exact.iter().map(String::as_str).chain(self.begun(words).map(|(word, _)| word))
    }

    fn begun<'a>(&'a self, words: &'a Counts) -> impl Iterator<Item = (&'a str, u32)> {
        let from = words
            .0
            .range::<str, _>((std::ops::Bound::Included(self.prefix.as_str()), std::ops::Bound::Unbounded));
        from.take_while(|(word, _)| word.starts_with(&self.prefix))
            .map(|(word, count)| (word.as_str(), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WORD, MAX_WORDS, Terms, Words};

    fn words(text: &str) -> Vec<String> {
        Words::of(text).counts.0.into_keys().collect()
    }

    #[test]
    fn words_are_separated_as_unicode_says_and_written_in_small_letters() {
        assert_eq!(words("Hello, World! It's 3.5 €"), ["3.5", "hello", "it's", "world"]);
        assert_eq!(words("ÄPFEL Ωmega"), ["äpfel", "ωmega"]);
        assert_eq!(words("東京に"), ["に", "京", "東"]);
        assert_eq!(words(" \n…!"), [""; 0]);
    }

    #[test]
    fn the_length_and_number_of_words_is_bounded_and_repetitions_are_counted() {
        let long = "x".repeat(10 * MAX_WORD);
        assert_eq!(words(&long), ["x".repeat(MAX_WORD)]);
        assert_eq!(Terms::parse(&long).unwrap().prefix, "x".repeat(MAX_WORD));
        let many: String = (0..2 * MAX_WORDS).map(|n| format!("w{n} ")).collect();
        assert_eq!(words(&many).len(), MAX_WORDS);
        let twice = Words::of("to be or not to be");
        assert_eq!((twice.counts.0["to"], twice.length), (2, 6));
    }

    #[test]
    fn all_terms_must_be_there_and_the_last_by_its_beginning() {
        let text = Words::of("The quick brown fox, the QUICKest").counts;
        let found = |query: &str| Terms::parse(query).and_then(|terms| terms.occurrences(&text));
        assert_eq!(found("the qui"), Some(vec![2, 2]));
        assert_eq!(found("quick the"), Some(vec![1, 2]));
        assert_eq!(found("qui the"), None);
        assert_eq!(found("fox cat"), None);
        assert_eq!(found("?!"), None);
        let terms = Terms::parse("the qui").unwrap();
        assert_eq!(terms.matched(&text).collect::<Vec<_>>(), ["the", "quick", "quickest"]);
    }
}
