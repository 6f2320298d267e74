//! The broker to connect to: address, encryption, login.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A broker.
#[derive(Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// User name; without one a dock logs in as its serial number.
    pub user: Option<String>,
    /// Password; without one nobody logs in.
    pub password: Option<String>,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None, user: None, password: None }
    }
}

/// TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

fn wrong(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}

impl Target {
    /// Speaks TLS; the broker must show a certificate for `host` that the authorities in `ca_file`
    /// (PEM) have signed.
    ///
    /// # Errors
    /// The file holds no certificates, or `host` is no name.
    pub fn with_tls(mut self, host: &str, ca_file: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca_file)
            .map_err(|error| wrong(format!("{}: {error}", ca_file.display())))?;
        for certificate in certificates {
            roots.add(certificate.map_err(wrong)?).map_err(wrong)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(wrong)?;
        self.tls = Some((TlsConnector::from(Arc::new(config)), name));
        Ok(self)
    }

    /// Connects; the TLS handshake is done then, nothing of MQTT is sent.
    ///
    /// # Errors
    /// Nobody listens, or the handshake fails.
    pub async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let address = self.address;
        let unreachable = |error: io::Error| {
            io::Error::new(error.kind(), format!("no broker at {address}: {error}"))
        };
        let socket = TcpStream::connect(address).await.map_err(unreachable)?;
        socket.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(socket)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), socket).await;
                let stream = stream.map_err(|error| {
                    io::Error::new(error.kind(), format!("no TLS with {address}: {error}"))
                })?;
                Ok(Box::new(stream))
            }
        }
    }
}
