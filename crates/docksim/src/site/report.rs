//! What came of a site.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::expect::{DockState, FlightTask};

/// As many of the wrong replies are shown.
const SHOWN_AT_MOST: usize = 20;

/// What one dock counted, or all.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Events, each once however often it was sent.
    pub events: u64,
    /// Events that have a right reply.
    pub replies: u64,
    /// Times that an event was sent again.
    pub resent: u64,
    /// Further right replies to events that were sent again.
    pub again: u64,
    /// Replies that were wrong.
    pub wrong_replies: u64,
    /// Events that had no reply in time, or none at all, or could not even be sent.
    pub missing: u64,
    /// Connections made.
    pub connections: u64,
    /// Connections that the script had lost.
    pub links_lost: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Replies to `update_topo`: answering it is the site's choice.
    pub topology_replies: u64,
    /// The longest that a reply took.
    pub slowest: Duration,
    /// What was wrong with replies, the first of it.
    pub shown: Vec<String>,
    /// How the first connection broke that did.
    pub first_break: Option<String>,
    /// Events that are counted as missing already, by number.
    pub(super) unanswered: BTreeSet<u32>,
}

impl Tally {
    pub(super) fn replied(&mut self, after: Option<Duration>) {
        self.replies += 1;
        self.slowest = self.slowest.max(after.unwrap_or_default());
    }

    pub(super) fn wrong(&mut self, sn: &str, wrong: impl std::fmt::Display) {
        self.wrong_replies += 1;
        self.show(format!("{sn}: WRONG REPLY: {wrong}"));
    }

    pub(super) fn broken(&mut self, sn: &str, error: &io::Error) {
        self.broken += 1;
        self.first_break.get_or_insert_with(|| format!("{sn}: {error}"));
    }

    fn show(&mut self, line: String) {
        if self.shown.len() < SHOWN_AT_MOST {
            self.shown.push(line);
        }
    }

    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.replies += other.replies;
        self.resent += other.resent;
        self.again += other.again;
        self.wrong_replies += other.wrong_replies;
        self.missing += other.missing;
        self.connections += other.connections;
        self.links_lost += other.links_lost;
        self.broken += other.broken;
        self.topology_replies += other.topology_replies;
        self.slowest = self.slowest.max(other.slowest);
        self.first_break = self.first_break.take().or(other.first_break);
        other.shown.into_iter().for_each(|line| self.show(line));
    }
}

/// What came of a site.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Sums over docks.
    pub tally: Tally,
    /// How the docks should stand.
    pub docks: Vec<DockState>,
    /// How the tasks should stand.
    pub flight_tasks: Vec<FlightTask>,
}

impl Report {
    pub(super) fn add(&mut self, tally: Tally, dock: DockState, tasks: Vec<FlightTask>) {
        self.tally.add(tally);
        self.docks.push(dock);
        self.flight_tasks.extend(tasks);
    }

    /// Whether every event got its reply, in time and right.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        let Tally { events, replies, wrong_replies, missing, .. } = self.tally;
        events > 0 && replies == events && wrong_replies == 0 && missing == 0
    }

    /// How many tasks there are of each status.
    #[must_use]
    pub fn by_status(&self) -> BTreeMap<&'static str, usize> {
        let mut by_status = BTreeMap::new();
        for task in &self.flight_tasks {
            *by_status.entry(task.status).or_default() += 1;
        }
        by_status
    }

    /// Prints it.
    pub fn print(&self) {
        let tally = &self.tally;
        tally.shown.iter().for_each(|line| println!("{line}"));
        let docks = self.docks.len() as u64;
        println!(
            "{docks} docks, {} events, {} replies, {} wrong, {} missing; slowest reply {:.1} ms",
            tally.events,
            tally.replies,
            tally.wrong_replies,
            tally.missing,
            tally.slowest.as_secs_f64() * 1_000.0
        );
        println!(
            "{} events sent again, {} of them answered again; {} reconnects ({} links lost by the script, {} broken)",
            tally.resent,
            tally.again,
            tally.connections.saturating_sub(docks),
            tally.links_lost,
            tally.broken
        );
        if let Some(first) = &tally.first_break {
            println!("the first to break: {first}");
        }
        println!("{} replies to update_topo", tally.topology_replies);
        let statuses: Vec<_> =
            self.by_status().iter().map(|(status, count)| format!("{count} {status}")).collect();
        println!("{} tasks: {}", self.flight_tasks.len(), statuses.join(", "));
    }

    /// Writes how docks and tasks should stand as JSON: `{"flight_tasks":[..],"docks":[..]}`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let expected = json!({"flight_tasks": self.flight_tasks, "docks": self.docks});
        std::fs::write(file, format!("{expected:#}\n"))
    }
}
