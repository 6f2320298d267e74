//! A broker as a process of its own, and what is needed to talk to it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const DOCKSIDE: &str = env!("CARGO_BIN_EXE_dockside");

/// A broker process on ports of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) mqtt: SocketAddr,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) dir: TempDir,
}

impl Process {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "", &[])
    }

    /// With a configuration file, in a directory that may hold what it names.
    pub(crate) fn start_in(dir: TempDir, config: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = command(dir.path());
        command.envs(environment.iter().copied());
        Self::start_command(command, dir, config)
    }

    /// Another one in the directory of one that has ended.
    pub(crate) fn start_again(&mut self) -> Self {
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        let config = fs::read_to_string(dir.path().join("dockside.toml")).unwrap();
        Self::start_in(dir, &config, &[])
    }

    /// One that the system lets have so many descriptors.
    pub(crate) fn start_with_descriptors(descriptors: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shell = with_descriptors(dir.path(), descriptors);
        Self::start_command(shell, dir, "")
    }

    fn start_command(mut command: Command, dir: TempDir, config: &str) -> Self {
        fs::write(dir.path().join("dockside.toml"), config).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut child = command
            .args(["--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", "dockside.toml"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut mqtt, mut tls, mut admin, mut metrics) = (None, None, None, None);
        while admin.is_none() || (config.contains("[metrics]") && metrics.is_none()) {
            let line = lines.next().unwrap_or_else(|| {
                panic!("{}", fs::read_to_string(dir.path().join("log")).unwrap())
            });
            let line = line.unwrap();
            let (what, address) = line.split_once(" listening on ").unwrap();
            let place = match what {
                "mqtt" => &mut mqtt,
                "mqtt over tls" => &mut tls,
                "admin" => &mut admin,
                "metrics" => &mut metrics,
                _ => panic!("{line}"),
            };
            *place = Some(address.parse().unwrap());
        }
        let (mqtt, admin) = (mqtt.unwrap(), admin.unwrap());
        Self { child, mqtt, tls, admin, metrics, dir }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap()
    }

    /// Waits until the log says so.
    pub(crate) fn wait_for_log(&self, words: &str) {
        while !self.log().contains(words) {
            std::thread::yield_now();
        }
    }

    /// `dockside` with this broker's configuration and address.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let admin = self.admin.to_string();
        let mut command = command(self.dir.path());
        command.args(arguments).args(["--config", "dockside.toml", "--admin", &admin]);
        command.output().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        get(self.admin, path, "")
    }

    /// The value of one series; 0 if there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole HTTP answer; `headers` end with a line break each.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

/// Adds a user with `dockside passwd`.
pub(crate) fn passwd(dir: &Path, user: &str, password: &str) -> Output {
    let mut child = command(dir)
        .args(["passwd", "users", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused the name, and ended, before it reads a password.
    let _ = writeln!(child.stdin.take().unwrap(), "{password}");
    child.wait_with_output().unwrap()
}

/// The command in a directory of its own, without the environment's configuration.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = without_configuration(DOCKSIDE);
    command.current_dir(dir);
    command
}

/// The command, as one that the system lets have so many descriptors.
pub(crate) fn with_descriptors(dir: &Path, descriptors: u32) -> Command {
    let mut shell = without_configuration("sh");
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    shell.current_dir(dir).arg("-c").arg(script).arg(DOCKSIDE);
    shell
}

fn without_configuration(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOCKSIDE_")) {
        command.env_remove(name);
    }
    command
}

/// Whether a program that is not ours is there; where `CI` is set it must be.
pub(crate) fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--help").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{program} must be installed in CI");
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
