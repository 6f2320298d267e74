//! Assembly: start in one order, stop in the other.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dockside_interceptor::Interceptor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::dispatcher::Dispatcher;
use crate::live_log::{self, Aside, Dead, LogReader};
use crate::mailbox::Command;
use crate::record::{self, Entry};
use crate::shared::Shared;
use crate::{Config, admin, listener, metrics, writer};

/// A broker whose addresses are bound and whose live log is open.
pub struct Broker {
    shared: Arc<Shared>,
    mqtt: TcpListener,
    admin: TcpListener,
    reader: LogReader,
}

/// Why a broker cannot start.
#[derive(Debug)]
pub enum BindError {
    /// An address cannot be bound.
    Address {
        /// Key of the address in the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The live log does not start.
    LiveLog(Dead),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { key, address, source } => {
                write!(f, "cannot listen on {address} ({key}): {source}")
            }
            Self::LiveLog(dead) => dead.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

/// How often histograms are folded; without it they grow until somebody scrapes. Gauges of what is
/// under way are read as often.
const UPKEEP: Duration = Duration::from_secs(1);

impl Broker {
    /// Binds the addresses and opens the live log. [`metrics::recorder`] is installed by this, so
    /// plugins that register metrics call it before they are made.
    ///
    /// # Errors
    /// An address that cannot be bound, or a live log that does not start.
    pub async fn bind(
        config: Config,
        plugins: Vec<Arc<dyn Interceptor>>,
    ) -> Result<Self, BindError> {
        metrics::recorder();
        metrics::set_constants(config.limits.connections);
        let bind = async |key, address| {
            TcpListener::bind(address).await.map_err(|source| BindError::Address {
                key,
                address,
                source,
            })
        };
        let mqtt = bind("mqtt.listen", config.mqtt.listen).await?;
        let admin = bind("admin.listen", config.admin.listen).await?;
        let (log, reader) = live_log::open(&config.live_log).map_err(BindError::LiveLog)?;
        let shared = Arc::new(Shared::new(config, log, plugins));
        Ok(Self { shared, mqtt, admin, reader })
    }

    /// The bound address of the MQTT listener.
    #[must_use]
    pub fn mqtt_address(&self) -> SocketAddr {
        self.mqtt.local_addr().unwrap_or(self.shared.config.mqtt.listen)
    }

    /// The bound address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.local_addr().unwrap_or(self.shared.config.admin.listen)
    }

    /// Serves until `stop` resolves, then stops in order: no accepts, no reading, everything
    /// accepted is delivered, clients are told, the writer ends.
    ///
    /// # Errors
    /// [`Dead`] if the live log broke: the process must end with a non-zero code.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Dead> {
        let Self { shared, mqtt, admin, reader } = self;
        let writer = writer::start(&shared.writer, Arc::clone(&shared.log))
            .map_err(|error| Dead::thread("writer", &error))?;
        let connections = TaskTracker::new();
        let mut rooms = JoinSet::new();
        rooms.spawn({
            let shared = Arc::clone(&shared);
            async move {
                let dead = Dispatcher::new(Arc::clone(&shared)).run(reader).await;
                shared.log.report(dead);
            }
        });
        rooms.spawn({
            let shared = Arc::clone(&shared);
            async move { shared.answer_the_doorbell().await }
        });
        rooms.spawn(upkeep(Arc::clone(&shared)));
        rooms.spawn(admin::serve(admin, Arc::clone(&shared)));
        let accepting =
            rooms.spawn(listener::accept(mqtt, Arc::clone(&shared), connections.clone()));

        let outcome = tokio::select! {
            () = stop => Ok(()),
            dead = shared.log.died() => Err(dead),
            () = watch(&mut rooms) => Err(Dead::room()),
        };
        accepting.abort();
        if outcome.is_ok() {
            stop_in_order(&shared, &connections).await;
        }
        end_writer(&shared, writer, outcome.is_ok()).await;
        outcome
    }
}

async fn upkeep(shared: Arc<Shared>) {
    let pending = metrics::PendingGauges::register();
    let mut every = tokio::time::interval(UPKEEP);
    loop {
        every.tick().await;
        metrics::recorder().run_upkeep();
        pending.set(shared.direct_budget.used(), shared.writer_budget.used());
    }
}

/// Resolves if a task that must never end has ended.
async fn watch(rooms: &mut JoinSet<()>) {
    // An empty set would resolve too: no rooms are no broker.
    let _ = rooms.join_next().await;
}

async fn stop_in_order(shared: &Shared, connections: &TaskTracker) {
    connections.close();
    shared.accepting.close();
    shared.stopping.cancel();
    shared.registry.command_all(Command::Quiet);
    let deadline = shared.config.mqtt.stop_timeout();
    // Each step has the whole time: one that is late must not cost the next one its own.
    let quiet = timeout(deadline, shared.accepting.wait()).await;
    let dispatched = timeout(deadline, barrier(shared)).await;
    if quiet.is_err() || dispatched.is_err() {
        tracing::error!("what was accepted last could not be dispatched in time");
    }
    shared.registry.command_all(Command::Stop);
    if timeout(deadline, connections.wait()).await.is_err() {
        tracing::warn!("clients that did not read in time were cut off");
    }
}

/// Waits until everything the writer has been given so far is dispatched.
async fn barrier(shared: &Shared) {
    let (passed, passing) = oneshot::channel();
    let number = shared.log.put_aside(Aside::Barrier(passed));
    let mut entry = Vec::new();
    record::append(&mut entry, &Entry::Barrier(number));
    shared.append_ordered(&entry, 0, None);
    // An error means that the dispatcher is gone, and with it everything to wait for.
    let _ = passing.await;
}

async fn end_writer(shared: &Shared, writer: JoinHandle<()>, wait: bool) {
    shared.writer.close();
    if wait {
        // A panic of the writer has been printed by its thread.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    }
}
