//! Assembly: start in one order, stop in the other.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use dockside_interceptor::Interceptor;
use dockside_store::{Kept, Seq, Store};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;

use crate::board::docks::{DOCKS, Docks};
use crate::board::{Board, TASKS, changes};
use crate::clock::{Change, Clock, Doubt, Moment};
use crate::config::{Durability, Problem, Transport};
use crate::dispatcher::Dispatcher;
use crate::files::{AdminKeys, Files};
use crate::listener::{Listener, Tls, Way, tls, watched};
use crate::live_log::{self, Dead, LiveLog, LogReader, Onlooker};
use crate::metrics::StoreMetrics;
use crate::pulse::Pulse;
use crate::reading::Reading;
use crate::reload::Reloader;
use crate::shared::Shared;
use crate::sys::SysTree;
use crate::writer::Ledger;
use crate::{Config, admin, listener, metrics, pulse, restore, stopping, tail, writer};

/// A broker whose addresses are bound and whose live log is open.
pub struct Broker {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    admin: TcpListener,
    keys: AdminKeys,
    metrics: Option<TcpListener>,
    reader: LogReader,
    onlooker: Onlooker,
    ledger: Ledger,
    dispatcher: Dispatcher,
}

/// Why a broker cannot start.
#[derive(Debug)]
pub enum BindError {
    /// The configuration, or a file that it names, is wrong.
    Configuration(Vec<Problem>),
    /// An address cannot be bound.
    Address {
        /// Key of the address in the configuration.
        key: String,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The live log does not start.
    LiveLog(Dead),
    /// What was kept cannot be opened or read.
    Store(String),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => {
                let lines = problems.iter().map(|p| format!("{}: {}", p.key, p.remedy));
                f.write_str(&lines.collect::<Vec<_>>().join("; "))
            }
            Self::Address { key, address, source } => {
                write!(f, "cannot listen on {address} ({key}): {source}")
            }
            Self::LiveLog(dead) => dead.fmt(f),
            Self::Store(detail) => f.write_str(detail),
        }
    }
}

impl std::error::Error for BindError {}

/// How often histograms are folded; without it they grow until somebody scrapes. Gauges of what is
/// under way are read as often.
const UPKEEP: Duration = Duration::from_secs(1);

impl Broker {
    /// Reads the files that the configuration names, binds the addresses and opens the live log.
    /// [`metrics::recorder`] is installed by this, so plugins that register metrics call it before
    /// they are made.
    ///
    /// # Errors
    /// A configuration that cannot be, an address that cannot be bound, or a live log that does not
    /// start.
    pub async fn bind(
        config: Config,
        plugins: Vec<Arc<dyn Interceptor>>,
    ) -> Result<Self, BindError> {
        Self::bind_with(config, plugins, Clock::default()).await
    }

    /// As [`Broker::bind`], with a clock that tests can set.
    ///
    /// # Errors
    /// Those of [`Broker::bind`].
    pub async fn bind_with(
        config: Config,
        plugins: Vec<Arc<dyn Interceptor>>,
        clock: Clock,
    ) -> Result<Self, BindError> {
        metrics::recorder();
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(BindError::Configuration(problems));
        }
        let config = config.as_it_runs();
        let files = Files::read(&config).map_err(BindError::Configuration)?;
        let mut listeners = Vec::new();
        if let Some(address) = config.mqtt.listen.address() {
            let socket = bind("mqtt.listen", address)?;
            listeners.push(Listener::plain(socket));
        }
        for (at, (listener, found)) in config.listeners.iter().zip(files.certificates).enumerate() {
            let socket = bind(&format!("listeners[{at}].listen"), listener.listen)?;
            let tls = match found {
                None => None,
                Some(certificates) => {
                    let acceptor = tls::acceptor(&certificates).map_err(|error| {
                        let key = format!("listeners[{at}]");
                        BindError::Configuration(vec![Problem::new(key, error.to_string())])
                    })?;
                    Some(Tls { acceptor, certificates })
                }
            };
            let (transport, proxy) = (listener.transport, listener.proxy_protocol);
            listeners.push(Listener { socket, way: Arc::new(Way { transport, tls, proxy }) });
        }
        let admin = bind("admin.listen", config.admin.listen)?;
        let metrics = match config.metrics.listen.address() {
            Some(address) => Some(bind("metrics.listen", address)?),
            None => None,
        };
        let (log, reader, onlooker) =
            live_log::open(&config.live_log).map_err(BindError::LiveLog)?;
        let log = Arc::new(log);
        let opened = open_store(&config, Arc::new(clock), &log)?;
        let OpenStore { kept, ledger, reading, board, docks, clock, first_number } = opened;
        let reading = (reading, board, docks, clock, first_number);
        let access = (files.policy, files.elsewhere);
        let shared = Arc::new(Shared::new(config, access, log, reading, plugins));
        metrics::set_constants(shared.sockets.connections);
        let mut dispatcher = Dispatcher::new(Arc::clone(&shared));
        restore::restore(&shared, &mut dispatcher, kept);
        metrics::reloaded(true);
        let keys = files.admin;
        Ok(Self { shared, listeners, admin, keys, metrics, reader, onlooker, ledger, dispatcher })
    }

    /// The bound addresses of the MQTT listeners, `mqtt.listen` first.
    pub fn mqtt_addresses(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        let address = |l: &Listener| Some((l.way.transport, l.socket.local_addr().ok()?));
        self.listeners.iter().filter_map(address)
    }

    /// The bound address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.local_addr().unwrap_or(self.shared.config.admin.listen)
    }

    /// The bound address of the listener for Prometheus, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The clock that sessions, wills, messages and keep alives age by.
    #[must_use]
    pub fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.shared.clock)
    }

    /// Whether it still moves messages, for a service manager's watchdog.
    #[must_use]
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.shared.pulse)
    }

    /// What gives this broker a new configuration while it runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        let tls = self.listeners.iter().filter_map(|listener| listener.way.tls.as_ref());
        let watched = tls.flat_map(|tls| tls.certificates.watched()).collect();
        Reloader { shared: Arc::clone(&self.shared), watched }
    }

    /// Serves until `stop` resolves, then stops in order: no accepts, no reading, everything
    /// accepted is delivered, clients are told, the writer ends.
    ///
    /// # Errors
    /// [`Dead`] if the live log broke: the process must end with a non-zero code.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Dead> {
        let Self { shared, listeners, admin, keys, metrics, reader, onlooker, ledger, dispatcher } =
            self;
        let stall = Duration::from_millis(shared.config.store.stall_timeout_ms);
        let kept = StoreMetrics::register(&shared.store_works, stall).told_to(&shared.store_seen);
        let writer = writer::start(&shared.writer, Arc::clone(&shared.log), ledger, kept)
            .map_err(|error| Dead::thread("writer", &error))?;
        let connections = TaskTracker::new();
        let mut rooms = JoinSet::new();
        rooms.spawn({
            let shared = Arc::clone(&shared);
            async move {
                let dead = dispatcher.run(reader).await;
                shared.log.report(dead);
            }
        });
        rooms.spawn({
            let shared = Arc::clone(&shared);
            async move { shared.answer_the_doorbell().await }
        });
        rooms.spawn({
            let shared = Arc::clone(&shared);
            async move { pulse::run(&shared).await }
        });
        rooms.spawn(tail::run(Arc::clone(&shared), onlooker));
        rooms.spawn(upkeep(Arc::clone(&shared)));
        rooms.spawn(changes::run(Arc::clone(&shared)));
        rooms.spawn(admin::serve(admin, keys, Arc::clone(&shared)));
        if let Some(metrics) = metrics {
            rooms.spawn(admin::serve_metrics(metrics, Arc::clone(&shared)));
        }
        let accepting = accept(listeners, &mut rooms, &shared, &connections);

        let outcome = tokio::select! {
            () = stop => Ok(()),
            dead = shared.log.died() => Err(dead),
            () = watch(&mut rooms) => Err(Dead::room()),
        };
        accepting.iter().for_each(AbortHandle::abort);
        if outcome.is_ok() {
            stopping::stop_in_order(&shared, &connections).await;
        }
        stopping::end_writer(&shared, writer, outcome.is_ok()).await;
        outcome
    }
}

/// What was kept, and the ways to it.
struct OpenStore {
    kept: Kept,
    ledger: Ledger,
    reading: Reading,
    board: Arc<Board>,
    docks: Docks,
    clock: Arc<Clock>,
    first_number: Seq,
}

fn open_store(
    config: &Config,
    clock: Arc<Clock>,
    log: &Arc<LiveLog>,
) -> Result<OpenStore, BindError> {
    let dir = &config.data.dir;
    let cannot = |detail: String| BindError::Store(format!("data.dir: {detail}"));
    // What is in it is nobody else's business.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| cannot(format!("{} cannot be made: {error}", dir.display())))?;
    let durability = match config.store.durability {
        Durability::Commit => dockside_store::Durability::Commit,
        Durability::Sync => dockside_store::Durability::Sync,
        Durability::Memory => dockside_store::Durability::Memory,
    };
    let store = Store::open(dir, durability).map_err(|error| cannot(error.to_string()))?;
    let unreadable = |error: dockside_store::Error| {
        cannot(format!("{} cannot be read: {error}", store.path().display()))
    };
    let reader = store.reader().map_err(unreadable)?;
    let mut kept = reader.kept(writer::KNOWN_EVENTS, TASKS, DOCKS).map_err(unreadable)?;
    if let Some(seen) = kept.seen {
        let dockside_store::Seen { wall_ms, boot, uptime_ms } = seen;
        let doubt = clock.compare(Moment { wall_ms, boot, uptime_ms });
        doubt.iter().for_each(say_doubt);
    }
    let reading = Reading::start(reader, Arc::clone(&clock), Arc::clone(log))
        .map_err(|error| cannot(format!("the reading thread cannot be started: {error}")))?;
    let first_number = store.first_number();
    let board = Arc::new(Board::new(std::mem::take(&mut kept.flight_tasks)));
    let docks = Docks::new(std::mem::take(&mut kept.docks), config.dock.silent_after_s);
    let rooms = (Arc::clone(&clock), Arc::clone(&board));
    let ledger = Ledger::new(store, &kept, rooms, (&config.limits, &config.store))
        .map_err(|error| cannot(error.to_string()))?;
    Ok(OpenStore { kept, ledger, reading, board, docks, clock, first_number })
}

fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let unbound = |source| BindError::Address { key: key.to_owned(), address, source };
    listener::bind(address).map_err(unbound)
}

/// Starts the accept loops.
fn accept(
    listeners: Vec<Listener>,
    rooms: &mut JoinSet<()>,
    shared: &Arc<Shared>,
    connections: &TaskTracker,
) -> Vec<AbortHandle> {
    let sockets = Arc::new(Semaphore::new(shared.sockets.at_most));
    let mut accepting = Vec::new();
    for listener in listeners {
        for watched in listener.way.tls.iter().flat_map(|tls| tls.certificates.watched()) {
            rooms.spawn(watched::watch(watched));
        }
        let (sockets, shared) = (Arc::clone(&sockets), Arc::clone(shared));
        let accept = listener::accept(listener, sockets, shared, connections.clone());
        accepting.push(rooms.spawn(accept));
    }
    accepting
}

fn say_doubt(doubt: &Doubt) {
    tracing::warn!(
        "{doubt}: no session, retained message or event expires until it is right or `dockside clock accept` says that it is"
    );
}

async fn upkeep(shared: Arc<Shared>) {
    let pending = metrics::PendingGauges::register();
    let kept = metrics::KeptMetrics::register();
    let mut tree = SysTree::default();
    let mut every = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            // Connections have deadlines of their own to look at.
            () = shared.clock.pushed() => shared.registry.wake_all(),
        }
        metrics::recorder().run_upkeep();
        shared.access.tidy();
        let expired = shared.sessions.expire(&shared);
        kept.expired(expired);
        shared.sys.expired(expired);
        shared.expire_retained();
        match shared.clock.look() {
            Some(Change::Doubted(doubt)) => say_doubt(&doubt),
            Some(Change::Right) => tracing::info!("the wall clock is right again"),
            None => {}
        }
        kept.clock_doubted(shared.clock.doubt().is_some());
        kept.set(shared.sessions.count(), shared.retained());
        tree.tick(&shared);
        pending.set(shared.direct_budget.used(), shared.writer_budget.used());
    }
}

/// Resolves if a task that must never end has ended.
async fn watch(rooms: &mut JoinSet<()>) {
    // An empty set would resolve too: no rooms are no broker.
    let _ = rooms.join_next().await;
}
