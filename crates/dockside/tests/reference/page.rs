//! The page of every key, made of the schema.

use std::fmt::Write;

use dockside::config::Config;
use serde_json::{Value, json};

const HEAD: &str = "\
# Configuration

Every key, made of the types by a test (`DOCKSIDE_WRITE_CONFIGURATION=1 cargo test -p dockside --test reference` writes this page and
[dockside.schema.json](../config/dockside.schema.json)).

Defaults, then the file (`--config`), then the environment, then the command line (`--mqtt`, `--admin`, `--data`); later ones win. A key
of a table is a variable with `DOCKSIDE_` before it and `__` for each dot, in capitals: `DOCKSIDE_LIMITS__CONNECTIONS=500`. Keys that
nobody knows are an error.

```sh
dockside check --config dockside.toml            # every problem with its source and remedy, exit code 64; warnings of what is risky
dockside config --config dockside.toml           # what is in force, and where each value is from; a file that can be used again
dockside config --json | grep limits             # the same, a key a line
dockside config --schema > dockside.schema.json  # for editors: `#:schema ./dockside.schema.json` in the first line of the file
```

`dockside config` shows `(hidden)` instead of `site.binding_code`, `site.app_key`, `site.app_license` and the query of `users.http.url`, unless
`--secrets` is given; a configuration with `(hidden)` in it is refused. Other secrets stand in files of their own.

What a reload (SIGHUP, `systemctl reload dockside`) takes over has a yes under reload; everything else needs a restart, and the
reload says what differs. Files of listeners are read again when they change, and by every reload.
";

/// One key.
pub(crate) struct Row {
    /// With `[]` behind lists of tables.
    pub(crate) key: String,
    pub(crate) default: Option<Value>,
    pub(crate) meaning: String,
    kind: String,
    needed: bool,
}

/// Every key of the schema; those of a table come before the tables in it.
pub(crate) fn rows(schema: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    collect("", schema, &mut rows);
    rows
}

fn collect(table: &str, schema: &Value, rows: &mut Vec<Row>) {
    let properties = schema["properties"].as_object().unwrap();
    let key = |name: &str| match table {
        "" => name.to_owned(),
        table => format!("{table}.{name}"),
    };
    let is_table = |property: &Value| property.get("properties").is_some();
    for (name, property) in properties.iter().filter(|(_, property)| !is_table(property)) {
        rows.push(Row {
            key: key(name),
            default: property.get("default").cloned(),
            meaning: meaning(property),
            kind: kind(property),
            needed: schema["required"].as_array().is_some_and(|names| names.contains(&json!(name))),
        });
    }
    for (name, property) in properties {
        if is_table(property) {
            collect(&key(name), property, rows);
        } else if is_table(&property["items"]) {
            collect(&format!("{}[]", key(name)), &property["items"], rows);
        }
    }
}

fn meaning(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The type, in words.
fn kind(property: &Value) -> String {
    let names: Vec<_> = choices(property).iter().map(|name| format!("`{name}`")).collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    let kind = &property["type"];
    // What may be left out may be null for JSON.
    let kind = kind.as_array().map_or(kind, |kinds| &kinds[0]);
    let inner = |of: &str| kind_of_many(&property[of]);
    match kind.as_str().unwrap_or_default() {
        "boolean" => "`true`, `false`".to_owned(),
        "integer" => "integer".to_owned(),
        "string" => "text".to_owned(),
        "array" => format!("list of {}", inner("items")),
        "object" => format!("table of {}", inner("additionalProperties")),
        other => unreachable!("{other}: {property}"),
    }
}

fn kind_of_many(property: &Value) -> String {
    match property["type"].as_str().unwrap_or_default() {
        "string" => "texts".to_owned(),
        "array" => "lists of texts".to_owned(),
        "object" => "tables, below".to_owned(),
        other => unreachable!("{other}: {property}"),
    }
}

/// The values of an enumeration.
fn choices(property: &Value) -> Vec<String> {
    let listed = property["enum"].as_array().into_iter().flatten();
    let described = property["oneOf"].as_array().into_iter().flatten();
    let described = described
        .flat_map(|one| one["enum"].as_array().into_iter().flatten().chain(one.get("const")));
    listed.chain(described).map(ToString::to_string).collect()
}

pub(crate) fn page() -> String {
    let schema = dockside::config::schema();
    let mut text = HEAD.to_owned();
    let mut table = None;
    for row in rows(&schema) {
        let (of, name) = row.key.rsplit_once('.').unwrap_or(("", &row.key));
        // A list of tables has its own rows behind it.
        if table.as_deref() != Some(of) {
            let title = match (of, of.strip_suffix("[]")) {
                ("", _) => "Lists of tables".to_owned(),
                (_, Some(list)) => format!("`[[{list}]]`"),
                _ => format!("`[{of}]`"),
            };
            let _ = write!(text, "\n## {title}\n\n{}", about(&schema, of));
            text += "| key | type | default | meaning | reload |\n|---|---|---|---|---|\n";
            table = Some(of.to_owned());
        }
        let default = match &row.default {
            _ if row.needed => "needed".to_owned(),
            None | Some(Value::Null) => "-".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let reload = if needs_restart(&row.key) { "" } else { "yes" };
        let _ =
            writeln!(text, "| `{name}` | {} | {default} | {} | {reload} |", row.kind, row.meaning);
    }
    text
}

/// What the schema says of a table.
fn about(schema: &Value, table: &str) -> String {
    let mut property = schema;
    for name in table.split('.').filter(|name| !name.is_empty()) {
        property = match name.strip_suffix("[]") {
            Some(list) => &property["properties"][list]["items"],
            None => &property["properties"][name],
        };
    }
    match meaning(property) {
        text if table.is_empty() || text.is_empty() => String::new(),
        text => format!("{text}\n\n"),
    }
}

/// Whether a broker that runs does not take a new value over: asked of the code, with another value than the default.
fn needs_restart(key: &str) -> bool {
    let old = Config::default();
    let pointer = format!("/{}", key.split("[]").next().unwrap().replace('.', "/"));
    let others = [
        json!(true),
        json!(false),
        json!(1),
        json!("off"),
        json!("x"),
        json!("127.0.0.1:1"),
        json!("none"),
        json!("sync"),
        json!("debug"),
        json!("json"),
        json!("ES256"),
        json!(["x"]),
        json!({"x": "x"}),
        json!({"x": ["x"]}),
        json!([{"listen": "127.0.0.1:1", "transport": "tcp"}]),
        json!([{}]),
    ];
    for other in others {
        let mut config = serde_json::to_value(&old).unwrap();
        *config.pointer_mut(&pointer).unwrap() = other;
        match serde_json::from_value::<Config>(config) {
            Ok(new) if new != old => return !old.need_restart(&new).is_empty(),
            _ => {}
        }
    }
    unreachable!("no other value of {key}")
}
