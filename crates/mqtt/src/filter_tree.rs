//! Which of many filters a topic matches (MQTT 5.0 section 4.7), in one walk down the levels.

use std::collections::HashMap;

/// Names under one node that are compared sooner than one is hashed.
const FEW: usize = 4;

/// Values under topic filters. Each filter holds any number of values.
#[derive(Clone, Debug)]
pub struct FilterTree<V> {
    root: Node<V>,
}

#[derive(Clone, Debug)]
struct Node<V> {
    /// Values of the filter that ends here.
    values: Vec<V>,
    /// Values of the filter that ends here with `/#`.
    multi: Vec<V>,
    names: HashMap<Box<str>, Node<V>>,
    single: Option<Box<Node<V>>>,
}

impl<V> Default for FilterTree<V> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { values: Vec::new(), multi: Vec::new(), names: HashMap::new(), single: None }
    }
}

impl<V> FilterTree<V> {
    /// Adds a value under a filter that [`crate::topic::Filter::parse`] accepted.
    pub fn insert(&mut self, filter: &str, value: V) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            match level {
                "#" => {
                    node.multi.push(value);
                    return;
                }
                "+" => node = node.single.get_or_insert_default(),
                name if node.names.contains_key(name) => {
                    node = node.names.get_mut(name).expect("looked up in the line above");
                }
                name => node = node.names.entry(name.into()).or_default(),
            }
        }
        node.values.push(value);
    }

    /// Removes the values under exactly this filter that `gone` picks, and every node that is left
    /// without use.
    pub fn remove(&mut self, filter: &str, mut gone: impl FnMut(&V) -> bool) {
        let levels: Vec<&str> = filter.split('/').collect();
        self.root.remove(&levels, &mut gone);
    }

    /// Calls `found` with every value whose filter matches `topic`. A filter that starts with a
    /// wildcard does not match a topic that starts with `$` [MQTT-4.7.2-1].
    pub fn matches<'t>(&'t self, topic: &str, mut found: impl FnMut(&'t V)) {
        let mut levels = topic.split('/');
        if topic.starts_with('$') {
            if let Some(node) = levels.next().and_then(|name| self.root.named(name)) {
                node.matches(levels, &mut found);
            }
        } else {
            self.root.matches(levels, &mut found);
        }
    }

    /// Whether no filter is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<V> Node<V> {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.multi.is_empty()
            && self.names.is_empty()
            && self.single.is_none()
    }

    fn remove(&mut self, levels: &[&str], gone: &mut impl FnMut(&V) -> bool) {
        match levels.split_first() {
            None => self.values.retain(|value| !gone(value)),
            Some((&"#", _)) => self.multi.retain(|value| !gone(value)),
            Some((&"+", rest)) => {
                if let Some(node) = &mut self.single {
                    node.remove(rest, gone);
                    if node.is_empty() {
                        self.single = None;
                    }
                }
            }
            Some((name, rest)) => {
                if let Some(node) = self.names.get_mut(*name) {
                    node.remove(rest, gone);
                    if node.is_empty() {
                        self.names.remove(*name);
                    }
                }
            }
        }
    }

    fn named(&self, name: &str) -> Option<&Self> {
        // A table that was large is looked through as if it were.
        if self.names.len() > FEW || self.names.capacity() > 4 * FEW {
            return self.names.get(name);
        }
        self.names.iter().find(|(own, _)| ***own == *name).map(|(_, node)| node)
    }

    fn matches<'t, 'l>(
        &'t self,
        mut levels: impl Iterator<Item = &'l str> + Clone,
        found: &mut impl FnMut(&'t V),
    ) {
        self.multi.iter().for_each(&mut *found);
        match levels.next() {
            None => self.values.iter().for_each(found),
            Some(name) => {
                if let Some(node) = self.named(name) {
                    node.matches(levels.clone(), found);
                }
                if let Some(node) = &self.single {
                    node.matches(levels, found);
                }
            }
        }
    }
}
