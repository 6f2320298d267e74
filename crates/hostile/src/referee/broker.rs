//! The broker as a process, and what it tells about itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::settings::{Pair, configuration};

/// Time in which it must listen, and answer a scrape.
const PATIENCE: Duration = Duration::from_secs(20);

/// Panics that are told.
const PANICS: usize = 5;

/// What follows the arguments, with as many descriptors as the first one says; `max` is as many as may be.
const WITH_DESCRIPTORS: &str =
    r#"n=$1; shift; [ "$n" = max ] && n=$(ulimit -Hn); ulimit -n "$n" && exec "$@""#;

/// A command that runs `program` with `descriptors` descriptors.
pub(super) fn limited(descriptors: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", WITH_DESCRIPTORS, "sh", descriptors]);
    command
}

/// Where it listens.
#[derive(Clone, Copy, Debug, Default)]
struct Addresses {
    mqtt: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    ws: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Addresses {
    /// Takes a line of the broker's standard output; true behind the last one.
    fn take(&mut self, line: &str) -> bool {
        let Some((what, address)) = line.rsplit_once(" listening on ") else { return false };
        let slot = match what {
            "mqtt" => &mut self.mqtt,
            "mqtt over tls" => &mut self.tls,
            "admin" => &mut self.admin,
            _ if what.starts_with("mqtt over w") => &mut self.ws,
            _ => return false,
        };
        *slot = address.parse().ok();
        self.admin.is_some()
    }
}

/// A broker in a directory of its own; ended with the value.
pub(super) struct Broker {
    child: Child,
    dir: PathBuf,
    pub(super) mqtt: SocketAddr,
    pub(super) tls: SocketAddr,
    pub(super) ws: Option<SocketAddr>,
    admin: SocketAddr,
}

impl Broker {
    /// Starts `program` in `dir`, with so many descriptors at most (`max`: as many as may be).
    ///
    /// # Errors
    /// It cannot be started, or does not listen in time.
    pub(super) async fn start(program: &Path, dir: &Path, descriptors: &str) -> io::Result<Self> {
        let (certificate, key) = (dir.join("site.pem"), dir.join("site.key"));
        write_pair(dir, &certificate, &key).map_err(io::Error::other)?;
        let file = dir.join("hostile.toml");
        let pair = Pair { certificate: &certificate, key: &key };
        fs::write(&file, configuration(&pair, true))?;
        // A broker without WebSocket listeners refuses the file.
        let check = Command::new(program).arg("check").arg("--config").arg(&file).output()?;
        if !check.status.success() {
            fs::write(&file, configuration(&pair, false))?;
        }
        let log = OpenOptions::new().create(true).append(true).open(dir.join("broker.log"))?;
        let mut child = limited(descriptors)
            .arg(program)
            .arg("--config")
            .arg(&file)
            .arg("--data")
            .arg(dir.join("data"))
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let addresses = timeout(PATIENCE, spawn_blocking(move || read_addresses(out))).await;
        let addresses = addresses.map_or_else(|_| Addresses::default(), Result::unwrap_or_default);
        let Addresses { mqtt: Some(mqtt), tls: Some(tls), ws, admin: Some(admin) } = addresses
        else {
            let _ = child.kill();
            let _ = child.wait();
            let log = fs::read_to_string(dir.join("broker.log")).unwrap_or_default();
            return Err(io::Error::other(format!("the broker does not listen: {log}")));
        };
        Ok(Self { child, dir: dir.to_owned(), mqtt, tls, ws, admin })
    }

    /// The certificates of the authority that signed the TLS listener's.
    pub(super) fn authority(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Its process, for whoever looks at it.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        Some(status.to_string())
    }

    /// Length of its log, bytes.
    pub(super) fn log_bytes(&self) -> u64 {
        fs::metadata(self.dir.join("broker.log")).map_or(0, |metadata| metadata.len())
    }

    /// Lines of its log from a place on that tell of a panic.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn panics(&self, from: u64) -> io::Result<Vec<String>> {
        let mut log = File::open(self.dir.join("broker.log"))?;
        log.seek(SeekFrom::Start(from))?;
        let mut panics = Vec::new();
        for line in BufReader::new(log).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if panics.len() < PANICS && line.contains("panicked") {
                panics.push(line.into_owned());
            }
        }
        Ok(panics)
    }

    /// The sum of a counter at `/metrics`; none if it is not there or nobody answers.
    pub(super) async fn counter(&self, name: &str) -> Option<u64> {
        let page = timeout(PATIENCE, scrape(self.admin)).await.ok()?.ok()?;
        let values = page.lines().filter_map(|line| line.strip_prefix(name));
        let mut values = values.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok());
        let first = values.next()?;
        Some(values.fold(first, |sum, value| sum + value) as u64)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_addresses(out: impl Read) -> Addresses {
    let mut addresses = Addresses::default();
    for line in BufReader::new(out).lines() {
        let Ok(line) = line else { break };
        if addresses.take(&line) {
            break;
        }
    }
    addresses
}

/// An authority, and a certificate for 127.0.0.1 that it signed.
fn write_pair(
    dir: &Path,
    certificate: &Path,
    key: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let pair = KeyPair::generate()?;
    let signed =
        CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&pair, &authority)?;
    fs::write(dir.join("ca.pem"), authority.pem())?;
    fs::write(key, pair.serialize_pem())?;
    fs::write(certificate, signed.pem())?;
    Ok(())
}

async fn scrape(admin: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect(admin).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut page = Vec::new();
    socket.read_to_end(&mut page).await?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_from_what_the_broker_says() {
        let mut addresses = Addresses::default();
        assert!(!addresses.take("mqtt listening on 127.0.0.1:1"));
        assert!(!addresses.take("mqtt over tls listening on 127.0.0.1:2"));
        assert!(!addresses.take("mqtt over ws listening on 127.0.0.1:3"));
        assert!(addresses.take("admin listening on 127.0.0.1:4"));
        let Addresses { mqtt, tls, ws, admin } = addresses;
        let ports = [mqtt, tls, ws, admin].map(|address| address.unwrap().port());
        assert_eq!(ports, [1, 2, 3, 4]);
    }
}
