//! A site against something that replies, or does not, as it likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::responder::{Deed, listen, reply};
use docksim::site;
use serde_json::{Value, json};

/// Events by topic and `tid`, with the payloads that came of each.
type Seen = Arc<Mutex<BTreeMap<(String, String), Vec<Value>>>>;

/// As quick as it goes, and with all the time in the world for a reply.
const QUICK: site::Pace = site::Pace {
    speed: site::SPEED_AT_MOST,
    patience: Duration::from_secs(60),
    grace: Duration::from_secs(60),
};

/// Gives an event up soon that has no right reply.
const IMPATIENT: site::Pace =
    site::Pace { patience: Duration::from_millis(300), grace: Duration::from_millis(300), ..QUICK };

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The replies to a dock's message: to every event, and to every `update_topo`.
fn answers(topic: &str, message: &Value) -> Vec<Value> {
    if topic.ends_with("/events") || topic.ends_with("/status") {
        vec![reply(message, json!({"result": 0}))]
    } else {
        Vec::new()
    }
}

async fn play(
    seed: u64,
    pace: site::Pace,
    decide: impl Fn(&str, &Value) -> Deed + Send + Sync + 'static,
) -> site::Report {
    let broker = listen(Box::new(decide)).await;
    let plan = site::plan::plan(seed, 4, 100).unwrap();
    site::run(&broker.into(), plan, pace).await.unwrap()
}

#[tokio::test]
async fn a_site_sends_its_script_and_gets_every_reply() {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let report = play(1, QUICK, move |topic, message| {
        if topic.ends_with("/events") {
            let key = (topic.to_owned(), text(&message["tid"]));
            noted.lock().unwrap().entry(key).or_default().push(message.clone());
        }
        Deed::Reply(answers(topic, message))
    })
    .await;
    assert!(report.is_perfect(), "{report:?}");
    assert!(report.tally.topology_replies >= 4);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len() as u64, report.tally.events);
    let expected: u32 = report.flight_tasks.iter().map(|task| task.events).sum();
    assert_eq!(u64::from(expected), report.tally.events);
    let tasks: BTreeSet<_> =
        seen.iter().map(|((topic, _), of)| (topic.clone(), text(&of[0]["bid"]))).collect();
    assert_eq!(tasks.len(), report.flight_tasks.len());
    for payloads in seen.values() {
        assert!(payloads.iter().all(|payload| *payload == payloads[0]), "sent again as it was");
    }
}

#[tokio::test]
async fn what_lost_its_reply_with_the_connection_is_sent_again() {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let report = play(2, QUICK, move |topic, message| {
        if topic.ends_with("/events") {
            let key = (topic.to_owned(), text(&message["tid"]));
            let mut seen = noted.lock().unwrap();
            let times = seen.entry(key).or_default();
            times.push(message.clone());
            // Every tenth event is lost with the connection when it comes for the first time.
            if times.len() == 1 && text(&message["tid"]).ends_with('0') {
                return Deed::Close;
            }
        }
        Deed::Reply(answers(topic, message))
    })
    .await;
    assert!(report.is_perfect(), "{report:?}");
    assert!(report.tally.broken > 4 && report.tally.resent >= report.tally.broken, "{report:?}");
    for payloads in seen.lock().unwrap().values() {
        assert!(payloads.iter().all(|payload| *payload == payloads[0]), "sent again as it was");
    }
}

#[tokio::test]
async fn wrong_replies_and_replies_too_many_are_told() {
    for wrong in [
        |message: &Value| vec![reply(message, json!({"result": 1}))],
        |message: &Value| vec![reply(message, json!({"result": 0})); 2],
        |message: &Value| {
            let mut other = reply(message, json!({"result": 0}));
            other["tid"] = "another".into();
            vec![reply(message, json!({"result": 0})), other]
        },
    ] {
        let report = play(3, IMPATIENT, move |topic, message| {
            let tid = message["tid"].as_str().unwrap();
            if topic.ends_with("SIMDOCK0001/events") && tid.ends_with("-000000000003") {
                return Deed::Reply(wrong(message));
            }
            Deed::Reply(answers(topic, message))
        });
        let report = report.await;
        assert!(!report.is_perfect());
        assert!(report.tally.wrong_replies >= 1, "{report:?}");
        assert!(!report.tally.shown.is_empty());
    }
}

#[tokio::test]
async fn an_event_without_a_reply_is_missing_one_and_not_expected() {
    let report = play(4, IMPATIENT, |topic, message| {
        let is_it = topic.ends_with("SIMDOCK0001/events")
            && text(&message["tid"]).ends_with("-000000000003");
        Deed::Reply(if is_it { Vec::new() } else { answers(topic, message) })
    })
    .await;
    let site::Tally { events, replies, missing, resent, .. } = report.tally;
    assert!(!report.is_perfect());
    assert_eq!((missing, replies), (1, events - 1));
    assert!(resent > 0, "it is sent again nevertheless");
    let expected: u32 = report.flight_tasks.iter().map(|task| task.events).sum();
    assert_eq!(u64::from(expected), replies);
}

#[tokio::test]
async fn a_site_without_a_broker_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let plan = site::plan::plan(1, 1, 10).unwrap();
    assert!(site::run(&nobody.into(), plan, QUICK).await.is_err());
}
