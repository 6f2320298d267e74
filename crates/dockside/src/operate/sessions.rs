//! `dockside sessions [QUERY]` and `dockside kick CLIENT`.

use std::process::ExitCode;

use dockside::config::Config;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bytes, encoded, pages, shown, table};
use crate::admin::{Admin, understood};
use crate::why::time;

/// A session of the admin listener's answer, as far as it is shown.
#[derive(Deserialize)]
struct Session {
    client_id: String,
    user: Option<String>,
    is_connected: bool,
    address: Option<String>,
    protocol: Option<String>,
    transport: Option<String>,
    connected_ms: Option<i64>,
    expires_ms: Option<i64>,
    is_kept: bool,
    subscriptions: u64,
    queued_messages: u64,
    queued_bytes: u64,
    stored_messages: Option<u64>,
    stored_bytes: Option<u64>,
    inflight_in: u64,
    inflight_out: u64,
}

const HEADS: [&str; 9] = [
    "CLIENT",
    "USER",
    "ADDRESS",
    "SINCE / UNTIL",
    "PROTOCOL",
    "SESSION",
    "SUBSCRIPTIONS",
    "QUEUED",
    "IN / OUT",
];

/// Asks and shows.
pub(crate) fn sessions(
    config: &Config,
    query: Option<&str>,
    limit: usize,
    json: bool,
) -> Result<ExitCode, ExitCode> {
    let admin = Admin::of(config)?;
    let query = format!("q={}", encoded(query.unwrap_or_default()));
    let (found, is_more) = pages(&admin, &format!("/api/v1/sessions?{query}"), "sessions", limit)?;
    if json {
        found.iter().for_each(|session| println!("{session}"));
    } else if found.is_empty() {
        println!("no session is named so; without a query all are shown");
    } else {
        table(HEADS, &found.iter().map(row).collect::<Result<Vec<_>, _>>()?);
        if is_more {
            println!("... and more: give a query, or a larger --limit");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(session: &Value) -> Result<[String; 9], ExitCode> {
    let session: Session = understood(&session.to_string())?;
    let none = || "-".to_owned();
    // What a kept session has in the store is in memory too, as far as it was read.
    let messages = session.queued_messages.max(session.stored_messages.unwrap_or(0));
    let size = session.queued_bytes.max(session.stored_bytes.unwrap_or(0));
    Ok([
        shown(&session.client_id, 40),
        session.user.map_or_else(none, |user| shown(&user, 24)),
        session.address.unwrap_or_else(none),
        match (session.connected_ms, session.expires_ms) {
            (Some(since), _) => time(since),
            (None, Some(until)) => format!("until {}", time(until)),
            _ => none(),
        },
        match (session.protocol, session.transport) {
            (Some(protocol), Some(transport)) => format!("{protocol} {transport}"),
            _ => none(),
        },
        match (session.is_connected, session.is_kept) {
            (true, true) => "kept",
            (true, false) => "clean",
            (false, _) => "asleep",
        }
        .to_owned(),
        session.subscriptions.to_string(),
        if messages == 0 { none() } else { format!("{messages} ({})", bytes(size)) },
        format!("{} / {}", session.inflight_in, session.inflight_out),
    ])
}

/// The admin listener's answer.
#[derive(Deserialize)]
struct Kicked {
    was_connected: bool,
    forgotten: u64,
}

/// Ends a connection, and the session if it is to be forgotten; 1 when nobody is called so.
pub(crate) fn kick(
    config: &Config,
    client_id: &str,
    forget: bool,
    json: bool,
) -> Result<ExitCode, ExitCode> {
    let body = json!({"client_id": client_id, "forget": forget});
    let text = Admin::of(config)?.post_body("/api/v1/sessions/kick", &body)?;
    let kicked: Kicked = understood(&text)?;
    if json {
        println!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let connection =
        if kicked.was_connected { "its connection was ended" } else { "was not connected" };
    let session = match (forget, kicked.forgotten) {
        (false, _) => "; it may connect again, and a kept session waits for it".to_owned(),
        (true, 0) => "; no session of it was kept".to_owned(),
        (true, 1) => "; its session was forgotten".to_owned(),
        (true, count) => format!("; {count} sessions of it, one a user, were forgotten"),
    };
    println!("{}: {connection}{session}", shown(client_id, 200));
    Ok(ExitCode::SUCCESS)
}
