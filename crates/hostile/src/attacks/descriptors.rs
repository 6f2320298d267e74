//! More connections than the broker has descriptors.

use std::time::Duration;

use dockside_mqtt::Version;
use docksim::random::Random;
use tokio::time::sleep;

use crate::attack::Attack;
use crate::link::Link;
use crate::packets::connect;

/// Connections at once; most of them wait to be accepted.
const LANES: u64 = 1_000;

/// Pause before a connection is made again.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run(attack: &Attack) {
    attack.lanes(LANES, hold).await;
}

async fn hold(attack: Attack, _: Random, number: u64) {
    let client_id = format!("hostile-descriptor-{number}");
    loop {
        let link = if number.is_multiple_of(2) {
            Link::open_at(&attack, attack.address()).await
        } else {
            Link::client(&attack, connect(Version::V311, &client_id, true)).await
        };
        if let Ok(mut link) = link {
            link.outlive().await;
        }
        sleep(PAUSE).await;
    }
}
