//! What is said in reply to each method: `data` of the reply (DJI Cloud API, "Organization management",
//! "Get configuration", "Wayline management", "Device management").

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::envelope::{Envelope, Invalid};
use crate::object::Object;
use crate::rules::Site;
use crate::topic::Kind;

/// How a task stands, as far as another dock asks.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The task.
    pub task: String,
    /// Its status.
    pub status: String,
    /// Number of its step.
    pub step: i64,
    /// Its progress, 0 to 100.
    pub percent: f64,
}

/// Devices of one request that are looked at; a dock asks for itself and its aircraft.
const DEVICES_AT_MOST: usize = 16;

/// Receipt of an event, and of requests that need no more.
const RECEIVED: &str = r#"{"result":0}"#;

/// DJI lists no codes for replies from here: not 0 is an error.
const REFUSED: &str = r#"{"result":1}"#;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    devices: Vec<Object<Device>>,
    bind_devices: Vec<Object<Device>>,
    #[serde(deserialize_with = "text")]
    device_binding_code: String,
    #[serde(deserialize_with = "text")]
    organization_id: String,
    #[serde(deserialize_with = "text")]
    target_sn: String,
    #[serde(deserialize_with = "text")]
    sn: String,
    #[serde(deserialize_with = "text")]
    flight_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Device {
    #[serde(deserialize_with = "text")]
    sn: String,
    #[serde(deserialize_with = "text")]
    device_binding_code: String,
    #[serde(deserialize_with = "text")]
    organization_id: String,
}

/// `null` is nothing.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// `data` of the reply to a method that is answered here.
pub(crate) fn data(
    kind: Kind,
    envelope: &Envelope<'_>,
    site: &Site,
    look: &dyn Fn(&str, Option<&str>) -> Option<Standing>,
) -> Result<Cow<'static, str>, Invalid> {
    if kind != Kind::Requests {
        return Ok(RECEIVED.into());
    }
    let asked = envelope.data.map_or("{}", |data| data.get());
    let asked = || match serde_json::from_str::<Object<Asked>>(asked) {
        Ok(Object(asked)) => Ok(asked),
        Err(_) => Err(Invalid::Schema),
    };
    Ok(match &*envelope.method {
        "config" => config(site).into(),
        "airport_bind_status" => bind_status(&asked()?, site).into(),
        "airport_organization_get" => organization(&asked()?, site),
        "airport_organization_bind" => bound(&asked()?, site).into(),
        "flighttask_progress_get" => progress(&asked()?, look),
        _ => RECEIVED.into(),
    })
}

fn config(site: &Site) -> String {
    let data = json!({
        "ntp_server_host": site.ntp_server_host,
        "ntp_server_port": site.ntp_server_port,
        "app_id": site.app_id,
        "app_key": site.app_key,
        "app_license": site.app_license,
    });
    data.to_string()
}

/// Whoever may use this broker belongs to its site.
fn bind_status(asked: &Asked, site: &Site) -> String {
    let status = |Object(device): &Object<Device>| {
        json!({
            "sn": device.sn,
            "is_device_bind_organization": true,
            "organization_id": site.organization_id,
            "organization_name": site.organization_name,
            "device_callsign": site.callsign(&device.sn),
        })
    };
    let status: Vec<_> = asked.devices.iter().take(DEVICES_AT_MOST).map(status).collect();
    json!({"result": 0, "output": {"bind_status": status}}).to_string()
}

fn is_right(site: &Site, organization_id: &str, binding_code: &str) -> bool {
    organization_id == site.organization_id
        && (site.binding_code.is_empty() || binding_code == site.binding_code)
}

fn organization(asked: &Asked, site: &Site) -> Cow<'static, str> {
    if !is_right(site, &asked.organization_id, &asked.device_binding_code) {
        return REFUSED.into();
    }
    let name = &site.organization_name;
    json!({"result": 0, "output": {"organization_name": name}}).to_string().into()
}

fn bound(asked: &Asked, site: &Site) -> String {
    let outcome = |Object(device): &Object<Device>| {
        let right = is_right(site, &device.organization_id, &device.device_binding_code);
        json!({"sn": device.sn, "err_code": i32::from(!right)})
    };
    let outcomes: Vec<_> = asked.bind_devices.iter().take(DEVICES_AT_MOST).map(outcome).collect();
    json!({"result": 0, "output": {"err_infos": outcomes}}).to_string()
}

/// Dock 2 names the other dock `target_sn`, Dock 3 `sn`.
fn progress(
    asked: &Asked,
    look: &dyn Fn(&str, Option<&str>) -> Option<Standing>,
) -> Cow<'static, str> {
    let gateway = if asked.target_sn.is_empty() { &asked.sn } else { &asked.target_sn };
    let task = Some(asked.flight_id.as_str()).filter(|task| !task.is_empty());
    let Some(Standing { task, status, step, percent }) = look(gateway, task) else {
        return REFUSED.into();
    };
    let progress = json!({"current_step": step, "percent": percent as i64});
    let output = json!({"flight_id": task, "status": status, "progress": progress});
    json!({"result": 0, "output": output}).to_string().into()
}
