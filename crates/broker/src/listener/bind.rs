//! Sockets that listen.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system has made and that were not accepted yet. A whole site comes at once after a power cut: beyond
/// this the system drops a client's SYN, and the client waits for seconds, then twice as long, and so on. The
/// system's own bound (`net.core.somaxconn`) is 4,096 on Linux.
const QUEUE: u32 = 4_096;

/// Listens at an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A broker that starts again does not wait for the connections of the last one.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::listener::descriptors::descriptors;

    /// More than a thousand docks come before the first is accepted.
    #[tokio::test]
    async fn a_whole_site_may_come_at_once() {
        const DOCKS: usize = 2_000;
        let system = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let system: usize = system.unwrap().trim().parse().unwrap();
        if system < DOCKS || descriptors() < DOCKS + 1_000 {
            assert!(std::env::var_os("CI").is_none(), "too few descriptors, or net.core.somaxconn");
            eprintln!("SKIPPED: too few descriptors, or net.core.somaxconn is too small");
            return;
        }
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut docks = Vec::new();
        for n in 0..DOCKS {
            let dock = timeout(Duration::from_secs(20), TcpStream::connect(address)).await;
            docks.push(dock.unwrap_or_else(|_| panic!("dock {n} is still waiting")).unwrap());
        }
    }
}
