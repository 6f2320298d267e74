//! The table: a line an attack.

use super::verdict::{Flaw, Seen};

/// The head of the table.
pub(super) const HEAD: &str = "\
| attack | connections | refused | packets | MiB sent | its cores | events | lost | p50 ms | p99 ms | max ms | peak RSS MiB | broker's cores | fds before, after | verdict |\n\
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// The line of an attack.
pub(super) fn line(name: &str, seen: &Seen, flaws: &[Flaw]) -> String {
    let did = seen.attacker.unwrap_or_default();
    let flown = &seen.flown;
    let ms = |per_mille| flown.latency(per_mille).as_secs_f64() * 1e3;
    let verdict = if flaws.is_empty() {
        "good".to_owned()
    } else {
        let flaws: Vec<String> = flaws.iter().map(Flaw::to_string).collect();
        format!("BAD: {}", flaws.join("; "))
    };
    format!(
        "| {name} | {} | {} | {} | {:.1} | {:.2} | {} | {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.2} | {}, {} | {verdict} |",
        did.connections,
        did.refused,
        did.packets,
        did.bytes as f64 / f64::from(1 << 20),
        did.cores(),
        flown.events,
        flown.lost,
        ms(500),
        ms(990),
        ms(1000),
        seen.resident_mib,
        seen.broker_cores,
        seen.descriptors.0,
        seen.descriptors.1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_columns_of_the_head_and_tells_every_flaw() {
        let flaws = [Flaw::Lost(1), Flaw::NoMetrics];
        let line = line("flood", &Seen::default(), &flaws);
        let columns = |line: &str| line.matches('|').count();
        assert_eq!(columns(&line), columns(HEAD.lines().next().unwrap()));
        assert!(line.contains("BAD: 1 events without a reply; /metrics did not answer"));
    }
}
