//! What the run and its clients share: the ledger, who is where, and what the clients are to do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::finding::Finding;
use crate::ledger::Ledger;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same once there is a finding: the run has failed, and what is still on its way says how far.
const PATIENCE_AFTER_FINDING: Duration = Duration::from_secs(2);

/// Whether clients make new messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Load {
    /// Not yet: some have not subscribed.
    Wait,
    Flow,
    /// No more, and say so when everything under way is done.
    Finish,
}

/// What the clients are to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orders {
    pub(crate) load: Load,
    /// Changes with `load`; whoever has finished says which one.
    pub(crate) phase: u64,
    /// Subscribers come and go, and one of them is slow.
    pub(crate) roam: bool,
    /// The subscriber that is to be offline.
    pub(crate) held: Option<usize>,
    /// Whether the publisher of retained values may connect: not before what is retained was looked at.
    pub(crate) retain: bool,
    /// How many times the broker was killed or the connections were cut.
    pub(crate) strikes: u64,
}

/// The ledger, and who is where.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    /// The phase of `Load::Finish` that each client has finished.
    finished: BTreeMap<String, u64>,
    /// Durable subscribers without a connection.
    offline: BTreeSet<usize>,
}

impl State {
    pub(crate) fn finish(&mut self, client: &str, phase: u64) {
        self.finished.insert(client.to_owned(), phase);
    }

    /// The clients, all of which have called `finish` before, that have not finished this phase.
    pub(crate) fn unfinished(&self, phase: u64) -> Vec<&str> {
        let late = self.finished.iter().filter(|&(_, &done)| done < phase);
        late.map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn online(&mut self, subscriber: usize, online: bool) {
        if online {
            self.offline.remove(&subscriber);
        } else {
            self.offline.insert(subscriber);
        }
    }

    pub(crate) fn offline(&self) -> &BTreeSet<usize> {
        &self.offline
    }
}

/// What the run and its clients share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The broker's, the same after every restart.
    pub(crate) address: SocketAddr,
    /// Connections are cut by the clients; the broker lives on.
    pub(crate) cut: bool,
    orders: watch::Sender<Orders>,
    state: Mutex<State>,
    news: Notify,
}

impl Shared {
    pub(crate) fn new(address: SocketAddr, cut: bool, state: State) -> Self {
        let orders = Orders {
            load: Load::Wait,
            phase: 0,
            roam: false,
            held: None,
            retain: true,
            strikes: 0,
        };
        let (orders, _) = watch::channel(orders);
        Self { address, cut, orders, state: Mutex::new(state), news: Notify::new() }
    }

    /// Reads or changes the state; whoever waits for it looks again.
    pub(crate) fn book<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_one();
        result
    }

    pub(crate) fn report(&self, finding: Finding) {
        self.book(|state| state.ledger.report(finding));
    }

    /// Changes the orders; the new ones.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Orders)) -> Orders {
        self.orders.send_modify(change);
        self.now()
    }

    /// The orders as they are.
    pub(crate) fn now(&self) -> Orders {
        *self.orders.borrow()
    }

    /// The orders as they change.
    pub(crate) fn orders(&self) -> watch::Receiver<Orders> {
        self.orders.subscribe()
    }

    /// Waits until `done`; false if that takes too long. Only one may wait at a time.
    pub(crate) async fn wait_until(&self, done: impl Fn(&State) -> bool) -> bool {
        let began = Instant::now();
        loop {
            let look = |state: &mut State| (done(state), state.ledger.findings().is_empty());
            let (is_done, clean) =
                look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
            if is_done {
                return true;
            }
            let patience = if clean { PATIENCE } else { PATIENCE_AFTER_FINDING };
            if timeout_at(began + patience, self.news.notified()).await.is_err() {
                return false;
            }
        }
    }

    /// A connection ended with `error`. It may if the broker was killed since it began, but never with
    /// bytes that are no packet.
    pub(crate) fn connection_ended(&self, client: &str, strikes: u64, error: &std::io::Error) {
        if self.now().strikes == strikes || error.kind() == ErrorKind::InvalidData {
            let (client, error) = (client.to_owned(), error.to_string());
            self.report(Finding::ConnectionLost { client, error });
        }
    }
}
