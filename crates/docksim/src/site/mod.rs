//! `docksim site`: a whole site from a seed, every reply checked.
//!
//! - [`plan`]: what is sent, from the seed alone; [`course`] is one task of it, [`model`] the docks.
//! - [`message`]: a script's entries as MQTT messages.
//! - [`ledger`]: what waits for a reply, and what is wrong with one.
//! - [`expect`]: how the broker's API should show it.
//! - `player`: the dock that does it, the one part with a clock and a network.

pub mod course;
pub mod expect;
pub mod ledger;
pub mod message;
pub mod model;
pub mod plan;
mod player;
mod report;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::Instant;

use self::message::Sender;
use self::plan::Site;
use self::player::{Clock, Player};
pub use self::report::{Report, Tally};
use crate::client::Client;
use crate::fly::now_ms;
use crate::target::Target;

/// How much quicker a script can be played. Beyond it two events of a task have one time.
pub const SPEED_AT_MOST: f64 = 100.0;

/// How a site is played.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many times as quick as the script, up to [`SPEED_AT_MOST`].
    pub speed: f64,
    /// An event that has no reply by then, on a connection that held, is missing one; it is sent again.
    pub patience: Duration,
    /// How long the last replies may take after the script has ended, a restart of the broker included.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: 1.0, patience: Duration::from_secs(10), grace: Duration::from_secs(20) }
    }
}

/// Plays a site against a broker.
///
/// # Errors
/// There is no broker to begin with.
pub async fn run(broker: &Target, site: Site, pace: Pace) -> io::Result<Report> {
    // One that was never there must be told from one that restarts.
    if let Some(dock) = site.docks.first() {
        Client::connect(broker, &dock.sn, &dock.sn).await?.disconnect().await?;
    }
    LocalSet::new().run_until(play(broker.clone(), Rc::new(site), pace)).await
}

async fn play(broker: Target, site: Rc<Site>, pace: Pace) -> io::Result<Report> {
    let Pace { speed, patience, grace } = pace;
    let speed = if speed.is_finite() { speed.clamp(0.01, SPEED_AT_MOST) } else { 1.0 };
    let began = Instant::now();
    let length = Duration::from_secs_f64(site.length_ms as f64 / 1_000.0 / speed);
    let clock =
        Clock { began, began_ms: now_ms(), speed, patience, deadline: began + length + grace };
    let mut players = Vec::new();
    for number in 0..site.docks.len() {
        let (site, broker) = (Rc::clone(&site), broker.clone());
        players.push(tokio::task::spawn_local(async move {
            let dock = &site.docks[number];
            let sender = Sender { dock, number: number as u32, seed: site.seed };
            let played = Player::new(&broker, clock, sender).run().await;
            let tasks = expect::flight_tasks(dock, |event| played.ledger.is_answered(event));
            let state = expect::dock_state(dock, played.aircraft.as_deref());
            (played.tally, state, tasks)
        }));
    }
    let mut report = Report::default();
    for player in players {
        let (tally, dock, tasks) = player.await.map_err(io::Error::other)?;
        report.add(tally, dock, tasks);
    }
    Ok(report)
}
