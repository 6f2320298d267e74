//! What the broker's own metrics say over time: the rules of `deploy/alerts.yml`, for a site without Prometheus.
//!
//! They are read from the text that Prometheus would scrape, so that both say the same.

use std::collections::{HashMap, VecDeque};

use super::conditions::{Condition, Key};

const MINUTE_MS: u64 = 60_000;

/// Lost replies among a hundred that are too many.
const LOST_PERCENT: f64 = 1.0;

/// Logins that fail in five minutes and are not somebody's slip.
const SLIPS: f64 = 20.0;

/// Free bytes of the store's file system that are few.
const FEW_BYTES: f64 = 1024.0 * 1024.0 * 1024.0;

/// A certificate that ends in so many seconds is to be replaced.
const ENDS_SOON_S: f64 = 14.0 * 24.0 * 3600.0;

/// The sum of a metric's series that have one of these labels, of all of them where none is named.
fn sum(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (series, value) = rest.rsplit_once(' ')?;
        let is_its = series.is_empty() || series.starts_with('{');
        let has_label = labels.is_empty() || labels.iter().any(|label| series.contains(label));
        if is_its && has_label { value.parse::<f64>().ok() } else { None }
    });
    values.reduce(|a, b| a + b)
}

/// How much a counter has risen in the latest time.
struct Rise {
    span_ms: u64,
    seen: VecDeque<(u64, f64)>,
}

impl Rise {
    fn over(minutes: u64) -> Self {
        Self { span_ms: minutes * MINUTE_MS, seen: VecDeque::new() }
    }

    /// With what it is now.
    fn by(&mut self, now_ms: u64, total: Option<f64>) -> f64 {
        let Some(total) = total else { return 0.0 };
        self.seen.push_back((now_ms, total));
        let began_ms = now_ms.saturating_sub(self.span_ms);
        while self.seen.get(1).is_some_and(|(at_ms, _)| *at_ms <= began_ms) {
            self.seen.pop_front();
        }
        total - self.seen.front().map_or(total, |(_, first)| *first)
    }
}

/// How long something has to be so before it is said, milliseconds: as in `deploy/alerts.yml`.
fn pending_ms(name: &str) -> u64 {
    match name {
        "DiskShort" | "CertificateExpires" => MINUTE_MS,
        "EventsUnanswered" | "DescriptorsNearLimit" => 2 * MINUTE_MS,
        "RepliesSlow" | "DiskNearlyFull" => 5 * MINUTE_MS,
        _ => 0,
    }
}

/// What rose before, and what is so since when.
pub(super) struct Figures {
    pending: HashMap<Key, u64>,
    dropped: Rise,
    guesses: Rise,
    answers: [Rise; 4],
    replies: [Rise; 2],
    errors: Rise,
    trimmed: Rise,
    panics: Rise,
}

impl Default for Figures {
    fn default() -> Self {
        let five = || Rise::over(5);
        Self {
            pending: HashMap::new(),
            dropped: five(),
            guesses: five(),
            answers: [five(), five(), five(), five()],
            replies: [five(), five()],
            errors: five(),
            trimmed: Rise::over(60),
            panics: Rise::over(15),
        }
    }
}

impl Figures {
    /// Looks at the metrics as they are at this time of the monotonic clock; `wall_s` is the wall clock, seconds since
    /// 1970, where it is believed.
    pub(super) fn look(&mut self, text: &str, now_ms: u64, wall_s: Option<f64>) -> Vec<Condition> {
        let mut found = Vec::new();
        self.traffic(text, now_ms, &mut found);
        self.replies(text, now_ms, &mut found);
        self.store(text, now_ms, &mut found);
        process(text, wall_s, &mut found);
        let since = |found: &Condition| {
            let key = found.key();
            let since_ms = self.pending.get(&key).copied().unwrap_or(now_ms);
            (key, since_ms)
        };
        self.pending = found.iter().map(since).collect();
        found.retain(|condition| {
            let since_ms = self.pending.get(&condition.key()).copied().unwrap_or(now_ms);
            now_ms - since_ms >= pending_ms(condition.name)
        });
        found
    }

    fn traffic(&mut self, text: &str, now_ms: u64, found: &mut Vec<Condition>) {
        let full = ["queue_full", "qos0_backpressure", "retained_full"]
            .map(|reason| format!("reason=\"{reason}\""));
        let full: Vec<_> = full.iter().map(String::as_str).collect();
        let dropped = sum(text, "dockside_messages_dropped_total", &full);
        let dropped = self.dropped.by(now_ms, dropped);
        if dropped > 0.0 {
            let text = format!(
                "{dropped} messages were dropped in 5 minutes for want of room: a client reads too slowly, or was away too long: dockside sessions tells for whom many wait"
            );
            found.push(Condition::warning("MessagesDropped", text));
        }
        let bad = sum(text, "dockside_connects_rejected_total", &["reason=\"bad_credentials\""]);
        let guesses = self.guesses.by(now_ms, bad);
        if guesses > SLIPS {
            let text = format!(
                "{guesses} logins failed in 5 minutes: somebody guesses, or a device has an old password; dockside why tells names and addresses"
            );
            found.push(Condition::warning("BadCredentials", text));
        }
        let panics = self.panics.by(now_ms, sum(text, "dockside_hook_panics_total", &[]));
        if panics > 0.0 {
            let text = "a plugin panicked over a message, which was forwarded without it: a defect of Dockside; keep the log and report it";
            found.push(Condition::warning("HookPanicked", text.to_owned()));
        }
    }

    fn replies(&mut self, text: &str, now_ms: u64, found: &mut Vec<Condition>) {
        let names = ["replied", "unacknowledged", "received", "ignored"];
        let mut rises = self.answers.iter_mut().zip(names).map(|(rise, name)| {
            rise.by(now_ms, sum(text, &format!("dockside_events_{name}_total"), &[]))
        });
        let mut next = || rises.next().unwrap_or(0.0);
        let (replied, wanted) = (next() - next(), next() - next());
        if (wanted - replied) * 100.0 > wanted * LOST_PERCENT {
            let text = format!(
                "{} of {wanted} events in 5 minutes got no reply: dockside why tells which, and why",
                wanted - replied
            );
            found.push(Condition::critical("EventsUnanswered", text));
        }
        let name = "dockside_event_reply_duration_seconds";
        let quick = sum(text, &format!("{name}_bucket"), &["le=\"0.005\""]);
        let all = sum(text, &format!("{name}_count"), &[]);
        let [of_quick, of_all] = &mut self.replies;
        let (quick, all) = (of_quick.by(now_ms, quick), of_all.by(now_ms, all));
        if (all - quick) * 100.0 > all {
            let text = format!(
                "{} of {all} replies in 5 minutes took longer than 5 ms: the disk or the processor is busy; see what else runs on the machine",
                all - quick
            );
            found.push(Condition::warning("RepliesSlow", text));
        }
    }

    fn store(&mut self, text: &str, now_ms: u64, found: &mut Vec<Condition>) {
        let errors = self.errors.by(now_ms, sum(text, "dockside_storage_errors_total", &[]));
        if errors > 0.0 {
            let text = format!(
                "{errors} transactions of the store failed in 5 minutes; the log tells what SQLite says"
            );
            found.push(Condition::warning("StoreErrors", text));
        }
        let trimmed = self.trimmed.by(now_ms, sum(text, "dockside_storage_trimmed_total", &[]));
        if trimmed > 0.0 {
            let text = format!(
                "{trimmed} rows went early in an hour, the oldest first: give the store more room, and see who does not read its messages"
            );
            found.push(Condition::warning("StoreTrimmed", text));
        }
        if sum(text, "dockside_storage_disk_short", &[]) == Some(1.0) {
            let text = "the file system has less free space than store.min_free_bytes: events and then messages go until there is";
            found.push(Condition::critical("DiskShort", text.to_owned()));
        }
        let free = sum(text, "dockside_storage_disk_free_bytes", &[]);
        if let Some(free) = free.filter(|free| *free < FEW_BYTES) {
            let text = format!(
                "{:.0} MiB are free on the file system of data.dir; on a full disk nothing is acknowledged that has to be kept",
                free / 1024.0 / 1024.0
            );
            found.push(Condition::warning("DiskNearlyFull", text));
        }
    }
}

fn process(text: &str, wall_s: Option<f64>, found: &mut Vec<Condition>) {
    let of = |name| sum(text, name, &[]);
    if let (Some(open), Some(limit)) = (of("process_open_fds"), of("process_max_fds"))
        && open > 0.8 * limit
    {
        let text = format!(
            "{open} of {limit} file descriptors are taken; raise LimitNOFILE of the unit, or ulimit -n, and restart"
        );
        found.push(Condition::warning("DescriptorsNearLimit", text));
    }
    if of("dockside_config_last_reload_successful") == Some(0.0) {
        let text = "the last reload did not take everything over: the log tells the key and the remedy, and so does dockside check";
        found.push(Condition::warning("ReloadFailed", text.to_owned()));
    }
    let name = "dockside_tls_certificate_not_after_timestamp_seconds";
    let ends = text.lines().filter_map(|line| {
        let (file, ends) =
            line.strip_prefix(name)?.strip_prefix("{file=\"")?.rsplit_once("\"} ")?;
        Some((file, ends.parse::<f64>().ok()?))
    });
    let Some(wall_s) = wall_s else { return };
    for (file, ends_s) in ends.filter(|(_, ends_s)| ends_s - wall_s < ENDS_SOON_S) {
        let days = ((ends_s - wall_s) / 86_400.0).floor();
        let text = if ends_s > wall_s {
            format!(
                "the certificate in {file} ends in {days} days: put a new one in place of its files"
            )
        } else {
            format!("the certificate in {file} has ended: docks do not connect over TLS")
        };
        let expires = Condition::warning("CertificateExpires", text);
        found.push(Condition { file: Some(file.into()), ..expires });
    }
}

#[cfg(test)]
#[path = "figures/tests.rs"]
mod tests;
