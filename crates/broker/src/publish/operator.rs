//! A message that an operator publishes through the admin listener: the order of [`super`], without a connection.

use std::task::Poll;
use std::time::Duration;

use dockside_interceptor::After;
use dockside_mqtt::packet::Publish;
use dockside_mqtt::topic;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Batch, Shares, append_publish, route, take_charge, way};
use crate::access::Permit;
use crate::connection::Client;
use crate::live_log::Aside;
use crate::record::{AsideNumber, Entry, Lane, Published as Entered};
use crate::retained::Room;
use crate::shared::Shared;

/// It is on its lane.
pub(crate) struct Published {
    kept: oneshot::Receiver<()>,
    number: AsideNumber,
}

/// Why nothing was published, or nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The topic is the broker's own.
    NotAllowed,
    /// Others have all of the way.
    Busy,
    NoRoomToRetain,
    /// It was not kept in time.
    NotKept,
}

/// Publishes a message; waits for its share of the way so long at most.
pub(crate) async fn for_operator(
    shared: &Shared,
    publish: &Publish<'_>,
    client: &Client,
    patience: Duration,
) -> Result<Published, Refused> {
    let mut shares = Shares::default();
    let charged = std::future::poll_fn(|cx| {
        let Ok(permit) = Permit::for_operator(publish.topic) else {
            return Poll::Ready(Err(Refused::NotAllowed));
        };
        let way = way(shared, &permit, publish, false);
        let waiter = (&mut shares, (client.instance, cx.waker()));
        match take_charge(shared, permit, publish, way, waiter) {
            Some(routable) => Poll::Ready(Ok(routable)),
            None => Poll::Pending,
        }
    });
    let routable = timeout(patience, charged).await.map_err(|_| Refused::Busy)??;
    let mut batch = Batch::default();
    let room = if publish.retain && !publish.payload.is_empty() {
        let size = publish.topic.len() + publish.payload.len();
        shared.promise_to_retain(publish.topic, size).map_err(|_| Refused::NoRoomToRetain)
    } else {
        Ok(Room::Unasked)
    };
    let Ok(room) = room else {
        // It comes back with the batch.
        batch.carry_charge(&routable);
        batch.hand_over(shared, (client.instance, None), None);
        return Err(Refused::NoRoomToRetain);
    };
    let accepted = route(shared, &routable, publish, (client, room), &mut batch);
    for reply in accepted.replies {
        match reply.after {
            After::Kept => {
                if topic::check_name(&reply.topic).is_ok() {
                    let entered = Entered::by_broker(&reply.topic, reply.qos, &reply.payload);
                    append_publish(shared, batch.entries(Lane::Writer), &entered);
                }
            }
            After::User(_) | After::Client(_) => {
                let whose = (client.peer, accepted.gateway.clone(), reply);
                let event = (publish.topic, publish.payload);
                shared.awaited.wait(event, whose, shared.clock.now_ms());
            }
        }
    }
    let (passed, kept) = oneshot::channel();
    // In the same batch, so it passes when the message has, or is held with it.
    let number = shared.log.put_aside(Aside::Barrier(passed));
    batch.order(&Entry::Barrier(number));
    batch.hand_over(shared, (client.instance, None), None);
    Ok(Published { kept, number })
}

impl Published {
    /// Waits until it is kept and dispatched; an event whose answer promises nothing is kept soon after.
    ///
    /// # Errors
    /// [`Refused::NotKept`]: not in time, or it cannot be kept although the store works.
    pub(crate) async fn kept(self, shared: &Shared, patience: Duration) -> Result<(), Refused> {
        let kept = timeout(patience, self.kept).await;
        if matches!(kept, Ok(Ok(()))) {
            return Ok(());
        }
        // What was refused alone never comes for it.
        shared.log.fetch(self.number);
        Err(Refused::NotKept)
    }
}
