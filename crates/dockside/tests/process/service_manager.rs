//! What a service manager is told: that the broker is ready, reloads and stops, and that messages move.

use std::os::unix::net::UnixDatagram;

use tempfile::TempDir;

use crate::broker::Process;

/// Listens as systemd does.
struct Manager {
    socket: UnixDatagram,
    dir: TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { socket: UnixDatagram::bind(dir.path().join("notify")).unwrap(), dir }
    }

    /// A broker of this manager.
    fn start(&self, environment: &[(&str, &str)]) -> Process {
        let path = self.dir.path().join("notify");
        let mut all = vec![("NOTIFY_SOCKET", path.to_str().unwrap())];
        all.extend(environment);
        Process::start_in(tempfile::tempdir().unwrap(), "", &all)
    }

    fn heard(&self) -> String {
        let mut buffer = [0; 256];
        let count = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).trim().to_owned()
    }
}

#[test]
fn the_service_manager_is_told() {
    let manager = Manager::new();
    let mut process = manager.start(&[]);
    assert_eq!(manager.heard(), "READY=1");
    process.signal("HUP");
    let reloading = manager.heard();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="));
    assert_eq!(manager.heard(), "READY=1");
    process.signal("TERM");
    assert_eq!(manager.heard(), "STOPPING=1");
    assert_eq!(process.wait(), Some(0));
}

#[test]
fn the_watchdog_is_fed_while_messages_move() {
    let manager = Manager::new();
    let mut process = manager.start(&[("WATCHDOG_USEC", "400000")]);
    let heard = [manager.heard(), manager.heard(), manager.heard()];
    assert_eq!(heard, ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    process.signal("TERM");
    while manager.heard() != "STOPPING=1" {}
    assert_eq!(process.wait(), Some(0));
}
