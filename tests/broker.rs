//! A broker in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dockside::config::Config;
use dockside_broker::{Broker, Clock, Dead, Reloader};
use dockside_interceptor::Interceptor;
use dockside_mqtt::packet::Connect;
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{ReasonCode, Version};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::{PATIENCE, Peer, connect};

/// A broker on ports of its own; dropping it drops it without order.
pub(crate) struct TestBroker {
    pub(crate) address: SocketAddr,
    /// All MQTT listeners, that of `address` first.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) reloader: Reloader,
    pub(crate) clock: Arc<Clock>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Dead>>,
    _dir: Option<TempDir>,
}

impl TestBroker {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        // What the broker says about itself would come in between.
        config.mqtt.sys_interval_s = 0;
        change(&mut config);
        // As `dockside::bind`: what plugins count is lost otherwise.
        dockside_broker::metrics::recorder();
        let plugins = dockside::plugins(&config);
        Self::start_plugins(config, plugins).await
    }

    pub(crate) async fn start_plugins(config: Config, plugins: Vec<Arc<dyn Interceptor>>) -> Self {
        Self::start_clock(config, plugins, Clock::wrong_by(0)).await
    }

    pub(crate) async fn start_clock(
        mut config: Config,
        plugins: Vec<Arc<dyn Interceptor>>,
        clock: Clock,
    ) -> Self {
        config.mqtt.listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        config.admin.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        // A test that starts a broker again has a directory of its own.
        let dir = (config.data == Default::default()).then(|| TempDir::new().unwrap());
        if let Some(dir) = &dir {
            config.data.dir = dir.path().into();
        }
        assert_eq!(config.broker().problems(), []);
        let broker = Broker::bind_with(config.broker(), plugins, clock).await.unwrap();
        let addresses: Vec<_> = broker.mqtt_addresses().map(|(_, address)| address).collect();
        let address = addresses[0];
        let reloader = broker.reloader();
        let (clock, admin) = (broker.clock(), broker.admin_address());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async {
            let ended = broker.run(async { stopped.await.unwrap_or_default() }).await;
            if let Err(dead) = &ended {
                // Whoever waits for a packet only hears that none came.
                eprintln!("the broker ended by itself: {dead}");
            }
            ended
        });
        Self { address, addresses, admin, reloader, clock, stop, running, _dir: dir }
    }

    /// Lets time pass at once.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.expect("stops").unwrap().unwrap();
    }

    pub(crate) async fn connect(&self, version: Version, client_id: &str) -> Peer {
        let mut peer = self.socket(version).await;
        let connack = peer.connect(connect(version, client_id)).await;
        assert_eq!(connack, ReasonCode::Success);
        peer
    }

    /// Connects to a session that is kept for so many seconds (without an end in 3.1.1); whether it
    /// was there.
    pub(crate) async fn session(
        &self,
        version: Version,
        client_id: &str,
        expiry_seconds: u32,
    ) -> (Peer, bool) {
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, expiry_seconds);
        let properties = list.as_properties();
        let connect = Connect { clean_start: false, properties, ..connect(version, client_id) };
        self.enter(connect).await
    }

    /// Connects; whether its session was there.
    pub(crate) async fn enter(&self, connect: Connect<'_>) -> (Peer, bool) {
        let mut peer = self.socket(connect.version).await;
        let (present, reason) = peer.connack(connect).await;
        assert_eq!(reason, ReasonCode::Success);
        (peer, present)
    }

    /// A connection that has said nothing yet.
    pub(crate) async fn socket(&self, version: Version) -> Peer {
        let socket = TcpStream::connect(self.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Peer::new(socket, version)
    }
}
