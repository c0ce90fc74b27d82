//! Names as words: what the directory is indexed by, and what a search asks for. Pure.

/// The most words of one name that are indexed. Nobody has more names than that.
const MAX_WORDS: usize = 8;

/// The longest word that is indexed, in characters; of a longer one, its beginning.
const MAX_WORD: usize = 24;

/// The shortest end of a word that is indexed. In scripts without spaces a word is a whole name: there, any.
const MIN_END: usize = 3;

/// The words of a name in lower case, without what separates them.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let words: Vec<String> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(|word| word.chars().take(MAX_WORD).collect())
        .collect();
    words.into_iter()
}

/// What a name is found by: its words, and the ends of them, so that any part of a word is the beginning of a term. Each
/// with whether it is a whole word.
pub(super) fn terms(name: &str) -> Vec<(String, bool)> {
    let mut terms: Vec<(String, bool)> = Vec::new();
    for word in words(name) {
        let shortest = if word.is_ascii() { MIN_END } else { 1 };
        let length = word.chars().count();
        for (skipped, (start, _)) in word.char_indices().enumerate() {
            if skipped == 0 || length - skipped >= shortest {
                terms.push((word[start..].to_owned(), skipped == 0));
            }
        }
    }
    // Of a term that is both, the whole word stays.
    terms.sort_unstable_by(|a, b| (&a.0, !a.1).cmp(&(&b.0, !b.1)));
    terms.dedup_by(|a, b| a.0 == b.0);
    terms
}

/// What somebody looks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// As it was asked for, in lower case.
    text: String,
    words: Vec<String>,
}

/// How well a user fits, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It is their id, their localpart or their name.
    Exact,
    /// Their name or localpart begins with it.
    Start,
    /// Each of its words begins a word of theirs.
    Words,
    /// Each of its words is part of their name or id.
    Part,
}

impl Wanted {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.trim().to_lowercase(), words: words(text).collect() }
    }

    /// The word to look up: the longest, which fits the fewest.
    pub(super) fn longest(&self) -> Option<&str> {
        self.words.iter().max_by_key(|word| word.chars().count()).map(String::as_str)
    }

    /// How well a user with this id and these names fits; none if not at all.
    pub(super) fn rank<'n>(&self, user_id: &str, names: impl Iterator<Item = &'n str>) -> Option<Rank> {
        let id = user_id.to_lowercase();
        let localpart = id.trim_start_matches('@').split(':').next().unwrap_or_default().to_owned();
        // Who begins with the sigil means an id.
        let names = names.filter(|_| !self.text.starts_with('@'));
        let names: Vec<String> = names.map(str::to_lowercase).collect();
        let named = || names.iter().map(String::as_str).chain([id.as_str(), localpart.as_str()]);
        if named().any(|name| name == self.text) {
            return Some(Rank::Exact);
        }
        if named().any(|name| name.starts_with(&self.text)) {
            return Some(Rank::Start);
        }
        let all: Vec<String> =
            names.iter().map(String::as_str).chain([id.as_str()]).flat_map(words).collect();
        if self.words.iter().all(|word| all.iter().any(|own| own.starts_with(word))) {
            return Some(Rank::Words);
        }
        let is_part = |word: &String| named().any(|name| name.contains(word.as_str()));
        self.words.iter().all(is_part).then_some(Rank::Part)
    }
}

#[cfg(test)]
mod tests {
    use super::{Rank, Wanted, terms};

    fn whole(name: &str) -> Vec<String> {
        terms(name).into_iter().filter(|(_, whole)| *whole).map(|(term, _)| term).collect()
    }

    #[test]
    fn a_name_is_found_by_its_words_and_their_ends() {
        assert_eq!(whole("Alice-Mary  COOPER (she)"), ["alice", "cooper", "mary", "she"]);
        let all: Vec<String> = terms("Alice").into_iter().map(|(term, _)| term).collect();
        assert_eq!(all, ["alice", "ice", "lice"]);
        assert_eq!(terms("山田").len(), 2);
        assert_eq!(whole("ice alice"), ["alice", "ice"], "a word that is the end of another is whole");
        assert_eq!(terms("  --  "), []);
        assert!(terms(&"x".repeat(1_000)).len() <= 24);
        assert!(terms(&"word ".repeat(1_000)).len() <= 8 * 24);
    }

    #[test]
    fn the_better_something_fits_the_earlier_it_comes() {
        let rank = |wanted: &str| Wanted::new(wanted).rank("@acooper:hs", ["Alice Cooper"].into_iter());
        assert_eq!(rank("alice cooper"), Some(Rank::Exact));
        assert_eq!(rank("@ACooper:hs"), Some(Rank::Exact));
        assert_eq!(rank("Alice Coo"), Some(Rank::Start));
        assert_eq!(rank("@acoo"), Some(Rank::Start));
        assert_eq!(rank("coop ali"), Some(Rank::Words));
        assert_eq!(rank("oper"), Some(Rank::Part));
        assert_eq!(rank("alice smith"), None);
        assert_eq!(Wanted::new("a cooper").longest(), Some("cooper"));
        assert_eq!(Wanted::new("!?").longest(), None);
    }
}
