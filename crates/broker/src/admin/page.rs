//! The live page at `/`: files that hold no data, so they ask for no login. What they show comes from the API.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Path, type and text of each file.
macro_rules! files {
    ($($path:literal $kind:literal $file:literal),* $(,)?) => {
        [$(($path, concat!("text/", $kind, "; charset=utf-8"), include_str!(concat!("page/", $file)))),*]
    };
}

const FILES: [(&str, &str, &str); 18] = files! {
    "/" "html" "index.html",
    "/page.css" "css" "page.css",
    "/page/api.js" "javascript" "api.js",
    "/page/details.js" "javascript" "details.js",
    "/page/docks.js" "javascript" "docks.js",
    "/page/dom.js" "javascript" "dom.js",
    "/page/live.js" "javascript" "live.js",
    "/page/login.js" "javascript" "login.js",
    "/page/main.js" "javascript" "main.js",
    "/page/model.js" "javascript" "model.js",
    "/page/passing.js" "javascript" "passing.js",
    "/page/server_clock.js" "javascript" "server_clock.js",
    "/page/site.js" "javascript" "site.js",
    "/page/tail.js" "javascript" "tail.js",
    "/page/tasks.js" "javascript" "tasks.js",
    "/page/traffic.js" "javascript" "traffic.js",
    "/page/why.js" "javascript" "why.js",
    "/page/words.js" "javascript" "words.js",
};

/// Whatever a device calls itself is text here, and would be nothing else if it were not: no script, style or
/// connection but our own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |routes, (path, kind, text)| {
        routes.route(path, get(async move || file(kind, text)))
    })
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    // A new release has new ones.
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that nobody serves is a page that does not start.
    #[test]
    fn every_file_is_served_and_every_module_that_is_asked_for_is_one() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/page");
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let mut served: Vec<_> = FILES
            .iter()
            .map(|(path, ..)| match *path {
                "/" => "index.html",
                path => path.rsplit('/').next().unwrap(),
            })
            .collect();
        served.sort_unstable();
        assert_eq!(names, served);
        for (path, _, text) in FILES.iter().filter(|(path, ..)| path.ends_with(".js")) {
            for import in text.split(" from '").skip(1) {
                let module = import.split('\'').next().unwrap().trim_start_matches("./");
                let known = FILES.iter().any(|(path, ..)| *path == format!("/page/{module}"));
                assert!(known, "{path} imports {module}");
            }
        }
    }
}
