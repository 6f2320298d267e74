//! Covering and overlapping against their definitions, by looking at every topic of a small world.

use dockside_access::pattern::{Asker, Pattern};
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "S", "ann", "$x"];

/// Every topic of up to four levels.
fn topics() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for level in 0..4 {
        let longer = last.iter().flat_map(|start| {
            NAMES.iter().map(move |name| {
                if level == 0 { (*name).to_owned() } else { format!("{start}/{name}") }
            })
        });
        last = longer.collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Section 4.7, level by level, sharing nothing with the code under test.
fn filter_matches(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (None, None) => true,
        (Some((&"#", _)), _) => true,
        (Some((&"+", rest)), Some((_, left))) => filter_matches(rest, left),
        (Some((name, rest)), Some((known, left))) => name == known && filter_matches(rest, left),
        _ => false,
    }
}

fn by_definition(filter: &str, topic: &str) -> bool {
    let reserved = topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'));
    let split = |text| -> Vec<&str> { str::split(text, '/').collect() };
    !reserved && filter_matches(&split(filter), &split(topic))
}

fn filter(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    let level = prop::sample::select(levels);
    (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(levels, multi)| {
        let mut levels = levels;
        if multi {
            *levels.last_mut().expect("at least one") = "#";
        }
        levels.join("/")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn covers_and_overlaps_mean_what_they_say(
        pattern in filter(&["a", "b", "+", "%u", "%s", "$x"]),
        filter in filter(&["a", "b", "S", "ann", "+", "$x"]),
    ) {
        let asker = Asker { user: Some("ann"), client_id: "c", owns: &|sn| sn == "S" };
        let compiled = Pattern::parse(&pattern).expect("a pattern");
        let topics = topics();
        let mut reached = topics.iter().filter(|topic| by_definition(&filter, topic)).peekable();
        let some = reached.peek().is_some();
        let (mut all, mut any) = (true, false);
        for topic in reached {
            let matches = compiled.matches(topic, &asker);
            all &= matches;
            any |= matches;
        }
        prop_assert_eq!(compiled.overlaps(&filter, &asker), any, "{} overlaps {}", pattern, filter);
        // A single level `+` can be covered name by name in a small world, never in a large one.
        if compiled.covers(&filter, &asker) {
            prop_assert!(all && some, "{} covers {}", pattern, filter);
        } else if !filter.contains(['+', '#']) {
            prop_assert!(!all, "{} does not cover {}", pattern, filter);
        }
    }
}
