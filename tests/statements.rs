//! Which normative statement of MQTT stands at which code and at which test.
//!
//! The valid ids are the lines of `docs/mqtt-statements.txt`; the table made of them is
//! `docs/mqtt-statements.md`, which this writes where `DOCKSIDE_WRITE_STATEMENTS` is set.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const IDS: &str = "docs/mqtt-statements.txt";
const TABLE: &str = "docs/mqtt-statements.md";

/// What stands above the table.
const HEAD: &str = "\
# Normative statements of MQTT

Which statement stands at which code, and which test proves it. The ids are those of
[mqtt-statements.txt](mqtt-statements.txt), of MQTT 5.0 and 3.1.1; where both gave one id to two
statements, that of 5.0 is meant. `tests/statements.rs` makes this table of the ids in the sources
and fails where it is old; `DOCKSIDE_WRITE_STATEMENTS=1 cargo test -p dockside-tests statements`
writes it.

Behind each file stands the function that the id is in. A doc comment belongs to the item below it,
any other comment or line to the nearest function or top-level item above it. Code is what stands
under `crates/*/src`, but not behind `#[cfg(test)]` nor in modules for tests (`tests.rs`, `model`);
everything else is a test.

Two empty cells: the statement is about clients only, about the network, or about what Dockside never
sends (user properties, response information, reason strings in the packets that have none here).

| id | code | test |
|---|---|---|
";

/// One id in one line of a source file.
#[derive(PartialEq, Eq, Debug)]
struct Mention {
    id: String,
    /// From the workspace's root.
    file: String,
    line: usize,
    /// The function or other item that the line belongs to, if it is in one.
    item: Option<String>,
    test: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn valid_ids() -> Vec<String> {
    fs::read_to_string(root().join(IDS)).unwrap().lines().map(str::to_owned).collect()
}

/// Every mention, files in the order of their paths.
fn all_mentions() -> Vec<Mention> {
    let mut files = Vec::new();
    for top in ["crates", "tests"] {
        collect(&root().join(top), &mut files);
    }
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let file = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        found.extend(mentions(&file, &fs::read_to_string(&path).unwrap()));
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn mentions(file: &str, text: &str) -> Vec<Mention> {
    let lines: Vec<&str> = text.lines().collect();
    // crates/NAME/src/...
    let mut test = file.split('/').nth(2) != Some("src") || !file.starts_with("crates/");
    // Modules that are there for tests only.
    test |= file.ends_with("/tests.rs") || file.contains("/model/");
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        test |= line.starts_with("#[cfg(test)]");
        for id in ids(line) {
            let item = item_of(&lines, index).map(str::to_owned);
            found.push(Mention { id, file: file.to_owned(), line: index + 1, item, test });
        }
    }
    found
}

/// Every `MQTT-section-number` in a line.
fn ids(line: &str) -> Vec<String> {
    let candidates = line.match_indices("MQTT-").map(|(at, start)| &line[at + start.len()..]);
    candidates
        .filter_map(|rest| {
            let end = |text: &str, more: &[char]| {
                text.find(|c: char| !c.is_ascii_digit() && !more.contains(&c)).unwrap_or(text.len())
            };
            let (section, rest) = rest.split_at(end(rest, &['.']));
            let rest = rest.strip_prefix('-')?;
            let number = &rest[..end(rest, &[])];
            let complete = section.contains('.') && !number.is_empty();
            complete.then(|| format!("MQTT-{section}-{number}"))
        })
        .collect()
}

/// The item a line belongs to: for a doc comment the one below it, else the nearest above.
fn item_of<'t>(lines: &[&'t str], index: usize) -> Option<&'t str> {
    let ornament = |line: &str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    let documented = lines[index].trim_start().starts_with("///");
    let below = lines[index..].iter().find(|line| documented && !ornament(line));
    let above = || lines[..=index].iter().rev().find_map(|line| declared(line));
    below.and_then(|line| declared(line)).or_else(above)
}

/// The name of the function that a line begins, or of another item if it stands at the margin.
fn declared(line: &str) -> Option<&str> {
    let margin = !line.starts_with(' ');
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let named = match word {
            "pub" | "pub(crate)" | "pub(super)" | "async" => continue,
            "const" if words.peek() == Some(&"fn") => continue,
            "fn" => true,
            "struct" | "enum" | "trait" | "const" | "static" | "type" | "macro_rules!" => margin,
            _ => false,
        };
        let name = words.next().filter(|_| named)?;
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        return Some(&name[..end]);
    }
    None
}

fn table(valid: &[String], mentions: &[Mention]) -> String {
    let mut text = HEAD.to_owned();
    for id in valid {
        let cell = |test: bool| {
            let mut places = Vec::new();
            for mention in mentions.iter().filter(|m| m.id == *id && m.test == test) {
                let item = mention.item.as_deref().unwrap_or_default();
                let place = format!("[{0}](../{0}) {item}", mention.file).trim_end().to_owned();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            places.join("<br>")
        };
        writeln!(text, "| {id} | {} | {} |", cell(false), cell(true)).unwrap();
    }
    text
}

#[test]
fn every_id_is_one_of_the_list() {
    let valid: BTreeSet<String> = valid_ids().into_iter().collect();
    let wrong: Vec<String> = all_mentions()
        .iter()
        .filter(|mention| !valid.contains(&mention.id))
        .map(|mention| format!("{}:{}: {}", mention.file, mention.line, mention.id))
        .collect();
    assert!(wrong.is_empty(), "not in {IDS}:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_is_that_of_the_sources() {
    let expected = table(&valid_ids(), &all_mentions());
    let path = root().join(TABLE);
    if env::var_os("DOCKSIDE_WRITE_STATEMENTS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let old = expected.lines().zip(found.lines().chain([""])).find(|(new, old)| new != old);
    assert!(found == expected, "{TABLE} is old, its head says how it is written: {old:?}");
}

#[test]
fn an_id_belongs_to_the_item_that_it_stands_at() {
    // Put together here, so that they are no ids of this file.
    let text = "\
/// [ID-1.1.1-1]
#[must_use]
pub(crate) const fn documented() {
    // [ID-1.1.1-2] [ID-1.1.1-3]
    const INNER: u8 = 0;
    let x = 0; // ID-1.1.1-4, and ID-SN, ID-1.1
}

pub struct Frame {
    /// [ID-1.1.1-5]
    padded: bool,
}

static ROWS: [&str; 1] = [
    \"[ID-10.2.3.4-50] a row\",
];
#[cfg(test)]
mod tests {
    #[test]
    fn proves() {} // ID-1.1.1-6
}
"
    .replace("ID-", concat!("MQ", "TT-"));
    let found = mentions("crates/x/src/lib.rs", &text);
    let found: Vec<_> = found
        .iter()
        .map(|m| (m.id.strip_prefix("MQTT-").unwrap(), m.line, m.item.as_deref().unwrap(), m.test))
        .collect();
    let expected = [
        ("1.1.1-1", 1, "documented", false),
        ("1.1.1-2", 4, "documented", false),
        ("1.1.1-3", 4, "documented", false),
        ("1.1.1-4", 6, "documented", false),
        ("1.1.1-5", 10, "Frame", false),
        ("10.2.3.4-50", 15, "ROWS", false),
        ("1.1.1-6", 20, "proves", true),
    ];
    assert_eq!(found, expected);
    assert!(mentions("tests/x.rs", &text).iter().all(|m| m.test));
    assert!(mentions("crates/x/tests/src/x.rs", &text).iter().all(|m| m.test));
}
