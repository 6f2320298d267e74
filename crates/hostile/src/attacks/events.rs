//! Events, requests and states of gateways that mean no good.

use std::time::Duration;

use dockside_mqtt::{QoS, Version};
use docksim::random::Random;

use crate::attack::Attack;
use crate::link::{Link, PINGREQ, PINGRESP};
use crate::packets::{connect, push_publish, push_subscribe};

/// Gateways at once.
const LANES: u64 = 8;

/// Messages before the answers are waited for.
const BATCH: u64 = 20;

/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(attack: &Attack) {
    attack.lanes(LANES, gateway).await;
}

async fn gateway(attack: Attack, mut random: Random, number: u64) {
    let client_id = format!("SIMHOSTILE{number}");
    loop {
        let Ok(mut link) = Link::client(&attack, connect(Version::V311, &client_id, true)).await
        else {
            continue;
        };
        let mut bytes = Vec::new();
        // Whatever is answered comes back to it.
        push_subscribe(&mut bytes, &["thing/product/+/events_reply"], QoS::AtLeastOnce, 1);
        loop {
            for n in 2..2 + BATCH {
                let serial_number = serial_number(&mut random, number);
                let topic = match random.between(0, 9) {
                    0 => format!("thing/product/{serial_number}/requests"),
                    1 => format!("sys/product/{serial_number}/status"),
                    2 => format!("thing/product/{serial_number}/osd"),
                    _ => format!("thing/product/{serial_number}/events"),
                };
                let payload = payload(&mut random, &serial_number);
                push_publish(&mut bytes, &topic, &payload, QoS::AtLeastOnce, n);
            }
            bytes.extend_from_slice(&PINGREQ);
            attack.sent(BATCH);
            if link.send(&bytes).await.is_err() || link.hears(PINGRESP, PATIENCE).await.is_none() {
                break;
            }
            bytes.clear();
            attack.pace.breathe().await;
        }
    }
}

/// Its own, one that was never heard of, or what is none.
fn serial_number(random: &mut Random, number: u64) -> String {
    match random.between(0, 9) {
        0 => format!("SIMHOSTILE{:x}", random.bits()),
        1 => "S".repeat(random.between(1, 300) as usize),
        2 => "../SIM\u{202E}".to_owned(),
        _ => format!("SIMHOSTILE{number}"),
    }
}

/// A message that is wrong in one way, or too much in one.
fn payload(random: &mut Random, serial_number: &str) -> Vec<u8> {
    let deep = random.pick(&[100, 1_000, 9_000]);
    let long = random.pick(&[100, 5_000, 19_000, 60_000]);
    let uuid = random.uuid();
    let number =
        random.pick(&["1e999999", "-0", "1e-400", "99999999999999999999999999", "0x10", "NaN"]);
    match random.between(0, 12) {
        0 => [vec![b'['; deep], vec![b']'; deep]].concat(),
        1 => event(&uuid, &"{\"a\":".repeat(deep), "in_progress", serial_number),
        2 => {
            let nested = format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep));
            event(&uuid, &nested, "in_progress", serial_number)
        }
        3 => event(&"t".repeat(long), "25", "ok", serial_number),
        4 => event(&uuid, number, "in_progress", serial_number),
        5 => event(&uuid, "25", &"ok".repeat(long / 2), serial_number),
        6 => {
            let mut twice = event(&uuid, "25", "in_progress", serial_number);
            twice.pop();
            twice.extend_from_slice(br#","tid":"2","method":"hms","need_reply":0,"data":null}"#);
            twice
        }
        7 => {
            let mut bytes = event(&uuid, "25", "in_progress", serial_number);
            let at = random.between(0, bytes.len() as u64 - 1) as usize;
            bytes[at] = random.pick(&[0xFF, 0xC0, 0xED, 0]);
            bytes
        }
        8 => {
            let mut bytes = event(&uuid, "25", "in_progress", serial_number);
            bytes.truncate(random.between(0, bytes.len() as u64) as usize);
            bytes
        }
        9 => event("\\u0000\\ud800", "25", "\\ud800\\udc00", serial_number),
        10 => sub_devices(random),
        11 => [b"\xEF\xBB\xBF".to_vec(), event(&uuid, "25", "ok", serial_number)].concat(),
        // A good one: another task each time.
        _ => {
            event(&uuid, "25", random.pick(&["sent", "in_progress", "ok", "failed"]), serial_number)
        }
    }
}

fn event(tid: &str, step: &str, status: &str, serial_number: &str) -> Vec<u8> {
    format!(
        r#"{{"bid":"{tid}","tid":"{tid}","method":"flighttask_progress","need_reply":1,"timestamp":1700000000000,"gateway":"{serial_number}","data":{{"result":0,"output":{{"status":"{status}","ext":{{"flight_id":"{tid}","current_waypoint_index":1,"media_count":0}},"progress":{{"percent":50,"current_step":{step}}}}}}}}}"#
    )
    .into_bytes()
}

/// A gateway with more aircraft than any has.
fn sub_devices(random: &mut Random) -> Vec<u8> {
    let devices: Vec<String> = (0..random.between(1, 500))
        .map(|_| {
            format!(r#"{{"sn":"SIM{:x}","domain":"0","type":91,"sub_type":0}}"#, random.bits())
        })
        .collect();
    format!(
        r#"{{"bid":"b","tid":"t","method":"update_topo","timestamp":1700000000000,"data":{{"domain":"3","type":2,"sub_type":0,"sub_devices":[{}]}}}}"#,
        devices.join(",")
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_event_is_good() {
        let good = event("t", "25", "ok", "SIMHOSTILE1");
        let event: serde_json::Value = serde_json::from_slice(&good).unwrap();
        assert_eq!(event["data"]["output"]["progress"]["current_step"], 25);
        let topology = sub_devices(&mut Random::new(1, 0));
        assert!(serde_json::from_slice::<serde_json::Value>(&topology).is_ok());
    }
}
