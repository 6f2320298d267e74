//! Opening the file: the lock, the schema, the levels of durability.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionState};

use crate::checkpoint::Checkpoints;
use crate::marks::{LOG_FILL, Marks};
use crate::migrate::{HISTORY, History, is_full, migrate, newest_copy, one_line};
use crate::sessions::SessionBytes;
use crate::{Durability, Error, Seq, file};

/// Pages of the write-ahead log that are moved into the file at once, at most: 16 MiB.
pub(crate) const CHECKPOINT_PAGES: u32 = 4_096;

/// Bits of numbers that count within one start of the broker.
const START_BITS: u32 = 40;

/// The store, with the one connection that writes.
pub struct Store {
    // Closed before the connection, the last that may move the log, and both before the checkpoints go, which have the file.
    pub(crate) marks: Marks,
    pub(crate) connection: Connection,
    path: PathBuf,
    starts: u64,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) session_bytes: SessionBytes,
    durability: Durability,
    // Held for as long as the store is open: one process a directory.
    _lock: File,
}

/// Why the store cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    Locked(PathBuf),
    /// The lock file cannot be made or opened.
    Lock(PathBuf, io::Error),
    /// The file is of a newer release: its schema, the newest that is known here, and the copy of it
    /// that the newer release made before, if there is one.
    Newer(PathBuf, i64, i64, Option<PathBuf>),
    /// There is no space for the copy (second) without which a file (first) is not migrated.
    NoSpace(PathBuf, PathBuf),
    /// That copy cannot be made for another reason, in one line.
    NoCopy(PathBuf, PathBuf, String),
    /// The file has the first schema still, and cannot be brought to the second: what SQLite says.
    Migration(PathBuf, i64, i64, Error),
    /// What SQLite says of the file.
    Sqlite(PathBuf, Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => write!(
                f,
                "{} is in use by another process; stop it, or give this one a data.dir of its own",
                path.display()
            ),
            Self::Lock(path, error) => write!(f, "{} cannot be locked: {error}", path.display()),
            Self::Newer(path, found, known, copy) => {
                write!(
                    f,
                    "{} was written by a newer release (schema {found}, this one knows {known}); start that release, or ",
                    path.display()
                )?;
                match copy {
                    Some(copy) => write!(
                        f,
                        "go back to what was there before it: `dockside restore {}`",
                        copy.display()
                    ),
                    None => write!(f, "restore a backup that was made before it"),
                }
            }
            Self::NoSpace(path, copy) => write!(
                f,
                "there is no space for {}, the copy that is kept of {} before this release changes it; nothing was changed, make room for it and start again",
                copy.display(),
                path.display()
            ),
            Self::NoCopy(path, copy, detail) => write!(
                f,
                "{} cannot be made ({detail}), the copy that is kept of {} before this release changes it; nothing was changed, put that right and start again",
                copy.display(),
                path.display()
            ),
            Self::Migration(path, from, to, error) => {
                let advice = match is_full(error) {
                    true => "make room and start again",
                    false => "start the release that it is of, and report this",
                };
                write!(
                    f,
                    "{} cannot be brought from schema {from} to {to} ({}) and is as it was; {advice}",
                    path.display(),
                    one_line(error)
                )
            }
            Self::Sqlite(path, error) => write!(f, "{} cannot be used: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl Store {
    /// Opens or makes the file in a directory that exists, and counts this start. A file of an older
    /// release is brought to the newest schema; a copy of it as it was is kept beside it, as
    /// `dockside.db.schema-` and the number of its schema.
    ///
    /// # Errors
    /// [`OpenError`]; the rows of a file that was there are what they were.
    pub fn open(dir: &Path, durability: Durability) -> Result<Self, OpenError> {
        Self::open_with(dir, durability, &HISTORY)
    }

    pub(crate) fn open_with(
        dir: &Path,
        durability: Durability,
        history: &History<'_>,
    ) -> Result<Self, OpenError> {
        let lock = lock(dir)?;
        let path = file(dir);
        let sqlite = |error| OpenError::Sqlite(path.clone(), error);
        // Made by us, so that nobody else can read it from the first byte on.
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| OpenError::Lock(path.clone(), error))?;
        let mut connection = Connection::open(&path).map_err(sqlite)?;
        connection.set_prepared_statement_cache_capacity(64);
        let schema = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
        let schema: i64 = schema.map_err(sqlite)?;
        let known = history.newest();
        if schema > known {
            let copy = newest_copy(&path, known);
            return Err(OpenError::Newer(path, schema, known, copy));
        }
        configure(&connection, durability).map_err(sqlite)?;
        let starts = migrate(&mut connection, &path, schema, history)?;
        forget_ahead(&connection).map_err(sqlite)?;
        let session_bytes = SessionBytes::new(&connection)
            .map_err(|error| OpenError::Sqlite(path.clone(), error))?;
        let checkpoints = Checkpoints::new(&mut connection, opened)
            .map_err(|error| OpenError::Sqlite(path.clone(), error))?;
        let marks = Marks::new(&path).map_err(|error| OpenError::Sqlite(path.clone(), error))?;
        Ok(Self {
            marks,
            connection,
            path,
            starts,
            checkpoints,
            session_bytes,
            durability,
            _lock: lock,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the next commit waits for the disk: every one at the level `sync`, and the first in a log that
    /// begins anew, whose beginning SQLite syncs.
    #[must_use]
    pub fn waits_for_the_disk(&self) -> bool {
        self.durability == Durability::Sync || self.checkpoints.begins_log()
    }

    /// Numbers of this start are greater than this, those of earlier starts are not.
    #[must_use]
    pub fn first_number(&self) -> Seq {
        self.starts << START_BITS
    }

    /// Those of later starts are greater than this.
    #[must_use]
    pub fn last_number(&self) -> Seq {
        (self.starts + 1) << START_BITS
    }

    /// Opens a transaction; what follows takes part in it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn begin(&mut self) -> Result<(), Error> {
        let begun = self.cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        if begun.is_err() {
            self.marks.let_go();
        }
        begun.map(|_| ())
    }

    /// Ends the transaction: it is kept, at the level of durability that the store was opened with.
    ///
    /// # Errors
    /// What SQLite says; the transaction is still open.
    pub fn commit(&mut self) -> Result<(), Error> {
        self.cached("COMMIT")?.execute([])?;
        self.committed();
        Ok(())
    }

    /// What comes behind a transaction, also one that a statement has begun and ended by itself.
    pub fn committed(&mut self) {
        self.session_bytes.commit();
        self.checkpoints.committed();
        if self.log_fill() >= LOG_FILL {
            self.marks.let_go();
        } else {
            self.marks.committed(self.log_pages());
        }
        self.checkpoint_if_due();
    }

    /// Undoes the transaction, if one is open.
    pub fn roll_back(&mut self) {
        self.marks.let_go();
        let state = self.connection.transaction_state(None::<&str>);
        if !matches!(state, Ok(TransactionState::None)) || !self.connection.is_autocommit() {
            // SQLite has rolled back by itself if this fails.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.session_bytes.roll_back();
    }

    /// Whether the file refuses to be written from now on, as one does that cannot be. What is open can
    /// still be committed. For tests only.
    ///
    /// # Errors
    /// What SQLite says.
    #[cfg(any(test, feature = "faults"))]
    pub fn refuse_writes(&mut self, refuse: bool) -> Result<(), Error> {
        self.connection.pragma_update(None, "query_only", refuse)
    }

    /// Moves everything into the file, which then stands alone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn close(self) -> Result<(), Error> {
        drop(self.marks);
        self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        self.connection.close().map_err(|(_, error)| error)
    }
}

pub(crate) fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("dockside.lock");
    let opened =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let lock = opened.map_err(|error| OpenError::Lock(path.clone(), error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::Lock(path, error)),
    }
}

/// What was queued ahead of messages that did not come.
fn forget_ahead(connection: &Connection) -> Result<(), Error> {
    let last = "SELECT coalesce(max(seq), 0) FROM message";
    connection.execute(&format!("DELETE FROM queue WHERE seq > ({last})"), []).map(|_| ())
}

fn configure(connection: &Connection, durability: Durability) -> Result<(), Error> {
    // Whoever waits for the store has better to do than to wait here.
    connection.busy_timeout(Duration::ZERO)?;
    // Before the first table, or it has no effect: space goes back to the file system.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if durability == Durability::Sync { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}
