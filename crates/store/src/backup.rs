//! A copy of the file while it is in use, and the way back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use crate::migrate::{HISTORY, History};
use crate::open::{OpenError, lock};
use crate::{Error, file};

/// Why there is no copy, or no way back.
#[derive(Debug)]
pub enum BackupError {
    /// There is nothing to copy in this directory.
    NoStore(PathBuf),
    /// The copy would replace a file.
    Exists(PathBuf),
    /// The file is no copy of a store, or a damaged one: what SQLite says.
    Damaged(PathBuf, String),
    /// The store is in use, or the file is of a newer release.
    Store(OpenError),
    /// What SQLite says.
    Sqlite(PathBuf, Error),
    /// What the system says.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoStore(path) => write!(f, "{} is not there; is data.dir right?", path.display()),
            Self::Exists(path) => {
                write!(f, "{} is there already and is not replaced", path.display())
            }
            Self::Damaged(path, detail) => {
                write!(f, "{} is no sound backup ({detail}); nothing was changed", path.display())
            }
            Self::Store(error) => error.fmt(f),
            Self::Sqlite(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BackupError {}

/// Copies the store of a directory, whether or not a broker runs on it: as it was at one instant.
///
/// # Errors
/// [`BackupError`].
pub fn backup(dir: &Path, to: &Path) -> Result<(), BackupError> {
    let from = file(dir);
    if !from.exists() {
        return Err(BackupError::NoStore(from));
    }
    vacuum_into(&from, to)
}

/// Puts a copy in the place of a directory's store, whose file is kept as `dockside.db.before-restore`, with its
/// write-ahead log if that cannot be moved into it.
///
/// # Errors
/// [`BackupError`]; what was there is there still.
pub fn restore(dir: &Path, from: &Path) -> Result<(), BackupError> {
    restore_with(dir, from, &HISTORY)
}

pub(crate) fn restore_with(
    dir: &Path,
    from: &Path,
    history: &History<'_>,
) -> Result<(), BackupError> {
    let _lock = lock(dir).map_err(BackupError::Store)?;
    check(from, history.newest())?;
    let (store, new) = (file(dir), dir.join("dockside.db.new"));
    let put = copy_to(from, &new).and_then(|()| {
        if store.exists() {
            set_aside(dir, &store)?;
        }
        fs::rename(&new, &store).map_err(at(&store))
    });
    if put.is_err() {
        // Half a copy is none.
        let _ = fs::remove_file(&new);
    }
    put.and_then(|()| sync_dir(dir).map_err(at(dir)))
}

/// Copies a store, with what its write-ahead log holds, into a new file that nobody else can read.
fn copy_to(from: &Path, to: &Path) -> Result<(), BackupError> {
    remove(to).map_err(at(to))?;
    vacuum_into(from, to)
}

/// SQLite fills an empty file, which is made by us, so that nobody else can read it from the first byte on.
fn vacuum_into(from: &Path, to: &Path) -> Result<(), BackupError> {
    // SQLite takes no other.
    let name = to.to_str().ok_or_else(|| at(to)(ErrorKind::InvalidFilename.into()))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let made = made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => BackupError::Io(to.to_owned(), error),
    })?;
    let copied = open(from).and_then(|c| c.execute("VACUUM INTO ?1", params![name]));
    let copied = copied.map_err(|error| BackupError::Sqlite(from.to_owned(), error));
    let copied = copied.and_then(|_| made.sync_all().map_err(at(to)));
    if copied.is_err() {
        // Half a copy is none.
        let _ = fs::remove_file(to);
    }
    copied
}

/// Gives the store a second name, under which it stays.
fn set_aside(dir: &Path, store: &Path) -> Result<(), BackupError> {
    let aside = dir.join("dockside.db.before-restore");
    let log_aside = dir.join("dockside.db.before-restore-wal");
    [&aside, &log_aside].into_iter().try_for_each(|path| remove(path).map_err(at(path)))?;
    // What its write-ahead log holds belongs to it, and to no other file. Whoever restores because it is damaged
    // is not kept from it.
    let is_busy = Connection::open(store).and_then(|connection| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    });
    // Somebody may be reading, who keeps the log from being moved.
    let is_whole = is_busy.is_ok_and(|busy| busy == 0);
    // Some file systems have no second names.
    fs::hard_link(store, &aside).or_else(|_| fs::rename(store, &aside)).map_err(at(&aside))?;
    let log = dir.join("dockside.db-wal");
    if !is_whole && log.exists() {
        fs::rename(&log, &log_aside).map_err(at(&log))?;
    }
    for log in [log, dir.join("dockside.db-shm")] {
        remove(&log).map_err(at(&log))?;
    }
    // Or a power cut could leave the new file beside the old log.
    sync_dir(dir).map_err(at(dir))
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// A new name is on the disk only when its directory is.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::Io(path, error)
}

fn open(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Whether a file is a store that a release can open which knows this schema; it migrates an older one.
fn check(path: &Path, known: i64) -> Result<(), BackupError> {
    let damaged = |detail: String| BackupError::Damaged(path.to_owned(), detail);
    let connection = open(path).map_err(|error| damaged(error.to_string()))?;
    let text = |pragma| connection.query_row(pragma, [], |row| row.get::<_, String>(0));
    let found = text("PRAGMA integrity_check").map_err(|error| damaged(error.to_string()))?;
    if found != "ok" {
        return Err(damaged(found));
    }
    let schema = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    match schema.map_err(|error| damaged(error.to_string()))? {
        0 => Err(damaged("it holds no tables of Dockside".to_owned())),
        schema if schema > known => {
            Err(BackupError::Store(OpenError::Newer(path.to_owned(), schema, known, None)))
        }
        _ => Ok(()),
    }
}
