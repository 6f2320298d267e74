//! The foreign clients, and how each is told to publish and to subscribe.

use std::fmt::{self, Display, Formatter};
use std::process::Stdio;

use dockside_mqtt::{QoS, Version};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use super::libraries::{rumqttc_v4, rumqttc_v5};
use crate::peer::VERSIONS;

/// Where the programs are that we wrote around other people's libraries.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// The line of a subscriber whose filters have been acknowledged.
pub(crate) const READY: &str = "ready";

/// Lines that a subscriber may be ahead of the test.
const LINES: usize = 100;

/// A quality and a topic name or filter.
pub(crate) type Topic = (QoS, String);

/// What they are called is their name in topics as well.
#[derive(Clone, Copy, Debug)]
enum Program {
    Paho,
    MqttJs,
    Mosquitto,
    Rumqttc,
}

impl Program {
    /// Whether it does that too.
    fn speaks_websocket(self) -> bool {
        matches!(self, Self::Paho | Self::MqttJs)
    }

    /// Whether it can be run; where `CI` is set it must be.
    fn is_installed(self) -> bool {
        let (test, remedy) = match self {
            Self::Paho => (
                "python3 -c 'import paho.mqtt.client as c; c.CallbackAPIVersion'",
                "pip install 'paho-mqtt>=2'",
            ),
            Self::MqttJs => ("node -e 'require(\"mqtt\")'", "npm ci --prefix tests/clients"),
            Self::Mosquitto => (
                "command -v stdbuf && command -v mosquitto_sub && command -v mosquitto_pub",
                "install mosquitto's clients and GNU coreutils",
            ),
            Self::Rumqttc => return true,
        };
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", test]).current_dir(SCRIPTS).output();
        let found = output.is_ok_and(|output| output.status.success());
        assert!(
            found || std::env::var_os("CI").is_none(),
            "{self:?} must be there in CI: {remedy}"
        );
        if !found {
            eprintln!("SKIPPED: {self:?} is not installed: {remedy}");
        }
        found
    }
}

/// Where the broker listens.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) tcp: u16,
    pub(crate) websocket: u16,
}

/// A program that speaks one version.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    program: Program,
    version: Version,
    in_websocket: bool,
}

/// As it is called in topics and client identifiers.
impl Display for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let carried = if self.in_websocket { "Ws" } else { "" };
        write!(f, "{:?}{carried}{}", self.program, self.level())
    }
}

/// A client that has been told to subscribe; dropping it ends it.
pub(crate) struct Subscriber {
    /// Each of them says [`READY`] once.
    pub(crate) connections: usize,
    /// [`READY`], and `topic qos payload` for each message, until it ends.
    pub(crate) lines: Receiver<String>,
    /// They panic when the client fails.
    pub(crate) tasks: JoinSet<()>,
}

impl Client {
    /// Those that can be run.
    pub(crate) fn all() -> Vec<Self> {
        let programs = [Program::Paho, Program::MqttJs, Program::Mosquitto, Program::Rumqttc];
        let installed = programs.into_iter().filter(|program| program.is_installed());
        let clients = installed.flat_map(|program| {
            let ways = [Some(false), program.speaks_websocket().then_some(true)];
            ways.into_iter().flatten().map(move |in_websocket| (program, in_websocket))
        });
        let of_version = |(program, in_websocket)| {
            VERSIONS.map(|version| Self { program, version, in_websocket })
        };
        clients.flat_map(of_version).collect()
    }

    /// Publishes each topic as a message to itself, and returns when all have been acknowledged.
    pub(crate) async fn publish(self, ports: Ports, topics: Vec<Topic>) {
        let (name, port) = (format!("{self}-pub"), ports.tcp);
        match self.program {
            Program::Paho | Program::MqttJs => {
                let mut script = self.script("pub", ports, &name);
                script.args(arguments(&topics));
                run(script).await;
            }
            // One process for each message; one that took over from the last would lose what the
            // broker has not read yet.
            Program::Mosquitto => {
                for (n, (qos, topic)) in topics.iter().enumerate() {
                    let name = format!("{name}{n}");
                    let mut command = self.mosquitto("mosquitto_pub", port, &name, *qos, topic);
                    command.args(["-m", topic]);
                    run(command).await;
                }
            }
            Program::Rumqttc if self.version.is_v5() => {
                rumqttc_v5::publish(port, &name, topics).await;
            }
            Program::Rumqttc => rumqttc_v4::publish(port, &name, topics).await,
        }
    }

    /// Subscribes to the filters, and ends after `messages` messages for each.
    pub(crate) fn subscribe(self, ports: Ports, filters: &[Topic], messages: usize) -> Subscriber {
        let (name, port) = (format!("{self}-sub"), ports.tcp);
        let (to_test, lines) = mpsc::channel(LINES);
        let mut tasks = JoinSet::new();
        let count = messages * filters.len();
        match self.program {
            Program::Paho | Program::MqttJs => {
                let mut script = self.script("sub", ports, &name);
                script.arg(count.to_string()).args(arguments(filters));
                tasks.spawn(listen(script, to_test));
            }
            // One process for each quality, because it has only one for all its filters. It would
            // look for a broker for ever if the test were killed: hence -W, in seconds.
            Program::Mosquitto => {
                for (qos, filter) in filters {
                    let name = format!("{name}{}", qos.bits());
                    let mut command = self.mosquitto("mosquitto_sub", port, &name, *qos, filter);
                    command.args(["-d", "-F", "%t %q %p", "-W", "120"]);
                    command.args(["-C", &messages.to_string()]);
                    tasks.spawn(listen(command, to_test.clone()));
                }
            }
            Program::Rumqttc if self.version.is_v5() => {
                tasks.spawn(rumqttc_v5::subscribe(port, name, filters.to_vec(), count, to_test));
            }
            Program::Rumqttc => {
                tasks.spawn(rumqttc_v4::subscribe(port, name, filters.to_vec(), count, to_test));
            }
        }
        Subscriber { connections: tasks.len(), lines, tasks }
    }

    /// The number of the version in CONNECT.
    fn level(self) -> &'static str {
        if self.version.is_v5() { "5" } else { "4" }
    }

    fn script(self, role: &str, ports: Ports, name: &str) -> Command {
        let url = match self.in_websocket {
            true => format!("ws://127.0.0.1:{}/mqtt", ports.websocket),
            false => format!("mqtt://127.0.0.1:{}", ports.tcp),
        };
        let (interpreter, script) = match self.program {
            Program::MqttJs => ("node", "mqttjs_client.mjs"),
            _ => ("python3", "paho_client.py"),
        };
        let mut command = Command::new(interpreter);
        command.current_dir(SCRIPTS).args([script, role, self.level(), &url, name]);
        command
    }

    fn mosquitto(self, program: &str, port: u16, name: &str, qos: QoS, topic: &str) -> Command {
        let version = if self.version.is_v5() { "5" } else { "311" };
        // Into a pipe it would say that it has subscribed only together with its first message.
        let mut command = Command::new("stdbuf");
        command
            .args(["-oL", program, "-h", "127.0.0.1", "-p", &port.to_string(), "-V", version])
            .args(["-i", name, "-q", &qos.bits().to_string(), "-t", topic]);
        command
    }
}

/// Topics as our programs take them.
fn arguments(topics: &[Topic]) -> impl Iterator<Item = String> {
    topics.iter().map(|(qos, topic)| format!("{}:{topic}", qos.bits()))
}

/// Runs a program to its end; that it fails fails the test.
async fn run(mut command: Command) {
    let status = command.kill_on_drop(true).stdin(Stdio::null()).status().await.unwrap();
    assert!(status.success(), "{status}: {command:?}");
}

/// The same for a subscriber, whose lines are passed on.
async fn listen(mut command: Command, lines: Sender<String>) {
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = stdout.next_line().await.unwrap() {
        // mosquitto_sub has its own word for it, and a line for every packet.
        if line.starts_with("Subscribed ") {
            lines.send(READY.to_owned()).await.unwrap();
        } else if !line.starts_with("Client ") {
            lines.send(line).await.unwrap();
        }
    }
    let status = child.wait().await.unwrap();
    assert!(status.success(), "{status}: {command:?}");
}
