//! Commands for whoever runs a site: they ask a running broker, or have it do something.

pub(crate) mod generate;
mod other_broker;
mod pull;
mod retained;
mod sessions;
mod status;
mod tasks;

use std::process::ExitCode;

use clap::Subcommand;
use dockside::config::Config;
use serde_json::Value;

use crate::admin::{Admin, understood};

/// Entries that are asked for at once.
const PAGE: usize = 1_000;

/// What to ask or do.
#[derive(Subcommand)]
pub(crate) enum Operation {
    /// Show how the running broker stands, on one screen; exit code 1 when it is not ready
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List sessions, connected or kept, and how each stands
    Sessions {
        /// A part of a client identifier or user name, or an address; without it all
        query: Option<String>,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
        limit: usize,
        /// As JSON, a session a line
        #[arg(long)]
        json: bool,
    },
    /// End a client's connection; a 5.0 client is told 0x98, administrative action
    Kick {
        /// The client identifier
        client: String,
        /// End its session too, with what waits for it
        #[arg(long)]
        forget: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List retained messages, remove one, or take those of another broker over
    Retained {
        #[command(subcommand)]
        what: retained::Retained,
    },
    /// Show how flight tasks stand, the one that was heard of last first
    Tasks {
        /// Only those of the dock of this serial number
        dock: Option<String>,
        /// Only those of this status, as in_progress
        #[arg(long)]
        status: Option<String>,
        /// So many at most; 1,000 are the most that are told
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Operation {
    /// Does it; an error has been printed.
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, ExitCode> {
        match self {
            Self::Status { json } => status::status(config, json),
            Self::Sessions { query, limit, json } => {
                sessions::sessions(config, query.as_deref(), limit, json)
            }
            Self::Kick { client, forget, json } => sessions::kick(config, &client, forget, json),
            Self::Retained { what } => retained::retained(config, &what),
            Self::Tasks { dock, status, limit, json } => {
                let (dock, status) = (dock.as_deref(), status.as_deref());
                tasks::tasks(config, &tasks::Wanted { dock, status, limit }, json)
            }
        }
    }
}

/// What comes page by page under a name, so many at most, and whether there is more; the path has a query already.
fn pages(
    admin: &Admin,
    path_and_query: &str,
    name: &str,
    limit: usize,
) -> Result<(Vec<Value>, bool), ExitCode> {
    let mut found = Vec::new();
    let mut after = String::new();
    while found.len() < limit {
        let count = (limit - found.len()).min(PAGE);
        let text =
            admin.get(&format!("{path_and_query}&after={}&limit={count}", encoded(&after)))?;
        let mut page: Value = understood(&text)?;
        if let Value::Array(list) = page[name].take() {
            found.extend(list);
        }
        match page["next"].take() {
            Value::String(next) => after = next,
            _ => return Ok((found, false)),
        }
    }
    Ok((found, true))
}

/// A number of bytes for people.
fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, "B");
    for larger in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// A time span for people, in its two largest units.
fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// What a client chose: no control characters, and so long at most.
fn shown(text: &str, at_most: usize) -> String {
    let escape = |letter: char| match letter {
        '"' | '\'' | '\\' => letter.to_string(),
        other => other.escape_debug().to_string(),
    };
    let escaped: String = text.chars().map(escape).collect();
    if escaped.chars().count() <= at_most {
        return escaped;
    }
    let cut: String = escaped.chars().take(at_most.saturating_sub(3)).collect();
    format!("{cut}...")
}

/// Percent-encoded, for a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Prints rows under their heads, each column as wide as its widest.
fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) {
    let heads = heads.map(str::to_owned);
    let all = || std::iter::once(&heads).chain(rows);
    let widths: [usize; N] =
        std::array::from_fn(|at| all().map(|row| row[at].chars().count()).max().unwrap_or(0));
    for row in all() {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!([0, 1023, 1024, 5 << 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]);
        let minute = 60_000;
        assert_eq!([999, 61_000].map(span), ["0 s", "1 min 1 s"]);
        assert_eq!([150 * minute, 3_000 * minute].map(span), ["2 h 30 min", "2 d 2 h"]);
    }

    #[test]
    fn what_a_client_chose_is_cut_and_cannot_change_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\u{9b}\"b\"", 40), "a\\u{1b}[2J\\u{9b}\"b\"");
        assert_eq!(shown("\u{65e5}\u{672c}abc", 4), "\u{65e5}...");
    }
}
