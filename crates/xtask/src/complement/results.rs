//! Results of tests, and the file that records them: one sorted line for each test and subtest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use anyhow::{Context, Error, Result, bail};

/// A test or subtest: its package, such as `csapi`, and its whole name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Test {
    pub(crate) package: String,
    pub(crate) name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.package, self.name)
    }
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// The test itself decided not to run.
    Skip,
}

impl Verdict {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::Skip].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// The results of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    pub(crate) tests: BTreeMap<Test, Verdict>,
}

impl Results {
    /// The packages with a result.
    pub(crate) fn packages(&self) -> BTreeSet<String> {
        self.tests.keys().map(|test| test.package.clone()).collect()
    }

    /// The results of these packages.
    pub(crate) fn only(&self, packages: &BTreeSet<String>) -> Self {
        let tests = self.tests.iter().filter(|(test, _)| packages.contains(&test.package));
        Self { tests: tests.map(|(test, verdict)| (test.clone(), *verdict)).collect() }
    }

    /// The results of the tests that another run has, too.
    pub(crate) fn only_tests_of(&self, other: &Self) -> Self {
        let tests = self.tests.iter().filter(|(test, _)| other.tests.contains_key(test));
        Self { tests: tests.map(|(test, verdict)| (test.clone(), *verdict)).collect() }
    }

    /// These results with the packages of a newer run replaced by it.
    pub(crate) fn with(mut self, newer: Self) -> Self {
        let packages = newer.packages();
        self.tests.retain(|test, _| !packages.contains(&test.package));
        self.tests.extend(newer.tests);
        self
    }

    /// The tests of either run whose results differ.
    pub(crate) fn differing<'r>(&'r self, found: &'r Self) -> Vec<&'r Test> {
        let all: BTreeSet<&Test> = self.tests.keys().chain(found.tests.keys()).collect();
        all.into_iter().filter(|test| self.tests.get(test) != found.tests.get(test)).collect()
    }

    /// Whether a test passed in these results and does not in those found.
    pub(crate) fn is_lost(&self, found: &Self, test: &Test) -> bool {
        self.tests.get(test) == Some(&Verdict::Pass) && found.tests.get(test) != Some(&Verdict::Pass)
    }
}

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tests.iter().try_for_each(|(test, verdict)| writeln!(formatter, "{} {test}", verdict.as_str()))
    }
}

impl FromStr for Results {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut results = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(verdict), Some(package), Some(name)) = (words.next(), words.next(), words.next())
            else {
                bail!("not a line of results: {line:?}");
            };
            let verdict = Verdict::parse(verdict).with_context(|| format!("not a verdict: {line:?}"))?;
            let test = Test { package: package.to_owned(), name: name.to_owned() };
            results.tests.insert(test, verdict);
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Results {
        text.parse().unwrap()
    }

    #[test]
    fn the_file_is_sorted_and_comes_back_as_it_was() {
        let text = "fail csapi TestB/with words\npass csapi TestA\nskip msc1 TestC\n";
        let sorted = "pass csapi TestA\nfail csapi TestB/with words\nskip msc1 TestC\n";
        assert_eq!(results(text).to_string(), sorted);
        assert_eq!(results(sorted), results(text));
        assert!("maybe csapi TestA".parse::<Results>().is_err());
        assert!("pass csapi".parse::<Results>().is_err());
    }

    #[test]
    fn what_no_longer_passes_is_lost_and_what_is_missing_too() {
        let recorded = results("pass p A\npass p B\nfail p C\npass p D\n");
        let found = results("pass p A\nfail p B\npass p C\npass p E\n");
        let differing: Vec<String> = recorded.differing(&found).iter().map(ToString::to_string).collect();
        assert_eq!(differing, ["p B", "p C", "p D", "p E"]);
        let lost = recorded.differing(&found).into_iter().filter(|test| recorded.is_lost(&found, test));
        assert_eq!(lost.map(ToString::to_string).collect::<Vec<_>>(), ["p B", "p D"]);
    }

    #[test]
    fn a_run_of_one_package_leaves_the_others_as_they_were() {
        let recorded = results("pass p A\npass p B\nfail q C\n");
        assert_eq!(recorded.with(results("fail p A\n")), results("fail p A\nfail q C\n"));
    }
}
