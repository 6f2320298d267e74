//! What is printed: a Markdown table a workload, and how often Dockside was ahead.

use std::fs;

use crate::Measured;
use crate::peer::Peer;

/// All runs of one peer.
pub(crate) struct Row {
    peer: Peer,
    pub(crate) runs: Vec<Measured>,
}

impl Row {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer, runs: Vec::new() }
    }

    /// Flaws of `peer`, if the row is its.
    pub(crate) fn flaws(&self, peer: Peer) -> u64 {
        if self.peer == peer { self.runs.iter().map(|run| run.flaws).sum() } else { 0 }
    }

    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Says where and how it was measured.
pub(crate) fn machine(rounds: &usize, seconds: f64) {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("{model}, {cores} cores, Linux {}; {rounds} rounds of {seconds} s", kernel.trim());
}

/// Prints the table of one workload.
pub(crate) fn print(workload: &str, rows: &[Row]) {
    let of = |peer| rows.iter().find(|row| row.peer == peer);
    let floor = of(Peer::Floor).map_or(0.0, |row| row.median(|run| run.cpu_us));
    println!("\n### {workload}\n");
    println!("| peer | events/s | p50 us | p99 us | CPU us/event | CPU/floor | RSS MiB | flaws |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in rows {
        let cpu = row.median(|run| run.cpu_us);
        println!(
            "| {} | {:.0} | {:.1} | {:.1} | {:.2} | {:.2} | {:.1} | {} |",
            row.peer.name(),
            row.median(|run| run.rate),
            row.median(|run| run.p50_us),
            row.median(|run| run.p99_us),
            cpu,
            cpu / floor,
            row.median(|run| run.resident_mib),
            row.flaws(row.peer),
        );
    }
    if let (Some(dockside), Some(mosquitto)) = (of(Peer::Dockside), of(Peer::Mosquitto)) {
        let pairs = dockside.runs.iter().zip(&mosquitto.runs);
        let ahead = pairs.clone().filter(|(ours, theirs)| ours.rate > theirs.rate).count();
        println!("\nahead of mosquitto + responder in {ahead} of {} rounds", pairs.count());
    }
}
