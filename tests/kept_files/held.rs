//! What the store finds in a file.

use std::path::Path;

use dockside_store::{Durability, Kept, Queued, Reader, ReaderId, Store};

use super::filled::{
    AIRCRAFT, COMMAND, DELAY_S, DOCK, EVENT, EXCHANGED, EXCHANGING, IDENTIFIER, QUEUED, RETAINED,
    SHARE, SHARED, SLEEPER, SLEEPER_311, TASK, TESTATOR, UNRELEASED, WILL,
};

/// Opens the file of a directory with today's code, and finds everything that was in it.
pub(super) fn everything(dir: &Path) {
    let store = Store::open(&dir.join("data"), Durability::Commit).unwrap();
    let reader = store.reader().unwrap();
    let kept = reader.kept(100, 100, 100).unwrap();
    sessions(&reader, &kept);
    exchanges(&reader, &kept);
    site(&reader, &kept);
    let [retained] = &kept.retained[..] else { panic!("{:?}", kept.retained) };
    assert_eq!((&*retained.topic, &*retained.payload), (RETAINED, &b"retained"[..]));
    let [(of, will)] = &kept.wills[..] else { panic!("{:?}", kept.wills) };
    assert_eq!(*of, session(&kept, TESTATOR));
    assert_eq!((&*will.client_id, &*will.topic), (TESTATOR, WILL));
    assert_eq!((&*will.payload, will.qos, will.delay_s), (&b"will"[..], 1, DELAY_S));
}

fn session(kept: &Kept, client_id: &str) -> ReaderId {
    let found = kept.sessions.iter().find(|kept| kept.session.client_id == client_id);
    found.unwrap_or_else(|| panic!("no session of {client_id}")).id
}

fn filters(kept: &Kept, client_id: &str) -> Vec<(String, u8, u32)> {
    let id = session(kept, client_id);
    let session = kept.sessions.iter().find(|session| session.id == id).unwrap();
    let filter = |s: &dockside_store::Subscription| (s.filter.clone(), s.options & 3, s.identifier);
    let mut filters: Vec<_> = session.subscriptions.iter().map(filter).collect();
    filters.sort();
    filters
}

fn waiting(reader: &Reader, id: ReaderId) -> Vec<Queued> {
    let all = (0, u64::MAX >> 1);
    reader.chunk(id, all, (usize::MAX, usize::MAX)).unwrap().messages
}

fn sessions(reader: &Reader, kept: &Kept) {
    let of = |filter: &str, qos, identifier| (filter.to_owned(), qos, identifier);
    assert_eq!(filters(kept, SLEEPER), [of(SHARE, 1, 0), of(QUEUED, 2, IDENTIFIER)]);
    assert_eq!(filters(kept, SLEEPER_311), [of(QUEUED, 1, 0)]);
    let sleepers = [(SLEEPER, [1, 2], vec![IDENTIFIER]), (SLEEPER_311, [1, 1], vec![])];
    for (client_id, qualities, identifiers) in sleepers {
        let [first, second] = &waiting(reader, session(kept, client_id))[..] else {
            panic!("{client_id} has other messages")
        };
        assert_eq!((&*first.payload, &*second.payload), (&b"first"[..], &b"second"[..]));
        assert_eq!([first.qos, second.qos], qualities);
        assert_eq!([&first.identifiers, &second.identifiers], [&identifiers; 2]);
        assert!(first.expires_ms.is_some() && second.expires_ms.is_none());
        assert!(first.properties.ends_with(b"dockside/test"), "{:?}", first.properties);
    }
    let [share] = &kept.shares[..] else { panic!("{:?}", kept.shares) };
    assert_eq!(share.filter, SHARE);
    let [shared] = &share.messages[..] else { panic!("{:?}", share.messages) };
    assert_eq!((&*shared.topic, &*shared.payload), (SHARED, &b"shared"[..]));
}

fn exchanges(reader: &Reader, kept: &Kept) {
    let id = session(kept, EXCHANGING);
    let [received, sent] = &reader.exchanges(id).unwrap()[..] else { panic!("other exchanges") };
    assert_eq!((received.qos, &received.message), (2, &None));
    let message = sent.message.as_ref().unwrap();
    assert_eq!((&*message.topic, &*message.payload), (EXCHANGED, &b"sent"[..]));
    assert_eq!((sent.qos, received.packet_id + 1), (2, sent.packet_id));
    assert_eq!(reader.incoming(id).unwrap(), [UNRELEASED]);
}

/// What is known of docks, and who did what.
fn site(reader: &Reader, kept: &Kept) {
    let [task] = &kept.flight_tasks[..] else { panic!("{:?}", kept.flight_tasks) };
    assert_eq!((&*task.gateway, &*task.task), (DOCK, TASK));
    assert_eq!((task.status.as_deref(), task.step), (Some("in_progress"), Some(19)));
    assert_eq!((task.percent, task.counts), (Some(42.0), [1, 0, 0]));
    let told = reader.events_of((DOCK, Some(TASK)), "flighttask_progress", 10).unwrap();
    assert_eq!(told.iter().map(|(_, said)| &**said).collect::<Vec<_>>(), [EVENT.as_bytes()]);
    assert_eq!(kept.events.len(), 1);
    let [dock] = &kept.docks[..] else { panic!("{:?}", kept.docks) };
    assert_eq!((&*dock.gateway, &dock.aircraft[..]), (DOCK, &[AIRCRAFT.to_owned()][..]));
    assert_eq!((dock.model, dock.counts), (Some([3, 2, 0]), [1, 1]));
    let [entry] = &reader.audit(0, 10).unwrap()[..] else { panic!("another audit log") };
    assert_eq!((&*entry.what, entry.method.as_deref()), ("services", Some(COMMAND)));
    assert_eq!((entry.gateway.as_deref(), entry.tid.as_deref()), (Some(DOCK), Some("t")));
    assert!(kept.seen.is_some_and(|seen| seen.wall_ms > 0));
}
