//! How fast a client may publish (`limits.messages_per_second`): beyond that it is read no further until it may.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;

use super::{Connection, Reading};
use crate::arrivals::Pace;
use crate::metrics::Limit;

/// The pace of one client.
#[derive(Debug)]
pub(super) struct Pacing {
    per_second: u32,
    pace: Pace,
    /// The next message has been counted, and waits for something else.
    is_counted: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pacing {
    /// None where any number is allowed.
    pub(super) fn new(per_second: u32, now_ms: u64) -> Option<Box<Self>> {
        let pace = Pace::fresh(per_second, now_ms);
        (per_second > 0)
            .then(|| Box::new(Self { per_second, pace, is_counted: false, pause: None }))
    }
}

impl<S> Connection<S> {
    /// Whether a message may be published now; reading pauses if not.
    pub(super) fn keeps_pace(&mut self) -> bool {
        let Some(pacing) = &mut self.pacing else { return true };
        if pacing.is_counted || pacing.pace.take(pacing.per_second, self.now_ms) {
            pacing.is_counted = true;
            return true;
        }
        let wait_ms = pacing.pace.wait_ms(pacing.per_second).max(1);
        pacing.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(wait_ms))));
        self.reading = Reading::Pace;
        self.shared.limits.reached(Limit::MessagesPerSecond);
        false
    }

    /// The message has been published: the next one counts again.
    pub(super) fn is_through(&mut self) {
        if let Some(pacing) = &mut self.pacing {
            pacing.is_counted = false;
        }
    }

    /// Goes on reading when a pause is over.
    pub(super) fn end_pause(&mut self, cx: &mut Context<'_>) {
        let Some(pacing) = &mut self.pacing else { return };
        if let Some(pause) = &mut pacing.pause
            && pause.as_mut().poll(cx).is_ready()
        {
            pacing.pause = None;
            self.reading = Reading::Open;
        }
    }
}
