//! `dockside retained pull HOST[:PORT]`: another broker's retained messages become this one's.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use dockside::config::Config;
use serde::Deserialize;
use serde_json::{Value, json};

use super::other_broker::{Message, OtherBroker};
use super::shown;
use crate::admin::{Admin, understood};
use crate::{BAD_CONFIGURATION, BAD_NEWS, CANNOT_CONNECT, fail};

/// Messages, and bytes of them, that are handed over at once: in base64 a request has room for them.
const AT_ONCE: usize = 200;
const BYTES_AT_ONCE: usize = 1 << 20;

/// Payloads that one request has room for.
const PAYLOAD_BYTES: usize = 1 << 20;

/// They come at QoS 0, whatever they were published with; with this they reach whoever asks for it.
const QOS: u8 = 1;

/// Refused topics that are named.
const NAMED: usize = 20;

/// From where, and what.
#[derive(Args)]
pub(crate) struct Pull {
    /// The other broker, which is spoken to without TLS
    #[arg(value_name = "HOST[:PORT]")]
    from: String,
    /// Those that this topic filter matches
    #[arg(long, default_value = "#")]
    filter: String,
    /// User to log in as there; the password is asked for, or read from standard input if that is no terminal
    #[arg(long)]
    user: Option<String>,
    /// Instead of what is retained here for the same topic
    #[arg(long)]
    replace: bool,
    /// So many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    limit: usize,
    /// They have come when no other has come for so long
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    quiet_ms: u64,
    /// It ends after so long, whatever comes
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout_s: u64,
    /// What came of it as JSON
    #[arg(long)]
    json: bool,
}

/// The admin listener's answer.
#[derive(Deserialize)]
struct Outcome {
    taken: usize,
    already_here: usize,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    topic: String,
    reason: String,
}

/// What came of all requests.
#[derive(Default)]
struct Sum {
    taken: usize,
    already_here: usize,
    refused: Vec<(String, String)>,
    /// Whether there may be more than came.
    is_cut: bool,
}

/// Pulls, and tells; 1 when not all could be taken.
pub(crate) fn pull(config: &Config, pull: &Pull) -> Result<ExitCode, ExitCode> {
    let password = pull.user.as_deref().map(password).transpose();
    let password = password.map_err(|error| {
        fail(BAD_CONFIGURATION, &format!("the password cannot be read: {error}"))
    })?;
    let admin = Admin::of(config)?;
    let login = pull.user.as_deref().zip(password.as_deref());
    let failed = |error: String| fail(CANNOT_CONNECT, &format!("{}: {error}", pull.from));
    let mut other = OtherBroker::connect(&pull.from, login).map_err(failed)?;
    other.subscribe(&pull.filter).map_err(|error| {
        fail(BAD_NEWS, &format!("{} for {}: {error}", pull.from, shown(&pull.filter, 200)))
    })?;
    let sum = take_over(&mut other, &admin, pull)?;
    other.disconnect();
    Ok(tell(&sum, pull))
}

/// From a terminal, or the first line of what is not one.
fn password(user: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("password of {user} there: "));
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Hands messages over as they come, so that none waits here for long.
fn take_over(other: &mut OtherBroker, admin: &Admin, pull: &Pull) -> Result<Sum, ExitCode> {
    let end = Instant::now() + Duration::from_secs(pull.timeout_s);
    let quiet = Duration::from_millis(pull.quiet_ms);
    let (mut sum, mut waiting, mut size, mut count) = (Sum::default(), Vec::new(), 0, 0);
    let mut last = Instant::now();
    loop {
        let until = (last + quiet).min(end);
        let next = other.next_retained(until);
        let next =
            next.map_err(|error| fail(CANNOT_CONNECT, &format!("{}: {error}", pull.from)))?;
        let is_end = next.is_none();
        if let Some(message) = next {
            count += 1;
            let more = message.topic.len() + message.payload.len();
            if size + more > BYTES_AT_ONCE {
                hand_over(admin, pull, &mut waiting, &mut sum)?;
                size = 0;
            }
            if message.payload.len() > PAYLOAD_BYTES {
                sum.refused.push((message.topic, "larger than 1 MiB".to_owned()));
            } else {
                size += more;
                waiting.push(message);
            }
        }
        sum.is_cut = count >= pull.limit || (is_end && Instant::now() >= end);
        let is_over = is_end || sum.is_cut;
        if is_over || waiting.len() >= AT_ONCE {
            hand_over(admin, pull, &mut waiting, &mut sum)?;
            size = 0;
        }
        if is_over {
            return Ok(sum);
        }
        // What handing over took is not what the other was silent for.
        last = Instant::now();
    }
}

fn hand_over(
    admin: &Admin,
    pull: &Pull,
    waiting: &mut Vec<Message>,
    sum: &mut Sum,
) -> Result<(), ExitCode> {
    if waiting.is_empty() {
        return Ok(());
    }
    let messages: Vec<Value> = waiting
        .drain(..)
        .map(|Message { topic, payload }| {
            json!({"topic": topic, "qos": QOS, "payload": BASE64_STANDARD.encode(payload)})
        })
        .collect();
    let body = json!({"from": pull.from, "replace": pull.replace, "messages": messages});
    let outcome: Outcome = understood(&admin.post_body("/api/v1/retained", &body)?)?;
    sum.taken += outcome.taken;
    sum.already_here += outcome.already_here;
    sum.refused.extend(outcome.refused.into_iter().map(|r| (r.topic, r.reason)));
    Ok(())
}

fn tell(sum: &Sum, pull: &Pull) -> ExitCode {
    let Sum { taken, already_here, refused, is_cut } = sum;
    if pull.json {
        let refused =
            refused.iter().map(|(topic, reason)| json!({"topic": topic, "reason": reason}));
        let refused: Vec<_> = refused.collect();
        println!(
            "{}",
            json!({"taken": taken, "already_here": already_here, "refused": refused, "is_cut": is_cut})
        );
    } else {
        println!("{taken} retained messages of {} are here now", pull.from);
        if *already_here > 0 {
            println!(
                "{already_here} more are of topics that have one here, which stays (--replace)"
            );
        }
        for (topic, reason) in refused.iter().take(NAMED) {
            eprintln!("not taken over: {}: {reason}", shown(topic, 100));
        }
        if refused.len() > NAMED {
            eprintln!("not taken over: {} more", refused.len() - NAMED);
        }
        if *is_cut {
            eprintln!("there may be more: --limit or --timeout-s was reached");
        }
    }
    if refused.is_empty() && !is_cut { ExitCode::SUCCESS } else { ExitCode::from(BAD_NEWS) }
}
