//! `Authorization: Bearer TOKEN`.

use axum::http::{HeaderMap, header};
use ring::digest::{Digest, SHA256, digest};

/// The token of `admin.token_file`.
pub(super) struct Token(Digest);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self(digest(&SHA256, token.as_bytes()))
    }

    /// Whether a request has it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        // Digests are compared: how long that takes tells nothing of the token.
        given.is_some_and(|given| digest(&SHA256, given).as_ref() == self.0.as_ref())
    }
}
