//! The messages a dock sends, and the check of the reply (DJI Cloud API `flighttask_progress`).

use serde::Deserialize;
use serde_json::{Value, json};

/// `thing/product/{sn}/events`.
#[must_use]
pub fn events_topic(serial_number: &str) -> String {
    format!("thing/product/{serial_number}/events")
}

/// `thing/product/{sn}/events_reply`.
#[must_use]
pub fn reply_topic(serial_number: &str) -> String {
    format!("thing/product/{serial_number}/events_reply")
}

/// What one event reports.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// One of DJI's status values.
    pub status: &'a str,
    /// `current_step` of a Dock 2 (firmware of Cloud API 1.11 and later).
    pub step: u32,
    /// 0 to 100.
    pub percent: u32,
    /// Waypoint being flown to.
    pub waypoint: u32,
    /// `wayline_mission_state`.
    pub mission_state: u32,
    /// Files, in the last event only.
    pub media_count: u32,
}

/// An event in the shape that a real Dock 2 sends.
#[must_use]
pub fn event(sn: &str, flight_id: &str, tid: &str, now_ms: u64, progress: &Progress<'_>) -> Value {
    json!({
        "bid": flight_id,
        "data": {
            "output": {
                "ext": {
                    "current_waypoint_index": progress.waypoint,
                    "flight_id": flight_id,
                    "media_count": progress.media_count,
                    "track_id": "",
                    "wayline_id": 0,
                    "wayline_mission_state": progress.mission_state
                },
                "progress": {"current_step": progress.step, "percent": progress.percent},
                "status": progress.status
            },
            "result": 0
        },
        "method": "flighttask_progress",
        "need_reply": 1,
        "tid": tid,
        "timestamp": now_ms,
        "gateway": sn
    })
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    tid: &'a str,
    #[serde(borrow)]
    bid: &'a str,
    #[serde(borrow)]
    method: &'a str,
    timestamp: u64,
    data: ReplyData,
}

#[derive(Deserialize)]
struct ReplyData {
    result: i64,
}

/// The `tid` of a reply that is right in everything: the flight's `bid`, the method, `result` 0
/// and an integer timestamp of 13 digits.
///
/// # Errors
/// What is wrong with it.
pub fn check_reply<'a>(payload: &'a [u8], bid: &str) -> Result<&'a str, &'static str> {
    let reply: Reply<'a> =
        serde_json::from_slice(payload).map_err(|_| "the reply has not the reply's shape")?;
    if reply.bid != bid {
        return Err("the reply has another bid");
    }
    if reply.method != "flighttask_progress" {
        return Err("the reply has another method");
    }
    if !(1_000_000_000_000..10_000_000_000_000).contains(&reply.timestamp) {
        return Err("the reply's timestamp has not 13 digits");
    }
    if reply.data.result != 0 {
        return Err("the reply's result is not 0");
    }
    Ok(reply.tid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_replies_are_told_from_right_ones() {
        let good = json!({"tid": "t", "bid": "b", "method": "flighttask_progress",
            "timestamp": 1_700_000_000_000u64, "data": {"result": 0}});
        assert_eq!(check_reply(good.to_string().as_bytes(), "b"), Ok("t"));
        for (key, value) in [
            ("bid", json!("c")),
            ("method", json!("hms")),
            ("timestamp", json!("1700000000000")),
            ("timestamp", json!(1)),
            ("data", json!({"result": 1})),
            ("tid", json!(null)),
        ] {
            let mut wrong = good.clone();
            wrong[key] = value;
            assert!(check_reply(wrong.to_string().as_bytes(), "b").is_err(), "{wrong}");
        }
        assert!(check_reply(b"{}", "b").is_err());
    }
}
