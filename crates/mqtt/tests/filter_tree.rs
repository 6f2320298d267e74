//! The filter tree against a plain list and the specification's definition of a match, written
//! here a second time so that both would have to be wrong in the same way.

use dockside_mqtt::filter_tree::FilterTree;
use proptest::prelude::*;

/// A match by comparing lists of levels from the back.
fn naive(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            ([first, filter @ ..], [name, topic @ ..]) => {
                (*first == "+" || first == name) && levels(filter, topic)
            }
            _ => false,
        }
    }
    let filter: Vec<_> = filter.split('/').collect();
    let topic: Vec<_> = topic.split('/').collect();
    let hidden = topic[0].starts_with('$') && (filter[0] == "+" || filter[0] == "#");
    !hidden && levels(&filter, &topic)
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$SYS", "日"])
}

fn topic() -> impl Strategy<Value = String> {
    proptest::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 1 => Just("+")];
    (proptest::collection::vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi {
            levels.pop();
            levels.push("#");
        }
        levels.join("/")
    })
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, u8),
    Remove(String, u8),
    Match(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (filter(), 0u8..4).prop_map(|(f, v)| Step::Insert(f, v)),
        (filter(), 0u8..4).prop_map(|(f, v)| Step::Remove(f, v)),
        topic().prop_map(Step::Match),
    ]
}

proptest! {
    #[test]
    fn the_tree_is_a_list_of_filters(steps in proptest::collection::vec(step(), 1..60)) {
        let mut tree = FilterTree::default();
        let mut list: Vec<(String, u8)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(filter, value) => {
                    tree.insert(&filter, value);
                    list.push((filter, value));
                }
                Step::Remove(filter, value) => {
                    tree.remove(&filter, |v| *v == value);
                    list.retain(|(f, v)| *f != filter || *v != value);
                }
                Step::Match(topic) => {
                    let mut found = Vec::new();
                    tree.matches(&topic, |value| found.push(*value));
                    found.sort_unstable();
                    let mut expected: Vec<u8> =
                        list.iter().filter(|(f, _)| naive(f, &topic)).map(|(_, v)| *v).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected, "{}", topic);
                    for (f, _) in &list {
                        prop_assert_eq!(dockside_mqtt::topic::matches(f, &topic), naive(f, &topic));
                    }
                }
            }
        }
        for (filter, value) in list {
            tree.remove(&filter, |v| *v == value);
        }
        prop_assert!(tree.is_empty(), "nodes are left behind");
    }
}
