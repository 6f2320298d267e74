use std::task::Poll;

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
        let bytes = next(&mut reader).await.unwrap();
        let record = Record::parse(&bytes).unwrap();
        lanes.push((record.lane, record.charge));
        count += record.entries.count();
    }
    assert_eq!(lanes[0], (Lane::Direct, 5));
    assert_eq!(lanes[1..].iter().map(|(_, charge)| charge).sum::<u64>(), 7);
    assert!(log.is_alive());
}

async fn next(reader: &mut LogReader) -> Result<Bytes, Dead> {
    let next = tokio::time::timeout(std::time::Duration::from_secs(60), reader.next());
    next.await.expect("a record")
}

async fn number(reader: &mut LogReader) -> u64 {
    Record::parse(&next(reader).await.unwrap()).unwrap().number
}

/// What is there without waiting for anybody, the router's thread among them.
async fn at_once(reader: &mut LogReader) -> Option<u64> {
    let mut next = std::pin::pin!(number(reader));
    std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
        Poll::Ready(number) => Poll::Ready(Some(number)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_reader_that_has_read_everything_is_handed_what_comes_next() {
    let (log, mut reader, mut onlooker) = open(&config::LiveLog::default()).unwrap();
    for number in 0..1_000 {
        log.append_group(&entries(1), 0);
        assert_eq!(at_once(&mut reader).await, Some(number));
        assert_eq!(at_once(&mut reader).await, None, "once");
    }
    // The router is told of them, some at a time, and at once if anybody looks.
    assert_eq!(log.begin_to_look(), 1_000);
    log.append_group(&entries(1), 0);
    assert_eq!(at_once(&mut reader).await, Some(1_000));
    let mut next = 0;
    while next <= 1_000 {
        let passed = onlooker.next().await.unwrap();
        assert_eq!(passed.missed, 0);
        assert_eq!(Record::parse(&passed.record).unwrap().number, next);
        next += 1;
    }
    log.end_to_look();
    log.append_group(&entries(1), 0);
    assert_eq!(at_once(&mut reader).await, Some(1_001));
    assert_eq!(log.producer().link.buffer().len(), 1, "the router is not told of one");
}

/// The router is stuck for all that anybody knows: what it does not take is bounded by the budgets again.
#[tokio::test]
async fn much_that_the_router_has_not_taken_is_not_handed_over() {
    let (log, mut reader, _) = open(&config::LiveLog::default()).unwrap();
    log.append_group(&entries(1), 0);
    assert_eq!(at_once(&mut reader).await, Some(0));
    log.producer().untaken = UNTAKEN_BYTES;
    log.append_group(&entries(1), 0);
    assert_eq!(log.producer().early.take(std::task::Waker::noop()), None);
    assert_eq!(number(&mut reader).await, 1, "by the log");
    // As a barrier that tells whether the router works.
    assert!(log.append_direct(&entries(1), 0));
    log.flush_by_the_log();
    assert_eq!(log.producer().early.take(std::task::Waker::noop()), None);
    assert_eq!(number(&mut reader).await, 2);
    log.append_group(&entries(1), 0);
    assert_eq!(at_once(&mut reader).await, Some(3));
}

#[tokio::test]
async fn one_that_is_behind_reads_the_log_and_is_handed_again_when_it_has_caught_up() {
    let (log, mut reader, _) = open(&config::LiveLog::default()).unwrap();
    (0..200).for_each(|_| log.append_group(&entries(1), 0));
    for expected in 0..64 {
        assert_eq!(at_once(&mut reader).await, Some(expected), "so many wait for it");
    }
    for expected in 64..200 {
        assert_eq!(number(&mut reader).await, expected, "the others are in the log");
    }
    log.append_group(&entries(1), 0);
    assert_eq!(at_once(&mut reader).await, Some(200));
    // A record that is much is handed alone.
    log.append_group(&entries(LARGE as u64 / 13), 0);
    log.append_group(&entries(LARGE as u64 / 13), 0);
    log.append_group(&entries(LARGE as u64 / 13), 0);
    for expected in 201..204 {
        assert_eq!(number(&mut reader).await, expected);
    }
}

/// Whatever the two ways bring when: each record once, in its order, with nothing left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_are_one_order() {
    const RECORDS: u64 = 20_000;
    let (log, mut reader, _) = open(&config::LiveLog::default()).unwrap();
    let log = Arc::new(log);
    let (room, mut rooms) = tokio::sync::mpsc::channel(256);
    let producer = std::thread::spawn({
        let log = Arc::clone(&log);
        move || {
            for number in 0..RECORDS {
                // Bursts of every length, with what is under way bounded as the budgets do.
                room.blocking_send(()).unwrap();
                log.append_group(&entries(1 + number * number % 40), 0);
                if number % 977 < 300 {
                    std::thread::yield_now();
                }
            }
        }
    });
    for expected in 0..RECORDS {
        assert_eq!(number(&mut reader).await, expected);
        rooms.recv().await.unwrap();
    }
    producer.join().unwrap();
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
        outcome = next(&mut reader).await;
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
    assert_eq!(log.begin_to_look(), 0);
    let mut read = 0;
    for _ in 0..1_000 {
        log.append_group(&entries(1_000), 0);
        read += Record::parse(&next(&mut reader).await.unwrap()).unwrap().entries.count();
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
    // More than a reader is handed at once, so that the router is told of all.
    for _ in 0..1_000 {
        log.append_group(&entries(1), 0);
    }
    for _ in 0..1_000 {
        next(&mut reader).await.unwrap();
    }
    let mut left_over = 0;
    while onlooker.left_over().await.unwrap().is_some() {
        left_over += 1;
    }
    assert!(onlooker.is_paused() && left_over < 1_000, "{left_over}");
    assert_eq!(onlooker.next().await.unwrap().missed, 0, "the log has the rest still");
}
