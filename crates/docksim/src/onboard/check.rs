//! Whether a reply has the documented shape.

use serde_json::Value;

use super::Options;
use super::request::{Asked, PROGRESS, Step};

/// What a right reply says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// For people.
    pub text: String,
    /// `result` is an error.
    pub is_refused: bool,
    /// Everything asked about belongs to an organisation.
    pub is_bound: bool,
}

impl Said {
    fn new(text: String) -> Self {
        Self { text, is_refused: false, is_bound: false }
    }
}

/// The `tid` of a reply to an `update_topo` that is right in everything but, perhaps, that.
///
/// # Errors
/// What is wrong with it.
pub fn status_reply(payload: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(payload).map_err(|_| "a status_reply is no JSON")?;
    let tid = value["tid"].as_str().ok_or("a status_reply has no tid")?;
    if value["bid"] != tid {
        return Err(format!("status_reply to {tid}: another bid"));
    }
    method_and_time(&value, "update_topo")?;
    is_zero(&value["data"])?;
    Ok(tid.to_owned())
}

/// The `data` of a reply to what was asked; none if it is a reply to something else.
///
/// # Errors
/// What is wrong with it.
pub fn envelope(asked: &Asked, payload: &[u8]) -> Result<Option<Value>, String> {
    let mut value: Value =
        serde_json::from_slice(payload).map_err(|_| "the reply is no JSON".to_owned())?;
    if value["tid"] != *asked.tid {
        return Ok(None);
    }
    if value["bid"] != *asked.bid {
        return Err("another bid".to_owned());
    }
    method_and_time(&value, asked.method)?;
    let data = value["data"].take();
    if data.is_object() { Ok(Some(data)) } else { Err("data is no object".to_owned()) }
}

/// What the `data` of a reply says.
///
/// # Errors
/// What is wrong with it.
pub fn data(step: Step, options: &Options, flight_id: &str, data: &Value) -> Result<Said, String> {
    match step {
        Step::Config => return config(data),
        Step::UpdateTopo | Step::Progress => {
            is_zero(data)?;
            return Ok(Said::new("result 0".to_owned()));
        }
        _ => {}
    }
    let result = data["result"].as_i64().ok_or("result is no integer")?;
    if result != 0 {
        return Ok(Said { is_refused: true, ..Said::new(format!("refused, result {result}")) });
    }
    let output = &data["output"];
    match step {
        Step::BindStatus => bind_status(output, options),
        Step::OrganizationGet => {
            let name = text(output, "organization_name")?;
            Ok(Said::new(format!("organization_name \"{name}\"")))
        }
        Step::OrganizationBind => bound(output),
        Step::FlightAreasGet | Step::OfflineMapGet => files(output),
        _ => progress(output, flight_id),
    }
}

fn method_and_time(value: &Value, method: &str) -> Result<(), String> {
    if value["method"] != method {
        return Err(format!("method is {}", value["method"]));
    }
    match value["timestamp"].as_u64() {
        Some(1_000_000_000_000..10_000_000_000_000) => Ok(()),
        _ => Err(format!("timestamp is {}, not 13 digits", value["timestamp"])),
    }
}

fn is_zero(data: &Value) -> Result<(), String> {
    if data["result"].as_i64() == Some(0) {
        Ok(())
    } else {
        Err(format!("result is {}", data["result"]))
    }
}

fn text<'a>(of: &'a Value, key: &str) -> Result<&'a str, String> {
    of[key].as_str().ok_or_else(|| format!("{key} is {}, not a text", of[key]))
}

/// The one reply whose `data` has neither `result` nor `output`.
fn config(data: &Value) -> Result<Said, String> {
    if let Some(odd) = ["result", "output"].into_iter().find(|key| data.get(key).is_some()) {
        return Err(format!("data has {odd}"));
    }
    let host = text(data, "ntp_server_host")?;
    let port = match data.get("ntp_server_port") {
        None => 123,
        Some(port) => {
            let port = port.as_u64().filter(|port| (1..=65_535).contains(port));
            port.ok_or("ntp_server_port is no port")?
        }
    };
    // A text by the table, a number in its example.
    if !data["app_id"].is_u64() {
        text(data, "app_id")?;
    }
    text(data, "app_key")?;
    text(data, "app_license")?;
    Ok(Said::new(format!("time from {host}:{port}, app_id {}", data["app_id"])))
}

fn bind_status(output: &Value, options: &Options) -> Result<Said, String> {
    let list = output["bind_status"].as_array().ok_or("output.bind_status is no list")?;
    let mut is_bound = true;
    let mut texts = Vec::new();
    for sn in [&options.sn, &options.aircraft] {
        let status = list.iter().find(|status| status["sn"] == **sn);
        let status = status.ok_or_else(|| format!("bind_status has not {sn}"))?;
        let bound = status["is_device_bind_organization"].as_bool();
        let bound = bound.ok_or("is_device_bind_organization is no bool")?;
        for key in ["organization_id", "organization_name", "device_callsign"] {
            text(status, key)?;
        }
        is_bound &= bound;
        let name = text(status, "organization_name")?;
        texts.push(if bound {
            format!("{sn} bound to \"{name}\"")
        } else {
            format!("{sn} unbound")
        });
    }
    if list.len() != texts.len() {
        return Err(format!("{} devices asked for, {} in bind_status", texts.len(), list.len()));
    }
    Ok(Said { is_bound, ..Said::new(texts.join(", ")) })
}

fn bound(output: &Value) -> Result<Said, String> {
    let list = output["err_infos"].as_array().ok_or("output.err_infos is no list")?;
    let mut errors = Vec::new();
    for info in list {
        let sn = text(info, "sn")?;
        let code = info["err_code"].as_i64().ok_or("err_code is no integer")?;
        if code != 0 {
            errors.push(format!("{sn} refused, err_code {code}"));
        }
    }
    if errors.is_empty() {
        return Ok(Said { is_bound: true, ..Said::new("bound".to_owned()) });
    }
    Ok(Said { is_refused: true, ..Said::new(errors.join(", ")) })
}

/// `output` may be left out: old firmware takes a bare result.
fn files(output: &Value) -> Result<Said, String> {
    if output.is_null() {
        return Ok(Said::new("result 0, nothing else".to_owned()));
    }
    let files = output["files"].as_array().ok_or("output.files is no list")?;
    for file in files {
        text(file, "name")?;
        text(file, "url")?;
    }
    Ok(Said::new(format!("{} files", files.len())))
}

fn progress(output: &Value, flight_id: &str) -> Result<Said, String> {
    if let Some(told) = output.get("flight_id")
        && told != flight_id
    {
        return Err(format!("flight_id is {told}"));
    }
    let status = text(output, "status")?;
    let step = output["progress"]["current_step"].as_u64().ok_or("current_step is no integer")?;
    let percent = output["progress"]["percent"].as_f64().ok_or("percent is no number")?;
    let same = status == PROGRESS.status
        && step == u64::from(PROGRESS.step)
        && percent == f64::from(PROGRESS.percent);
    let text = format!("{status}, step {step}, {percent} %");
    if same { Ok(Said::new(text)) } else { Err(format!("{text}, which is not what was reported")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::request::STEPS;
    use super::*;

    /// The documented `data` of each reply.
    fn right(step: Step) -> Value {
        let device = |sn: &str| {
            json!({"sn": sn, "is_device_bind_organization": true, "organization_id": "1",
                "organization_name": "n", "device_callsign": "c"})
        };
        match step {
            Step::Config => json!({"ntp_server_host": "ntp.example", "app_id": 1, "app_key": "k",
                "app_license": "l", "ntp_server_port": 123}),
            Step::BindStatus => json!({"result": 0, "output":
                {"bind_status": [device("SIMDOCK1"), device("SIMDRONE1")]}}),
            Step::OrganizationGet => json!({"result": 0, "output": {"organization_name": "n"}}),
            Step::OrganizationBind => json!({"result": 0, "output": {"err_infos": [
                {"sn": "SIMDOCK1", "err_code": 0}]}}),
            Step::FlightAreasGet => json!({"result": 0, "output": {"files": []}}),
            Step::ProgressGet => json!({"result": 0, "output": {"flight_id": "f",
                "progress": {"current_step": 25, "percent": 42}, "status": "in_progress"}}),
            _ => json!({"result": 0}),
        }
    }

    fn check(step: Step, value: &Value) -> Result<Said, String> {
        data(step, &Options::default(), "f", value)
    }

    #[test]
    fn documented_replies_are_right() {
        for step in STEPS {
            let said = check(step, &right(step)).unwrap();
            assert!(!said.is_refused, "{step:?}");
        }
        assert!(check(Step::BindStatus, &right(Step::BindStatus)).unwrap().is_bound);
        assert!(check(Step::FlightAreasGet, &json!({"result": 0})).is_ok());
        assert!(check(Step::OrganizationGet, &json!({"result": 210_231})).unwrap().is_refused);
    }

    #[test]
    fn other_shapes_are_not() {
        let broken = |step: Step, path: &str, to: Value| {
            let mut value = right(step);
            *value.pointer_mut(path).unwrap_or_else(|| panic!("{step:?} {path}")) = to;
            assert!(check(step, &value).is_err(), "{step:?} {path}");
        };
        for key in ["ntp_server_host", "app_id", "app_key", "app_license", "ntp_server_port"] {
            broken(Step::Config, &format!("/{key}"), Value::Null);
        }
        let mut odd = right(Step::Config);
        odd["result"] = 0.into();
        assert!(check(Step::Config, &odd).is_err(), "result beside the configuration");
        for key in ["sn", "is_device_bind_organization", "organization_name", "device_callsign"] {
            broken(Step::BindStatus, &format!("/output/bind_status/0/{key}"), Value::Null);
        }
        broken(Step::BindStatus, "/output/bind_status", json!([]));
        broken(Step::OrganizationGet, "/output/organization_name", 1.into());
        broken(Step::OrganizationBind, "/output/err_infos", Value::Null);
        broken(Step::OrganizationBind, "/output/err_infos/0/err_code", "0".into());
        broken(Step::FlightAreasGet, "/output/files", Value::Null);
        broken(Step::ProgressGet, "/output/flight_id", "g".into());
        broken(Step::ProgressGet, "/output/status", "ok".into());
        broken(Step::ProgressGet, "/output/progress/percent", 41.into());
        broken(Step::UpdateTopo, "/result", 1.into());
        broken(Step::Progress, "/result", "0".into());
        broken(Step::OfflineMapGet, "/result", Value::Null);
    }

    #[test]
    fn a_reply_is_known_by_its_tid_and_right_by_the_rest() {
        let asked = Step::Config.ask(&Options::default(), "f", 1_700_000_000_000);
        let good = json!({"tid": asked.tid, "bid": asked.bid, "method": "config",
            "timestamp": 1_700_000_000_000_u64, "data": {}});
        let hear = |value: &Value| envelope(&asked, value.to_string().as_bytes());
        assert_eq!(hear(&good), Ok(Some(json!({}))));
        for (key, wrong) in [
            ("bid", json!("b")),
            ("method", json!("hms")),
            ("timestamp", json!("1700000000000")),
            ("timestamp", json!(0)),
            ("data", Value::Null),
        ] {
            let mut reply = good.clone();
            reply[key] = wrong;
            assert!(hear(&reply).is_err(), "{key}");
        }
        let mut other = good;
        other["tid"] = "another".into();
        assert_eq!(hear(&other), Ok(None));
    }

    #[test]
    fn a_status_reply_is_right_or_not() {
        let good = json!({"tid": "t", "bid": "t", "method": "update_topo",
            "timestamp": 1_700_000_000_000_u64, "data": {"result": 0}});
        assert_eq!(status_reply(good.to_string().as_bytes()), Ok("t".to_owned()));
        for key in ["tid", "bid", "method", "timestamp", "data"] {
            let mut wrong = good.clone();
            wrong[key] = Value::Null;
            assert!(status_reply(wrong.to_string().as_bytes()).is_err(), "{key}");
        }
    }
}
