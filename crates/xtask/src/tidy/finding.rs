//! What a check reports.

use std::fmt;

/// One broken rule: where, what, and what to do instead. Printed as one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the root of the repository.
    pub(crate) path: String,
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// The rule that is broken.
    pub(crate) what: String,
    /// How to put it right.
    pub(crate) instead: String,
}

impl Finding {
    /// A finding at `path:line`.
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), instead: instead.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, instead } = self;
        write!(f, "{path}:{line}: {what}; {instead}")
    }
}

/// Where each finding is and what it says first, for tests: `"path:line: what"`.
#[cfg(test)]
pub(crate) fn summary(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what)).collect()
}
