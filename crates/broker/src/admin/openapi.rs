//! `GET /api/v1/openapi.json`: what the admin listener answers, as OpenAPI 3.1 for people who write clients.
//!
//! The file is `docs/openapi.json`; `tests/openapi.rs` compares it with what a running broker answers.

use axum::http::header;
use axum::response::IntoResponse;

const DESCRIPTION: &str = include_str!("../../../../docs/openapi.json");

pub(super) async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}
