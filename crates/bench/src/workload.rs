//! What is measured, and what the load tools are told.

use crate::peer::Peer;

/// A workload: a table.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Events, which are answered, and which applications get.
    Reply { docks: u32, apps: u32, window: u16 },
    /// Messages of 256 bytes, each to all subscribers.
    Forward { publishers: u32, subscribers: u32, window: u16, qos: u8 },
    /// Docks at their own pace, of which some are flown by hand, and applications that get all of it.
    Mixed { docks: u32, drc: u32, apps: u32 },
}

const fn reply(name: &'static str, docks: u32, window: u16, apps: u32) -> Workload {
    Workload { name, load: Load::Reply { docks, apps, window } }
}

const fn forward(
    name: &'static str,
    (publishers, subscribers): (u32, u32),
    window: u16,
    qos: u8,
) -> Workload {
    Workload { name, load: Load::Forward { publishers, subscribers, window, qos } }
}

/// Windows of messages that are sent on add up to some 250 on their way.
pub(crate) const WORKLOADS: &[Workload] = &[
    reply("reply 1x1 QoS 1", 1, 1, 0),
    reply("reply 1x1 QoS 1, one application", 1, 1, 1),
    reply("reply 50x1 QoS 1", 50, 1, 0),
    reply("reply 50x1 QoS 1, one application", 50, 1, 1),
    reply("reply 50x32 QoS 1", 50, 32, 0),
    reply("reply 50x32 QoS 1, one application", 50, 32, 1),
    forward("publish 1 to 1 QoS 0", (1, 1), 256, 0),
    forward("publish 1 to 1 QoS 1", (1, 1), 256, 1),
    forward("publish 50 to 1 QoS 0", (50, 1), 5, 0),
    forward("publish 50 to 1 QoS 1", (50, 1), 5, 1),
    forward("publish 1 to 50 QoS 0", (1, 50), 256, 0),
    forward("publish 1 to 50 QoS 1", (1, 50), 256, 1),
    forward("publish 1 to 1 QoS 0, one at a time", (1, 1), 1, 0),
    forward("publish 1 to 1 QoS 1, one at a time", (1, 1), 1, 1),
    Workload {
        name: "mixed site, 500 docks, 20 flown by hand, 5 applications",
        load: Load::Mixed { docks: 500, drc: 20, apps: 5 },
    },
];

impl Workload {
    /// Who takes part; the others are measured by the first.
    pub(crate) fn peers(&self) -> &'static [Peer] {
        match self.load {
            Load::Reply { .. } => Peer::ANSWERING,
            Load::Forward { .. } => Peer::FORWARDING,
            Load::Mixed { .. } => Peer::SITE,
        }
    }

    /// The load tool and what it is told, but for the broker and the time.
    pub(crate) fn tool(&self, peer: Peer) -> (&'static str, Vec<String>) {
        match self.load {
            Load::Reply { docks, apps, window } => {
                // The floor has no subscribers.
                let apps = if peer == Peer::Floor { 0 } else { apps };
                let told = format!("load --docks={docks} --apps={apps} --window={window}");
                ("docksim", told.split(' ').map(str::to_owned).collect())
            }
            Load::Forward { publishers, subscribers, window, qos } => {
                let told = [
                    format!("--publishers={publishers}"),
                    format!("--subscribers={subscribers}"),
                    format!("--window={window}"),
                    format!("--qos={qos}"),
                ];
                ("pubsub", told.into())
            }
            Load::Mixed { docks, drc, apps } => {
                let told = format!("--docks={docks} --drc={drc} --apps={apps}");
                ("mixed", told.split(' ').map(str::to_owned).collect())
            }
        }
    }
}
