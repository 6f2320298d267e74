//! What `deploy/` asks of a broker is what a broker has: alerts, their tests, the dashboard, and the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dockside_broker::config::Transport;

use crate::clock::ask;
use crate::tls::Secure;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every name of a metric of ours or of the process, in rules and in texts alike.
fn metrics_named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|w| w.starts_with("dockside_") || w.starts_with("process_")).collect()
}

/// What stands behind `before` in each line that begins with it.
fn behind<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(before)).collect()
}

fn alerts() -> Vec<String> {
    let rules = file("deploy/alerts.yml");
    let names: Vec<String> = behind(&rules, "- alert: ").into_iter().map(String::from).collect();
    assert!(names.len() >= 16, "the rules are read: {names:?}");
    names
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_a_broker_shows() {
    // With TLS: its certificate has a metric of its own.
    let site = Secure::start_over(Transport::Tls, |_| {}).await;
    let shown = ask(site.broker.admin, "GET /metrics", "").await;
    let mut known = BTreeSet::new();
    for (name, kind) in behind(&shown, "# TYPE ").into_iter().filter_map(|l| l.split_once(' ')) {
        known.insert(name.to_owned());
        if kind == "histogram" {
            known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    for path in ["deploy/alerts.yml", "deploy/grafana/dockside.json", "docs/operations.md"] {
        let text = file(path);
        let named = metrics_named(&text);
        assert!(named.len() > 10, "{path} is read: {named:?}");
        let unknown: Vec<_> = named.into_iter().filter(|name| !known.contains(*name)).collect();
        assert_eq!(unknown, [""; 0], "{path} names metrics that no broker has");
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_a_test() {
    let (runbook, tests) = (file("docs/operations.md"), file("deploy/alerts_test.yml"));
    let sections = behind(&runbook, "## ");
    for alert in alerts() {
        let at = sections.iter().position(|section| *section == alert);
        assert!(at.is_some(), "{alert} has no section in docs/operations.md");
        let section = runbook.split("\n## ").find(|text| text.starts_with(&format!("{alert}\n")));
        for part in ["- **Means**: ", "- **Causes**: ", "- **Look at**: ", "- **Remedy**: "] {
            assert!(section.unwrap().contains(part), "{alert}: {part} is missing");
        }
        let fires = format!("alertname=\"{alert}\", alertstate=\"firing\"");
        assert!(tests.contains(&fires), "{alert} fires in no case of deploy/alerts_test.yml");
    }
}

#[test]
fn every_alert_says_what_it_is_and_how_bad() {
    let rules = file("deploy/alerts.yml");
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        for part in ["severity: ", "summary: \"", "description: \""] {
            assert_eq!(rule.matches(part).count(), 1, "{name}: {part}");
        }
        let is_known = ["{severity: critical}", "{severity: warning}"].map(|s| rule.contains(s));
        assert!(is_known.contains(&true), "{name}: critical or warning");
    }
}

/// What the live page calls a condition has a place in the runbook, and no other name as an alert.
#[test]
fn conditions_of_the_page_are_in_the_runbook() {
    let source =
        ["conditions", "figures"].map(|of| file(&format!("crates/broker/src/board/{of}.rs")));
    let (source, runbook) = (source.concat(), file("docs/operations.md"));
    let calls = ["Condition::warning(\"", "Condition::critical(\""].map(|call| source.split(call));
    let names = calls.into_iter().flat_map(|calls| calls.skip(1));
    let names: BTreeSet<_> = names.filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.contains("DockSilent") && names.len() >= 18, "they are found: {names:?}");
    let only_by_prometheus: Vec<_> =
        alerts().into_iter().filter(|a| !names.contains(&**a)).collect();
    assert_eq!(only_by_prometheus, ["DocksideDown"], "the broker does not look at these itself");
    for name in names {
        let is_there =
            [format!("\n## {name}\n"), format!("\n- **{name}**: ")].map(|at| runbook.contains(&at));
        assert!(is_there.contains(&true), "{name} is not in docs/operations.md");
    }
}

/// Whether promtool is here; where `CI` is set it must be.
fn has_promtool() -> bool {
    let found =
        Command::new("promtool").arg("--version").output().is_ok_and(|o| o.status.success());
    let remedy = "install Prometheus's promtool";
    assert!(found || std::env::var_os("CI").is_none(), "it must be there in CI: {remedy}");
    if !found {
        eprintln!("SKIPPED: promtool is not installed: {remedy}");
    }
    found
}

#[test]
fn every_alert_comes_where_it_should() {
    if !has_promtool() {
        return;
    }
    for arguments in [
        ["check", "rules", "deploy/alerts.yml"],
        ["check", "config", "deploy/prometheus.yml"],
        ["test", "rules", "deploy/alerts_test.yml"],
    ] {
        let output = Command::new("promtool").args(arguments).current_dir(top()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        assert!(output.status.success(), "{arguments:?}: {said:?}");
    }
}
