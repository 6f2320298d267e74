//! What a dock asks and says at its first contact, in the documented order (DJI Cloud API, "Dock
//! access to cloud", "Organization management", "Configuration update", "Wayline management").

use serde_json::{Value, json};

use super::Options;
use crate::event::{self, Progress};

/// A step of the first contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Time server and licence.
    Config,
    /// Whether dock and aircraft belong to an organisation.
    BindStatus,
    /// What the organisation is called.
    OrganizationGet,
    /// Joins it.
    OrganizationBind,
    /// Dock and aircraft are there.
    UpdateTopo,
    /// Custom flight areas.
    FlightAreasGet,
    /// Offline maps.
    OfflineMapGet,
    /// One event of a task.
    Progress,
    /// How that task stands, as another dock would ask.
    ProgressGet,
}

/// All of them, in order.
pub const STEPS: [Step; 9] = [
    Step::Config,
    Step::BindStatus,
    Step::OrganizationGet,
    Step::OrganizationBind,
    Step::UpdateTopo,
    Step::FlightAreasGet,
    Step::OfflineMapGet,
    Step::Progress,
    Step::ProgressGet,
];

/// What the one event reports, and `flighttask_progress_get` must tell.
pub const PROGRESS: Progress<'static> = Progress {
    status: "in_progress",
    step: 25,
    percent: 42,
    waypoint: 3,
    mission_state: 6,
    media_count: 0,
};

/// A message that waits for a reply.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// Where to.
    pub topic: String,
    /// Where the reply comes.
    pub reply_topic: String,
    /// `tid` of message and reply.
    pub tid: String,
    /// `bid` of both.
    pub bid: String,
    /// `method` of both.
    pub method: &'static str,
    /// The message.
    pub payload: Value,
}

impl Step {
    /// DJI's name of it.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::BindStatus => "airport_bind_status",
            Self::OrganizationGet => "airport_organization_get",
            Self::OrganizationBind => "airport_organization_bind",
            Self::UpdateTopo => "update_topo",
            Self::FlightAreasGet => "flight_areas_get",
            Self::OfflineMapGet => "offline_map_get",
            Self::Progress => "flighttask_progress",
            Self::ProgressGet => "flighttask_progress_get",
        }
    }

    /// What of the broker's configuration would have the broker answer.
    #[must_use]
    pub fn rule(self, sn: &str) -> String {
        let rule = format!("[[answer]] gateway = \"{sn}\" methods = [\"{}\"]", self.method());
        match self {
            Self::Config => {
                format!("{rule}, and ntp_server_host, app_id, app_key, app_license of [site]")
            }
            Self::BindStatus | Self::OrganizationGet | Self::OrganizationBind => {
                format!("{rule}, and organization_id, organization_name, binding_code of [site]")
            }
            _ => rule,
        }
    }

    /// The message of this step, of a dock that begins its first contact at `now_ms`.
    #[must_use]
    pub fn ask(self, options: &Options, flight_id: &str, now_ms: u64) -> Asked {
        let Options { sn, .. } = options;
        let (topic, reply_topic) = match self {
            Self::UpdateTopo => {
                (format!("sys/product/{sn}/status"), format!("sys/product/{sn}/status_reply"))
            }
            Self::Progress => (event::events_topic(sn), event::reply_topic(sn)),
            _ => (
                format!("thing/product/{sn}/requests"),
                format!("thing/product/{sn}/requests_reply"),
            ),
        };
        let tid = format!("0b0a2d00-0000-4000-8{:03x}-{now_ms:012x}", self as u16);
        let method = self.method();
        let (bid, payload) = if self == Self::Progress {
            let payload = event::event(sn, flight_id, &tid, now_ms, &PROGRESS);
            (flight_id.to_owned(), payload)
        } else {
            let bid = tid.clone();
            let data = self.data(options, flight_id);
            let payload = json!({"tid": tid, "bid": bid, "method": method, "timestamp": now_ms,
                "gateway": sn, "data": data});
            (bid, payload)
        };
        Asked { topic, reply_topic, tid, bid, method, payload }
    }

    fn data(self, options: &Options, flight_id: &str) -> Value {
        let Options { sn, aircraft, binding_code, organization_id, .. } = options;
        match self {
            Self::Config => json!({"config_type": "json", "config_scope": "product"}),
            Self::BindStatus => json!({"devices": [{"sn": aircraft}, {"sn": sn}]}),
            Self::OrganizationGet => {
                json!({"device_binding_code": binding_code, "organization_id": organization_id})
            }
            Self::OrganizationBind => {
                let device = |sn: &str, key: &str| {
                    json!({"device_binding_code": binding_code, "organization_id": organization_id,
                        "device_callsign": sn, "sn": sn, "device_model_key": key})
                };
                json!({"bind_devices": [device(sn, "3-2-0"), device(aircraft, "0-91-1")]})
            }
            Self::UpdateTopo => json!({
                "domain": "3", "type": 2, "sub_type": 0, "device_secret": "simulated",
                "nonce": "simulated", "thing_version": "1.2.0",
                "sub_devices": [{"sn": aircraft, "domain": "0", "type": 91, "sub_type": 1,
                    "index": "A", "device_secret": "simulated", "nonce": "simulated",
                    "thing_version": "1.2.0"}]
            }),
            // Both forms in one: target_sn until Cloud API 1.11, sn from 1.15 on.
            Self::ProgressGet => json!({"target_sn": sn, "sn": sn, "flight_id": flight_id}),
            Self::FlightAreasGet | Self::OfflineMapGet | Self::Progress => Value::Null,
        }
    }
}
