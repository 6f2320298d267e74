//! When a connection ends by itself: its client is silent, or its token is over.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::ended::Ended;
use super::{Connection, UNSENT_BYTES};

/// No timer is set for longer: what is left is looked at again then.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Ends a connection that was silent for one and a half keep alives [MQTT-3.1.2-22]. While the
    /// broker itself does not read, the client has nothing to answer for.
    pub(super) fn keep_alive(
        &mut self,
        cx: &mut Context<'_>,
        alarm: Option<Pin<&mut Sleep>>,
    ) -> Poll<Ended> {
        let (Some(mut alarm), Some(keep_alive)) = (alarm, self.client.keep_alive) else {
            return Poll::Pending;
        };
        loop {
            let now_ms = self.now_ms;
            if !self.may_read() || self.unsent.len() >= UNSENT_BYTES {
                self.last_read_ms = now_ms;
            }
            let silent = Duration::from_millis(now_ms.saturating_sub(self.last_read_ms));
            let Some(left) = keep_alive.checked_sub(silent).filter(|left| !left.is_zero()) else {
                return Poll::Ready(Ended::KeepAlive);
            };
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            alarm.as_mut().reset(Instant::now() + left);
            self.now_ms = self.shared.clock.now_ms();
        }
    }

    /// A timer for the end of the token; most clients have none, and their tasks hold none. On the
    /// heap, so that theirs do not hold the room for it.
    pub(super) fn token_timer(&self) -> Option<Pin<Box<Sleep>>> {
        let has_end = self.client.identity.ends_ms() < u64::MAX;
        has_end.then(|| Box::pin(tokio::time::sleep(self.token_time_left())))
    }

    /// Ends a connection whose token is over though nothing comes or goes.
    pub(super) fn token_end(
        &mut self,
        cx: &mut Context<'_>,
        timer: Option<&mut Pin<Box<Sleep>>>,
    ) -> Poll<Ended> {
        let Some(timer) = timer else { return Poll::Pending };
        loop {
            if let Err(ended) = self.check_token() {
                return Poll::Ready(ended);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.now_ms = self.shared.clock.now_ms();
            timer.as_mut().reset(Instant::now() + self.token_time_left());
        }
    }

    /// What a client sends behind the end of its token is not looked at.
    pub(super) fn check_token(&self) -> Result<(), Ended> {
        let is_over = self.client.identity.ends_ms() <= self.shared.clock.kept_at(self.now_ms);
        if is_over { Err(Ended::Expired) } else { Ok(()) }
    }

    fn token_time_left(&self) -> Duration {
        let now_ms = self.shared.clock.kept_at(self.now_ms);
        let left_ms = self.client.identity.ends_ms().saturating_sub(now_ms);
        Duration::from_millis(left_ms).min(LONGEST)
    }
}
