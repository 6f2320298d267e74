//! `dockside retained ls [FILTER]` and `dockside retained rm TOPIC`.

use std::process::ExitCode;

use clap::Subcommand;
use dockside::config::Config;
use serde::Deserialize;
use serde_json::{Value, json};

use super::pull::{self, Pull};
use super::{bytes, encoded, pages, shown, span, table};
use crate::admin::{Admin, understood};

/// What to do with retained messages.
#[derive(Subcommand)]
pub(crate) enum Retained {
    /// List them, by topic
    Ls {
        /// Those that this topic filter matches
        #[arg(default_value = "#")]
        filter: String,
        /// So many at most
        #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
        limit: usize,
        /// As JSON, a message a line
        #[arg(long)]
        json: bool,
    },
    /// Remove the one of a topic, as a publish with an empty payload does
    Rm {
        /// The topic
        topic: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take those of another broker over into this running one; what is here already stays
    Pull(Pull),
}

/// A message of the admin listener's answer.
#[derive(Deserialize)]
struct Message {
    topic: String,
    qos: u8,
    payload_bytes: u64,
    preview: Option<String>,
    age_ms: Option<u64>,
    publisher: Option<String>,
}

/// Does it; an error has been printed.
pub(crate) fn retained(config: &Config, what: &Retained) -> Result<ExitCode, ExitCode> {
    match what {
        Retained::Ls { filter, limit, json } => list(config, filter, *limit, *json),
        Retained::Rm { topic, json } => remove(config, topic, *json),
        Retained::Pull(pull) => pull::pull(config, pull),
    }
}

fn list(config: &Config, filter: &str, limit: usize, json: bool) -> Result<ExitCode, ExitCode> {
    let path = format!("/api/v1/retained?filter={}", encoded(filter));
    let (found, is_more) = pages(&Admin::of(config)?, &path, "retained", limit)?;
    if json {
        found.iter().for_each(|message| println!("{message}"));
    } else if found.is_empty() {
        println!("nothing that matches {} is retained", shown(filter, 200));
    } else {
        let rows = found.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        table(["TOPIC", "QOS", "SIZE", "AGE", "PUBLISHER", "PAYLOAD"], &rows);
        if is_more {
            println!("... and more: give a filter, or a larger --limit");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(message: &Value) -> Result<[String; 6], ExitCode> {
    let message: Message = understood(&message.to_string())?;
    Ok([
        shown(&message.topic, 60),
        message.qos.to_string(),
        bytes(message.payload_bytes),
        message.age_ms.map_or_else(|| "before the start".to_owned(), span),
        message.publisher.map_or_else(|| "-".to_owned(), |publisher| shown(&publisher, 24)),
        message.preview.map_or_else(|| "(binary)".to_owned(), |preview| shown(&preview, 48)),
    ])
}

fn remove(config: &Config, topic: &str, json: bool) -> Result<ExitCode, ExitCode> {
    let body = json!({"topic": topic});
    let text = Admin::of(config)?.post_body("/api/v1/retained/remove", &body)?;
    if json {
        println!("{text}");
    } else {
        println!("the retained message of {} is removed", shown(topic, 200));
    }
    Ok(ExitCode::SUCCESS)
}
