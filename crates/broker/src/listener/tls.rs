//! TLS: certificates that can be exchanged while the listener serves, and the handshake.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{AlertDescription, Error, ServerConfig};

use crate::refusals::Cause;

/// A certificate and its key, as last read from their files.
#[derive(Debug)]
pub(crate) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// What the files looked like when they were last read, well or not.
    seen: Mutex<[Option<Stamp>; 2]>,
}

/// Enough of a file's metadata to see that it is another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// Which of the two files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Certificate,
    Key,
}

impl Whose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
        }
    }
}

/// A pair of files that is no certificate with its key.
#[derive(Debug)]
pub(crate) struct BadPair {
    pub(crate) whose: Whose,
    pub(crate) detail: String,
}

impl fmt::Display for BadPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Pair {
    /// Reads the pair.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, BadPair> {
        let seen = [stamp(certificate), stamp(key)];
        let current = read(certificate, key)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(seen),
        })
    }

    /// Reads the files again; whoever connects from now on gets what they say.
    ///
    /// # Errors
    /// They are no pair: the former one stays.
    pub(crate) fn reload(&self) -> Result<(), BadPair> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            [stamp(&self.certificate), stamp(&self.key)];
        let new = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    /// Whether a file is another one than when it was last read.
    pub(crate) fn has_changed(&self) -> bool {
        let now = [stamp(&self.certificate), stamp(&self.key)];
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != now
    }

    /// The certificate's file, for the log.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let stamp = |metadata: Metadata| Stamp {
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    };
    fs::metadata(file).ok().map(stamp)
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, BadPair> {
    let bad = |whose, file: &Path, error: &dyn fmt::Display| {
        let detail = format!("{}: {error}", file.display());
        BadPair { whose, detail }
    };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| bad(Whose::Certificate, certificate, &pem(&error)))?;
    if chain.is_empty() {
        return Err(bad(Whose::Certificate, certificate, &"holds no PEM certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        let detail = format!("{} (a key must be there without a passphrase)", pem(&error));
        bad(Whose::Key, key, &detail)
    })?;
    let provider = ring::default_provider();
    // Compares the certificate's public key with the private one.
    CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            let other = format!("is not the key of {}", certificate.display());
            bad(Whose::Key, key, &other)
        }
        Error::InvalidCertificate(_) => bad(Whose::Certificate, certificate, &error),
        error => bad(Whose::Key, key, &error),
    })
}

fn pem(error: &tokio_rustls::rustls::pki_types::pem::Error) -> String {
    use tokio_rustls::rustls::pki_types::pem::Error as Pem;
    match error {
        Pem::Io(error) => format!("cannot be read: {error}"),
        Pem::NoItemsFound => "holds nothing of the kind in PEM form".to_owned(),
        // Debug would show bytes of a key.
        _ => "is not in PEM form".to_owned(),
    }
}

/// What does the handshakes of a listener: TLS 1.2 and 1.3, no client certificates.
pub(crate) fn acceptor(pair: Arc<Pair>) -> Result<TlsAcceptor, Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(pair);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Why a handshake failed, for whoever asks why a client cannot connect.
pub(crate) fn cause(error: &io::Error) -> Cause {
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    let (reason, remedy) = match tls {
        Some(Error::AlertReceived(alert)) => (
            format!("the client refuses this listener's certificate (TLS alert {alert:?})"),
            refused_certificate(*alert),
        ),
        Some(Error::InvalidMessage(_)) => (
            "the client does not speak TLS".to_owned(),
            "give it a tls:// or mqtts:// address, or the port of a tcp listener",
        ),
        Some(Error::PeerIncompatible(detail)) => (
            format!("no TLS version or cipher in common ({detail:?})"),
            "TLS 1.2 and 1.3 are offered; renew the client's TLS library",
        ),
        Some(error) => (
            format!("TLS handshake failed: {error}"),
            "see the reason; openssl s_client -connect shows the same handshake",
        ),
        None => (
            "the client closed the connection during the TLS handshake".to_owned(),
            "often it does not trust the certificate: give it the certificate of the authority that signed it, and connect by a name that stands in it",
        ),
    };
    Cause { reason: reason.into(), remedy }
}

fn refused_certificate(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => {
            "the client does not know the authority that signed the certificate: give it that authority's certificate, or use one that it trusts"
        }
        AlertDescription::CertificateExpired => {
            "the certificate is expired, or the client's clock is wrong"
        }
        _ => {
            "connect by a name that stands in the certificate, with a chain that the client trusts, and check both clocks"
        }
    }
}
