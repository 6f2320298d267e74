//! The code on docs/plugins.md is that of the files it is said to be from.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const EXAMPLE: &str = "crates/dockside/examples/site_panels";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| unreachable!("{file}: {error}"))
}

/// The blocks of Rust, each with the file that the line before it names.
fn quoted(page: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((before, behind)) = rest.split_once("```rust\n") {
        let named = before.trim_end_matches('\n').lines().next_back().unwrap_or_default();
        let file = named.strip_prefix("<!-- from ").and_then(|end| end.strip_suffix(" -->"));
        let (code, behind) = behind.split_once("\n```").unwrap();
        let first = code.lines().next().unwrap_or_default();
        blocks.push((file.unwrap_or_else(|| unreachable!("from which file is {first}?")), code));
        rest = behind;
    }
    blocks
}

#[test]
fn the_code_of_the_plugin_guide_is_that_of_its_example() {
    let page = read("docs/plugins.md");
    let blocks = quoted(&page);
    for (file, code) in &blocks {
        // Whole lines: half of one could say something else.
        assert!(read(file).contains(&format!("\n{code}\n")), "{file} does not say\n{code}");
    }
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let files: BTreeSet<_> = blocks.iter().map(|(file, _)| (*file).to_owned()).collect();
    for name in ["main.rs", "panels.rs", "tests.rs"] {
        assert!(files.contains(&format!("{EXAMPLE}/{name}")), "nothing is from {name}");
    }
}

/// What the page shows a panel being told is what the plugin's own test expects.
#[test]
fn the_answer_on_the_plugin_guide_is_that_of_its_example() {
    let page = read("docs/plugins.md");
    let line = page.lines().find_map(|line| line.strip_prefix("site/panel/SIMDOCK1/answer "));
    let answer = line.unwrap();
    assert!(
        read(&format!("{EXAMPLE}/panels.rs")).contains(&format!("r#\"{answer}\"#")),
        "{answer}"
    );
}
