//! `dockside status`: how the running broker stands, on one screen.

use std::process::ExitCode;

use dockside::config::Config;
use serde::Deserialize;

use super::{bytes, shown, span};
use crate::admin::{Admin, understood};

/// The admin listener's answer, as far as it is shown.
#[derive(Deserialize)]
struct Status {
    version: String,
    uptime_ms: u64,
    not_ready: Option<String>,
    clock_doubt: Option<String>,
    connections: u64,
    connections_at_most: u64,
    sessions: u64,
    sessions_asleep: u64,
    sessions_at_most: u64,
    subscriptions: u64,
    shared_subscriptions: u64,
    retained_messages: u64,
    retained_bytes: u64,
    messages_received: u64,
    messages_sent: u64,
    messages_dropped: u64,
    queued_messages: u64,
    queued_bytes: u64,
    store_bytes: Option<u64>,
    store_log_bytes: Option<u64>,
    store_at_most: u64,
    disk_free_bytes: Option<u64>,
    direct_bytes: u64,
    direct_at_most: u64,
    writer_bytes: u64,
    writer_at_most: u64,
    docks: u64,
    docks_online: u64,
    flight_tasks: Vec<OfStatus>,
    site: Site,
}

#[derive(Deserialize)]
struct OfStatus {
    status: String,
    count: u64,
}

#[derive(Deserialize)]
struct Site {
    messages_per_s: f64,
    events_per_s: f64,
    replies_per_s: f64,
    reply_p99_us: Option<f64>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    severity: String,
    text: String,
}

/// Asks and shows; 1 when the broker is not ready.
pub(crate) fn status(config: &Config, json: bool) -> Result<ExitCode, ExitCode> {
    let text = Admin::of(config)?.get("/api/v1/status")?;
    let status: Status = understood(&text)?;
    if json {
        println!("{text}");
    } else {
        show(&status);
    }
    Ok(if status.not_ready.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show(status: &Status) {
    let line = |name: &str, text: String| println!("{name:14}{text}");
    let Status { version, not_ready, clock_doubt, site, .. } = status;
    line("dockside", format!("{version}, up {}", span(status.uptime_ms)));
    line("ready", not_ready.as_ref().map_or("yes".to_owned(), |why| format!("NO: {why}")));
    let doubted = |doubt: &String| format!("NOT BELIEVED: {doubt} (dockside clock)");
    line("clock", clock_doubt.as_ref().map_or("believed".to_owned(), doubted));
    for Condition { severity, text } in &site.conditions {
        line(severity, shown(text, 300));
    }
    line("connections", format!("{} of {}", status.connections, status.connections_at_most));
    let Status { sessions, sessions_asleep, sessions_at_most, .. } = status;
    line(
        "sessions",
        format!("{sessions} kept of {sessions_at_most}, {sessions_asleep} without a connection"),
    );
    let Status { subscriptions, shared_subscriptions, .. } = status;
    line("subscriptions", format!("{subscriptions} plain, {shared_subscriptions} shared"));
    let retained_bytes = bytes(status.retained_bytes);
    line("retained", format!("{} messages, {retained_bytes}", status.retained_messages));
    show_traffic(status);
    show_store(status);
    let budget = |used, at_most| format!("{} of {}", bytes(used), bytes(at_most));
    let direct = budget(status.direct_bytes, status.direct_at_most);
    let writer = budget(status.writer_bytes, status.writer_at_most);
    line("budgets", format!("direct {direct}, writer {writer}"));
    line("docks", format!("{} online of {}", status.docks_online, status.docks));
    let tasks = status.flight_tasks.iter().map(|of| format!("{} {}", of.count, of.status));
    let tasks = tasks.collect::<Vec<_>>().join(", ");
    line("flight tasks", if tasks.is_empty() { "none".to_owned() } else { tasks });
}

fn show_traffic(status: &Status) {
    let Status { messages_received, messages_sent, messages_dropped, site, .. } = status;
    println!(
        "{:14}{messages_received} received, {messages_sent} sent, {messages_dropped} dropped; {:.1}/s now",
        "messages", site.messages_per_s
    );
    let p99 =
        site.reply_p99_us.map_or(String::new(), |us| format!(", 99 of 100 within {us:.0} us"));
    println!(
        "{:14}{:.1}/s, answered {:.1}/s{p99}",
        "events", site.events_per_s, site.replies_per_s
    );
}

fn show_store(status: &Status) {
    let Status { queued_messages, queued_bytes, store_bytes, store_log_bytes, .. } = status;
    println!("{:14}{queued_messages} messages, {}", "queued", bytes(*queued_bytes));
    let store = match store_bytes.zip(*store_log_bytes) {
        None => "not looked at yet, it is every 10 s".to_owned(),
        Some((file, log)) => {
            let at_most = bytes(status.store_at_most);
            format!("{} and a log of {}, of {at_most}", bytes(file), bytes(log))
        }
    };
    let free = status.disk_free_bytes.map(|free| format!("; {} free on its disk", bytes(free)));
    println!("{:14}{store}{}", "store", free.unwrap_or_default());
}
