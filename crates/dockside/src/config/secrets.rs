//! Values that are secrets. Passwords, tokens and keys stand in files of their own; what is left is hidden where a
//! configuration is shown.

use dockside_broker::config::Problem;

use super::Config;

/// What is shown instead. It is refused where a configuration is read, so that nothing runs with it.
pub const HIDDEN: &str = "(hidden)";

/// Credentials of the site, under `[site]`. The address that is asked about users has its secrets in its query.
const OF_THE_SITE: [&str; 3] = ["binding_code", "app_key", "app_license"];

/// Hides every secret.
pub(super) fn hide(config: &mut toml::Table) {
    if let Some(site) = config.get_mut("site") {
        for key in OF_THE_SITE {
            if let Some(toml::Value::String(secret)) = site.get_mut(key)
                && !secret.is_empty()
            {
                HIDDEN.clone_into(secret);
            }
        }
    }
    let http = config.get_mut("users").and_then(|users| users.get_mut("http"));
    if let Some(toml::Value::String(url)) = http.and_then(|http| http.get_mut("url"))
        && let Some((address, _)) = url.split_once('?')
    {
        *url = format!("{address}?{HIDDEN}");
    }
}

/// Whether a value shows that something is hidden.
pub(super) fn is_hidden(value: &toml::Value) -> bool {
    value.as_str().is_some_and(|text| text == HIDDEN || text.ends_with(&format!("?{HIDDEN}")))
}

/// A shown configuration that is read again still has to be given its secrets.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let site = &config.site;
    let url = &config.users.http.url;
    let said = [
        ("users.http.url", url.ends_with(&format!("?{HIDDEN}"))),
        ("site.binding_code", site.binding_code == HIDDEN),
        ("site.app_key", site.app_key == HIDDEN),
        ("site.app_license", site.app_license == HIDDEN),
    ];
    let problem = |(key, _)| {
        let remedy = "is what `dockside config` shows instead of a secret; write the secret, or make the file with `dockside config --secrets`";
        Problem::new(key, remedy)
    };
    said.into_iter().filter(|(_, is_hidden)| *is_hidden).map(problem).collect()
}
