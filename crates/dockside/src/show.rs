//! `dockside check` and `dockside config`: what the configuration is, and what to think of it.

use std::io::Write;
use std::process::ExitCode;

use dockside::config::{Loaded, to_toml};

use crate::{BAD_CONFIGURATION, fail};

/// Sound; warnings go to standard error and change nothing.
pub(crate) fn check(loaded: &Loaded) -> ExitCode {
    loaded.warnings().iter().for_each(|warning| eprintln!("dockside: warning: {warning}"));
    print("the configuration is sound\n")
}

pub(crate) fn config(loaded: &Loaded, json: bool, secrets: bool) -> ExitCode {
    let settings = match loaded.settings(secrets) {
        Ok(settings) => settings,
        Err(error) => {
            return fail(BAD_CONFIGURATION, &format!("a value cannot be written as TOML: {error}"));
        }
    };
    if !json {
        return print(&to_toml(&settings));
    }
    let lines = settings.iter().map(|setting| {
        let line = serde_json::to_string(setting).expect("a value of TOML is one of JSON");
        line + "\n"
    });
    print(&lines.collect::<String>())
}

pub(crate) fn schema() -> ExitCode {
    print(&format!("{:#}\n", dockside::config::schema()))
}

/// Whoever reads it may have seen enough (`| head`).
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
