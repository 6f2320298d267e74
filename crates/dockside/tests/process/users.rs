//! `dockside passwd`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::broker::{command, passwd, stderr};

fn mode(file: &std::path::Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn users_are_added_changed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    let output = passwd(dir.path(), "DOCK1", "one");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("added: user DOCK1"));
    assert_eq!(mode(&file), 0o600);
    assert!(passwd(dir.path(), "DOCK2", "two").status.success());
    let first = fs::read_to_string(&file).unwrap();
    assert!(first.lines().all(|line| line.contains(":$argon2id$v=19$")), "{first}");
    // The group that the service runs as may read it: that stays.
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let output = passwd(dir.path(), "DOCK1", "another");
    assert!(String::from_utf8_lossy(&output.stdout).contains("changed: user DOCK1"));
    assert_eq!(mode(&file), 0o640);
    let second = fs::read_to_string(&file).unwrap();
    assert_eq!(second.lines().nth(1), first.lines().nth(1));
    assert_ne!(second.lines().next(), first.lines().next());
    let remove = || command(dir.path()).args(["passwd", "users", "DOCK1", "-D"]).output().unwrap();
    assert!(remove().status.success());
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
    let again = remove();
    assert_eq!(again.status.code(), Some(66));
    assert!(stderr(&again).contains("no user \"DOCK1\""), "{}", stderr(&again));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing else is left behind");
}

#[test]
fn what_cannot_be_a_user_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (user, password, words) in
        [("a:b", "x", "colon"), ("", "x", "1 to 256"), ("a", "", "empty password")]
    {
        let output = passwd(dir.path(), user, password);
        assert_eq!(output.status.code(), Some(64), "{user:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    assert!(!dir.path().join("users").exists());
    fs::write(dir.path().join("users"), "not a password file\n").unwrap();
    let output = passwd(dir.path(), "a", "x");
    assert_eq!(output.status.code(), Some(66));
    assert!(stderr(&output).contains("line 1"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(dir.path().join("users")).unwrap(), "not a password file\n");
}
