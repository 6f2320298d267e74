//! Opening the file: the lock, the schema, the levels of durability.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionState, params};

use crate::{Durability, Error, Seq, file};

/// Number of the newest schema; `PRAGMA user_version` of the file.
pub(crate) const SCHEMA: i64 = 1;

/// Pages of the write-ahead log that are moved into the file at once, at most: 16 MiB.
pub(crate) const CHECKPOINT_PAGES: u64 = 4_096;

/// Bits of numbers that count within one start of the broker.
const START_BITS: u32 = 40;

/// The store, with the one connection that writes.
pub struct Store {
    pub(crate) connection: Connection,
    path: PathBuf,
    starts: u64,
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
    /// The file is of a newer release: its schema, and the newest that is known here.
    Newer(PathBuf, i64, i64),
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
            Self::Newer(path, found, known) => write!(
                f,
                "{} was written by a newer release (schema {found}, this one knows {known}); start that release, or the copy that it made of the old file",
                path.display()
            ),
            Self::Sqlite(path, error) => write!(f, "{} cannot be used: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl Store {
    /// Opens or makes the file in a directory that exists, and counts this start.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path, durability: Durability) -> Result<Self, OpenError> {
        let lock = lock(dir)?;
        let path = file(dir);
        let sqlite = |error| OpenError::Sqlite(path.clone(), error);
        // Made by us, so that nobody else can read it from the first byte on.
        OpenOptions::new()
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
        if schema > SCHEMA {
            return Err(OpenError::Newer(path, schema, SCHEMA));
        }
        configure(&connection, durability).map_err(sqlite)?;
        let starts = migrate(&mut connection, schema).map_err(sqlite)?;
        Ok(Self { connection, path, starts, _lock: lock })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers of this start are greater than this, those of earlier starts are not.
    #[must_use]
    pub fn first_number(&self) -> Seq {
        self.starts << START_BITS
    }

    /// Opens a transaction; what follows takes part in it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    /// Ends the transaction: it is kept, at the level of durability that the store was opened with.
    ///
    /// # Errors
    /// What SQLite says; the transaction is still open.
    pub fn commit(&mut self) -> Result<(), Error> {
        self.connection.execute_batch("COMMIT")
    }

    /// Undoes the transaction, if one is open.
    pub fn roll_back(&mut self) {
        let state = self.connection.transaction_state(None::<&str>);
        if !matches!(state, Ok(TransactionState::None)) || !self.connection.is_autocommit() {
            // SQLite has rolled back by itself if this fails.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Moves everything into the file, which then stands alone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn close(self) -> Result<(), Error> {
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

/// Brings the schema to the newest, and counts the start.
fn migrate(connection: &mut Connection, schema: i64) -> Result<u64, Error> {
    let transaction = connection.transaction()?;
    if schema == 0 {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
    }
    let known = transaction
        .query_row("SELECT value FROM about WHERE name = 'starts'", [], |row| row.get::<_, i64>(0));
    let starts = known.optional()?.unwrap_or(0) + 1;
    transaction.execute(
        "INSERT INTO about (name, value) VALUES ('starts', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![starts],
    )?;
    transaction.commit()?;
    Ok(starts.cast_unsigned())
}
