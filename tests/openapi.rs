//! What the admin listener answers is what `docs/openapi.json` says: paths, status codes, members and their types.

mod described;
mod gate;
mod happenings;
mod operations;
mod routes;
mod schema;
mod stream;
mod traffic;

use std::collections::BTreeSet;
use std::fs;

use dockside_mqtt::{QoS, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::described::{Described, JSON, request};
use self::happenings::SN;
use self::stream::Stream;
use crate::kept_failures::hold;
use crate::peer::TestBroker;

/// Only a defect of the broker makes one.
const DEFECT: &str = "500";

/// The system would have to fail in the middle of it, or the broker be stuck.
const NOT_PROVOKED: [(&str, &str); 2] = [("POST /api/v1/login", "503"), ("GET /livez", "503")];

const LOGIN: &str = r#"{"user":"pat","password":"pat"}"#;

/// What is asked with, and never answered.
const NEVER_ANSWERED: [&str; 5] =
    ["Credentials", "Kick", "TakeRetained", "MessageToRetain", "Publishing"];

#[test]
fn every_route_is_described_and_nothing_else() {
    let file = Described::from_file();
    let described: BTreeSet<String> = file.operations().into_keys().collect();
    let routed = routes::of_the_router();
    let differs: Vec<_> = described.symmetric_difference(&routed).collect();
    assert_eq!(differs, [""; 0], "in one of both only: the router, docs/openapi.json");
}

/// Schemas leave nothing open, and examples are as they say.
#[test]
fn schemas_tell_every_member_and_examples_are_right() {
    let described = Described::from_file();
    for (name, schema) in described.schemas.at("#/components/schemas").as_object().unwrap() {
        let members: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        let mut required: Vec<_> = schema["required"].as_array().unwrap().iter().collect();
        required.sort_by_key(|name| name.as_str());
        assert_eq!(json!(members), json!(required), "{name}: keys are always there");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for member in members {
            let member_schema = &schema["properties"][member];
            let is_told = member_schema.get("$ref").or(member_schema.get("description"));
            assert!(is_told.is_some(), "{name}/{member} has no description");
        }
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert_eq!(described.schemas.problems(schema, example, name), [""; 0]);
        }
    }
}

/// One member more or less, in an answer or in the file, and a type or a code that is another, is seen.
#[tokio::test]
async fn what_differs_is_seen() {
    let broker = TestBroker::start().await;
    let line = "GET /api/v1/clock";
    let described = Described::from_file();
    let differs = async |change: fn(&mut Value)| {
        let mut answer = request(broker.admin, line, ("", "")).await;
        let mut body = answer.json();
        change(&mut body);
        answer.body = body.to_string();
        described.problems(line, &answer).len()
    };
    assert_eq!(differs(|_| {}).await, 0);
    assert_eq!(differs(|body| body["more"] = Value::Null).await, 1);
    assert_eq!(differs(|body| drop(body.as_object_mut().unwrap().remove("doubt"))).await, 1);
    assert_eq!(differs(|body| body["wall_ms"] = Value::Null).await, 1);
    assert_eq!(differs(|body| body["wall_ms"] = json!(-1)).await, 1);

    let file_differs = async |change: fn(&mut Value, &mut Value)| {
        let mut file: Value = serde_json::from_str(described::FILE).unwrap();
        let mut clock = file["components"]["schemas"]["Clock"].take();
        let mut codes = file["paths"]["/api/v1/clock"]["get"]["responses"].take();
        change(&mut clock, &mut codes);
        file["components"]["schemas"]["Clock"] = clock;
        file["paths"]["/api/v1/clock"]["get"]["responses"] = codes;
        let answer = request(broker.admin, line, ("", "")).await;
        Described::new(file).problems(line, &answer).len()
    };
    assert_eq!(file_differs(|_, _| {}).await, 0);
    assert_eq!(file_differs(|clock, _| clock["required"] = json!(["more"])).await, 1);
    let remove = |clock: &mut Value, _: &mut Value| {
        clock["properties"].as_object_mut().unwrap().remove("doubt");
    };
    assert_eq!(file_differs(remove).await, 1);
    assert_eq!(
        file_differs(|clock, _| clock["properties"]["doubt"] = json!({"type": "string"})).await,
        1
    );
    assert_eq!(file_differs(|_, codes| *codes = json!({"201": {}})).await, 1);
    assert_eq!(
        file_differs(|clock, _| clock["maxProperties"] = json!(9)).await,
        1,
        "unknown to us"
    );
}

#[tokio::test]
async fn answers_are_as_described() {
    let described = Described::from_file();
    a_site_is_shown(&described).await;
    errors_of_one_who_asks(&described).await;
    a_store_that_fails(&described).await;
    operations::a_site_is_run(&described).await;
    too_many_readers(&described).await;
    traffic::is_shown(&described).await;
    traffic::is_refused(&described).await;
    gate::a_login_is_asked_for(&described).await;

    let mut missing = Vec::new();
    for (name, operation) in described.operations() {
        for code in operation["responses"].as_object().unwrap().keys() {
            let is_left_out = code == DEFECT || NOT_PROVOKED.contains(&(&*name, &**code));
            if !is_left_out && !described.provoked().contains(&(name.clone(), code.clone())) {
                missing.push(format!("{name} {code}"));
            }
        }
    }
    assert_eq!(missing, [""; 0], "described, and never answered");
    let mut kinds = BTreeSet::new();
    for (name, schema) in described.schemas.at("#/components/schemas").as_object().unwrap() {
        if !NEVER_ANSWERED.contains(&name.as_str()) {
            described::kinds_of_members(schema, name, &mut kinds);
        }
    }
    let never: Vec<_> = kinds.difference(&described.schemas.seen()).cloned().collect();
    assert_eq!(never, [""; 0], "members that never had a value of this type");
}

/// Everything that succeeds, with and without something to tell.
async fn a_site_is_shown(described: &Described) {
    let mut site = happenings::start().await;
    let admin = site.broker.admin;
    let mut stream = Stream::open(described, admin).await;
    let mut docks = happenings::happen(&mut site, described).await;
    stream.until("flight_task", |task| task["task"] == "f").await;
    // A reply more, so that one of the two looks that are waited for has some, and the other none.
    let events = format!("thing/product/{}/events", SN[0]);
    docks[0].publish(&events, &happenings::event("9", "f", "in_progress"), QoS::AtLeastOnce).await;
    stream.until("site", |site| site["reply_p50_us"].is_number()).await;
    let is_quiet = |site: &Value| site["reply_p50_us"].is_null() && site["conditions"] != json!([]);
    stream.until("site", is_quiet).await;
    assert_eq!(stream.seen, stream.described_names());
    Stream::open(described, admin).await.until("snapshot", |all| all["docks"] != json!([])).await;

    for target in
        ["/metrics", "/livez", "/readyz", "/api/v1/clock", "/api/v1/status", "/api/v1/alerts"]
    {
        described.get(admin, target).await;
    }
    for sn in SN {
        described.get(admin, &format!("/api/v1/docks/{sn}")).await;
        let why = described.get(admin, &format!("/api/v1/why?q={sn}")).await.json();
        assert_eq!(why["connected"][0]["user"], sn);
    }
    let history = described.get(admin, &format!("/api/v1/flight-tasks/{}/f", SN[0])).await.json();
    assert_eq!(history["history"].as_array().unwrap().len(), 2);
    described.get(admin, &format!("/api/v1/flight-tasks/{}/bare", SN[1])).await;

    let file = described.get(admin, "/api/v1/openapi.json").await.json();
    assert_eq!(file["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(file["openapi"], "3.1.0");

    site.broker.clock.set_wrong_by(48 * 3_600_000);
    while described.get(admin, "/api/v1/clock").await.json()["doubt"].is_null() {
        tokio::task::yield_now().await;
    }
    described.get(admin, "/api/v1/status").await;
    let accepted = described.ask(admin, "POST /api/v1/clock/accept", (JSON, "{}")).await;
    assert!(accepted.json()["doubt"].is_string());
}

/// 4xx, and parameters: those that are described are taken, and there are no others.
async fn errors_of_one_who_asks(described: &Described) {
    let broker = TestBroker::start().await;
    let admin = broker.admin;
    let _nobody = broker.connect(Version::V5, "nobody").await;
    let why = described.get(admin, "/api/v1/why?q=nobody").await.json();
    assert_eq!(why["connected"][0]["user"], Value::Null);
    for (target, code) in [
        ("/api/v1/docks/SIMNONE", "404"),
        ("/api/v1/flight-tasks/SIMNONE/f", "404"),
        ("/api/v1/docks/%FF", "400"),
        ("/api/v1/flight-tasks/%FF/f", "400"),
        ("/api/v1/why?q=a&q=b", "400"),
        ("/api/v1/audit?limit=many", "400"),
        ("/api/v1/retained?filter=a/%23/b", "400"),
    ] {
        assert_eq!(described.get(admin, target).await.status, code, "{target}");
    }
    bodies(described, &broker).await;
    let unknown = request(admin, "GET /api/v1/nothing", ("", "")).await;
    assert_eq!((&*unknown.status, &*unknown.body), ("404", ""));
    for (path, methods) in described.paths() {
        let refused = described.ask(admin, &format!("DELETE {path}"), ("", "")).await;
        assert_eq!(refused.status, "405", "{path}");
        let allowed: BTreeSet<_> =
            refused.headers["allow"].split(',').filter(|m| *m != "HEAD").collect();
        let methods: Vec<_> =
            methods.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        assert_eq!(allowed, methods.iter().map(String::as_str).collect(), "{path}");
        parameters(described, &broker, path).await;
    }
}

/// Bodies that are not what they should be, the last one by a byte more than is read.
async fn bodies(described: &Described, broker: &TestBroker) {
    for (path, most) in [
        ("clock/accept", 2 * 1024 * 1024),
        ("sessions/kick", 2 * 1024 * 1024),
        ("retained", 2 * 1024 * 1024),
        ("retained/remove", 2 * 1024 * 1024),
        ("login", 4_096),
        ("logout", 4_096),
        ("publish", 256 * 1024),
    ] {
        for (headers, body, code) in [
            ("", "{}", "415"),
            (JSON, "{", "400"),
            (JSON, r#"{"more":1}"#, "422"),
            (JSON, &*" ".repeat(most + 1), "413"),
        ] {
            let line = format!("POST /api/v1/{path}");
            let answer = described.ask(broker.admin, &line, (headers, body)).await;
            assert_eq!(answer.status, code, "{path}");
        }
    }
    let nobody = described.ask(broker.admin, "POST /api/v1/login", (JSON, LOGIN)).await;
    assert_eq!(nobody.json(), json!({"is_needed": false, "user": null, "role": "operator"}));
}

async fn parameters(described: &Described, broker: &TestBroker, path: &str) {
    let Some(list) = described.paths()[path]["get"]["parameters"].as_array() else { return };
    let target = routes::example(path, list);
    let mut names = BTreeSet::new();
    for parameter in list.iter().filter(|parameter| parameter["in"] == "query") {
        let name = parameter["name"].as_str().unwrap();
        names.insert(name);
        let value = parameter["example"].to_string().replace('"', "");
        let asked = format!("{target}?{name}={value}");
        let answer = match path {
            // It has no end: its head is enough.
            traffic::TAIL => request(broker.admin, &format!("HEAD {asked}"), ("", "")).await,
            _ => described.get(broker.admin, &asked).await,
        };
        assert_ne!(answer.status, "400", "{asked}");
    }
    if !names.is_empty() {
        let refused = described.get(broker.admin, &format!("{target}?nonsense=1")).await;
        assert_eq!(refused.status, "400", "{path}");
        let told: BTreeSet<_> = refused.body.split('`').skip(3).step_by(2).collect();
        assert_eq!(told, names, "{path}: {}", refused.body);
    }
}

/// 503 where the store is needed.
async fn a_store_that_fails(described: &Described) {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let broker = TestBroker::start_with(|config| {
        config.data.dir.clone_from(&data);
        config.store.stall_timeout_ms = 1;
    })
    .await;
    let mut dock = broker.connect(Version::V311, "d").await;
    let events = format!("thing/product/{}/events", SN[0]);
    dock.publish(&events, &happenings::event("1", "f", "in_progress"), QoS::AtLeastOnce).await;
    let task = format!("/api/v1/flight-tasks/{}/f", SN[0]);
    while described.get(broker.admin, &task).await.status != "200" {}
    let (_kept, _) = broker.session(Version::V311, "kept", 3_600).await;
    fs::rename(&data, dir.path().join("elsewhere")).unwrap();
    let sessions = described.get(broker.admin, "/api/v1/sessions?q=kept").await.json();
    assert_eq!(sessions["sessions"][0]["stored_messages"], Value::Null);
    assert_eq!(described.get(broker.admin, &task).await.status, "503");
    assert_eq!(described.get(broker.admin, "/api/v1/audit").await.status, "503");
    fs::rename(dir.path().join("elsewhere"), &data).unwrap();

    let mut sender = broker.connect(Version::V311, "sender").await;
    crate::retained::retain(&mut sender, "here", b"x", QoS::AtLeastOnce).await;
    let lock = hold(&dir);
    let message = crate::peer::publish(&events, b"{}", QoS::AtLeastOnce, 3);
    let message = dockside_mqtt::packet::Publish { retain: true, ..message };
    dock.send(&dockside_mqtt::packet::Packet::Publish(message)).await;
    while described.get(broker.admin, "/readyz").await.status != "503" {
        tokio::task::yield_now().await;
    }
    operations::changes_wait_for_the_store(described, &broker).await;
    assert!(described.get(broker.admin, "/api/v1/status").await.json()["not_ready"].is_string());
    let asked = (JSON, r#"{"topic":"a","qos":1}"#);
    let refused = described.ask(broker.admin, "POST /api/v1/publish", asked).await;
    assert_eq!(refused.status, "503");
    // An alert that is about no dock.
    while described.get(broker.admin, "/api/v1/alerts").await.json()["alerts"] == json!([]) {
        tokio::task::yield_now().await;
    }
    lock.execute_batch("ROLLBACK").unwrap();
}

/// 503 for one reader more than there may be.
async fn too_many_readers(described: &Described) {
    let broker = TestBroker::start().await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Stream::open(described, broker.admin).await);
    }
    assert_eq!(described.get(broker.admin, "/api/v1/changes").await.status, "503");
}
