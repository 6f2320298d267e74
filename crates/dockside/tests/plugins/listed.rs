//! Every hard case of docs/flight-tasks.md has a test, and the document names it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const CASES: u32 = 31;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Rows `| number | `file`: `test`, `test`; `file`: `test` |`, by number: files with their tests.
fn listed(document: &str) -> BTreeMap<u32, BTreeSet<(&str, &str)>> {
    let (_, list) = document.split_once("## Where each case is tested").unwrap();
    let mut cases = BTreeMap::<_, BTreeSet<_>>::new();
    for row in list.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, number, tests, _] = cells[..] else { continue };
        let Ok(number) = number.parse() else { continue };
        for file in tests.split(';') {
            let [file, tests @ ..] = &quoted(file)[..] else { panic!("no file: {row}") };
            assert!(!tests.is_empty(), "no test: {row}");
            cases.entry(number).or_default().extend(tests.iter().map(|test| (*file, *test)));
        }
    }
    cases
}

#[test]
fn every_hard_case_has_its_test() {
    let document = read("docs/flight-tasks.md");
    let cases = listed(&document);
    assert!(cases.keys().copied().eq(1..=CASES), "{:?}", cases.keys());
    for (file, test) in cases.values().flatten() {
        let source = read(file);
        let at = source.find(&format!("fn {test}()"));
        let at = at.unwrap_or_else(|| panic!("{file} has no {test}"));
        let before = source[..at].trim_end_matches("async ").trim_end();
        let is_test = ["#[test]", "#[tokio::test]"].iter().any(|mark| before.ends_with(mark));
        assert!(is_test, "{test} of {file} is no test");
    }
    // And the other way round: none of these is forgotten in the document.
    for name in ["hard_envelopes", "hard_data", "hard_order"] {
        let file = format!("crates/dockside/tests/plugins/{name}.rs");
        for rest in read(&file).split("\nfn case_").skip(1) {
            let (name, _) = rest.split_once('(').unwrap();
            let number: u32 = name[..2].parse().unwrap();
            let test = format!("case_{name}");
            assert!(cases[&number].contains(&(&*file, &*test)), "{test} is not listed");
        }
    }
}
