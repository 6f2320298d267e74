//! What ARCHITECTURE.md says of instructions is what was counted.

const COUNTED: &str = include_str!("../instructions.txt");

#[test]
fn the_table_of_instructions_says_what_was_counted() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let architecture = std::fs::read_to_string(file).unwrap();
    let counted: Vec<_> = COUNTED
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(what, figure)| (what.trim(), figure.trim()))
        .collect();
    let (_, section) = architecture.split_once("\n## Instructions\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    // Heading and line below it are none.
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let row = (cells.next().unwrap(), cells.next().unwrap());
        assert!(counted.contains(&row), "{row:?} is not in crates/bench/instructions.txt");
    }
    let rustc = COUNTED.trim_start_matches("# ").split(" (").next().unwrap();
    assert!(section.contains(rustc), "counted with {rustc}");
}
