//! `docs/security.md` names a test for every threat; each must exist.

use std::path::PathBuf;

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| threat"));
    let mut count = 0;
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let mut file = String::new();
        let mut named = 0;
        // What stands between backticks is a file, and then tests of it.
        for word in tests.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") {
                file = std::fs::read_to_string(root.join("crates").join(word)).expect(word);
            } else {
                assert!(file.contains(&format!("fn {word}(")), "{word} is not where the page says");
                named += 1;
            }
        }
        assert!(named > 0, "no test: {row}");
        count += named;
    }
    assert!(count > 30, "{count}");
}
