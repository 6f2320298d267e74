//! The messages of a script as topic and payload (DJI Cloud API, "Device management", "Properties"
//! and "Wayline management" of the docks).

use serde_json::{Value, json};

use super::course::Phase;
use super::plan::{Aircraft, Dock, Event};
use crate::event::{self, Progress};

/// Where the site is said to be: in the ocean, far from anybody's dock.
const LATITUDE: f64 = -48.876_7;
const LONGITUDE: f64 = -123.393_3;

/// What of a dock's messages is the same throughout a run.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The dock.
    pub dock: &'a Dock,
    /// Its place in the site.
    pub number: u32,
    /// The site's seed.
    pub seed: u64,
}

/// `sys/product/{sn}/status`.
#[must_use]
pub fn status_topic(sn: &str) -> String {
    format!("sys/product/{sn}/status")
}

impl Sender<'_> {
    /// The `tid` of an event: a UUID in form, the same in every run of the seed.
    #[must_use]
    pub fn tid(&self, number: u32) -> String {
        self.tid_of(0, number)
    }

    /// The `tid` of the dock's `number`th `update_topo`.
    #[must_use]
    pub fn topology_tid(&self, number: u32) -> String {
        self.tid_of(1, number)
    }

    fn tid_of(&self, kind: u16, number: u32) -> String {
        let seed = self.seed as u32;
        let dock = self.number & 0xFFFF;
        format!("{seed:08x}-{dock:04x}-4{kind:03x}-8000-{number:012x}")
    }

    /// A `flighttask_progress` that happened at `device_ms`.
    #[must_use]
    pub fn event(&self, event: &Event, device_ms: u64) -> (String, String) {
        let sn = &self.dock.sn;
        let report = &event.report;
        let progress = Progress {
            status: report.status,
            step: report.step,
            percent: report.percent,
            waypoint: report.waypoint,
            mission_state: report.mission_state,
            media_count: report.media_count.unwrap_or(0),
        };
        let tid = self.tid(event.number);
        let mut payload = event::event(sn, &event.task, &tid, device_ms, &progress);
        let data = &mut payload["data"];
        data["result"] = report.result.into();
        let ext = &mut data["output"]["ext"];
        ext["wayline_id"] = report.wayline.into();
        if report.media_count.is_none()
            && let Some(ext) = ext.as_object_mut()
        {
            ext.remove("media_count");
        }
        if let Some(point) = report.break_point {
            ext["break_point"] = json!({
                "index": point.index,
                "state": 0,
                "progress": f64::from(point.on_the_way) / 100.0,
                "wayline_id": report.wayline,
                "break_reason": point.reason,
                "latitude": LATITUDE,
                "longitude": LONGITUDE,
                "height": 120.5,
                "attitude_head": 30.0,
            });
        }
        (event::events_topic(sn), payload.to_string())
    }

    /// `update_topo`.
    #[must_use]
    pub fn topology(
        &self,
        aircraft: Option<&Aircraft>,
        tid: &str,
        now_ms: u64,
    ) -> (String, String) {
        let secrets = ["device_secret", "nonce"];
        let device = |type_code: u32, sub_type: u32, domain: &str| {
            let mut device = json!({"domain": domain, "type": type_code, "sub_type": sub_type,
                "thing_version": "1.2.0"});
            for secret in secrets {
                device[secret] = "simulated".into();
            }
            device
        };
        let sub_devices = aircraft.map(|aircraft| {
            let mut sub_device = device(aircraft.kind.0, aircraft.kind.1, "0");
            sub_device["sn"] = aircraft.sn.clone().into();
            sub_device["index"] = "A".into();
            sub_device
        });
        let mut data = device(self.dock.model.type_code(), 0, "3");
        data["sub_devices"] = sub_devices.into_iter().collect();
        let payload = json!({"tid": tid, "bid": tid, "method": "update_topo",
            "timestamp": now_ms, "gateway": self.dock.sn, "data": data});
        (status_topic(&self.dock.sn), payload.to_string())
    }

    /// `state` of the dock.
    #[must_use]
    pub fn state(&self, operated_s: u64, now_ms: u64) -> (String, String) {
        let data = json!({
            "firmware_version": self.dock.model.firmware(),
            "firmware_upgrade_status": 0,
            "compatible_status": 0,
            "acc_time": operated_s,
        });
        self.property(&self.dock.sn, "state", now_ms, &data)
    }

    /// `osd` of the dock.
    #[must_use]
    pub fn dock_osd(
        &self,
        aircraft: Option<&Aircraft>,
        phase: Phase,
        now_ms: u64,
    ) -> (String, String) {
        let (mode, step, is_open) = match phase {
            Phase::Idle => (0, 5, 0),
            Phase::Preparing => (4, 0, 1),
            Phase::Flying => (4, 1, 0),
            Phase::Finishing => (4, 2, 1),
        };
        let is_here = aircraft.is_some() && phase != Phase::Flying;
        let mut data = json!({
            "mode_code": mode,
            "flighttask_step_code": step,
            "cover_state": is_open,
            "drone_in_dock": u8::from(is_here),
            "latitude": LATITUDE + f64::from(self.number) * 0.001,
            "longitude": LONGITUDE,
            "height": 20.5,
            "rainfall": 0,
            "wind_speed": 3.2,
            "environment_temperature": 11.5,
            "temperature": 21.0,
            "humidity": 44.0,
            "job_number": 17,
            "network_state": {"type": 2, "quality": 5, "rate": 120.0},
        });
        if let Some(Aircraft { sn, kind: (kind, sub) }) = aircraft {
            data["sub_device"] = json!({"device_sn": sn, "device_online_status": 1,
                "device_paired": 1, "product_type": format!("0-{kind}-{sub}")});
        }
        self.property(&self.dock.sn, "osd", now_ms, &data)
    }

    /// `osd` of its aircraft.
    #[must_use]
    pub fn aircraft_osd(&self, aircraft: &Aircraft, phase: Phase, now_ms: u64) -> (String, String) {
        // Standby, or on a wayline.
        let (mode, height) = if phase == Phase::Flying { (5, 80.0) } else { (0, 0.0) };
        let data = json!({
            "mode_code": mode,
            "latitude": LATITUDE,
            "longitude": LONGITUDE,
            "height": 20.5 + height,
            "elevation": height,
            "horizontal_speed": if phase == Phase::Flying { 8.0 } else { 0.0 },
            "attitude_head": 30.0,
            "battery": {"capacity_percent": 87, "remain_flight_time": 1_500},
        });
        self.property(&aircraft.sn, "osd", now_ms, &data)
    }

    fn property(&self, sn: &str, kind: &str, now_ms: u64, data: &Value) -> (String, String) {
        let tid = self.tid_of(2, (now_ms & 0xFFFF_FFFF) as u32);
        let payload = json!({"tid": tid, "bid": tid, "timestamp": now_ms,
            "gateway": self.dock.sn, "data": data});
        (format!("thing/product/{sn}/{kind}"), payload.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Model;
    use super::super::plan::{Action, plan};
    use super::*;

    fn parse((topic, payload): &(String, String)) -> (&str, Value) {
        (topic, serde_json::from_str(payload).unwrap())
    }

    #[test]
    fn an_event_says_what_the_script_does_and_is_the_same_again() {
        let site = plan(4, 3, 300).unwrap();
        let mut had_break_point = false;
        for (number, dock) in (0..).zip(&site.docks) {
            let sender = Sender { dock, number, seed: 4 };
            for entry in &dock.script {
                let Action::Event(event) = &entry.action else { continue };
                let message = sender.event(event, 1_700_000_000_000 + entry.at_ms);
                assert_eq!(message, sender.event(event, 1_700_000_000_000 + entry.at_ms));
                let (topic, value) = parse(&message);
                assert_eq!(topic, format!("thing/product/{}/events", dock.sn));
                assert_eq!(value["bid"], *event.task);
                let (data, report) = (&value["data"], &event.report);
                assert_eq!(data["result"], report.result);
                assert_eq!(data["output"]["progress"]["current_step"], report.step);
                let ext = &data["output"]["ext"];
                assert_eq!(ext.get("media_count").is_some(), report.media_count.is_some());
                assert!(report.media_count.is_some() || dock.model == Model::Dock1);
                let reason = report.break_point.map(|point| point.reason);
                assert_eq!(ext["break_point"]["break_reason"].as_i64(), reason);
                had_break_point |= reason.is_some();
            }
        }
        assert!(had_break_point);
    }

    #[test]
    fn topology_and_properties_have_the_documented_fields() {
        let site = plan(1, 1, 30).unwrap();
        let sender = Sender { dock: &site.docks[0], number: 0, seed: 1 };
        let aircraft = Aircraft { sn: "SIMDRONE0001".into(), kind: (91, 1) };
        let message = sender.topology(Some(&aircraft), "t", 1);
        let (topic, value) = parse(&message);
        assert_eq!(topic, "sys/product/SIMDOCK0001/status");
        assert_eq!(value["data"]["domain"], "3");
        assert_eq!(value["data"]["sub_devices"][0]["sn"], "SIMDRONE0001");
        let message = sender.topology(None, "t", 1);
        assert_eq!(parse(&message).1["data"]["sub_devices"], json!([]));
        let message = sender.state(7, 1);
        assert!(parse(&message).1["data"]["firmware_version"].is_string());
        let message = sender.dock_osd(Some(&aircraft), Phase::Flying, 1);
        let (topic, value) = parse(&message);
        assert_eq!(topic, "thing/product/SIMDOCK0001/osd");
        assert_eq!(value["data"]["flighttask_step_code"], 1);
        assert_eq!(value["data"]["drone_in_dock"], 0);
        let message = sender.aircraft_osd(&aircraft, Phase::Idle, 1);
        assert_eq!(parse(&message).0, "thing/product/SIMDRONE0001/osd");
    }
}
