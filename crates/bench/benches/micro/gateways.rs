//! The plugin that answers docks, as the broker calls it.

use std::hint::black_box;

use dockside::gateways::Gateways;
use dockside_flighttask::Rules;
use dockside_interceptor::{Effects, FlightTask, Intercepted, Interceptor, Kept, QoS};

use crate::flighttask::{GATEWAY, NOW_MS, payload};
use crate::{Case, Work};

pub(crate) const CASES: &[Case] = &[
    Case { name: "gateways: an event, answered", prepare: event },
    Case { name: "gateways: osd, watched", prepare: osd },
];

struct Nothing;

impl Kept for Nothing {
    fn flight_task(&self, _gateway: &str, _task: Option<&str>) -> Option<FlightTask> {
        None
    }
}

fn intercepting(topic: String, payload: Vec<u8>, replies: usize) -> Work {
    let gateways = Gateways::new(Rules::default());
    Box::new(move || {
        let mut effects = Effects::default();
        let publish = Intercepted {
            topic: &topic,
            payload: &payload,
            qos: QoS::AtLeastOnce,
            client_id: GATEWAY,
            now_ms: NOW_MS,
            kept: &Nothing,
        };
        gateways.intercept(black_box(&publish), &mut effects);
        assert_eq!(effects.take_replies().len(), replies);
        assert!(black_box(&mut effects).take_heard().is_some());
    })
}

fn event() -> Work {
    intercepting(format!("thing/product/{GATEWAY}/events"), payload(), 1)
}

fn osd() -> Work {
    let data = r#"{"mode_code":0,"network_state":{"rate":3.2,"quality":4,"type":2},"latitude":47.1,"longitude":8.5,"height":412.3,"drone_in_dock":1,"cover_state":0,"temperature":21.4,"humidity":44,"wind_speed":1.9}"#;
    let payload = format!(
        r#"{{"tid":"t","bid":"b","timestamp":{NOW_MS},"gateway":"{GATEWAY}","data":{data}}}"#
    );
    intercepting(format!("thing/product/{GATEWAY}/osd"), payload.into_bytes(), 0)
}
