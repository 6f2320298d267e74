//! Looks from outside at what the broker keeps: the retained values, as a new subscriber gets them, and
//! the history of events, as its database has it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use dockside_mqtt::packet::{Ack, Packet, Publish, Subscribe, SubscriptionOptions};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode};
use rusqlite::{Connection, OpenFlags};

use crate::link::{Link, Login, broken, id, push};
use crate::shared::Shared;

/// Where the publisher of retained values publishes.
pub(crate) const RETAINED: &str = "retained/#";

/// A message on it comes behind every retained one.
const FENCE: &str = "retained-fence";

/// Time in which a look must be over.
const PATIENCE: Duration = Duration::from_secs(20);

/// The retained values, by topic.
pub(crate) async fn retained(shared: &Shared) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let look = async {
        let login =
            Login { client_id: "new-subscriber", durable: false, receive_maximum: u16::MAX };
        let (mut link, _) = Link::connect(shared, login).await;
        retained_on(&mut link).await
    };
    tokio::time::timeout(PATIENCE, look).await?
}

async fn retained_on(link: &mut Link) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
    let filters = vec![(FENCE, options), (RETAINED, options)];
    let (packet_id, properties) = (id(1), Properties::EMPTY);
    push(&mut link.output, &Packet::Subscribe(Subscribe { packet_id, properties, filters }));
    let (mut values, mut over, mut refused) = (BTreeMap::new(), false, None);
    while !over {
        link.flush().await?;
        link.read().await?;
        link.packets(|packet, output| match packet {
            Packet::Suback(codes) if !codes.reasons.iter().any(|code| code.is_error()) => {
                push(output, &Packet::Publish(fence()));
            }
            Packet::Publish(publish) => {
                if let Some(packet_id) = publish.packet_id {
                    let ack = Ack::new(packet_id, ReasonCode::Success);
                    push(output, &Packet::Puback(ack));
                }
                over |= publish.topic == FENCE;
                // One that was on its way when its publisher was cut off comes as it is published,
                // behind what it replaces.
                if publish.payload.is_empty() {
                    values.remove(publish.topic);
                } else if publish.topic != FENCE {
                    values.insert(publish.topic.to_owned(), publish.payload.to_vec());
                }
            }
            Packet::Puback(ack) if !ack.reason.is_error() => {}
            other => refused = Some(format!("{other:?}")),
        })?;
        if let Some(refused) = refused {
            return Err(broken(refused));
        }
    }
    Ok(values)
}

fn fence() -> Publish<'static> {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: Some(id(2)),
        topic: FENCE,
        properties: Properties::EMPTY,
        payload: b"fence",
    }
}

/// Every event of the broker's history: its `tid` and its gateway.
pub(crate) fn history(database: &Path) -> rusqlite::Result<BTreeSet<(String, String)>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(PATIENCE)?;
    let mut events = connection.prepare("SELECT tid, gateway FROM event")?;
    let rows = events.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_read_and_one_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dockside.db");
        assert!(history(&path).is_err(), "no file");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        assert!(history(&path).is_err(), "no table");
        let fill =
            "CREATE TABLE event (tid TEXT, gateway TEXT); INSERT INTO event VALUES ('t', 'g')";
        connection.execute_batch(fill).unwrap();
        assert_eq!(history(&path), Ok(BTreeSet::from([("t".to_owned(), "g".to_owned())])));
    }
}
