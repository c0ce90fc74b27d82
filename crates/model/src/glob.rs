//! Globs over ids and server names (appendices, "Glob-style matching"): `*` stands for any text, `?` for one character.

use std::collections::HashSet;

/// Globs, made ready to be asked often: those without wildcards, which are most, cost one look-up together.
#[derive(Clone, Debug, Default)]
pub struct GlobSet {
    exact: HashSet<Box<str>>,
    globs: Vec<Box<str>>,
}

impl GlobSet {
    /// Adds a glob.
    pub fn insert(&mut self, glob: &str) {
        if glob.contains(['*', '?']) {
            self.globs.push(collapsed(glob).into());
        } else {
            self.exact.insert(glob.into());
        }
    }

    /// Whether one of them matches the whole value. Upper and lower case are different.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.exact.contains(value) || self.globs.iter().any(|glob| glob_matches(glob, value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<S> for GlobSet {
    fn from_iter<I: IntoIterator<Item = S>>(globs: I) -> Self {
        let mut set = Self::default();
        globs.into_iter().for_each(|glob| set.insert(glob.as_ref()));
        set
    }
}

/// Whether the glob matches the whole value, in at most the product of their lengths.
#[must_use]
pub fn glob_matches(glob: &str, value: &str) -> bool {
    let (mut glob, mut value) = (glob.chars(), value.chars());
    // The last `*` seen, and the value from where it is to match: where the rest fails, it takes one character more.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let rest = value.clone();
        match (glob.next(), value.next()) {
            (Some('*'), _) => {
                value = rest;
                retry = Some((glob.clone(), value.clone()));
                if glob.as_str().is_empty() {
                    return true;
                }
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (None, None) => return true,
            _ => {
                let Some((after, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                glob = after.clone();
                value = from.clone();
                retry = Some((after, from));
            }
        }
    }
}

/// The same glob with runs of `*` as one.
fn collapsed(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len());
    for c in glob.chars() {
        if c != '*' || !out.ends_with('*') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{GlobSet, glob_matches};

    #[test]
    fn a_glob_matches_the_whole_value() {
        for (glob, value) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abc"),
            ("a?c", "a\u{e9}c"),
            ("**a**", "xxa"),
            ("*ab*ab", "abxabab"),
            ("@user-?*", "@user-12:hs1"),
            ("*.bad.org", "x.y.bad.org"),
        ] {
            assert!(glob_matches(glob, value), "{glob} {value}");
        }
        for (glob, value) in [
            ("", "a"),
            ("a", ""),
            ("a", "ab"),
            ("?", ""),
            ("a?c", "ac"),
            ("*.bad.org", "bad.org"),
            ("*ab", "abx"),
            ("A*", "abc"),
            ("a*b?", "ab"),
        ] {
            assert!(!glob_matches(glob, value), "{glob} {value}");
        }
    }

    #[test]
    fn a_set_matches_where_one_of_its_globs_does() {
        let set: GlobSet = ["exact.org", "*.bad.org"].into_iter().collect();
        assert!(set.matches("exact.org") && set.matches("x.bad.org"));
        assert!(!set.matches("xexact.org") && !set.matches("bad.org"));
        assert!(GlobSet::default().is_empty() && !set.is_empty());
    }

    #[test]
    fn a_hostile_glob_takes_no_longer_than_the_product_of_the_lengths() {
        let glob: GlobSet = [format!("{}b", "a*".repeat(200))].into_iter().collect();
        assert!(!glob.matches(&"a".repeat(255)));
    }
}
