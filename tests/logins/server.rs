//! A server that is asked who may come in, and answers as a test wants it to.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// What it answers to a user name.
type Answers = fn(&str) -> Answer;

pub(super) enum Answer {
    /// Status and body.
    Now(&'static str, String),
    /// These bytes.
    Raw(String),
    /// Yes, once the gate is opened.
    Gated,
    /// Nothing.
    Never,
    /// A head, and then one byte after the other.
    Drip,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Answers,
    asked: Mutex<Vec<Value>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    gate: Semaphore,
}

pub(super) const ALLOW: &str = r#"{"result":"allow"}"#;

pub(super) fn allow() -> Answer {
    Answer::Now("200 OK", ALLOW.to_owned())
}

impl Server {
    pub(super) async fn start(answers: Answers) -> Self {
        Self::start_with(answers, None).await
    }

    /// With TLS.
    pub(super) async fn start_with(answers: Answers, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answers,
            asked: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let server = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => shared.serve(socket).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                shared.serve(socket).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/login", self.address)
    }

    /// What it was asked so far.
    pub(super) fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }

    pub(super) fn open_the_gate(&self) {
        self.shared.gate.add_permits(1_000);
    }
}

impl Shared {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut socket: S) {
        let Some(question) = question(&mut socket).await else { return };
        let name = question["username"].as_str().unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(question);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let answer = match (self.answers)(&name) {
            Answer::Now(status, body) => response(status, &body),
            Answer::Raw(bytes) => bytes,
            Answer::Gated => {
                self.gate.acquire().await.unwrap().forget();
                response("200 OK", ALLOW)
            }
            Answer::Never => pending().await,
            Answer::Drip => {
                drip(&mut socket).await;
                return;
            }
        };
        // Before the client can know of it: whoever comes next is not counted with this one.
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let _ = socket.write_all(answer.as_bytes()).await;
        let _ = socket.shutdown().await;
    }
}

async fn drip<S: AsyncWrite + Unpin>(socket: &mut S) {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let mut sent = socket.write_all(head.as_bytes()).await;
    while sent.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        sent = socket.write_all(b" ").await;
    }
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The body of a request, or the head of one that is not as it should be; none if it does not come.
async fn question<S: AsyncRead + Unpin>(socket: &mut S) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let is_good = head.starts_with("post /login http/1.1\r\n")
                && head.contains("content-type: application/json");
            if !is_good {
                return Some(Value::String(head));
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().trim().parse().unwrap();
            if bytes.len() >= end + 4 + length {
                return serde_json::from_slice(&bytes[end + 4..]).ok();
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
