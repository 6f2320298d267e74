//! What is printed: a Markdown table a workload, and how often Dockside was ahead.

use std::fs;

use crate::Measured;
use crate::peer::{Level, Peer};

/// All runs of one peer.
pub(crate) struct Row {
    pub(crate) peer: Peer,
    pub(crate) runs: Vec<Measured>,
}

impl Row {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, runs: Vec::new() }
    }

    /// Whether a flaw of it is a flaw of this repository's.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.peer, Peer::Dockside(_)) || self.peer.is_floor()
    }

    pub(crate) fn flaws(&self) -> u64 {
        self.runs.iter().map(|run| run.flaws).sum()
    }

    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Says where and how it was measured.
pub(crate) fn machine(rounds: usize, seconds: f64) {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("{model}, {cores} cores, Linux {}; {rounds} rounds of {seconds} s", kernel.trim());
}

/// Prints the table of one workload; the others are measured by the first row.
pub(crate) fn print(workload: &str, rows: &[Row]) {
    let first = rows.first();
    let of_first = |of: fn(&Measured) -> f64| first.map_or(f64::NAN, |row| row.median(of));
    let (first_rate, first_cpu) = (of_first(|run| run.rate), of_first(|run| run.cpu_us));
    let has_drc = of_first(|run| run.drc_us[1]) > 0.0;
    let (drc, line) = if has_drc { (" DRC p50 us | DRC p99 us |", "---|---|") } else { ("", "") };
    println!("\n### {workload}\n");
    println!(
        "| peer | a second | of the first's | p50 us | p99 us |{drc} CPU us each | of the first's | tool's core | RSS MiB | flaws |"
    );
    println!("|---|---|---|---|---|{line}---|---|---|---|---|");
    for row in rows {
        let (rate, cpu) = (row.median(|run| run.rate), row.median(|run| run.cpu_us));
        let drc = [0, 1].map(|at| row.median(|run| run.drc_us[at]));
        let drc = if has_drc { format!(" {:.1} | {:.1} |", drc[0], drc[1]) } else { String::new() };
        println!(
            "| {} | {rate:.0} | {:.2} | {:.1} | {:.1} |{drc} {cpu:.2} | {:.2} | {:.2} | {:.1} | {} |",
            row.peer.name(),
            rate / first_rate,
            row.median(|run| run.p50_us),
            row.median(|run| run.p99_us),
            cpu / first_cpu,
            row.median(|run| run.tool),
            row.median(|run| run.resident_mib),
            row.flaws(),
        );
    }
    println!();
    if has_drc {
        // At its own pace everybody is as quick.
        return;
    }
    let Some(ours) = rows.iter().find(|row| row.peer == Peer::Dockside(Level::Commit)) else {
        return;
    };
    for theirs in rows.iter().filter(|row| !row.is_ours()) {
        let pairs = ours.runs.iter().zip(&theirs.runs);
        let ahead = pairs.clone().filter(|(ours, theirs)| ours.rate > theirs.rate).count();
        let (ours, theirs) = (ours.peer.name(), theirs.peer.name());
        println!("{ours}: ahead of {theirs} in {ahead} of {} rounds", pairs.count());
    }
}
