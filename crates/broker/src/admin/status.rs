//! `GET /api/v1/status`: how the broker stands, for an engineer who has to know at once.
//!
//! ```json
//! {"version":"0.1.0","uptime_ms":86400000,"not_ready":null,"clock_doubt":null,
//!   "connections":12,"connections_at_most":10000,"sessions":4,"sessions_asleep":1,"sessions_at_most":10000,
//!   "subscriptions":40,"shared_subscriptions":2,"retained_messages":30,"retained_bytes":9000,
//!   "messages_received":1000,"messages_sent":2000,"messages_dropped":0,"queued_messages":0,"queued_bytes":0,
//!   "store_bytes":4096,"store_log_bytes":0,"store_at_most":4294967296,"disk_free_bytes":null,
//!   "direct_bytes":0,"direct_at_most":1048576,"writer_bytes":0,"writer_at_most":1048576,
//!   "docks":3,"docks_online":2,"flight_tasks":[{"status":"in_progress","count":1}],"site":{}}
//! ```
//! Nothing here waits for a disk, the writer or a connection: it is answered when one of them is what is wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::board::changes::Site;
use crate::shared::Shared;
use crate::{metrics, pulse};

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new().route("/api/v1/status", get(status)).with_state(Arc::clone(shared))
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    uptime_ms: u64,
    not_ready: Option<&'static str>,
    clock_doubt: Option<String>,
    connections: usize,
    connections_at_most: usize,
    sessions: usize,
    sessions_asleep: usize,
    sessions_at_most: usize,
    subscriptions: u64,
    shared_subscriptions: u64,
    retained_messages: usize,
    retained_bytes: usize,
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
    docks: usize,
    docks_online: usize,
    flight_tasks: Vec<OfStatus>,
    site: Site,
}

/// Flight tasks of one status.
#[derive(Serialize)]
struct OfStatus {
    status: &'static str,
    count: usize,
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    let (sessions, sessions_asleep) = shared.sessions.count();
    let (retained_messages, retained_bytes) = shared.retained();
    let [messages_received, messages_sent, messages_dropped] = shared.sys.messages();
    let [subscriptions, shared_subscriptions] = shared.sys.subscribed();
    let (queued_messages, queued_bytes) = shared.store_seen.queued();
    let usage = shared.store_seen.usage();
    let docks = shared.docks.list();
    let counts = shared
        .board
        .look(|tasks| metrics::count_statuses(tasks.iter().map(|state| state.status.as_deref())));
    let there_are = counts.into_iter().filter(|(_, count)| *count > 0);
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_ms: shared.clock.now_ms(),
        not_ready: pulse::not_ready(&shared),
        clock_doubt: shared.clock.doubt().map(|doubt| doubt.to_string()),
        connections: shared.clients.load(Ordering::Relaxed),
        connections_at_most: shared.sockets.connections,
        sessions,
        sessions_asleep,
        sessions_at_most: shared.config.limits.sessions,
        subscriptions,
        shared_subscriptions,
        retained_messages,
        retained_bytes,
        messages_received,
        messages_sent,
        messages_dropped,
        queued_messages,
        queued_bytes,
        store_bytes: usage.map(|usage| usage.file),
        store_log_bytes: usage.map(|usage| usage.log),
        store_at_most: shared.config.store.max_bytes,
        disk_free_bytes: usage.and_then(|usage| usage.disk_free),
        direct_bytes: shared.direct_budget.used(),
        direct_at_most: shared.direct_budget.total(),
        writer_bytes: shared.writer_budget.used(),
        writer_at_most: shared.writer_budget.total(),
        docks: docks.len(),
        docks_online: docks.iter().filter(|dock| dock.is_online()).count(),
        flight_tasks: there_are.map(|(status, count)| OfStatus { status, count }).collect(),
        site: shared.site.lock().expect("no panic while it is held").clone(),
    })
}
