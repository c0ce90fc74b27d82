//! What a run says to people.

use std::{collections::BTreeMap, fmt::Write};

use super::results::{Results, Verdict};

/// How many passed, failed and were skipped, by package and in all.
pub(crate) fn counts(results: &Results) -> String {
    let mut packages: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (test, verdict) in &results.tests {
        for name in [test.package.as_str(), "~ all"] {
            packages.entry(name).or_default()[*verdict as usize] += 1;
        }
    }
    let mut text = format!("\n{:<10} {:>6} {:>6} {:>6}\n", "package", "pass", "fail", "skip");
    for (name, [pass, fail, skip]) in packages {
        // Sorted behind every package.
        let name = name.trim_start_matches("~ ");
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name:<10} {pass:>6} {fail:>6} {skip:>6}");
    }
    text
}

/// Each test whose result is another one than recorded.
pub(crate) fn differences(recorded: &Results, found: &Results) -> String {
    let mut text = String::new();
    for test in recorded.differing(found) {
        let said = |results: &Results| results.tests.get(test).map_or("absent", |verdict| verdict.as_str());
        // Writing to a string can't fail.
        let _ = writeln!(text, "{} → {}: {test}", said(recorded), said(found));
    }
    text
}

/// Only for the order of the columns.
const _: () =
    assert!(Verdict::Pass as usize == 0 && Verdict::Fail as usize == 1 && Verdict::Skip as usize == 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_and_summed_up() {
        let results: Results = "pass csapi A\nfail csapi B\nskip tests C\npass tests D\n".parse().unwrap();
        let text = counts(&results);
        assert!(text.contains("csapi           1      1      0"), "{text}");
        assert!(text.ends_with("all             2      1      1\n"), "{text}");
    }

    #[test]
    fn a_difference_says_what_was_and_what_is() {
        let recorded: Results = "pass p A\nfail p B\n".parse().unwrap();
        let found: Results = "fail p A\nfail p B\npass p C\n".parse().unwrap();
        assert_eq!(differences(&recorded, &found), "pass → fail: p A\nabsent → pass: p C\n");
    }
}
