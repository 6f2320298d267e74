//! What every request to the admin listener meets first.
//!
//! | path | host and origin | role |
//! |---|---|---|
//! | `/metrics`, `/livez`, `/readyz` | any | none |
//! | `/api/v1/login`, `/api/v1/logout` | ours | none |
//! | `/api/` | ours | viewer; operator for whatever is no GET |
//! | all others: the page, which holds no data | ours | none; operator for whatever is no GET |

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::gate::{Gate, Role, is_reading};
use super::origin::{Host, is_foreign};

/// Puts the guard in front of routes, and in front of paths that are none.
pub(super) fn guarded(routes: Router, gate: Arc<Gate>) -> Router {
    routes.layer(middleware::from_fn_with_state(gate, pass))
}

async fn pass(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let is_api = is_api(request.uri().path());
    let mut response = match look_at(&gate, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    if is_api {
        set(header::CACHE_CONTROL, "no-store");
    }
    response
}

/// Why a request is not let in.
enum Refusal {
    NotOurs(Option<String>),
    Foreign,
    Unknown(&'static str),
    Viewer,
}

fn look_at(gate: &Gate, request: &mut Request) -> Result<(), Refusal> {
    let (path, method) = (request.uri().path(), request.method());
    if matches!(path, "/metrics" | "/livez" | "/readyz") {
        return Ok(());
    }
    let host = Host::of(request.headers()).ok_or(Refusal::NotOurs(None))?;
    if !host.is_ours(&gate.hosts) {
        return Err(Refusal::NotOurs(Some(host.name().to_owned())));
    }
    // Of what is only read, it is the one that takes a place and is written down.
    let does_something = !is_reading(method) || path == "/api/v1/tail";
    if does_something && is_foreign(request.headers(), host) {
        return Err(Refusal::Foreign);
    }
    let visitor = gate.visitor(request.headers());
    let is_open =
        matches!(path, "/api/v1/login" | "/api/v1/logout") || (!is_api(path) && is_reading(method));
    if !is_open {
        let role = visitor.as_ref().map(|visitor| visitor.role);
        let role = role.ok_or_else(|| Refusal::Unknown(gate.remedy()))?;
        if role < Role::for_method(method) {
            return Err(Refusal::Viewer);
        }
    }
    if let Some(visitor) = visitor {
        request.extensions_mut().insert(visitor);
    }
    Ok(())
}

fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NotOurs(None) => {
                let text = "a request has one Host header: an IP address, localhost, or a name of admin.hosts\n";
                (StatusCode::MISDIRECTED_REQUEST, text).into_response()
            }
            Self::NotOurs(Some(name)) => {
                let text = format!(
                    "this broker is not known as {name:?}; if that is its name, add it to admin.hosts, else use its IP address\n"
                );
                (StatusCode::MISDIRECTED_REQUEST, text).into_response()
            }
            Self::Foreign => {
                let text = "a page of another origin has sent this; a proxy in front of the broker must pass Host on as it is\n";
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Unknown(text) => {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                (StatusCode::UNAUTHORIZED, challenge, text).into_response()
            }
            Self::Viewer => {
                let text = "you may look but change nothing; who may is named in admin.operators\n";
                (StatusCode::FORBIDDEN, text).into_response()
            }
        }
    }
}
