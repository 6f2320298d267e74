//! `dockside why [SN|ADDRESS]`: asks the running broker why somebody cannot connect.

use std::process::ExitCode;

use chrono::{DateTime, Local};
use dockside::config::Config;
use serde::Deserialize;

use crate::admin::{Admin, understood};
use crate::{BAD_CONFIGURATION, fail};

/// The admin listener's answer, as far as it is shown.
#[derive(Deserialize)]
struct Why {
    refusals: Vec<Refusal>,
    connected: Vec<Connected>,
}

#[derive(Deserialize)]
struct Refusal {
    time_ms: i64,
    first_ms: i64,
    count: u64,
    address: String,
    client_id: Option<String>,
    user: Option<String>,
    topic: Option<String>,
    stage: String,
    reason: String,
    remedy: String,
}

#[derive(Deserialize)]
struct Connected {
    client_id: String,
    user: Option<String>,
    address: String,
}

/// Longer ones name nobody: what clients choose is kept to this length.
const QUERY_BYTES: usize = 256;

/// Asks and shows.
pub(crate) fn why(config: &Config, query: Option<&str>, json: bool) -> Result<ExitCode, ExitCode> {
    if query.is_some_and(|query| query.len() > QUERY_BYTES) {
        return Err(fail(BAD_CONFIGURATION, "a serial number or address has 256 bytes at most"));
    }
    let query_string = query.map_or(String::new(), |query| {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("?q={encoded}")
    });
    let text = Admin::of(config)?.get(&format!("/api/v1/why{query_string}"))?;
    if json {
        println!("{text}");
    } else {
        show(&understood(&text)?, query);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(why: &Why, query: Option<&str>) {
    for refusal in why.refusals.iter().rev() {
        show_refusal(refusal);
    }
    let Some(query) = query else {
        if why.refusals.is_empty() {
            println!("nothing was refused or dropped since the broker started");
        }
        return;
    };
    for Connected { client_id, user, address } in &why.connected {
        let user = user.as_ref().map_or(String::new(), |user| format!("  user {user:?}"));
        println!("connected now: client {client_id:?}{user}  from {address}");
    }
    match (why.refusals.is_empty(), why.connected.is_empty()) {
        (true, true) => println!(
            "{query} has not reached this broker since it started, or long ago: check the gateway address and port that were typed in, the dock's network, and firewalls in between"
        ),
        (true, false) => println!("nothing was refused to {query}"),
        _ => {}
    }
}

fn show_refusal(refusal: &Refusal) {
    let Refusal { time_ms, first_ms, count, address, stage, .. } = refusal;
    let mut line = format!("{}  {stage:9}  {address}", time(*time_ms));
    for (name, value) in
        [("client", &refusal.client_id), ("user", &refusal.user), ("topic", &refusal.topic)]
    {
        // Quoted: a client chose it.
        line += &value.as_ref().map_or(String::new(), |value| format!("  {name} {value:?}"));
    }
    if *count > 1 {
        line += &format!("  {count} times since {}", time(*first_ms));
    }
    println!("{line}\n    {}\n    -> {}", refusal.reason, refusal.remedy);
}

/// A time for people.
pub(crate) fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map_or("?".to_owned(), |time| {
        time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
    })
}
