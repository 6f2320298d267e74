//! As much of JSON Schema as `docs/openapi.json` is written in; a keyword beyond it is a mistake, as nobody would
//! look at it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

/// Keywords that are looked at, and those that only tell people something.
const LOOKED_AT: [&str; 9] = [
    "$ref",
    "type",
    "enum",
    "minimum",
    "anyOf",
    "items",
    "required",
    "properties",
    "additionalProperties",
];
const TELLING: [&str; 2] = ["description", "examples"];

/// Schemas by name, and what has been seen of them.
pub(super) struct Schemas {
    root: Value,
    /// `Schema/member type`, of every member that was looked at.
    seen: RefCell<BTreeSet<String>>,
}

impl Schemas {
    pub(super) fn new(root: Value) -> Self {
        Self { root, seen: RefCell::default() }
    }

    /// What a JSON pointer with `#` in front leads to.
    pub(super) fn at(&self, reference: &str) -> &Value {
        let found = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    pub(super) fn seen(&self) -> BTreeSet<String> {
        self.seen.borrow().clone()
    }

    /// Where a value is not as its schema says; `at` names both for people and for [`Schemas::seen`].
    pub(super) fn problems(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(reference) = schema.get("$ref") {
            let reference = reference.as_str().unwrap();
            let name = reference.rsplit('/').next().unwrap();
            return self.problems(self.at(reference), value, name);
        }
        let keywords = schema.as_object().unwrap().keys();
        let unknown =
            |key: &&String| !LOOKED_AT.contains(&key.as_str()) && !TELLING.contains(&key.as_str());
        let mut problems: Vec<_> =
            keywords.filter(unknown).map(|key| format!("{at}: nobody looks at {key:?}")).collect();
        if let Some(any) = schema.get("anyOf") {
            let mut ways = any.as_array().unwrap().iter().map(|way| self.problems(way, value, at));
            let first = ways.next().unwrap();
            if !first.is_empty() && !ways.any(|way| way.is_empty()) {
                problems.extend(first);
            }
            return problems;
        }
        let kind = kind(value);
        let is_allowed =
            |allowed: &Value| allowed == kind || (allowed == "number" && kind == "integer");
        match &schema["type"] {
            Value::Array(kinds) if kinds.iter().any(is_allowed) => {}
            one if is_allowed(one) => {}
            other => problems.push(format!("{at}: {value} is not of type {other}")),
        }
        let kind = if kind == "integer" && !schema["type"].to_string().contains(kind) {
            "number"
        } else {
            kind
        };
        self.seen.borrow_mut().insert(format!("{at} {kind}"));
        if schema.get("enum").is_some_and(|list| !list.as_array().unwrap().contains(value)) {
            problems.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        let minimum = schema.get("minimum").and_then(Value::as_f64);
        if minimum.zip(value.as_f64()).is_some_and(|(minimum, value)| value < minimum) {
            problems.push(format!("{at}: {value} is too small"));
        }
        for item in value.as_array().into_iter().flatten() {
            problems.extend(self.problems(&schema["items"], item, &format!("{at}[]")));
        }
        problems.extend(self.member_problems(schema, value, at));
        problems
    }

    fn member_problems(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let Some(members) = value.as_object() else { return Vec::new() };
        let mut problems = Vec::new();
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().unwrap()) {
                problems.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, member) in members {
            match schema["properties"].get(name) {
                Some(schema) => {
                    problems.extend(self.problems(schema, member, &format!("{at}/{name}")));
                }
                None if schema["additionalProperties"] == true => {}
                None => problems.push(format!("{at}: {name:?} is not described")),
            }
        }
        problems
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
