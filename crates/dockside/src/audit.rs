//! `dockside audit [--since WHEN]`: who did what, from the file, whether or not a broker runs.

use std::process::ExitCode;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use dockside::config::Config;
use dockside_store::{Audit, Reader};
use serde_json::json;

use crate::why::time;
use crate::{BAD_CONFIGURATION, CANNOT_READ, fail};

/// Entries that are shown; of more the latest.
const AT_MOST: usize = 100_000;

/// Shows it.
pub(crate) fn audit(
    config: &Config,
    since: Option<&str>,
    json: bool,
) -> Result<ExitCode, ExitCode> {
    let since_ms = match since {
        None => 0,
        Some(text) => start(text, Local::now()).ok_or_else(|| {
            let line = format!(
                "--since {text:?} is no time: 90m, 12h or 7d before now, or a date as 2026-01-31 or \"2026-01-31 14:00\""
            );
            fail(BAD_CONFIGURATION, &line)
        })?,
    };
    let dir = &config.data.dir;
    let read = Reader::open(dir).and_then(|reader| reader.audit(since_ms, AT_MOST));
    let entries = read.map_err(|error| {
        let file = dockside_store::file(dir);
        fail(CANNOT_READ, &format!("{} cannot be read (data.dir): {error}", file.display()))
    })?;
    if entries.is_empty() && !json {
        println!("nothing was done since then that is written down");
    }
    for entry in &entries {
        println!("{}", if json { as_json(entry) } else { line(entry) });
    }
    Ok(ExitCode::SUCCESS)
}

/// The time that is meant, milliseconds since 1970.
fn start(text: &str, now: DateTime<Local>) -> Option<u64> {
    let at = since(text, now)?;
    Some(u64::try_from(at.timestamp_millis()).unwrap_or(0))
}

fn since(text: &str, now: DateTime<Local>) -> Option<DateTime<Local>> {
    let ago = |unit: char, minutes: i64| {
        let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
        now.checked_sub_signed(TimeDelta::try_minutes(count.checked_mul(minutes)?)?)
    };
    let units = [('m', 1), ('h', 60), ('d', 24 * 60)];
    if let Some(at) = units.into_iter().find_map(|(unit, minutes)| ago(unit, minutes)) {
        return Some(at);
    }
    let date = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let naive = formats.iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok());
    // An hour that the change to summer time skips is none.
    naive.or_else(date).and_then(|naive| Local.from_local_datetime(&naive).earliest())
}

fn line(entry: &Audit) -> String {
    let mut line = format!("{}  {:18}", time(entry.time_ms.cast_signed()), entry.what);
    for (name, value) in [
        ("", &entry.gateway),
        ("", &entry.method),
        ("tid", &entry.tid),
        ("user", &entry.user),
        ("client", &entry.client_id),
        ("from", &entry.address),
    ] {
        let Some(value) = value else { continue };
        // Quoted where a client chose it.
        line += &match name {
            "" => format!("  {}", value.escape_debug()),
            name => format!("  {name} {}", value.escape_debug()),
        };
    }
    entry.result.map_or(line.clone(), |result| format!("{line}  result {result}"))
}

fn as_json(entry: &Audit) -> String {
    json!({
        "time_ms": entry.time_ms,
        "what": entry.what,
        "client_id": entry.client_id,
        "user": entry.user,
        "address": entry.address,
        "gateway": entry.gateway,
        "method": entry.method,
        "tid": entry.tid,
        "result": entry.result,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = Local.with_ymd_and_hms(2026, 3, 10, 12, 0, 0).unwrap();
        let at = |text: &str| since(text, now).map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string());
        for (text, expected) in [
            ("90m", "2026-03-10 10:30:00"),
            ("12h", "2026-03-10 00:00:00"),
            ("7d", "2026-03-03 12:00:00"),
            ("2026-01-31", "2026-01-31 00:00:00"),
            ("2026-01-31 14:00", "2026-01-31 14:00:00"),
            ("2026-01-31T14:00:05", "2026-01-31 14:00:05"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
        for odd in ["", "yesterday", "7", "-", "d", "9999999999999999d", "2026-13-01"] {
            assert_eq!(at(odd), None, "{odd}");
        }
        assert_eq!(start("1000000d", now), Some(0));
    }

    #[test]
    fn what_a_client_chose_cannot_change_the_terminal() {
        let entry = Audit {
            what: "services".to_owned(),
            method: Some("a\u{1b}[2J\nb".to_owned()),
            result: Some(7),
            ..Audit::default()
        };
        let line = line(&entry);
        assert!(line.chars().all(|c| !c.is_control()) && line.ends_with("result 7"), "{line}");
    }
}
