//! Clients' certificates: who signs them, which of them are revoked, and whose name stands in one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use super::tls::pem;
use super::watched::{Seen, Watched};
use crate::config::{ClientCertificates, ClientIdentity, Listener};
use crate::refusals::Cause;

/// Longest name of a user that a certificate can have, bytes.
const NAME_BYTES: usize = 256;

/// What a listener goes by when it looks at clients' certificates, as last read from its files.
#[derive(Debug)]
pub(crate) struct Authorities {
    files: Files,
    identity: ClientIdentity,
    current: RwLock<Arc<dyn ClientCertVerifier>>,
    seen: Seen<2>,
}

#[derive(Debug)]
struct Files {
    ca: PathBuf,
    /// Empty: there are no lists.
    crl: PathBuf,
    is_required: bool,
}

/// A file that is not what it should be.
#[derive(Debug)]
pub(crate) struct BadFile {
    /// The key that names it.
    pub(crate) key: &'static str,
    pub(crate) detail: String,
}

/// The extension by which a list is for a part of an authority's certificates (RFC 5280 section 5.2.5).
const SCOPE: &str = "2.5.29.28";

impl Authorities {
    /// Reads the files of a listener that asks for certificates; none if it does not.
    pub(crate) fn read(listener: &Listener) -> Result<Option<Self>, BadFile> {
        let is_required = match listener.client_certificates {
            ClientCertificates::Off => return Ok(None),
            ClientCertificates::Optional => false,
            ClientCertificates::Required => true,
        };
        let (ca, crl) = (listener.client_ca.clone(), listener.client_crl.clone());
        let files = Files { ca, crl, is_required };
        let seen = Seen::now(files.paths());
        let current = RwLock::new(files.read()?);
        Ok(Some(Self { files, identity: listener.client_identity, current, seen }))
    }

    /// The user that a certificate stands for; it has been verified.
    pub(crate) fn user(&self, certificate: &CertificateDer<'_>) -> Result<Arc<str>, Cause> {
        let cause = |reason: &'static str, remedy| Cause { reason: reason.into(), remedy };
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| cause("the client's certificate cannot be read", NEW_ONE))?;
        let name = match self.identity {
            ClientIdentity::Cn => common_name(&certificate).ok_or_else(|| {
                let reason =
                    "the client's certificate has not one common name in its subject, as text";
                cause(reason, "sign it one whose subject has one CN, the user's name (a dock's serial number); or use client_identity = \"san\"")
            }),
            ClientIdentity::San => dns_name(&certificate).ok_or_else(|| {
                let reason = "the client's certificate has no DNS name (subjectAltName)";
                cause(reason, "sign it one with subjectAltName = DNS:NAME, the user's name; or use client_identity = \"cn\"")
            }),
        }?;
        let is_name = (1..=NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control);
        if is_name {
            return Ok(name.into());
        }
        let reason = "the name in the client's certificate can be no user's";
        Err(cause(reason, "sign it one whose name has 1 to 256 bytes and no control characters"))
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

const NEW_ONE: &str = "have it signed again; openssl x509 -text -in FILE shows what stands in it";

/// Of several nobody could say which one counts.
fn common_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?;
    names.next().is_none().then(|| name.as_str().ok()).flatten()
}

fn dns_name<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    let names = certificate.subject_alternative_name().ok().flatten()?;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    })
}

impl Watched for Authorities {
    fn file(&self) -> &Path {
        &self.files.ca
    }

    fn has_changed(&self) -> bool {
        self.seen.differ(self.files.paths())
    }

    fn reload(&self) -> Result<(), String> {
        self.seen.again(self.files.paths());
        let new = self.files.read().map_err(|bad| bad.detail)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl Files {
    fn paths(&self) -> [&Path; 2] {
        [&self.ca, &self.crl]
    }

    fn read(&self) -> Result<Arc<dyn ClientCertVerifier>, BadFile> {
        let roots = Arc::new(self.roots()?);
        let lists = self.lists()?;
        let provider = Arc::new(ring::default_provider());
        // An authority without a list has revoked nothing. A list that is old still revokes what it names, and
        // nothing more is known without it: a site that is cut off from its authority goes on.
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .with_crls(lists)
            .allow_unknown_revocation_status();
        let builder = if self.is_required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| match error {
            VerifierBuilderError::InvalidCrl(error) => {
                bad_crl(&self.crl, format!("is no list that can be used: {error:?}"))
            }
            error => bad("client_ca", &self.ca, error),
        })
    }

    fn roots(&self) -> Result<RootCertStore, BadFile> {
        let bad = |error: &dyn fmt::Display| bad("client_ca", &self.ca, error);
        let mut roots = RootCertStore::empty();
        for certificate in
            CertificateDer::pem_file_iter(&self.ca).map_err(|error| bad(&pem(&error)))?
        {
            let certificate = certificate.map_err(|error| bad(&pem(&error)))?;
            roots.add(certificate).map_err(|error| bad(&error))?;
        }
        if roots.is_empty() {
            return Err(bad(&"holds no PEM certificate"));
        }
        Ok(roots)
    }

    fn lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, BadFile> {
        if self.crl.as_os_str().is_empty() {
            return Ok(Vec::new());
        }
        let lists: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_file_iter(&self.crl).and_then(Iterator::collect);
        let lists = lists.map_err(|error| bad_crl(&self.crl, pem(&error)))?;
        if lists.is_empty() {
            // An emptied file would let everybody in again.
            return Err(bad_crl(&self.crl, "holds no list in PEM form"));
        }
        let mut issuers = Vec::new();
        for list in &lists {
            let parsed = x509_parser::parse_x509_crl(list);
            let (_, list) =
                parsed.map_err(|_| bad_crl(&self.crl, "holds something that is no list"))?;
            let issuer = list.issuer();
            if list.extensions().iter().any(|extension| extension.oid.to_id_string() == SCOPE) {
                let detail = format!(
                    "the list of \"{issuer}\" is for a part of its certificates only (issuingDistributionPoint), and others would be let in unseen; make one for all of them"
                );
                return Err(bad_crl(&self.crl, detail));
            }
            if list.next_update().is_some_and(|next| next < ASN1Time::now()) {
                let file = self.crl.display();
                tracing::warn!(
                    "{file}: the list of \"{issuer}\" should have been renewed by now; certificates that it does not name are let in"
                );
            }
            // Only the first one would count: often an old one that a new one was put behind.
            if issuers.contains(&issuer.as_raw().to_vec()) {
                let detail = format!("holds two lists of \"{issuer}\"; leave the newest one there");
                return Err(bad_crl(&self.crl, detail));
            }
            issuers.push(issuer.as_raw().to_vec());
        }
        Ok(lists)
    }
}

fn bad(key: &'static str, file: &Path, error: impl fmt::Display) -> BadFile {
    BadFile { key, detail: format!("{}: {error}", file.display()) }
}

fn bad_crl(file: &Path, error: impl fmt::Display) -> BadFile {
    bad("client_crl", file, error)
}

/// What the files say when a certificate is looked at counts, also for a handshake that began before.
impl ClientCertVerifier for Authorities {
    fn client_auth_mandatory(&self) -> bool {
        self.files.is_required
    }

    /// Nobody's: they may change, and a client that sees its authority missing would show no certificate at all, and
    /// nobody would know which.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}
