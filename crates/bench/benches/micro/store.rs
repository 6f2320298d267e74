//! Transactions of the store, each of 32: as many as a connection hands over at once.

use dockside_store::{Durability, Event, Grant, Message, Store};

use crate::flighttask::{GATEWAY, NOW_MS, TASK, payload};
use crate::{Case, Work};

pub(crate) const CASES: &[Case] = &[
    Case { name: "store: keep 32 events, memory", prepare: || events(Durability::Memory) },
    Case { name: "store: keep 32 events, commit", prepare: || events(Durability::Commit) },
    Case { name: "store: queue 32 messages, commit", prepare: || queue(Durability::Commit) },
    Case {
        name: "store: queue 32 messages and read them, commit",
        prepare: || queue_and_read(Durability::Commit),
    },
];

const A_TRANSACTION: u64 = 32;
const READER: u64 = 7;

/// In a transaction each time; with the number of the transaction.
fn transactions(
    durability: Durability,
    mut each: impl FnMut(&mut Store, u64) -> Result<(), dockside_store::Error> + 'static,
) -> Work {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = Store::open(dir.path(), durability).expect("a new store");
    let mut number = 0;
    Box::new(move || {
        // As long as the store is.
        let _ = &dir;
        store.begin().expect("no transaction is open");
        each(&mut store, number).expect("there is room");
        store.commit().expect("there is room");
        number += 1;
    })
}

fn events(durability: Durability) -> Work {
    let payload = payload();
    transactions(durability, move |store, number| {
        for event in 0..A_TRANSACTION {
            let number = number * A_TRANSACTION + event;
            let (tid, mut key) = (format!("tid-{number:032}"), [0; 16]);
            key[..8].copy_from_slice(&number.to_be_bytes());
            store.event(&Event {
                received_ms: NOW_MS + number,
                gateway: GATEWAY,
                method: "flighttask_progress",
                tid: &tid,
                task: Some(TASK),
                status: Some("in_progress"),
                step: Some(25),
                percent: Some(40),
                result: Some(0),
                key: &key,
                payload: &payload,
            })?;
        }
        Ok(())
    })
}

fn keep(store: &mut Store, seq: u64) -> Result<(), dockside_store::Error> {
    let topic = "thing/product/DOCK00000000001/services";
    let (qos, retain, properties, payload) = (1, false, &[][..], &[b'x'; 256][..]);
    let (accepted_ms, expires_ms) = (NOW_MS, None);
    let message = Message { topic, qos, retain, properties, payload, accepted_ms, expires_ms };
    store.message(seq, &message)?;
    let grant = Grant { qos: 1, retain: false, identifiers: &[] };
    store.queue(READER, seq, &grant, payload.len())
}

fn queue(durability: Durability) -> Work {
    transactions(durability, |store, number| {
        let first = store.first_number() + 1 + number * A_TRANSACTION;
        (first..first + A_TRANSACTION).try_for_each(|seq| keep(store, seq))
    })
}

fn queue_and_read(durability: Durability) -> Work {
    transactions(durability, |store, number| {
        let first = store.first_number() + 1 + number * A_TRANSACTION;
        for seq in first..first + A_TRANSACTION {
            keep(store, seq)?;
            store.unqueue(READER, seq)?;
            store.release(seq)?;
        }
        Ok(())
    })
}
