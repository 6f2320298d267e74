//! A first contact against something that replies as it likes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::responder::{Deed, listen, reply};
use docksim::onboard::{Options, Outcome, Summary, onboard};
use serde_json::{Value, json};

/// The documented `data` of the reply to a message.
fn data(message: &Value, is_bound: bool) -> Value {
    let output = match message["method"].as_str().unwrap() {
        "config" => {
            return json!({"ntp_server_host": "ntp.example", "app_id": "1", "app_key": "k",
                "app_license": "l"});
        }
        "airport_bind_status" => {
            let devices = message["data"]["devices"].as_array().unwrap();
            let status = devices.iter().map(|device| {
                json!({"sn": device["sn"], "is_device_bind_organization": is_bound,
                    "organization_id": "1", "organization_name": "Site", "device_callsign": "c"})
            });
            json!({"bind_status": status.collect::<Value>()})
        }
        "airport_organization_get" => json!({"organization_name": "Site"}),
        "airport_organization_bind" => json!({"err_infos": []}),
        "flighttask_progress_get" => {
            assert_eq!(message["data"]["target_sn"], "SIMDOCK1");
            json!({"flight_id": message["data"]["flight_id"], "status": "in_progress",
                "progress": {"current_step": 25, "percent": 42}})
        }
        _ => return json!({"result": 0}),
    };
    json!({"result": 0, "output": output})
}

async fn contact(
    patience: Duration,
    decide: impl Fn(&Value) -> Vec<Value> + Send + Sync + 'static,
) -> Summary {
    let broker =
        listen(Box::new(move |_: &str, message: &Value| Deed::Reply(decide(message)))).await;
    let options = Options { patience, binding_code: "C".to_owned(), ..Options::default() };
    onboard(&broker.into(), &options).await.unwrap()
}

fn outcome<'a>(summary: &'a Summary, method: &str) -> &'a Outcome {
    &summary.steps.iter().find(|(of, _)| *of == method).unwrap().1
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_dock_that_is_bound_to_nobody_is_bound() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let summary = contact(LONG, move |message| {
        noted.lock().unwrap().push(message["method"].as_str().unwrap().to_owned());
        vec![reply(message, data(message, false))]
    })
    .await;
    assert!(summary.is_perfect(), "{summary:?}");
    let order = [
        "config",
        "airport_bind_status",
        "airport_organization_get",
        "airport_organization_bind",
        "update_topo",
        "flight_areas_get",
        "offline_map_get",
        "flighttask_progress",
        "flighttask_progress_get",
    ];
    assert_eq!(*asked.lock().unwrap(), order);
}

#[tokio::test]
async fn a_dock_that_is_bound_is_not_bound_again() {
    let summary = contact(LONG, |message| vec![reply(message, data(message, true))]).await;
    assert!(summary.is_perfect(), "{summary:?}");
    assert_eq!(summary.count(|outcome| matches!(outcome, Outcome::Skipped(_))), 2);
    assert_eq!(summary.count(|outcome| matches!(outcome, Outcome::Answered(_))), 7);
}

#[tokio::test]
async fn an_organization_that_nobody_knows_is_not_joined() {
    let summary = contact(LONG, |message| {
        let is_get = message["method"] == "airport_organization_get";
        let refusal = json!({"result": 210_231});
        vec![reply(message, if is_get { refusal } else { data(message, false) })]
    })
    .await;
    assert!(summary.is_perfect(), "a refusal is a right reply: {summary:?}");
    assert!(matches!(outcome(&summary, "airport_organization_bind"), Outcome::Skipped(_)));
}

#[tokio::test]
async fn a_reply_that_is_malformed_or_missing_is_told() {
    let summary =
        contact(Duration::from_millis(200), |message| match message["method"].as_str().unwrap() {
            "flight_areas_get" => Vec::new(),
            "config" => vec![reply(message, json!({"result": 0, "output": {}}))],
            _ => vec![reply(message, data(message, true))],
        })
        .await;
    assert!(!summary.is_perfect());
    assert_eq!(*outcome(&summary, "flight_areas_get"), Outcome::Missing);
    assert!(matches!(outcome(&summary, "config"), Outcome::Malformed(_)));
    assert!(matches!(outcome(&summary, "offline_map_get"), Outcome::Answered(_)));
}
