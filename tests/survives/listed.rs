//! docs/mqtt.md lists what has ended other brokers, each with the tests that show it does not end this one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "docs/mqtt.md";
const HEADING: &str = "## What has ended other brokers";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Rows `| what | `file`: `test`, `test`; `file`: `test` |`: every file with every test.
fn listed(document: &str) -> BTreeSet<(&str, &str)> {
    let (_, section) = document.split_once(HEADING).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let mut all = BTreeSet::new();
    // Behind the two lines of the head.
    for row in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let (what, tests) = row.trim_matches(['|', ' ']).rsplit_once(" | ").expect(row);
        assert!(!what.is_empty() && !what.contains(" | "), "two cells: {row}");
        for file in tests.split(';') {
            let [file, tests @ ..] = &quoted(file)[..] else { panic!("no file: {row}") };
            assert!(!tests.is_empty(), "no test: {row}");
            all.extend(tests.iter().map(|test| (*file, *test)));
        }
    }
    all
}

/// Whether the source has a test of this name, a property included.
fn has_test(source: &str, test: &str) -> bool {
    source.match_indices(&format!("fn {test}(")).any(|(at, _)| {
        let before = source[..at].trim_end_matches("async ").trim_end();
        let mark = before.lines().last().unwrap_or_default().trim_start();
        mark == "#[test]" || mark.starts_with("#[tokio::test")
    })
}

#[test]
fn every_test_of_the_list_is_there() {
    let document = read(DOCUMENT);
    let listed = listed(&document);
    assert!(listed.len() > 40, "the list has lost its rows: {}", listed.len());
    for (file, test) in &listed {
        assert!(has_test(&read(file), test), "{file} has no test {test}");
    }
    // And the other way round: none of these is forgotten in the document.
    for entry in fs::read_dir(root().join("tests/survives")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let file = format!("tests/survives/{name}");
        let source = read(&file);
        let names = source.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
        for (test, _) in names.filter(|(name, _)| has_test(&source, name)) {
            let is_own = name == "listed.rs";
            assert!(is_own || listed.contains(&(&*file, test)), "{test} of {file} is not listed");
        }
    }
}

#[test]
fn a_name_without_a_test_is_noticed() {
    let source = "#[test]\nfn one() {}\n\nfn two() {}\n    #[tokio::test(flavor = \"x\")]\n    async fn three() {}\n";
    assert_eq!(
        ["one", "two", "three", "thre"].map(|test| has_test(source, test)),
        [true, false, true, false]
    );
}
