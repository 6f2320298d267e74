//! What an engineer does with what is kept: the clock that it ages by.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::broker::{Process, stderr};

/// The file as a machine leaves it whose clock is a day ahead of the next start's.
fn file_of_tomorrow() -> TempDir {
    let mut broker = Process::start();
    broker.signal("TERM");
    assert_eq!(broker.wait(), Some(0));
    let dir = std::mem::replace(&mut broker.dir, tempfile::tempdir().unwrap());
    let file = Connection::open(dir.path().join("data/dockside.db")).unwrap();
    file.execute("INSERT INTO about VALUES ('last_seen_ms', (unixepoch() + 86400) * 1000)", ())
        .unwrap();
    dir
}

fn out(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_clock_that_is_not_believed_is_told_and_accepted() {
    let broker = Process::start_in(file_of_tomorrow(), "", &[]);
    broker.wait_for_log("earlier than what is kept: no session, retained message or event expires");
    while broker.metric("dockside_clock_doubted") != 1.0 {
        std::thread::yield_now();
    }
    let told = broker.command(&["clock"]);
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    assert!(out(&told).contains("earlier than what is kept: it shows 2"), "{}", out(&told));
    assert!(out(&told).contains("\n    -> no session"), "{}", out(&told));

    let accepted = broker.command(&["clock", "accept"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", stderr(&accepted));
    assert!(
        out(&accepted).contains("is accepted as right (the wall clock is"),
        "{}",
        out(&accepted)
    );
    while broker.metric("dockside_clock_doubted") != 0.0 {
        std::thread::yield_now();
    }
    for again in [vec!["clock"], vec!["clock", "accept"]] {
        let told = broker.command(&again);
        assert_eq!(told.status.code(), Some(0));
        assert!(out(&told).ends_with("is believed\n"), "{}", out(&told));
    }
    assert!(broker.log().contains("the wall clock was accepted as right"));
    let nobody = crate::broker::command(Path::new("."))
        .args(["clock", "--admin", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(69));
    assert!(stderr(&nobody).contains("no broker answers at 127.0.0.1:1"), "{}", stderr(&nobody));
}
