//! The admin listener, and the smaller one for Prometheus.
//!
//! | path | on | what |
//! |---|---|---|
//! | `/metrics`, `/livez`, `/readyz` | both | for Prometheus and orchestrators; never asks for a login |
//! | `/` | admin | [`page`]: docks and flight tasks, live |
//! | `/api/v1/login`, `POST /api/v1/logout` | admin | [`login`]: for people |
//! | `/api/v1/why?q=` | admin | [`why`]: what was refused, and why |
//! | `/api/v1/flight-tasks`, `/api/v1/flight-tasks/{dock}/{task}` | admin | [`flight_tasks`]: how they stand |
//! | `/api/v1/docks`, `/api/v1/docks/{sn}` | admin | [`docks`]: who is there |
//! | `/api/v1/changes` | admin | [`changes`]: both, as they change |
//! | `/api/v1/alerts` | admin | [`alerts`]: what somebody should look at |
//! | `/api/v1/tail?filter=` | admin | [`tail`]: messages as they pass, for operators |
//! | `POST /api/v1/publish` | admin | [`publish`]: a message of an operator |
//! | `/api/v1/audit` | admin | [`audit`]: who did what |
//! | `/api/v1/clock`, `POST /api/v1/clock/accept` | admin | [`clock`]: whether the wall clock is believed |
//! | `/api/v1/status` | admin | [`status`]: how the broker stands |
//! | `/api/v1/sessions` | admin | [`sessions`]: who is connected, or kept |
//! | `POST /api/v1/sessions/kick` | admin | [`kick`]: ends a connection, or a session |
//! | `/api/v1/retained` | admin | [`retained`]: retained messages, by topic |
//! | `POST /api/v1/retained`, `POST /api/v1/retained/remove` | admin | [`retain`]: takes some over, or removes one |
//! | `/api/v1/openapi.json` | admin | [`openapi`]: all of these, for programs; a test wants every path there |
//!
//! What else is under `/api/` asks for a login or the token, if there are any: [`guard`] looks at every
//! request first.

mod alerts;
mod audit;
mod bounded;
mod changes;
mod clock;
mod docks;
mod flight_tasks;
mod gate;
mod guard;
mod kick;
mod login;
mod openapi;
mod origin;
mod page;
mod page_sessions;
mod publish;
mod retain;
mod retained;
mod sessions;
mod status;
mod tail;
mod token;
mod why;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};

use self::bounded::{Bounded, Peer};
use self::gate::Gate;
use crate::files::AdminKeys;
use crate::shared::Shared;
use crate::{metrics, pulse};

/// Rendering takes a core; one scrape does it at a time.
static RENDERING: Mutex<()> = Mutex::const_new(());

/// Bytes of what clients chose in one page.
const PAGE_BYTES: usize = 1 << 20;

/// Leaves so much of a page as has its bytes, and one at least; whether something went.
fn cut<T>(page: &mut Vec<T>, size: impl Fn(&T) -> usize) -> bool {
    let mut bytes = 0;
    let fits = page.iter().take_while(|one| {
        bytes += size(one);
        bytes <= PAGE_BYTES
    });
    let fits = fits.count().max(1);
    let is_cut = fits < page.len();
    page.truncate(fits);
    is_cut
}

/// Serves everything until it is dropped.
pub(crate) async fn serve(listener: TcpListener, keys: AdminKeys, shared: Arc<Shared>) {
    let gate = Arc::new(Gate::new(&shared.config.admin, keys));
    let api = Router::new()
        .route("/api/v1/why", get(why::why))
        .route("/api/v1/flight-tasks", get(flight_tasks::list))
        .route("/api/v1/flight-tasks/{dock}/{task}", get(flight_tasks::one))
        .route("/api/v1/docks", get(docks::list))
        .route("/api/v1/docks/{sn}", get(docks::one))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/clock", get(clock::clock))
        .route("/api/v1/clock/accept", post(clock::accept))
        .route("/api/v1/openapi.json", get(openapi::description))
        .with_state(Arc::clone(&shared));
    let places = Arc::new(Semaphore::new(changes::READERS));
    let readers = (Arc::clone(&shared), Arc::clone(&gate), places);
    let changes = Router::new().route("/api/v1/changes", get(changes::changes)).with_state(readers);
    let looking_on = (Arc::clone(&shared), Arc::clone(&gate));
    let tail = Router::new().route("/api/v1/tail", get(tail::tail)).with_state(looking_on);
    let routes = api
        .merge(changes)
        .merge(tail)
        .merge(publish::routes(&shared))
        .merge(page::routes())
        .merge(login::routes(&gate, &shared))
        .merge(status::routes(&shared))
        .merge(sessions::routes(&shared))
        .merge(kick::routes(&shared))
        .merge(retained::routes(&shared))
        .merge(retain::routes(&shared))
        .merge(observed(shared));
    run(listener, guard::guarded(routes, gate), "admin").await;
}

/// Serves what Prometheus and orchestrators look at, until it is dropped.
pub(crate) async fn serve_metrics(listener: TcpListener, shared: Arc<Shared>) {
    run(listener, observed(shared), "metrics").await;
}

fn observed(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(shared)
}

async fn run(listener: TcpListener, routes: Router, name: &str) {
    let routes = routes.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(Bounded::new(listener), routes).await {
        tracing::error!(%error, "the {name} listener ended");
    }
}

async fn render() -> impl IntoResponse {
    let _one = RENDERING.lock().await;
    let body = tokio::task::spawn_blocking(metrics::text);
    match body.await {
        Ok(body) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Starting the process again helps against nothing that `/readyz` tells, and against this.
async fn live(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match shared.pulse.stuck_for() {
        Some(since) => {
            let text = format!("stuck: nothing was dispatched for {} s\n", since.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        None => (StatusCode::OK, "ok\n".to_owned()),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match pulse::not_ready(&shared) {
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_bytes_and_one_entry_at_least() {
        let half = PAGE_BYTES / 2;
        for (sizes, expected) in [
            (vec![1, 2, 3], (3, false)),
            (vec![half, half, 1], (2, true)),
            (vec![PAGE_BYTES + 1, 1], (1, true)),
            (vec![], (0, false)),
        ] {
            let mut page = sizes;
            let is_cut = cut(&mut page, |size| *size);
            assert_eq!((page.len(), is_cut), expected);
        }
    }
}
