use super::*;
use crate::record::{Entry, append};

fn entries(count: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|n| append(&mut bytes, &Entry::End(n)));
    bytes
}

#[tokio::test]
async fn records_come_back_in_the_order_they_were_appended() {
    let (log, mut reader, _) = open(&config::LiveLog::default()).unwrap();
    assert!(log.append_direct(&entries(3), 3), "the first must ring the doorbell");
    assert!(!log.append_direct(&entries(2), 2));
    log.append_group(&entries(10_000), 7);
    let mut lanes = Vec::new();
    let mut count = 0;
    while count < 10_005 {
        let bytes = reader.next().await.unwrap();
        let record = Record::parse(&bytes).unwrap();
        lanes.push((record.lane, record.charge));
        count += record.entries.count();
    }
    assert_eq!(lanes[0], (Lane::Direct, 5));
    assert_eq!(lanes[1..].iter().map(|(_, charge)| charge).sum::<u64>(), 7);
    assert!(log.is_alive());
}

#[tokio::test]
async fn a_gap_is_the_end() {
    let config = config::LiveLog { segment_bytes: 65_536, segments: 2, ..Default::default() };
    let (log, mut reader, _) = open(&config).unwrap();
    // Nobody reads: the router hands 200 records over and pauses; far more than the log keeps
    // follow.
    for _ in 0..1_000 {
        log.append_group(&entries(1_000), 0);
    }
    let mut outcome = Ok(Bytes::new());
    while outcome.is_ok() {
        outcome = reader.next().await;
    }
    let dead = outcome.unwrap_err();
    assert!(dead.to_string().contains("are lost"), "{dead}");
    log.report(dead.clone());
    assert!(!log.is_alive());
    assert_eq!(log.died().await, dead);
}

/// Whoever looks on loses what the log has no more, is told so, and goes on with the newest.
#[tokio::test]
async fn an_onlooker_loses_records_and_is_told() {
    let config = config::LiveLog { segment_bytes: 65_536, segments: 2, ..Default::default() };
    let (log, mut reader, mut onlooker) = open(&config).unwrap();
    let mut read = 0;
    for _ in 0..1_000 {
        log.append_group(&entries(1_000), 0);
        read += Record::parse(&reader.next().await.unwrap()).unwrap().entries.count();
    }
    assert_eq!(read, 1_000_000, "the reader that counts lost nothing for it");
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < 1_000 {
        let passed = onlooker.next().await.unwrap();
        assert_eq!(Record::parse(&passed.record).unwrap().number, seen + missed + passed.missed);
        (seen, missed) = (seen + 1, missed + passed.missed);
    }
    assert!(missed > 0 && seen >= 200, "{seen} seen, {missed} missed");
    assert!(log.is_alive());
}

/// It costs nothing while nobody looks: what the router gave is let go, and no more comes.
#[tokio::test]
async fn an_onlooker_that_does_not_look_is_paused() {
    let (log, mut reader, mut onlooker) = open(&config::LiveLog::default()).unwrap();
    for _ in 0..1_000 {
        log.append_group(&entries(1), 0);
        reader.next().await.unwrap();
    }
    let mut left_over = 0;
    while onlooker.left_over().await.unwrap().is_some() {
        left_over += 1;
    }
    assert!(onlooker.is_paused() && left_over < 1_000, "{left_over}");
    assert_eq!(onlooker.next().await.unwrap().missed, 0, "the log has the rest still");
}
