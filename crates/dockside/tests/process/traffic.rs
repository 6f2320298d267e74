//! `dockside tail` and `dockside pub`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::broker::{Process, command, stderr};

#[test]
fn what_is_published_is_shown() {
    let broker = Process::start();
    let mut tail = command(broker.dir.path());
    let admin = broker.admin.to_string();
    tail.args(["--admin", &admin, "tail", "site/#", "--json", "--count", "3"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut started = String::new();
    let mut errors = BufReader::new(tail.stderr.take().unwrap());
    errors.read_line(&mut started).unwrap();
    assert!(started.contains("site/#"), "{started}");

    let text = broker.command(&["pub", "site/a", "on"]);
    assert!(text.status.success(), "{}", stderr(&text));
    let mut input = command(broker.dir.path());
    input.args(["--admin", &admin, "pub", "site/b", "-", "--qos", "1"]);
    let mut input = input.stdin(Stdio::piped()).spawn().unwrap();
    input.stdin.take().unwrap().write_all(b"\xff\x00").unwrap();
    assert!(input.wait().unwrap().success());
    assert!(broker.command(&["pub", "site/c", "--qos", "2", "--retain"]).status.success());

    let shown: Vec<serde_json::Value> = BufReader::new(tail.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert!(tail.wait().unwrap().success(), "it ends by itself");
    let said: Vec<_> = shown
        .iter()
        .map(|m| format!("{} {} {} {} {}", m["topic"], m["text"], m["hex"], m["qos"], m["retain"]))
        .collect();
    let expected = [
        r#""site/a" "on" null 0 false"#,
        r#""site/b" null "ff00" 1 false"#,
        r#""site/c" "" null 2 true"#,
    ];
    assert_eq!(said, expected);
}

#[test]
fn whose_fault_it_is_is_said() {
    let broker = Process::start();
    for (arguments, code, words) in [
        (&["tail", "a/#/b"][..], 64, "a/#/b"),
        (&["tail", "$share/g/a"], 64, "leave out $share"),
        (&["pub", "a/+", "x"], 64, "no topic to publish on"),
        (&["pub", "$SYS/x", "x"], 64, "only the broker itself"),
        (&["pub", "a", "x", "--qos", "3"], 64, "--qos"),
        (&["tail", "a", "--count", "0"], 64, "--count"),
    ] {
        let output = broker.command(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains(words) && text.lines().count() == 1, "{arguments:?}: {text}");
    }
    for arguments in [&["tail", "a"][..], &["pub", "a"]] {
        let mut nobody = command(broker.dir.path());
        let output = nobody.args(["--admin", "127.0.0.1:1"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(69));
        assert!(stderr(&output).contains("no broker answers at 127.0.0.1:1"));
    }
}
