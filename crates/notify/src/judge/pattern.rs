//! Glob patterns of push rules (appendices, "Glob-style matching"), made ready once and matched in linear time.
//!
//! Case means nothing: pattern and value are compared in lower case, as most servers do.

use regex::bytes::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 255;
/// How large the machine of one pattern may become, in bytes.
const MACHINE: usize = 1 << 18;

/// A pattern, ready to match.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// The whole value is this text.
    Text(String),
    /// This text stands in the value as a word.
    Word(String),
    /// There are wildcards.
    Glob(Regex),
    /// It is too long or too large to be tried.
    Nothing,
}

impl Pattern {
    /// A pattern for a whole value.
    pub(crate) fn whole(pattern: &str) -> Self {
        if !has_wildcards(pattern) {
            return Self::Text(pattern.to_lowercase());
        }
        Self::glob(pattern, r"\A", r"\z")
    }

    /// A pattern for any part of a value that begins and ends at a word boundary. The empty one matches an empty value
    /// only.
    pub(crate) fn words(pattern: &str) -> Self {
        if !has_wildcards(pattern) {
            return Self::Word(pattern.to_lowercase());
        }
        Self::glob(pattern, r"(?-u:^|\W|\b)", r"(?-u:\b|\W|$)")
    }

    fn glob(pattern: &str, before: &str, after: &str) -> Self {
        if pattern.len() > MAX_PATTERN {
            return Self::Nothing;
        }
        let mut regex = before.to_owned();
        for c in pattern.to_lowercase().chars() {
            match c {
                '*' => regex.push_str("(?s:.*)"),
                '?' => regex.push_str("(?s:.)"),
                other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push_str(after);
        let built = RegexBuilder::new(&regex).size_limit(MACHINE).dfa_size_limit(MACHINE).build();
        built.map_or(Self::Nothing, Self::Glob)
    }

    /// Whether the value, in lower case already, matches.
    pub(crate) fn matches(&self, lower: &str) -> bool {
        match self {
            Self::Text(text) => lower == text,
            Self::Word(word) => lower == word || (!word.is_empty() && has_word(lower, word)),
            Self::Glob(regex) => regex.is_match(lower.as_bytes()),
            Self::Nothing => false,
        }
    }
}

fn has_wildcards(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether the word stands somewhere in the value with a boundary on each side: an end of the value, or a neighbour that
/// is no letter, digit or underscore of ASCII, on either side of the edge.
fn has_word(value: &str, word: &str) -> bool {
    let bytes = value.as_bytes();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let mut from = 0;
    while let Some(found) = value.get(from..).and_then(|rest| rest.find(word)) {
        let (start, end) = (from + found, from + found + word.len());
        let opens = !is_word(Some(start)) || !is_word(start.checked_sub(1));
        let closes = !is_word(end.checked_sub(1)) || !is_word(Some(end));
        if opens && closes {
            return true;
        }
        from = start + value.get(start..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{MAX_PATTERN, Pattern};

    fn word(pattern: &str, value: &str) -> bool {
        Pattern::words(pattern).matches(&value.to_lowercase())
    }

    #[test]
    fn words_are_found_at_their_boundaries_only() {
        assert!(word("cake", "A piece of CAKE, please"));
        assert!(word("cake", "cakes are no cake"));
        assert!(!word("cake", "pancakes"));
        assert!(word("ex*ple", "An exciting triple-whammy"));
        assert!(word("ex*ple", "exple"));
        assert!(!word("ex?ple", "exple"));
        assert!(word("", ""));
        assert!(!word("", "anything"));
        assert!(word("@room", "x@room"));
    }

    #[test]
    fn whole_values_match_from_end_to_end() {
        let whole = |pattern: &str, value: &str| Pattern::whole(pattern).matches(&value.to_lowercase());
        assert!(whole("lunc?*", "Lunch plans"));
        assert!(whole("lunc?*", "LUNCH"));
        assert!(!whole("lunc?*", " lunch"));
        assert!(!whole("lunc?*", "lunc"));
        assert!(whole("a*", "a\nb"));
        assert!(whole("?", "é"));
    }

    #[test]
    fn hostile_patterns_and_values_cost_little() {
        let many = "?".repeat(MAX_PATTERN);
        assert!(matches!(Pattern::whole(&many), Pattern::Nothing | Pattern::Glob(_)));
        assert!(matches!(Pattern::whole(&"*".repeat(MAX_PATTERN + 1)), Pattern::Nothing));
        assert!(!word("a", &"ab ".repeat(20_000)));
        assert!(!word("a*b*c*d*e", &"ab ".repeat(20_000)));
    }
}
