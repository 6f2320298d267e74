//! `config/dockside.schema.json` and `docs/configuration.md` are what the types of the configuration say; the code of
//! `docs/plugins.md` is that of its example.
//! `DOCKSIDE_WRITE_CONFIGURATION=1 cargo test -p dockside --test reference` writes the first two.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod page;
mod plugins;

use std::path::Path;
use std::{env, fs};

use dockside::config::Config;
use serde_json::{Value, json};

/// Compares a file of the repository with what it must be, or writes it.
#[track_caller]
fn is_current(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if env::var_os("DOCKSIDE_WRITE_CONFIGURATION").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    let differs = written.lines().zip(expected.lines()).find(|(is, must)| is != must);
    assert!(
        written == expected,
        "{file} is not what the types say ({differs:?}); DOCKSIDE_WRITE_CONFIGURATION=1 cargo test -p dockside --test reference writes it"
    );
}

#[test]
fn the_schema_is_that_of_the_types() {
    is_current("config/dockside.schema.json", &format!("{:#}\n", dockside::config::schema()));
}

#[test]
fn the_page_is_that_of_the_types() {
    is_current("docs/configuration.md", &page::page());
}

/// Every key, with its path in the schema: those of lists of tables are `listeners[].key`.
#[test]
fn the_schema_and_the_page_have_every_key_with_its_default() {
    let mut keys = Vec::new();
    leaves("", &serde_json::to_value(Config::default()).unwrap(), &mut keys);
    let page = page::page();
    for (key, default) in &keys {
        let rows = page::rows(&dockside::config::schema());
        let row = rows.iter().find(|row| row.key == *key).unwrap_or_else(|| unreachable!("{key}"));
        assert_eq!(row.default.as_ref(), Some(default), "{key}");
        assert!(!row.meaning.is_empty(), "{key} has no description");
        let (_, name) = key.rsplit_once('.').unwrap_or(("", key));
        assert!(page.contains(&format!("| `{name}` |")), "{key}");
    }
    assert!(keys.len() > 80, "{}", keys.len());
}

fn leaves(key: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value.as_object().filter(|object| !object.is_empty()) {
        None => found.push((key.to_owned(), value.clone())),
        Some(object) => {
            for (name, value) in object {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                leaves(&key, value, found);
            }
        }
    }
}

/// Editors say what `dockside` says: unknown keys are wrong, required ones are needed.
#[test]
fn the_schema_refuses_what_is_unknown() {
    let schema = dockside::config::schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    for at in ["", "/properties/mqtt", "/properties/users/properties/jwt"] {
        let table = schema.pointer(at).unwrap();
        assert_eq!(table["additionalProperties"], json!(false), "{at}");
    }
    let listener = &schema["properties"]["listeners"]["items"];
    assert_eq!(listener["required"], json!(["listen", "transport"]));
    assert!(!schema.to_string().contains("$ref"));
}
