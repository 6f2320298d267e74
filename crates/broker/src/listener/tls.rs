//! TLS: certificates that can be exchanged while the listener serves, and the handshake.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, ServerConfig};

use super::authorities::Authorities;
use super::watched::{Seen, Watched};
use crate::metrics;
use crate::refusals::Cause;

/// What a listener shows, and what it goes by when clients show theirs.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    pub(crate) own: Arc<Pair>,
    /// None if nobody is asked.
    pub(crate) clients: Option<Arc<Authorities>>,
}

impl Certificates {
    /// All that is read again when its files change.
    pub(crate) fn watched(&self) -> impl Iterator<Item = Arc<dyn Watched>> {
        let own: Arc<dyn Watched> = self.own.clone();
        let clients = self.clients.clone().map(|clients| clients as Arc<dyn Watched>);
        std::iter::once(own).chain(clients)
    }
}

/// A certificate and its key, as last read from their files.
#[derive(Debug)]
pub(crate) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Seen<2>,
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
        let seen = Seen::now([certificate, key]);
        let current = read(certificate, key)?;
        tell_end(certificate, &current);
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(current)),
            seen,
        })
    }

    fn files(&self) -> [&Path; 2] {
        [&self.certificate, &self.key]
    }
}

impl Watched for Pair {
    fn file(&self) -> &Path {
        &self.certificate
    }

    fn has_changed(&self) -> bool {
        self.seen.differ(self.files())
    }

    fn reload(&self) -> Result<(), String> {
        self.seen.again(self.files());
        let new = read(&self.certificate, &self.key).map_err(|bad| bad.detail)?;
        tell_end(&self.certificate, &new);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Shows when a certificate ends, so that somebody renews it.
fn tell_end(file: &Path, pair: &CertifiedKey) {
    let ends = pair.cert.first().and_then(|own| {
        let (_, own) = x509_parser::parse_x509_certificate(own).ok()?;
        Some(own.validity().not_after.timestamp())
    });
    // rustls has read it: a certificate that this parser does not know is as good as any.
    if let Some(ends) = ends {
        metrics::certificate_ends(file, ends);
    }
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

/// Why a file is not in the form that it should be.
pub(super) fn pem(error: &tokio_rustls::rustls::pki_types::pem::Error) -> String {
    use tokio_rustls::rustls::pki_types::pem::Error as Pem;
    match error {
        Pem::Io(error) => format!("cannot be read: {error}"),
        Pem::NoItemsFound => "holds nothing of the kind in PEM form".to_owned(),
        // Debug would show bytes of a key.
        _ => "is not in PEM form".to_owned(),
    }
}

/// What does the handshakes of a listener: TLS 1.2 and 1.3.
pub(crate) fn acceptor(certificates: &Certificates) -> Result<TlsAcceptor, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let own = Arc::clone(&certificates.own);
    let config = match &certificates.clients {
        None => builder.with_no_client_auth().with_cert_resolver(own),
        Some(clients) => {
            let builder = builder.with_client_cert_verifier(clients.clone());
            let mut config = builder.with_cert_resolver(own);
            // In a session that is resumed nobody looks at the certificate again: it would let in who was revoked.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
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
        Some(Error::NoCertificatesPresented) => (
            "the client showed no certificate, and this listener lets nobody in without one"
                .to_owned(),
            "give the client a certificate that an authority of client_ca has signed, with its key; client_certificates = \"optional\" would let it log in otherwise",
        ),
        Some(Error::InvalidCertificate(error)) => {
            let (reason, remedy) = bad_certificate(error);
            (format!("the client's certificate {reason}"), remedy)
        }
        Some(Error::InvalidCertRevocationList(error)) => (
            format!("the revocation list of the client's authority cannot be used ({error:?})"),
            "this is the list's fault, not the client's: have that authority make client_crl anew (another key signed it, or the authority's certificate does not let it sign lists: keyUsage cRLSign)",
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

/// What is wrong with a client's certificate, and what to do.
fn bad_certificate(error: &CertificateError) -> (String, &'static str) {
    use CertificateError as Bad;
    let (reason, remedy) = match error {
        Bad::UnknownIssuer => (
            "is signed by no authority of client_ca",
            "have the client's certificate signed by an authority of that file, or add its authority there; a client sends certificates in between along with its own",
        ),
        Bad::Expired | Bad::ExpiredContext { .. } => (
            "is expired",
            "renew the client's certificate; if it is not expired, this machine's clock is wrong",
        ),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
            "is not valid yet",
            "this machine's clock is behind, or that of the authority was ahead when it signed",
        ),
        Bad::Revoked => (
            "is revoked (client_crl)",
            "its authority has revoked it: if the client is to come in, sign it a new certificate",
        ),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => (
            "is not made for clients",
            "sign it one with extendedKeyUsage = clientAuth, or without that extension",
        ),
        Bad::BadSignature => (
            "is not signed by the key of the authority whose name it bears",
            "the authority may have got a new key under the same name: put its new certificate into client_ca as well, or sign the client's certificate again",
        ),
        Bad::BadEncoding => ("cannot be read", "have it signed again"),
        error => {
            let reason = format!("cannot be used: {error}");
            return (
                reason,
                "have it signed again as X.509 version 3 and as no authority's (CA:FALSE), as docs/security.md shows",
            );
        }
    };
    (reason.to_owned(), remedy)
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
