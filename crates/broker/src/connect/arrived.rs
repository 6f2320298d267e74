//! A socket that was accepted, and what it may have until its CONNECT is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dockside_mqtt::ReasonCode;
use dockside_mqtt::packet::Connect;
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;
use crate::arrivals::{AddressPlace, Allowed, Arrival, TooMany};
use crate::config::Transport;
use crate::metrics::{Limit, Rejected};
use crate::refusals::Whom;
use crate::shared::Shared;

/// A socket that was accepted.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    /// The user whose certificate it has shown.
    pub(crate) certified: Option<Arc<str>>,
    /// When it was accepted.
    at: Instant,
    /// When its CONNECT must be here.
    deadline: Instant,
    /// Its place among those whose CONNECT is not there yet; none once it is.
    arrival: Option<Arrival>,
    /// Its place among those of its address, or why there is none.
    place: Result<Option<AddressPlace>, TooMany>,
}

/// Why somebody is not waited for any longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// Its time is over.
    Late,
    /// Another one came, and there are too many.
    Displaced,
    /// The broker stops.
    Stopping,
}

impl Arrived {
    /// Gives it its place among those who have not said who they are; who goes for it is told. The one of its
    /// address it has when that is known ([`Arrived::comes_from`]).
    pub(crate) fn now(peer: SocketAddr, transport: Transport, shared: &Shared) -> Self {
        let limit = shared.sockets.unauthenticated;
        let (arrival, is_full) = shared.arrivals.enter(limit, shared.clock.now_ms());
        if is_full {
            shared.limits.reached(Limit::Unauthenticated);
        }
        let at = Instant::now();
        let deadline = at + shared.config.mqtt.connect_timeout();
        let (arrival, place) = (Some(arrival), Ok(None));
        Self { peer, transport, certified: None, at, deadline, arrival, place }
    }

    /// How long ago it was accepted.
    pub(crate) fn since(&self) -> Duration {
        self.at.elapsed()
    }

    /// Its address is this one.
    pub(crate) fn comes_from(&mut self, peer: SocketAddr, shared: &Shared) {
        let limits = &shared.config.limits;
        let allowed = Allowed {
            connections: limits.connections_per_address,
            per_second: limits.connects_per_address_per_second,
        };
        self.peer = peer;
        self.place = shared.addresses.enter(peer.ip(), allowed, shared.clock.now_ms());
    }

    /// Whether its address may have it; who has said who it is is told.
    pub(super) fn check_address(
        &self,
        connect: Option<&Connect<'_>>,
        shared: &Shared,
    ) -> Result<(), Refusal> {
        let Err(too_many) = &self.place else { return Ok(()) };
        let (limit, reason, detail, remedy) = match too_many {
            TooMany::Connections => (
                Limit::ConnectionsPerAddress,
                ReasonCode::QuotaExceeded,
                "too many connections from this address (limits.connections_per_address)",
                "raise limits.connections_per_address if so many clients are behind one address, or find the client that leaves its connections open",
            ),
            TooMany::PerSecond => (
                Limit::ConnectsPerAddressPerSecond,
                ReasonCode::ConnectionRateExceeded,
                "this address connects too often (limits.connects_per_address_per_second)",
                "let its clients wait longer before they connect again, or raise limits.connects_per_address_per_second",
            ),
        };
        shared.limits.reached(limit);
        Err(match connect {
            Some(connect) => Refusal::told(connect, Rejected::Limit, (reason, detail), remedy),
            None => Refusal::silent(Rejected::Limit, detail, remedy),
        })
    }

    /// Whoever it is, as far as that is known yet.
    pub(crate) fn whom(&self) -> Whom<'_> {
        let user = self.certified.as_deref();
        Whom { address: self.peer, client_id: None, user, topic: None }
    }

    /// It has said something.
    pub(crate) fn has_begun(&self) {
        self.arrival.iter().for_each(Arrival::has_begun);
    }

    /// Its CONNECT is there: it is not one of those any more that go for others.
    pub(super) fn has_said_connect(&mut self) {
        self.arrival = None;
    }

    /// What a client does before its CONNECT is there, unless it is cut short.
    pub(crate) async fn in_time<F: Future>(
        &self,
        shared: &Shared,
        done: F,
    ) -> Result<F::Output, Cut> {
        let displaced = async {
            match &self.arrival {
                Some(arrival) => arrival.displaced().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = timeout_at(self.deadline, done) => done.map_err(|_| Cut::Late),
            () = displaced => Err(Cut::Displaced),
            () = shared.stopping.cancelled() => Err(Cut::Stopping),
        }
    }
}
