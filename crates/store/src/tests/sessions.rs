//! The bytes of sessions are the sum over their rows, whatever happens to these.

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::sessions::SessionBytes;
use crate::{Durability, ReaderId, Session, Store, Subscription, Will};

#[derive(Clone, Copy, Debug)]
enum Step {
    Connect(ReaderId),
    Sleep(ReaderId),
    End(ReaderId),
    Subscribe(ReaderId, usize),
    Unsubscribe(ReaderId, usize),
    Will(ReaderId, Option<usize>),
    Commit,
    RollBack,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 1..4_u64;
    prop_oneof![
        id.clone().prop_map(Step::Connect),
        id.clone().prop_map(Step::Sleep),
        id.clone().prop_map(Step::End),
        (id.clone(), 0..4_usize).prop_map(|(id, filter)| Step::Subscribe(id, filter)),
        (id.clone(), 0..4_usize).prop_map(|(id, filter)| Step::Unsubscribe(id, filter)),
        (id, proptest::option::of(0..9_usize)).prop_map(|(id, will)| Step::Will(id, will)),
        Just(Step::Commit),
        Just(Step::RollBack),
        Just(Step::Restart),
    ]
}

/// Names have more bytes than characters.
fn session(id: ReaderId) -> Session {
    let user = (id > 1).then(|| "ü".repeat(id as usize));
    Session { client_id: "é".repeat(id as usize), user, expiry_s: 7 }
}

fn filter(n: usize) -> String {
    format!("ö/{}", "x".repeat(n))
}

fn will(id: ReaderId, n: usize) -> Will {
    let Session { client_id, user, .. } = session(id);
    let (properties, payload) = (vec![0; n], vec![1; 10 * n]);
    let (qos, retain, expiry_s, delay_s) = (1, false, None, 0);
    Will { client_id, user, topic: filter(n), qos, retain, properties, payload, expiry_s, delay_s }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn session_bytes_are_those_of_the_rows(steps in vec(step(), 1..60)) {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        prop_assert_eq!(store.session_bytes(), 0);
        store.begin().unwrap();
        for step in steps {
            match step {
                Step::Connect(id) => store.session(id, &session(id)).unwrap(),
                Step::Sleep(id) => store.asleep(id, 9).unwrap(),
                Step::End(id) => store.end_session(id).unwrap(),
                Step::Subscribe(id, n) => {
                    let new = Subscription { filter: filter(n), options: 1, identifier: 0 };
                    store.subscribe(id, &new).unwrap();
                }
                Step::Unsubscribe(id, n) => store.unsubscribe(id, &filter(n)).unwrap(),
                Step::Will(id, n) => store.will(id, n.map(|n| will(id, n)).as_ref()).unwrap(),
                Step::Commit => {
                    store.commit().unwrap();
                    store.begin().unwrap();
                }
                Step::RollBack => {
                    store.roll_back();
                    store.begin().unwrap();
                }
                Step::Restart => {
                    store.commit().unwrap();
                    store.close().unwrap();
                    store = Store::open(dir.path(), Durability::Commit).unwrap();
                    store.begin().unwrap();
                }
            }
            let counted = SessionBytes::new(&store.connection).unwrap();
            prop_assert_eq!(store.session_bytes(), counted.bytes(), "after {:?}", step);
        }
    }
}

/// What is counted: texts and payloads, in bytes.
#[test]
fn session_bytes_are_of_names_filters_and_wills() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
    let mut sums = Vec::new();
    store.begin().unwrap();
    store.session(2, &session(2)).unwrap();
    sums.push(store.session_bytes());
    store.subscribe(2, &Subscription { filter: filter(1), options: 1, identifier: 0 }).unwrap();
    sums.push(store.session_bytes());
    store.will(2, Some(&will(2, 1))).unwrap();
    sums.push(store.session_bytes());
    store.end_session(2).unwrap();
    sums.push(store.session_bytes());
    store.will(2, None).unwrap();
    sums.push(store.session_bytes());
    store.commit().unwrap();
    assert_eq!(sums, [8, 12, 35, 23, 0]);
}
