//! The referee can fail: each thing that must not be makes a verdict bad, alone.

use super::*;

const ALLOWED: Allowed = Allowed {
    p99: Duration::from_millis(20),
    resident_mib: 300.0,
    log_bytes: 1 << 20,
    broker_cores: Some(0.2),
    handshake: Duration::ZERO,
    packets: 100,
};

/// Everything within its bounds, and on them.
fn good() -> Seen {
    Seen {
        flown: Flown {
            events: 40,
            latencies: vec![Duration::from_millis(20); 40],
            ..Flown::default()
        },
        attacker: Some(Report {
            connections: 1,
            packets: 100,
            cpu_ms: 600,
            wall_ms: 1_000,
            ..Report::default()
        }),
        resident_mib: 300.0,
        descriptors: (20, 20),
        broker_cores: 0.2,
        log_bytes: 1 << 20,
        hook_panics: Some(0),
        ..Seen::default()
    }
}

/// The flaws once something is changed.
fn flaws(change: impl FnOnce(&mut Seen)) -> Vec<Flaw> {
    let mut seen = good();
    change(&mut seen);
    judge(&seen, &ALLOWED)
}

#[test]
fn what_keeps_within_its_bounds_has_no_flaw() {
    assert_eq!(flaws(|_| {}), []);
    assert_eq!(flaws(|seen| seen.descriptors.1 = 19), []);
}

#[test]
fn whatever_the_dock_notices_is_a_flaw() {
    assert_eq!(flaws(|seen| seen.flown.events = 0), [Flaw::NoEvents]);
    assert_eq!(flaws(|seen| seen.flown.lost = 1), [Flaw::Lost(1)]);
    assert_eq!(flaws(|seen| seen.flown.doubled = 1), [Flaw::Doubled(1)]);
    assert_eq!(flaws(|seen| seen.flown.wrong = 1), [Flaw::Wrong(1)]);
    assert_eq!(flaws(|seen| seen.flown.unseen = 1), [Flaw::Unseen(1)]);
    assert_eq!(flaws(|seen| seen.flown.seen_twice = 1), [Flaw::SeenTwice(1)]);
    let cut = "dock: reset".to_owned();
    assert_eq!(flaws(|seen| seen.flown.cut.push(cut.clone())), [Flaw::Cut(cut)]);
}

#[test]
fn a_late_p99_is_a_flaw_and_one_late_reply_of_two_hundred_is_none() {
    let late = Duration::from_millis(21);
    assert_eq!(flaws(|seen| seen.flown.latencies[39] = late), [Flaw::Late(late)]);
    let mut many = vec![Duration::from_millis(1); 200];
    many[199] = late;
    assert_eq!(flaws(|seen| seen.flown.latencies = many.clone()), []);
    many[198] = late;
    many[197] = late;
    assert_eq!(flaws(|seen| seen.flown.latencies = many), [Flaw::Late(late)]);
}

#[test]
fn memory_descriptors_work_and_log_beyond_their_bounds_are_flaws() {
    assert_eq!(flaws(|seen| seen.resident_mib = 301.0), [Flaw::Memory(301.0)]);
    assert_eq!(flaws(|seen| seen.descriptors.1 = 21), [Flaw::Descriptors(1)]);
    assert_eq!(flaws(|seen| seen.broker_cores = 0.9), [Flaw::Busy(0.9)]);
    let bytes = (1 << 20) + 1;
    assert_eq!(flaws(|seen| seen.log_bytes = bytes), [Flaw::Log(bytes)]);
    let for_long = |bytes, seconds| {
        flaws(|seen| (seen.log_bytes, seen.lasted) = (bytes, Duration::from_secs(seconds)))
    };
    assert_eq!(for_long(bytes, 59), [Flaw::Log(bytes)]);
    assert_eq!(for_long(2 << 20, 120), []);
    assert_eq!(for_long((2 << 20) + 1, 120), [Flaw::Log((2 << 20) + 1)]);
    // Five of 100 ms in a second are half a core.
    let (mut seen, handshake) = (good(), Duration::from_millis(100));
    let report = Report { connections: 90, handshakes: 5, refused: 2, ..seen.attacker.unwrap() };
    (seen.attacker, seen.broker_cores) = (Some(report), 0.69);
    assert_eq!(judge(&seen, &ALLOWED), [Flaw::Busy(0.69)]);
    let allowed = Allowed { handshake, ..ALLOWED };
    assert_eq!(judge(&seen, &allowed), []);
    seen.broker_cores = 0.71;
    assert_eq!(judge(&seen, &allowed), [Flaw::Busy(0.71)]);
    let allowed = Allowed { handshake: Duration::from_secs(1), ..ALLOWED };
    seen.broker_cores = 0.95;
    assert_eq!(judge(&seen, &allowed), [Flaw::Busy(0.95)], "it spins");
}

#[test]
fn a_panic_and_a_broker_that_does_not_serve_are_flaws() {
    let text = || "thread 'x' panicked".to_owned();
    assert_eq!(flaws(|seen| seen.panics.push(text())), [Flaw::Panic(text())]);
    assert_eq!(flaws(|seen| seen.hook_panics = Some(1)), [Flaw::HookPanics(1)]);
    assert_eq!(flaws(|seen| seen.hook_panics = None), [Flaw::NoMetrics]);
    assert_eq!(flaws(|seen| seen.ended = Some(text())), [Flaw::Ended(text())]);
    assert_eq!(flaws(|seen| seen.newcomer = Some(text())), [Flaw::Newcomer(text())]);
}

#[test]
fn an_attack_that_was_none_proves_nothing() {
    let attacker =
        |change: fn(&mut Report)| move |seen: &mut Seen| seen.attacker.iter_mut().for_each(change);
    assert_eq!(flaws(|seen| seen.attacker = None), [Flaw::NoAttack]);
    assert_eq!(flaws(attacker(|report| report.connections = 0)), [Flaw::Idle]);
    assert_eq!(flaws(attacker(|report| report.packets = 99)), [Flaw::Packets(99)]);
    assert_eq!(flaws(attacker(|report| report.cpu_ms = 700)), [Flaw::Greedy(0.7)]);
}
