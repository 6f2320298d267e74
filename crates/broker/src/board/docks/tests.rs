//! Who is known, who is online, and what is told and kept of it.

use super::*;

fn docks() -> Docks {
    Docks::new(Vec::new(), 60)
}

fn heard(gateway: &str) -> Heard<'_> {
    Heard { gateway: gateway.into(), is_gateway: true, ..Heard::default() }
}

#[test]
fn a_gateway_is_online_while_the_session_that_it_spoke_through_is_connected() {
    let docks = docks();
    docks.heard(&heard("SIMDOCK1"), Some(1), 1_000);
    assert!(docks.get("SIMDOCK1").unwrap().is_online());
    docks.gone(2);
    assert!(docks.get("SIMDOCK1").unwrap().is_online());
    // It came back before anybody noticed that it had gone.
    docks.heard(&heard("SIMDOCK1"), Some(3), 2_000);
    docks.gone(1);
    assert!(docks.get("SIMDOCK1").unwrap().is_online());
    docks.heard(&heard("SIMDOCK1"), None, 2_500);
    assert!(docks.get("SIMDOCK1").unwrap().is_online(), "an operator spoke for it");
    docks.gone(3);
    assert!(!docks.get("SIMDOCK1").unwrap().is_online());
    docks.heard(&heard("SIMDOCK1"), Some(3), 3_000);
    assert!(docks.get("SIMDOCK1").unwrap().is_online());
}

#[test]
fn telemetry_makes_no_gateway_and_tells_of_one() {
    let docks = docks();
    let osd = |gateway: &'static str| Heard { is_gateway: false, ..heard(gateway) };
    docks.heard(&osd("SIMDRONE1"), Some(1), 1_000);
    assert!(docks.list().is_empty());
    docks.heard(&heard("SIMDOCK1"), Some(1), 1_000);
    docks.heard(&osd("SIMDOCK1"), Some(1), 9_000);
    assert_eq!(docks.get("SIMDOCK1").unwrap().last_ms, 9_000);
}

#[test]
fn whoever_is_connected_and_says_nothing_is_silent_and_that_is_told_once() {
    let docks = docks();
    docks.heard(&heard("SIMDOCK1"), Some(1), 1_000);
    let told = |now_ms| docks.take_changed(now_ms, false).told.len();
    let is_silent = |now_ms| docks.get("SIMDOCK1").unwrap().is_silent(now_ms, 60_000);
    assert_eq!(told(1_000), 1);
    assert_eq!((told(61_000), is_silent(61_000)), (0, false));
    assert_eq!((told(61_001), is_silent(61_001)), (1, true));
    assert_eq!(told(61_002), 0);
    docks.gone(1);
    assert_eq!((told(61_003), is_silent(61_003)), (1, false));
}

#[test]
fn what_is_only_heard_of_again_is_told_and_kept_now_and_then() {
    let docks = docks();
    let changed = |now_ms, is_last| {
        docks.heard(&heard("SIMDOCK1"), Some(1), now_ms);
        let changed = docks.take_changed(now_ms, is_last);
        (changed.told.len(), changed.kept.len())
    };
    assert_eq!(changed(1_000_000, false), (1, 1));
    assert_eq!(changed(1_004_999, false), (0, 0));
    assert_eq!(changed(1_005_000, false), (1, 0));
    assert_eq!(changed(1_060_000, false), (1, 1));
    assert_eq!(changed(1_060_001, false), (0, 0));
    assert_eq!(changed(1_060_002, true), (0, 1));
    assert_eq!(docks.take_changed(1_060_003, true).kept.len(), 0);
    let said = Heard { firmware: Some("1".into()), ..heard("SIMDOCK1") };
    docks.heard(&said, Some(1), 1_060_004);
    let changed = docks.take_changed(1_060_004, false);
    assert_eq!((changed.told.len(), changed.kept.len()), (1, 1));
}

#[test]
fn a_clock_that_is_off_is_flagged() {
    let docks = docks();
    let says =
        |device_ms| Heard { device_ms: Some(device_ms), is_gateway: false, ..heard("SIMDOCK1") };
    let now = 1_700_000_000_000;
    docks.heard(&Heard { device_ms: Some(1), ..heard("SIMDOCK1") }, Some(1), now);
    assert_eq!(docks.get("SIMDOCK1").unwrap().offset_ms, None, "it may be an old one");
    for (device_ms, is_off) in [(now + 10_000, false), (now - 10_001, true), (now, false)] {
        docks.heard(&says(device_ms), Some(1), now);
        assert_eq!(docks.get("SIMDOCK1").unwrap().is_clock_off(), is_off);
    }
    docks.heard(&says(u64::MAX), Some(1), now);
    assert_eq!(docks.get("SIMDOCK1").unwrap().offset_ms, Some(0));
}

#[test]
fn there_are_so_many_and_the_oldest_without_a_connection_goes() {
    let docks = docks();
    for n in 0..DOCKS as u64 {
        docks.heard(&heard(&format!("SIMDOCK{n}")), Some(n), 1_000 + n);
    }
    docks.heard(&heard("SIMNEW"), Some(0), 1);
    assert!(docks.get("SIMNEW").is_none(), "all are connected");
    docks.heard(&heard("SIMDOCK7"), Some(5), 900_000);
    docks.gone(7);
    assert!(docks.get("SIMDOCK7").unwrap().is_online(), "another speaks for it now");
    docks.heard(&heard("SIMDOCK7"), Some(7), 900_000);
    docks.gone(5);
    docks.gone(4);
    assert_eq!(docks.take_changed(1, false).kept.len(), DOCKS);
    docks.heard(&heard("SIMNEW"), Some(0), 1);
    assert!(docks.get("SIMNEW").is_some() && docks.get("SIMDOCK4").is_none());
    assert_eq!(docks.list().len(), DOCKS);
    assert_eq!(docks.take_changed(1, false).forgotten, ["SIMDOCK4".into()]);
}

#[test]
fn whoever_speaks_for_all_there_may_be_makes_room_for_others_and_has_none_for_itself() {
    let docks = docks();
    for n in 0..=DOCKS {
        docks.heard(&heard(&format!("SIMDOCK{n}")), Some(1), 1_000);
    }
    assert!(docks.get(&format!("SIMDOCK{DOCKS}")).is_none());
    for n in 0..10 {
        docks.heard(&heard(&format!("SIMNEW{n}")), Some(2 + n), 1);
    }
    docks.heard(&heard("SIMCALLED"), None, 1);
    docks.heard(&heard("SIMNEW10"), Some(12), 1);
    assert!((0..11).all(|n| docks.get(&format!("SIMNEW{n}")).unwrap().is_online()));
    assert!(docks.get("SIMCALLED").is_none(), "who is not connected goes first");
    assert_eq!(docks.list().len(), DOCKS);
    assert!(docks.take_changed(1, false).forgotten.is_empty(), "none was kept");
    docks.gone(1);
    assert_eq!(docks.list().iter().filter(|dock| dock.is_online()).count(), 11);
}

/// What is looked up instead of looked for is what would be found.
#[test]
fn those_without_a_connection_are_known_by_when_they_were_heard_of() {
    let docks = docks();
    for n in 0..2_000_u64 {
        let gateway = format!("SIMDOCK{}", n * 7 % 31);
        match n % 5 {
            0 => docks.gone(n % 3),
            1 => docks.heard(&heard(&gateway), None, n * 13 % 500),
            _ => docks.heard(&heard(&gateway), Some(n % 3), n * 13 % 500),
        }
        let inner = docks.inner();
        let offline = inner.docks.values().filter(|dock| !dock.is_online()).map(Dock::place);
        assert_eq!(inner.offline, offline.collect());
        let spoken = (0..3).map(|session| inner.speakers.count(session)).sum::<usize>();
        assert_eq!(spoken + inner.offline.len(), inner.docks.len());
    }
}
