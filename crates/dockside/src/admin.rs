//! What commands ask of the running broker's admin listener.

use std::process::ExitCode;

use dockside::config::Config;
use ureq::http::Request;

use crate::{BAD_NEWS, CANNOT_CONNECT, CANNOT_READ, fail};

/// The admin listener of the broker that a configuration describes.
pub(crate) struct Admin {
    address: std::net::SocketAddr,
    token: Option<String>,
}

impl Admin {
    /// Reads the token that the listener asks for; the error has been printed.
    pub(crate) fn of(config: &Config) -> Result<Self, ExitCode> {
        let token = config.broker().admin_token().map_err(|problem| {
            fail(CANNOT_READ, &format!("{}: {}", problem.key, problem.remedy))
        })?;
        let mut address = config.admin.listen;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(Self { address, token })
    }

    /// The answer to a path with its query; the error has been printed.
    pub(crate) fn get(&self, path_and_query: &str) -> Result<String, ExitCode> {
        self.ask(Request::get(self.url(path_and_query)), "")
    }

    /// Has something done that needs no details.
    pub(crate) fn post(&self, path: &str) -> Result<String, ExitCode> {
        let request = Request::post(self.url(path));
        self.ask(request.header("Content-Type", "application/json"), "{}")
    }

    /// Has something done as the body says; nothing of that name is exit code 1.
    pub(crate) fn post_body(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<String, ExitCode> {
        let request = Request::post(self.url(path));
        self.ask(request.header("Content-Type", "application/json"), &body.to_string())
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// With the token, if there is one.
    pub(crate) fn with_token(
        &self,
        request: ureq::http::request::Builder,
    ) -> ureq::http::request::Builder {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub(crate) fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.address)
    }

    fn ask(&self, request: ureq::http::request::Builder, body: &str) -> Result<String, ExitCode> {
        let address = self.address;
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let answer = self.with_token(request).body(body.to_owned()).map_err(ureq::Error::from);
        let read = answer.and_then(|request| agent.run(request)).and_then(|mut response| {
            let status = response.status();
            Ok((status, response.body_mut().read_to_string()?))
        });
        let (status, text) = read.map_err(|error| {
            let line = format!("no broker answers at {address} (admin.listen): {error}");
            fail(CANNOT_CONNECT, &line)
        })?;
        let said = text.trim_end();
        Err(match status.as_u16() {
            200..=299 => return Ok(text),
            401 if self.token.is_none() => fail(
                CANNOT_CONNECT,
                &format!(
                    "the broker at {address} asks for a login; commands log in with the token of admin.token_file, and none is set"
                ),
            ),
            401 => fail(
                CANNOT_CONNECT,
                &format!(
                    "the broker at {address} asks for another token than that of admin.token_file"
                ),
            ),
            // Ours have a sentence.
            404 if said.is_empty() => fail(
                CANNOT_CONNECT,
                &format!(
                    "the broker at {address} does not know this: it is another release than this command"
                ),
            ),
            404 => fail(BAD_NEWS, said),
            status => {
                fail(CANNOT_CONNECT, &format!("the broker at {address} answers {status}: {said}"))
            }
        })
    }
}

/// Reads an answer; the error has been printed.
pub(crate) fn understood<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ExitCode> {
    serde_json::from_str(text).map_err(|error| {
        fail(CANNOT_CONNECT, &format!("the broker's answer is not understood: {error}"))
    })
}
