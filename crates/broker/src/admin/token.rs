//! `Authorization: Bearer TOKEN`.

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

/// Asks for the token on every route, if there is one.
pub(super) fn guarded(routes: Router, token: Option<String>) -> Router {
    let Some(token) = token else { return routes };
    let expected = digest(&SHA256, token.as_bytes());
    routes.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        // Digests are compared: how long that takes tells nothing of the token.
        let right = given.is_some_and(|given| digest(&SHA256, given).as_ref() == expected.as_ref());
        if right { next.run(request).await } else { unauthorized() }
    }))
}

fn unauthorized() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    let text = "this needs the token of admin.token_file: Authorization: Bearer TOKEN\n";
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}
