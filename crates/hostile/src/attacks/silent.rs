//! Connections that are there and say nothing.

use dockside_mqtt::Version;
use docksim::random::Random;

use crate::attack::Attack;
use crate::link::Link;
use crate::packets::connect;

/// Connections at once, more than the broker lets in.
const LANES: u64 = 3_000;

pub(crate) async fn run(attack: &Attack) {
    attack.lanes(LANES, silence).await;
}

/// Every other one is a client first; whoever is closed comes again.
async fn silence(attack: Attack, _: Random, number: u64) {
    let client_id = format!("hostile-silent-{number}");
    loop {
        let link = if number.is_multiple_of(2) {
            Link::open_at(&attack, attack.address()).await
        } else {
            let mut silent = connect(Version::V311, &client_id, true);
            // Closed for its silence only where an attack takes longer than others.
            silent.keep_alive = 3;
            Link::client(&attack, silent).await
        };
        if let Ok(mut link) = link {
            link.outlive().await;
        }
    }
}
