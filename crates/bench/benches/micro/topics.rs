//! Who subscribes to a topic, among few filters and many: the figures say whether it grows.

use std::hint::black_box;

use dockside_mqtt::filter_tree::FilterTree;

use crate::{Case, Work};

pub(crate) const CASES: &[Case] = &[
    Case { name: "match a topic: none of 10 filters", prepare: || matching(10, &[]) },
    Case { name: "match a topic: none of 1,000 filters", prepare: || matching(1_000, &[]) },
    Case { name: "match a topic: none of 100,000 filters", prepare: || matching(100_000, &[]) },
    Case { name: "match a topic: 5 of 10 filters", prepare: || matching(10, &MATCHING) },
    Case { name: "match a topic: 5 of 1,000 filters", prepare: || matching(1_000, &MATCHING) },
    Case { name: "match a topic: 5 of 100,000 filters", prepare: || matching(100_000, &MATCHING) },
];

/// Filters that match every topic here, each another way down the tree.
const MATCHING: [&str; 5] =
    ["#", "thing/product/+/osd", "thing/product/+/#", "+/product/+/+", "thing/+/+/osd"];

/// Docks that publish in turn: where a hash puts a name is chance, and differs from run to run.
const PUBLISHERS: usize = 100;

/// A topic against so many filters in all, those and as many others as are missing.
fn matching(filters: usize, matching: &[&str]) -> Work {
    let mut tree = FilterTree::default();
    matching.iter().for_each(|filter| tree.insert(filter, ()));
    for other in matching.len()..filters {
        // As many of a dock's own topics as of all that a dock is told.
        let end = if other % 2 == 0 { "events_reply" } else { "#" };
        tree.insert(&format!("thing/product/OTHER{other:08}/{end}"), ());
    }
    let topics: Vec<_> =
        (0..PUBLISHERS).map(|dock| format!("thing/product/DOCK{dock:09}/osd")).collect();
    let expected = matching.len();
    let mut next = 0;
    Box::new(move || {
        let mut found = 0;
        tree.matches(black_box(&topics[next]), |()| found += 1);
        assert_eq!(found, expected);
        next = (next + 1) % topics.len();
    })
}
