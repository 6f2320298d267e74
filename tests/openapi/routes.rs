//! The routes of the router, read from its source: axum tells nobody which it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

const METHODS: [&str; 8] = ["get", "post", "put", "delete", "patch", "head", "options", "any"];

/// The page for people, which is no API.
const PAGE: &str = "page.rs";

/// `GET /path` of every route.
pub(super) fn of_the_router() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/broker/src/admin");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_source = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|of| of == "rs") && !path.ends_with(PAGE)
    };
    let sources = files.filter(is_source);
    sources.flat_map(|path| of_source(&fs::read_to_string(path).unwrap())).collect()
}

fn of_source(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    for other in [".nest(", ".route_service(", ".nest_service("] {
        assert!(
            !code.contains(other),
            "routes are read from `.route(\"/path\", get(..))`, not {other}"
        );
    }
    let mut routes = BTreeSet::new();
    for call in code.split(".route(").skip(1) {
        let call = arguments(call).trim_start();
        let path = call.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (path, handlers) = path.unwrap_or_else(|| panic!("a path that is no text: {call}"));
        let before = routes.len();
        for method in METHODS {
            let is_it = |at: usize| handlers[..at].ends_with([' ', '.', ':', ',', '\n']);
            if handlers.match_indices(&format!("{method}(")).any(|(at, _)| is_it(at)) {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert!(routes.len() > before, "no method of {path} is known");
    }
    routes
}

/// Up to the parenthesis that closes the call.
fn arguments(call: &str) -> &str {
    let mut depth = 1;
    let is_end = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    };
    &call[..call.find(is_end).expect("a call that ends")]
}

/// A path with the examples of its parameters in it.
pub(super) fn example(path: &str, parameters: &[Value]) -> String {
    let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
    in_path.fold(path.to_owned(), |path, parameter| {
        let name = parameter["name"].as_str().unwrap();
        path.replace(&format!("{{{name}}}"), parameter["example"].as_str().unwrap())
    })
}

#[test]
fn routes_are_read_however_they_are_written() {
    let source = r#"
        .route("/a", get(async || "(ok)\n").post(b))
        .route(
            "/b/{c}",
            axum::routing::delete(d),
        )"#;
    assert_eq!(of_source(source), ["GET /a", "POST /a", "DELETE /b/{c}"].map(str::to_owned).into());
}
